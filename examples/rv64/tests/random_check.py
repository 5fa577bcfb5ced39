#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""random_check.py RV64 GENERATOR [--seed N] [--seconds S] [OPTION...]: random machines under --check.

The generator makes a firmware image of a random program with page tables, traps, interrupts and
code that changes; RV64 runs it, with the options, beside its reference. Seeds count up from the
first one, which is that of the day unless it is given.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def take(options, name, otherwise):
    if name not in options:
        return otherwise
    at = options.index(name)
    value = int(options[at + 1])
    del options[at:at + 2]
    return value


def main(machine, generator, *options):
    options = list(options)
    first = take(options, "--seed", int(os.environ.get("GN_TEST_SEED", str(int(time.time()))), 0))
    end = time.monotonic() + take(options, "--seconds", 5)
    seed = first
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "image"
        while seed == first or time.monotonic() < end:
            subprocess.run([generator, str(seed), image], check=True)
            command = [machine, "-m", "16M", f"--check={seed % 1000 + 1}", "--bios", str(image),
                       "--timeout", "60", *options]
            run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                 text=True, errors="replace")
            if run.returncode:
                print(f"seed {seed}, status {run.returncode}: {' '.join(command)}\n"
                      f"{run.stdout}{run.stderr}")
                return 1
            seed += 1
    print(f"first seed {first}, {seed - first} programs")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
