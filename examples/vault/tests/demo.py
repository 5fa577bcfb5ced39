#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""demo.py VAULT: the demo's dump has no copy of the secret with Gnomon, and all copies without.

The dumps are searched here, too: the demo's own search is not to be believed.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

RECORDS = 4096


def main(vault):
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("with", "without")]
        done = subprocess.run([vault, "demo", "--dump", *files], capture_output=True, text=True)
        print(done.stdout, done.stderr, sep="\n")
        dumps = [file.read_bytes() for file in files]
    secret = re.search(r"the secret was ([a-z]{16})$", done.stdout, re.MULTILINE)
    told = [int(n) for n in re.findall(r": (\d+) copies of the secret", done.stdout)]
    if done.returncode or not secret or len(told) != 2:
        print("the demo failed")
        return 1
    found = [dump.count(secret[1].encode()) for dump in dumps]
    print(f"found {found}, told {told}, of dumps of {[len(dump) >> 20 for dump in dumps]} MiB")
    good = found[0] == told[0] == 0 and found[1] >= RECORDS and told[1] >= RECORDS
    # 16 MiB of records were in the process either way.
    return 0 if good and all(len(dump) > RECORDS * 4096 for dump in dumps) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
