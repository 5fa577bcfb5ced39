#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""wfi.py RV64 [CPU...]: WFI sleeps and wakes as the architecture says, and the host sleeps with it.

Programs of a few instructions, without and with an SBI below them. A timer that is due wakes WFI if
mie has its bit, also where interrupts are globally masked; if it has not, WFI sleeps, and costs no
time. All run at once, each with --timeout 1, which ends those that are to sleep.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

from assemble import A0, A6, A7, ECALL, POWER_OFF, WFI, ZERO, addi, csrs, firmware, kernel, load, store

MIE, SIE = 0x304, 0x104
MTIE, STIE = 1 << 7, 1 << 5
SLEEPS, WAKES = 124, 0  # exit statuses
CLINT_TIMER = 0x2004000
SBI_TIME = 0x54494D45
LATER = 1000  # ticks: 100 us


def sbi_timer(value):
    return [*load(A7, SBI_TIME), addi(A6, ZERO, 0), *load(A0, value), ECALL]


# Option, image, and how it ends. A timer at 0 is due at once.
PROGRAMS = {
    "M, due, disabled": ("--bios", firmware([*store(CLINT_TIMER, 0), WFI, *POWER_OFF]), SLEEPS),
    "M, due, enabled": (
        "--bios", firmware([*store(CLINT_TIMER, 0), *csrs(MIE, MTIE), WFI, *POWER_OFF]), WAKES),
    "M, later, disabled": (
        "--bios", firmware([*store(CLINT_TIMER, LATER), WFI, *POWER_OFF]), SLEEPS),
    "M, later, enabled": (
        "--bios", firmware([*store(CLINT_TIMER, LATER), *csrs(MIE, MTIE), WFI, *POWER_OFF]), WAKES),
    "S, due, disabled": ("--kernel", kernel([*sbi_timer(0), WFI, *POWER_OFF]), SLEEPS),
    "S, due, enabled": (
        "--kernel", kernel([*sbi_timer(0), *csrs(SIE, STIE), WFI, *POWER_OFF]), WAKES),
    "S, later, disabled": ("--kernel", kernel([*sbi_timer(LATER), WFI, *POWER_OFF]), SLEEPS),
    "S, later, enabled": (
        "--kernel", kernel([*sbi_timer(LATER), *csrs(SIE, STIE), WFI, *POWER_OFF]), WAKES),
}


def is_right(name, process, expected):
    output, errors = process.communicate(timeout=60)
    stats = json.loads(errors[errors.index("{"):])
    slices, waits = stats["machine"]["slices"], stats["machine"]["waits"]
    print(f"{name}: status {process.returncode}, {slices} slices, {waits} waits")
    # A machine that spins has millions of them.
    return process.returncode == expected and slices < 100 and waits < 100 and not output


def main(machine, *cpus):
    with tempfile.TemporaryDirectory() as folder:
        started = []
        choices = itertools.product(PROGRAMS.items(), cpus, ([], ["--icount"]))
        for number, ((name, (option, image, expected)), cpu, more) in enumerate(choices):
            path = pathlib.Path(folder) / str(number)
            path.write_bytes(image)
            command = [machine, "-m", "16M", "--stats=json", "--timeout", "1", "--cpu", cpu,
                       option, str(path), *more]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
            started.append((" ".join([name, cpu, *more]), process, expected))
        return 0 if all([is_right(*one) for one in started]) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
