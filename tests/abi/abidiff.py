#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""abidiff.py SHARED FOLDER: the library is compatible with its baseline, FOLDER/abi/MACHINE.abi.

Additions are compatible. A draft library (MAJOR 0) may have no baseline yet: skipped.
"""
import pathlib
import subprocess
import sys
import tempfile

import baseline


def main(shared, folder):
    old = baseline.path(folder)
    reason = baseline.missing_tool()
    if not reason and not old.is_file():
        reason = f"no baseline {old.name} yet (ninja abi-update writes one)"
    if not reason and not baseline.has_debug_info(shared):
        reason = "built without debug info"
    if reason:
        print(f"skipped: {reason}")
        return 77
    suppress = old.with_name("suppress.abignore")
    options = ["--suppressions", str(suppress)] if suppress.is_file() else []
    with tempfile.TemporaryDirectory() as temporary:
        new = pathlib.Path(temporary) / old.name
        baseline.write(shared, folder, new)
        command = ["abidiff", "--no-added-syms", *options, str(old), str(new)]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
