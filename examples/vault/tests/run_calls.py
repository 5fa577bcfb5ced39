#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_calls.py VAULT PROGRAM: system calls whose buffers are sealed do what they should, over each
kind of pool, or are refused in a way that programs know; what failed is told at the end, once.
"""
import os
import re
import subprocess
import sys
import tempfile

import vault_run

MEMORY = {"secret": "SIGSEGV", "shared": "SIGSEGV", "private": "userfaultfd"}
REFUSED = """\
io_uring -1 1
io_setup -1 1
aio_read -1 1
lio_listio -1 1
shared futex {}
"""


def refused(vault, program, options, pinned):
    done = subprocess.run([vault, "run", *options, program, "refused"], capture_output=True,
                          text=True)
    print(done.stdout, done.stderr)
    told = re.findall("failed with EFAULT on sealed memory: ([0-9]+), first number", done.stderr)
    wanted = REFUSED.format("0 0" if pinned else "-1 1")
    return done.stdout == wanted and told == ([] if pinned else ["1"])


def main(vault, program):
    if vault_run.unable(vault):
        return vault_run.skip(vault_run.unable(vault))
    least = {"blocks": 2, "misses": 300, "system calls": 15}
    with tempfile.TemporaryDirectory() as folder:
        for memory, faults in MEMORY.items():
            options = ["--pool", "128K", "--memory", memory]
            if vault_run.unable(vault, *options):
                print(f"not over {memory} memory:", vault_run.unable(vault, *options))
                continue
            if f"faults by {faults}," not in vault_run.about(vault, *options):
                print("the way of faults is told wrongly")
                return 1
            if not vault_run.compare(vault, options, [program], least, cwd=folder):
                return 1
            if not refused(vault, program, options, memory != "secret"):
                return 1
    ways = {way: vault_run.about(vault, "--faults", way) for way in ("segv", "uffd")}
    print(ways)
    good = "faults by SIGSEGV," in ways["segv"]
    good &= "faults by userfaultfd," in ways["uffd"] or "vault: blocks" not in ways["uffd"]
    wrong = subprocess.run([vault, "run", "--faults", "none", "true"], capture_output=True)
    return 0 if good and wrong.returncode == 2 else 1


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:])))
