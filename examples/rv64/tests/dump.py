#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""dump.py RV64: --dump lists guest instructions, and below each the host's that were made of it."""
import pathlib
import re
import subprocess
import sys
import tempfile

from assemble import A0, A6, POWER_OFF, ZERO, addi, bnez, firmware

BASE = 0x80000000
LOOP = BASE + 4
PROGRAM = [addi(A0, ZERO, 50), addi(A6, A6, 3), addi(A0, A0, -1), bnez(A0, -8), *POWER_OFF]
WANTED = ["addi a6, a6, 3", "addi a0, a0, -1", "bnez a0, -8  # 80000004"]


def run(machine, image, *options):
    done = subprocess.run([machine, "--bios", image, "--timeout", "20", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stderr


def blocks(text):
    """Of each: its first line, and the host's lines below each of the guest's, as lists."""
    found = []
    for line in text.splitlines():
        guest = re.fullmatch(r"([0-9a-f]+)  ([0-9a-f]+) +(\S.*)", line)
        host = re.fullmatch(r"    \.([0-9a-f]{4})  (\S.*)", line)
        if line.startswith("block "):
            found.append((line, [("", [])]))
        elif guest or line == "behind the block:":
            found[-1][1].append((guest[3] if guest else line, []))
        elif host:
            found[-1][1][-1][1].append((int(host[1], 16), host[2]))
    return found


def is_loop_listed(block):
    head, lines = block
    offsets = [offset for _, host in lines for offset, _ in host]
    guest = [text for text, _ in lines[1:-1]]
    size = int(re.search(r"(\d+) bytes of host code", head)[1])
    print(head, *lines, sep="\n")
    return (guest == WANTED and lines[-1][0] == "behind the block:" and all(h for _, h in lines)
            and offsets == sorted(set(offsets)) and offsets[0] == 0 and offsets[-1] < size
            and lines[0][1][0][1] == "sub r13, 3"
            and [text for _, text in lines[2][1]][0].endswith(", -1")
            and any(text.startswith("j") for _, text in lines[3][1])
            and any("leave_budget" in text for _, text in lines[4][1]))


def main(machine):
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "image"
        image.write_bytes(firmware(PROGRAM))
        status, text = run(machine, image, "--dump")
        if status == 2:
            print(text)
            if "llvm-dev" in text:
                print("skipped: no LLVM in this build")
                return 77
            return 1
        every = blocks(text)
        loop = [block for block in every if block[0].startswith(f"block {LOOP:x} ")]
        one = blocks(run(machine, image, f"--dump={LOOP + 4:#x}")[1])
        none = run(machine, image, "--dump=1234")
        refused = run(machine, image, "--dump", "--cpu", "interpret")
        wrong = run(machine, image, "--dump=here")
    right = [
        status == 0,
        len(loop) == 1 and is_loop_listed(loop[0]),
        [block[1][1:-1] and block[1][1][0] for block in one].count(WANTED[0]) == 1,
        none == (0, ""),
        refused[0] == 2 and "nothing is translated" in refused[1],
        wrong[0] == 2 and "not an address" in wrong[1],
    ]
    print(right)
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
