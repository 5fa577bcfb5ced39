#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_program.py VAULT PROGRAM: a program that does with its blocks what programs do, over each
kind of pool; and what cannot be protected does not run.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

import vault_run


def refuses(vault, options, status):
    done = subprocess.run([vault, "run", *options], capture_output=True, text=True)
    print("+ vault run", *options, "->", done.returncode, done.stderr.strip())
    return done.returncode == status and not done.stdout


def passed_over(vault, folder):
    """What the dynamic linker would run unprotected, without a word."""
    # A header of x86-64, and of x86; no interpreter, that is, static.
    for name, kind, machine in (("static", 2, 62), ("old", 1, 3)):
        header = struct.pack("<4s4BQ2HIQQQI6H", b"\x7fELF", kind, 1, 1, 0, 0, 2, machine, 1, 0, 64,
                             0, 0, 64, 56, 0, 0, 0, 0)
        (folder / name).write_bytes(header)
    (folder / "script").write_text(f"#! {folder}/static -x\n")
    for name in "static", "old", "script":
        (folder / name).chmod(0o755)
    return all(refuses(vault, [str(folder / name)], 125) for name in ("static", "old", "script"))


def main(vault, program):
    if vault_run.unable(vault):
        return vault_run.skip(vault_run.unable(vault))
    least = {"blocks": 15, "misses": 1000, "seals": 500, "system calls": 20}
    for memory in ("secret", "shared"):
        options = ["--pool", "128K", "--memory", memory]
        if vault_run.unable(vault, *options):
            print(f"not over {memory} memory:", vault_run.unable(vault, *options))
        elif not vault_run.compare(vault, options, [program], least):
            return 1
    # The least: a frame for each argument of a call, and some for the threads.
    if not vault_run.compare(vault, ["--pool", "64K"], [program], least):
        return 1
    good = refuses(vault, ["--size", "8G", "true"], 125)
    good &= refuses(vault, ["--pool", "32K", "true"], 125)
    good &= refuses(vault, ["--pool", "x", "true"], 2)
    good &= refuses(vault, ["--memory", "none", "true"], 2)
    good &= refuses(vault, [], 2)
    good &= refuses(vault, ["--place", "here", "true"], 2)
    good &= refuses(vault, ["--place", "locked", "true"], 125)
    good &= refuses(vault, ["--ways", "32", "true"], 2)
    with tempfile.TemporaryDirectory() as folder:
        good &= passed_over(vault, pathlib.Path(folder))
    good &= refuses(vault, ["/nonexistent"], 127)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
