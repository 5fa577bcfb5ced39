#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""boot.py RV64 GUEST ROOT [OPTION...]: Linux boots, runs what it is told, and powers off.

The guest is GUEST, or if that is empty $GNOMON_GUEST_DIR, or else ROOT/.guest. Without one the
test is skipped. The options go to the machine. With --shell, commands are typed at the prompt
instead of standing on the kernel command line. With --firmware, Debian's OpenSBI boots it, in the
forms fw_dynamic and fw_jump; then U-Boot is booted, by OpenSBI and by the SBI that is built in.
"""
import os
import pathlib
import select
import subprocess
import sys
import time

LIMIT = 280  # seconds; the machine ends itself before Meson would
READY = "guest: ready"
COMMAND = "uname -m; for i in 1 2 3 4; do ls / | wc -l; done; echo sum $((6*7))"
ANSWERS = ("riscv64", "sum 42")
DYNAMIC = pathlib.Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin")
JUMP = DYNAMIC.with_name("fw_jump.bin")
UBOOT = pathlib.Path("/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf")


def find_guest(given, root):
    folder = pathlib.Path(given or os.environ.get("GNOMON_GUEST_DIR") or f"{root}/.guest")
    files = [folder / "Image", folder / "busybox.cpio.gz"]
    return files if all(file.is_file() for file in files) else None


def watch(process, typed, ready, prompts):
    """Shows what the guest prints, types once it is ready; gives all that was printed."""
    seen = b""
    end = time.monotonic() + LIMIT + 10
    while time.monotonic() < end:
        if not select.select([process.stdout], [], [], 1)[0]:
            continue
        some = os.read(process.stdout.fileno(), 65536)
        if not some:
            break
        seen += some
        sys.stdout.write(some.decode(errors="replace"))
        sys.stdout.flush()
        # A prompt, on a line of its own after the guest said that it is ready.
        if typed and ready in seen and seen.rstrip(b" ").endswith(prompts):
            process.stdin.write(typed)
            process.stdin.flush()
            typed = None
    return seen.decode(errors="replace")


def boot(command, answers=ANSWERS, typed=None, ready=READY, prompts=(b"#", b"$")):
    """Runs a machine to its end: did it print the answers, and end well?"""
    print("+", *command, flush=True)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        seen = watch(process, typed and typed.encode(), ready.encode(), prompts)
        status = process.wait(10)
    finally:
        process.kill()

    lines = [line.strip() for line in seen.splitlines()]
    missing = [answer for answer in answers if answer not in lines]
    if status or missing:
        print(f"\nexit status {status}; not seen: {missing}")
        return False
    return True


def missing_packages():
    wanted = {DYNAMIC: "opensbi", JUMP: "opensbi", UBOOT: "u-boot-qemu"}
    return sorted({package for file, package in wanted.items() if not file.is_file()})


def boot_uboot(command):
    """To its prompt, where numbers are hexadecimal."""
    typed = "setexpr n 29 + 19; echo sum $n; poweroff\r"
    command = [*command, "--kernel", str(UBOOT)]
    return boot(command, ("sum 42",), typed, "Hit any key", (b"\n=>",))


def main(program, given, root, *options):
    guest = find_guest(given, root)
    if not guest:
        print("skipped: no guest; set GNOMON_GUEST_DIR, or run examples/rv64/guest/build")
        return 77
    firmware = "--firmware" in options
    if firmware and missing_packages():
        print("skipped: not installed:", *missing_packages())
        return 77
    shell = "--shell" in options
    options = [option for option in options if option not in ("--firmware", "--shell")]
    append = "console=ttyS0"
    if not shell:
        append += " run=" + COMMAND.replace(" ", ",")
    # Four machines share the time of one.
    machine = [program, "--timeout", str(LIMIT // 4 if firmware else LIMIT), *options]
    linux = ["--kernel", str(guest[0]), "--initrd", str(guest[1]), "--append", append]
    typed = f"{COMMAND}; poweroff -f\n" if shell else None
    if not firmware:
        return 0 if boot([*machine, *linux], typed=typed) else 1
    done = [boot([*machine, "--bios", str(file), *linux]) for file in (DYNAMIC, JUMP)]
    done += [boot_uboot([*machine, "--bios", str(DYNAMIC)]), boot_uboot(machine)]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
