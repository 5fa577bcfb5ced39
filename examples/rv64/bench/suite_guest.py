# SPDX-License-Identifier: BSD-3-Clause
"""Makes the initramfs of the suite: a busybox initramfs, and over it the program of guest/."""

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "guest"
COMPILER = "riscv64-linux-gnu-gcc"
PACKAGES = "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross"
FLAGS = ["-std=gnu11", "-O2", "-s", "-static", "-pthread", "-ffp-contract=off",
         "-fno-strict-aliasing", "-Wall", "-Wextra", "-Werror"]

# Programs that the entries run; busybox does what it is called.
APPLETS = ["awk", "cut", "find", "grep", "gzip", "md5sum", "sed", "seq", "sort", "tr", "true",
           "uniq", "wc"]


def missing():
    """What has to be installed, or None."""
    return None if shutil.which(COMPILER) else f"{COMPILER} (packages {PACKAGES})"


def compile_program(to):
    """The program, in the file `to`."""
    command = [COMPILER, *FLAGS, "-o", str(to), *sorted(map(str, SOURCES.glob("*.c"))), "-lm"]
    subprocess.run(command, check=True)


def entry(number, name, mode, data):
    """A member of a cpio archive in the format "newc", which the kernel unpacks."""
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def initramfs(busybox, to, program=None):
    """
    Writes busybox's initramfs and an archive with the program to the file `to`. The kernel unpacks
    one archive after the other, so that the program takes the place of busybox's /init.
    """
    if not program:
        with tempfile.TemporaryDirectory() as folder:
            compile_program(Path(folder) / "init")
            program = (Path(folder) / "init").read_bytes()
    members = [entry(1, "init", 0o100755, program)]
    members += [entry(number, f"bin/{name}", 0o120777, b"busybox")
                for number, name in enumerate(APPLETS, 2)]
    members.append(entry(0, "TRAILER!!!", 0, b""))
    Path(to).write_bytes(Path(busybox).read_bytes() + gzip.compress(b"".join(members), mtime=0))


BUNDLE_FLAGS = ["-std=gnu11", "-O1", "-nostdlib", "-static", "-ffreestanding", "-mcmodel=medany",
                "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-Wall", "-Wextra", "-Werror",
                "-Wl,-Ttext=0x80200000", "-Wl,--build-id=none", "-Wl,-e,_start"]


def bundle(kernel, initrd, to):
    """Kernel and initramfs as one file that is loaded at 0x80200000 as a kernel: see bundle.c."""
    with tempfile.TemporaryDirectory() as folder:
        program, raw = Path(folder) / "program", Path(folder) / "raw"
        subprocess.run([COMPILER, *BUNDLE_FLAGS, "-o", program, HERE / "bundle.c", "-lgcc"], check=True)
        subprocess.run([COMPILER.replace("gcc", "objcopy"), "-O", "binary", program, raw],
                       check=True)
        start = bytearray(raw.read_bytes())
    archive = Path(initrd).read_bytes()
    start[8:16] = len(archive).to_bytes(8, "little")
    whole = start.ljust(0x200000, b"\0") + Path(kernel).read_bytes()
    Path(to).write_bytes(whole.ljust(0x1000000, b"\0") + archive)
