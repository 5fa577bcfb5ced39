#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""riscv_tests.py PROGRAM SOURCES [CPU...]: riscv-tests pass, in each way to execute.

SOURCES is a copy of github.com/riscv-software-src/riscv-tests with its submodule env. Its programs
are compiled for themselves in machine mode (-p) and under virtual memory (-v), and run by PROGRAM,
which is riscv_tests.c. Without SOURCES, or without a compiler, the test is skipped.
"""
import concurrent.futures
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SUITES = ("rv64ui", "rv64um", "rv64ua", "rv64uf", "rv64ud", "rv64uc", "rv64si", "rv64mi")
COMPILERS = ("riscv64-linux-gnu-gcc", "riscv64-unknown-elf-gcc")
FLAGS = ("-march=rv64g", "-mabi=lp64d", "-static", "-mcmodel=medany", "-fvisibility=hidden",
         "-nostdlib", "-nostartfiles", "-Wl,--build-id=none", "-fno-stack-protector", "-fno-pie",
         "-no-pie", "-w")

# What the hart does not have, or is free to do otherwise: program, and why.
LEFT_OUT = {"rv64mi-p-pmpaddr": "it assumes a PMP entry, and the hart has none"}


def compile_one(compiler, sources, source, kind, to):
    env = sources / "env" / kind
    command = [compiler, *FLAGS, f"-I{env}", f"-I{sources}/isa/macros/scalar", f"-T{env}/link.ld"]
    if kind == "v":
        entropy = hashlib.md5(str(to.name).encode()).hexdigest()[:7]
        command += [f"-DENTROPY=0x{entropy}", "-std=gnu99", "-O2", str(env / "entry.S")]
        command += sorted(str(file) for file in env.glob("*.c"))
    done = subprocess.run([*command, str(source), "-o", str(to)], capture_output=True, text=True)
    return done.returncode == 0, done.stderr


def run_one(program, file, cpu):
    command = [program, str(file), "--memory", "64M", "--timeout", "30", "--cpu", cpu]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def programs(sources):
    """(name, source, kind): si and mi are for machine mode alone."""
    for suite in SUITES:
        for source in sorted((sources / "isa" / suite).glob("*.S")):
            for kind in "p" if suite in ("rv64si", "rv64mi") else "pv":
                yield f"{suite}-{kind}-{source.stem}", source, kind


def test_one(arguments):
    program, compiler, sources, folder, cpus, (name, source, kind) = arguments
    file = folder / name
    good, said = compile_one(compiler, sources, source, kind, file)
    if not good:
        return name, [("compiler", False, said)]
    return name, [(cpu, *run_one(program, file, cpu)) for cpu in cpus]


def main(program, sources, *cpus):
    if not sources:
        print("skipped: the option riscv_tests names no copy of riscv-tests")
        return 77
    sources = pathlib.Path(sources).expanduser()
    if not (sources / "env" / "p" / "riscv_test.h").is_file():
        print(f"skipped: {sources} is no copy of riscv-tests with its submodule env")
        return 77
    compiler = next(filter(shutil.which, COMPILERS), None)
    if not compiler:
        print("skipped: needs a compiler: Debian's gcc-riscv64-linux-gnu")
        return 77
    passed = dict.fromkeys(cpus, 0)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        work = [(program, compiler, sources, pathlib.Path(folder), cpus, one)
                for one in programs(sources) if one[0] not in LEFT_OUT]
        with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for name, results in pool.map(test_one, work):
                for cpu, good, said in results:
                    if good:
                        passed[cpu] += 1
                    else:
                        failed.append(name)
                        print(f"FAIL {name}, {cpu}: {said}", flush=True)
    for name, why in LEFT_OUT.items():
        print(f"left out: {name}: {why}")
    for cpu, count in passed.items():
        print(f"{cpu}: {count} of {len(work)} programs passed")
    return 1 if failed or not work else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
