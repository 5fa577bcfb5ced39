#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""code_guest.py RV64 SOURCE [OPTION...]: a guest that is hard on translated code finds all right.

The guest is compiled with riscv64-linux-gnu-gcc; without one the test is skipped. The options go to
the machine. If they bound the code cache, it must have been evicted from, and must not have grown. With
--windows first, pages must have been mapped where their loads expected them, and mapped anew.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

COMPILER = "riscv64-linux-gnu-gcc"
FLAGS = ["-std=gnu11", "-O2", "-nostdlib", "-static", "-ffreestanding", "-fno-pie", "-no-pie",
         "-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-fno-builtin", "-Wall", "-Wextra",
         "-Werror", "-Wl,-Ttext=0x80200000", "-Wl,--build-id=none", "-Wl,-e,_start"]


def windows_right(stats):
    windows = stats["windows"]
    print(windows)
    if windows["refused"]:
        print("the host gives no large pages of shared memory")
        return True
    return 0 < windows["pages"] < windows["maps"]


def main(program, source, *options):
    windows = options[:1] == ("--windows",)
    options = options[windows:]
    if not shutil.which(COMPILER):
        print(f"skipped: needs {COMPILER}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        guest = pathlib.Path(folder) / "guest"
        subprocess.run([COMPILER, *FLAGS, "-o", guest, source], check=True)
        command = [program, "--kernel", str(guest), "--timeout", "250", "--stats=json", *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(done.stdout)
    wanted = re.findall(r'print\("(\w+: right)\\n"\);', pathlib.Path(source).read_text())
    if done.returncode or [line for line in done.stdout.split("\n") if line] != wanted:
        print(done.stderr)
        return 1
    stats = json.loads(done.stderr[done.stderr.index("{"):])
    if windows and "windows" in stats and not windows_right(stats):
        return 1
    if "tcache" not in stats or "--code-cache" not in options:
        return 0
    tcache = stats["tcache"]
    print({name: tcache[name] for name in ("blocks_made", "blocks_written", "blocks_evicted",
                                           "regions_evicted", "code_used")})
    bounded = tcache["regions_evicted"] > 0 and tcache["code_used"] <= 4 << 20
    return 0 if bounded and tcache["blocks_written"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
