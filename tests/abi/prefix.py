#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""prefix.py ARCHIVE NAME: every global symbol of the archive begins with gn_NAME_.

Visibility hides nothing in an archive: an internal function is global there as well.
"""
import subprocess
import sys


def main(archive, name):
    command = ["nm", "--extern-only", "--defined-only", "--format=posix", archive]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    symbols = [row[0] for row in map(str.split, said.splitlines()) if len(row) > 1]
    stray = [symbol for symbol in symbols if not symbol.startswith(f"gn_{name}_")]
    for symbol in stray:
        print(f"{symbol} does not begin with gn_{name}_")
    if not symbols:
        print("no global symbol at all")
    return 1 if stray or not symbols else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
