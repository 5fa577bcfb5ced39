#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_program.py VAULT PROGRAM: a program that does with its blocks what programs do, over each
kind of pool; and what cannot be protected does not run.
"""
import subprocess
import sys

import vault_run


def refuses(vault, options, status):
    done = subprocess.run([vault, "run", *options], capture_output=True, text=True)
    print("+ vault run", *options, "->", done.returncode, done.stderr.strip())
    return done.returncode == status and not done.stdout


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
    good &= refuses(vault, ["/nonexistent"], 127)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
