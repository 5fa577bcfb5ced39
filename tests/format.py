#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""format.py ROOT: every C file is as clang-format 14 and .clang-format would write it.

Another version of clang-format has other opinions; without version 14 the test is skipped.
"""
import pathlib
import shutil
import subprocess
import sys

VERSION = "14."


def find_clang_format():
    for name in ("clang-format-14", "clang-format"):
        path = shutil.which(name)
        if path:
            said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if f"version {VERSION}" in said:
                return path
    return None


def main(root):
    tool = find_clang_format()
    if not tool:
        print("skipped: no clang-format 14")
        return 77
    files = [
        str(path)
        for top in ("lib", "platforms", "examples", "tests")
        for path in sorted((pathlib.Path(root) / top).rglob("*.[ch]"))
    ]
    done = subprocess.run(
        [tool, "--dry-run", "--Werror", "--style=file", *files], stderr=subprocess.PIPE, text=True
    )
    first = {}
    for line in done.stderr.splitlines():
        if "[-Wclang-format-violations]" in line:
            first.setdefault(line.split(":")[0], line)
    print(*first.values(), sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
