#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Boots the same guest in rv64 and in QEMU, in turn, and prints what each cost and the ratio.

usage: examples/rv64/bench/boot.py [--quick] RV64 [GUEST]

GUEST is a folder with Image and busybox.cpio.gz: default $GNOMON_GUEST_DIR or .guest/. The guest
boots to its first process and powers off. Exit status 77: the guest or QEMU is missing.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent.parent


def run(command):
    """Wall seconds, and CPU seconds of the finished process."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with wait status {status}")
    return time.monotonic() - start, usage.ru_utime + usage.ru_stime


def main(arguments):
    quick = arguments[:1] == ["--quick"]
    arguments = arguments[1:] if quick else arguments
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):
        sys.exit(__doc__.strip())
    named = arguments[1] if len(arguments) > 1 else ""
    guest = Path(named or os.environ.get("GNOMON_GUEST_DIR") or TOP / ".guest")
    qemu = shutil.which("qemu-system-riscv64")
    missing = [str(guest / f) for f in ("Image", "busybox.cpio.gz") if not (guest / f).exists()]
    if missing or not qemu:
        print("skipped: no " + (missing + ["qemu-system-riscv64 (package qemu-system-misc)"])[0])
        sys.exit(77)

    common = ["-kernel", str(guest / "Image"), "-initrd", str(guest / "busybox.cpio.gz"),
              "-append", "console=ttyS0 run=true", "-m", "256M"]
    peers = {
        "rv64": [arguments[0]] + common,
        "qemu": [qemu, "-M", "virt", "-nographic", "-no-reboot"] + common,
    }
    runs = 1 if quick else 9
    figures = {name: [] for name in peers}
    for number in range(runs + 1):
        for name, command in peers.items():
            figure = run(command)
            if number:  # the first of each only warms the page cache
                figures[name].append(figure)

    version = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True)
    print("peer: " + version.stdout.splitlines()[0])
    print("name,unit,min,median,max,n")
    for name, values in figures.items():
        for what, unit in ((0, "wall"), (1, "cpu")):
            column = [v[what] for v in values]
            print(f"boot_{name}_{unit},s,{min(column):.3f},{statistics.median(column):.3f},"
                  f"{max(column):.3f},{len(column)}")
    for what, unit in ((0, "wall"), (1, "cpu")):
        ratios = [q[what] / r[what] for r, q in zip(figures["rv64"], figures["qemu"])]
        print(f"ratio: qemu / rv64, {unit}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
