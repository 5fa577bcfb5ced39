#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""undefined.py ARCHIVE [NEED...]: the archive asks for four mem functions, and for its needs."""
import subprocess
import sys

LIBC = {"memcpy", "memmove", "memset", "memcmp"}
# The linker's own, in position-independent code.
LINKER = {"_GLOBAL_OFFSET_TABLE_"}


def symbols(archive, which):
    command = ["nm", which, "--format=posix", archive]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {row[0] for row in map(str.split, said.splitlines()) if len(row) > 1}


def main(archive, *needs):
    prefixes = tuple(f"gn_{need}_" for need in needs)
    asked = symbols(archive, "--undefined-only") - symbols(archive, "--defined-only")
    stray = sorted(s for s in asked - LIBC - LINKER if not s.startswith(prefixes))
    for symbol in stray:
        print(f"undefined: {symbol}")
    return 1 if stray else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
