#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a trap to the supervisor and back costs: ECALL, four instructions, SRET, in turn with QEMU.

usage: examples/rv64/bench/trap.py [--quick] RV64 [OPTION OF RV64]...

A kernel of its own, without paging: user code makes a number of calls, and powers off. Its CPU time
less that of the same with one call is divided by the number. Exit status 77: QEMU is missing; the
figures of rv64 are printed all the same.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import assemble as a  # noqa: E402

S0 = 8
STVEC, SEPC, SSTATUS = 0x105, 0x141, 0x100
SPP = 1 << 8
SRET, AUIPC_T0 = 0x10200073, 0x17 | a.T0 << 7
SRST = 0x53525354


def csr(number, kind, rd, rs):
    return number << 20 | rs << 15 | kind << 12 | rd << 7 | 0x73


def kernel(calls):
    """User code: calls, then one with A7 = 1, which ends it."""
    start = [AUIPC_T0, 0, csr(STVEC, 1, 0, a.T1), 0, csr(SEPC, 1, 0, a.T1),
             a.addi(a.T1, a.ZERO, SPP), csr(SSTATUS, 3, 0, a.T1), *a.load(S0, calls),
             a.addi(a.A7, a.ZERO, 0), SRET]
    user = [a.ECALL, a.addi(S0, S0, -1), a.bnez(S0, -8), a.addi(a.A7, a.ZERO, 1), a.ECALL]
    handler = [a.bnez(a.A7, 20), csr(SEPC, 2, a.T0, 0), a.addi(a.T0, a.T0, 4),
               csr(SEPC, 1, 0, a.T0), SRET]
    end = [*a.load(a.A7, SRST), a.addi(a.A6, a.ZERO, 0), a.addi(a.A0, a.ZERO, 0),
           a.addi(a.A0 + 1, a.ZERO, 0), a.ECALL]
    start[1] = a.addi(a.T1, a.T0, 4 * len(start + user))
    start[3] = a.addi(a.T1, a.T0, 4 * len(start))
    return a.kernel(start + user + handler + end)


def cpu_seconds(command):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} ended with wait status {status}")
    return usage.ru_utime + usage.ru_stime


def main(arguments):
    quick = arguments[:1] == ["--quick"]
    arguments = arguments[1:] if quick else arguments
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__.strip())
    qemu = shutil.which("qemu-system-riscv64")
    peers = {"rv64": [*arguments, "-m", "64M"]}
    if qemu:
        peers["qemu"] = [qemu, "-M", "virt", "-m", "64M", "-nographic", "-no-reboot"]
    calls, runs = (10000, 1) if quick else (3000000, 9)
    found = {name: [] for name in peers}
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder) / "one", Path(folder) / "many"
        one.write_bytes(kernel(1))
        many.write_bytes(kernel(calls))
        for _ in range(runs):
            for name, command in peers.items():
                used = [cpu_seconds([*command, "-kernel", str(image)]) for image in (one, many)]
                found[name].append((used[1] - used[0]) / calls * 1e9)
    print("name,unit,min,median,max,n")
    for name, values in found.items():
        print(f"ecall_sret_{name},ns,{min(values):.1f},{statistics.median(values):.1f},"
              f"{max(values):.1f},{runs}")
    if not qemu:
        print("skipped: no qemu-system-riscv64 (package qemu-system-misc)")
        return 77
    ratio = [q / r for q, r in zip(found["qemu"], found["rv64"])]
    print(f"ecall_sret_ratio,x,{min(ratio):.2f},{statistics.median(ratio):.2f},{max(ratio):.2f},{runs}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
