#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""readme.py README COMPILER [ARGUMENT...]: the C that a README shows compiles as it stands.

Each block fenced as ```c is a file of its own.
"""
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = ["-x", "c", "-std=c11", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror"]


def main(readme, *compiler):
    path = pathlib.Path(readme)
    if not path.is_file():
        print(f"skipped: no {path.name} yet")
        return 77
    text = path.read_text(encoding="utf-8")
    status = 0
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        source = f'#line {line} "{path}"\n{block[1]}'
        command = [*compiler, *FLAGS, "-fsyntax-only", "-"]
        status |= subprocess.run(command, input=source, text=True).returncode
    if not BLOCK.search(text):
        print(f"{path} shows no use: no block fenced as ```c")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
