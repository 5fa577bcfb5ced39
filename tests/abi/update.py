#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""update.py [SHARED FOLDER]...: writes each library's baseline anew. For release commits."""
import sys

import baseline


def main(*arguments):
    if baseline.missing_tool():
        sys.exit(f"abi-update: {baseline.missing_tool()}; Debian: apt-get install abigail-tools")
    for shared, folder in zip(arguments[::2], arguments[1::2]):
        if not baseline.has_debug_info(shared):
            sys.exit(f"abi-update: {shared} has no debug info; configure with -Ddebug=true")
        to = baseline.path(folder)
        to.parent.mkdir(exist_ok=True)
        baseline.write(shared, folder, to)
        print(to)


if __name__ == "__main__":
    main(*sys.argv[1:])
