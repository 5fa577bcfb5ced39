#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run.py VAULT: the tests' workloads plainly and under `vault run`, with pools of several sizes.

Prints name,unit,min,median,max,n: seconds of wall time, and the misses of one run.
"""
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
import run_python3
import run_sqlite3
import vault_run

RUNS = 5
POOLS = ("512K", "2M", "8M")


def measure(name, command, text):
    seconds = []
    for _ in range(RUNS):
        begin = time.monotonic()
        done = subprocess.run(command, input=text, capture_output=True, check=True)
        seconds.append(time.monotonic() - begin)
    row = [f"{figure:.3f}" for figure in (min(seconds), statistics.median(seconds), max(seconds))]
    print(name, "s", *row, RUNS, sep=",", flush=True)
    misses = [line.split("misses ")[1].split(",")[0]
              for line in done.stderr.decode().splitlines() if "misses " in line]
    for count in misses[-1:]:
        print(f"{name}_misses", "count", count, count, count, 1, sep=",")


def main(vault):
    sqlite3, python3 = map(vault_run.system_program, ("sqlite3", "python3"))
    if not sqlite3 or not python3:
        sys.exit("needs Debian's sqlite3 and python3")
    print("name,unit,min,median,max,n")
    with tempfile.TemporaryDirectory() as folder:
        for name, command, text, options in (
            ("sqlite3", [sqlite3, ":memory:"], run_sqlite3.SQL.encode(), ["--threshold", "4K"]),
            ("python3", [python3, "-c", run_python3.WORK, folder], None, []),
        ):
            measure(f"{name}_plain", command, text)
            for pool in POOLS:
                run = [vault, "run", "--quiet", "--stats", "--pool", pool, *options, "--"]
                measure(f"{name}_{pool}", [*run, *command], text)


if __name__ == "__main__":
    main(*sys.argv[1:])
