#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the guest suite in rv64 and in QEMU, in turn, and prints what each entry costs and the ratio.

The same kernel, the same initramfs (guest/, over busybox), one hart, 512 MiB. What counts is the
CPU time that all threads of an emulator used for an entry, on the host's clock: it is read when the
guest says that a timed run begins, and again when it says that it has ended; the guest waits each
time. An entry's ratio is the median over the pairs of runs. A checksum tells wrong execution.

GUEST is a folder with Image and busybox.cpio.gz: default $GNOMON_GUEST_DIR or .guest/. Exit status
1: a guest failed or a checksum was wrong; 77: something to run it with is missing.
"""

import argparse
import json
import math
import os
import re
import select
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import suite_guest

TOP = Path(__file__).resolve().parent.parent.parent.parent
SILENCE = 300  # seconds without a word from the guest: it hangs

# Group, unit, goal: how many times faster than QEMU. The mean of "compute" has a goal; other
# computation is in "integer".
ENTRIES = {
    "boot": ("boot", "boot to /init", 1.7),
    "loop": ("compute", "iteration", 1),
    "sha256": ("compute", "byte", 1),
    "dhry": ("compute", "iteration", 1),
    "coremk": ("compute", "iteration", 1),
    "qsort": ("integer", "element", 1),
    "divide": ("integer", "iteration", 1),
    "atomics": ("integer", "iteration", 1),
    "text": ("integer", "byte", 1),
    "interp": ("compute", "bytecode", 4.6),
    "fib": ("compute", "call", 1),
    "icall": ("compute", "call", 7),
    "bigcode": ("compute", "call", 1),
    "fp_matmul": ("floats", "flop", 3),
    "fp_nbody": ("floats", "step", 3),
    "fp_single": ("floats", "point", 3),
    "chase16k": ("memory", "load", 2),
    "chase4m_pg": ("memory", "load", 35),
    "chase64m": ("memory", "load", 1),
    "chase64m_pg": ("memory", "load", 6),
    "memcpy8m": ("memory", "byte", 25),
    "triad": ("memory", "byte", 1),
    "memcpy8m_st": ("memory", "byte", 2),
    "triad_st": ("memory", "byte", 2),
    "update8m": ("memory", "update", 1),
    "syscall": ("system", "call", 3),
    "clock": ("system", "call", 1),
    "pipe_thread": ("system", "round trip", 3),
    "pipe_proc": ("system", "round trip", 8),
    "pipe_ws256": ("system", "round trip", 12),
    "pipe_ring16": ("system", "hop", 8),
    "fork_exit": ("system", "fork", 4),
    "fork_exec": ("system", "fork, exec", 4),
    "threads": ("system", "thread", 1),
    "signal": ("system", "signal", 2.5),
    "file_rw": ("system", "32 KiB", 2.5),
    "open_close": ("system", "file", 1),
    "mmap_storm": ("system", "page", 5),
    "fault_storm": ("system", "fault", 5),
    "mprotect": ("system", "iteration", 5),
    "cow_storm": ("system", "page", 5),
    "segv_storm": ("system", "signal", 2.5),
    "smc_jit": ("system", "write, call", 1),
    "bb_shloop": ("busybox", "run", 2.5),
    "bb_spawn": ("busybox", "run", 3.5),
    "bb_gzip": ("busybox", "run", 2.5),
    "bb_find": ("busybox", "run", 2),
    "bb_awk": ("busybox", "run", 2.5),
    "bb_pipeline": ("busybox", "run", 1),
}
GOALS_QEMU_7 = {"segv_storm": 30, "file_rw": 18}
GROUP_GOALS = {"compute": 2.6, "floats": 3, "all": 4}
GROUP_GOALS_QEMU_7 = {"compute": 2, "floats": 3, "all": 4}  # faster at it than QEMU 10
GROUP_GOALS_OTHERS = {"all": 2}
QUICK = "loop,interp,bigcode,smc_jit,fp_matmul,chase16k,syscall,pipe_proc,fault_storm,bb_spawn"


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)


class Emulator:
    """A name and a command line with the words {kernel}, {initrd}, {bundle} and {append}."""

    def __init__(self, name, command, version="", sync=True):
        self.name, self.command, self.version, self.sync = name, command, version, sync
        self.mmu = ""

    def command_line(self, files, append):
        words = {"{kernel}": str(files[0]), "{initrd}": str(files[1]), "{append}": append,
                 "{bundle}": str(files[2]) if len(files) > 2 else ""}
        line = []
        for word in self.command:
            for key, value in words.items():
                word = word.replace(key, value)
            line.append(word)
        return line


COMMON = ["-m", "512M", "-kernel", "{kernel}", "-initrd", "{initrd}", "-append", "{append}"]


def rv64(path, options):
    return Emulator("rv64", [str(path), *COMMON, *options])


def qemu(words):
    """A QEMU; one that can is told to offer Sv39 alone, as rv64 does."""
    command = shlex.split(words)
    text = subprocess.run([command[0], "--version"], capture_output=True, text=True,
                          check=True).stdout
    version = re.search(r"version (\d+)\.(\d+)\S*", text)
    number = (int(version[1]), int(version[2])) if version else (0, 0)
    cpu = "rv64,sv57=off,sv48=off" if number >= (8, 1) else "rv64"
    command += ["-M", "virt", "-cpu", cpu, "-smp", "1", "-nographic", "-no-reboot", *COMMON]
    return Emulator(f"qemu-{number[0]}.{number[1]}", command, text.splitlines()[0])


def peer(words, sync):
    name, _, command = words.partition("=")
    if not command:
        fail("--peer wants NAME=COMMAND")
    return Emulator(name, shlex.split(command), sync=sync)


def cpu_ns(pid):
    """CPU time that a process has used, ended threads included."""
    try:
        # What clock_getcpuclockid(3) gives for a process: its scheduler clock.
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        total = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total


def lines_of(process):
    """What the guest prints, line by line, as it comes."""
    pending = b""
    handle = process.stdout.fileno()
    while True:
        if not select.select([handle], [], [], SILENCE)[0]:
            raise TimeoutError("no word from the guest")
        some = os.read(handle, 65536)
        if not some:
            return
        *lines, pending = (pending + some).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").strip()


class Run:
    """One boot: entry -> figures."""

    def __init__(self):
        self.entries, self.wrong, self.log, self.mmu, self.ended = {}, [], [], "", False
        self.begun = None

    def take(self, line, cpu, wall):
        """@return whether the guest now waits for a line"""
        words = line.split()
        if line.startswith("bench: end"):
            self.ended = True
        elif line.startswith("bench: ") and " entries, " in line:
            self.entries["boot"] = {"ops": 1, "cpu_ns": cpu, "wall_ns": wall, "sum": ""}
            self.mmu = words[-1]
        elif len(words) == 2 and words[0] == "B":
            self.begun = (cpu, wall)
            return True
        elif len(words) == 5 and words[0] == "E":
            self.entries[words[1]] = {
                "ops": int(words[2]), "guest_ns": int(words[3]), "sum": words[4],
                "cpu_ns": cpu - self.begun[0], "wall_ns": wall - self.begun[1]}
            return True
        elif words[:1] == ["X"]:
            self.wrong.append(line)
        return False


def boot(emulator, files, append):
    result = Run()
    if emulator.sync:
        append += " sync=1"
    start = time.monotonic_ns()
    process = subprocess.Popen(emulator.command_line(files, append), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in lines_of(process):
            used, wall = cpu_ns(process.pid), time.monotonic_ns() - start
            result.log.append(line)
            if result.take(line, used, wall) and emulator.sync:
                process.stdin.write(b"\n")
                process.stdin.flush()
            if result.ended:
                break
    except (TimeoutError, BrokenPipeError) as error:
        result.log.append(str(error))
    finally:
        # The end of the boot is of no interest, and some emulators do not end with their guest.
        if result.ended:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        process.kill()
        process.wait()
    if not result.ended:
        fail(f"{emulator.name}: the guest did not come to its end:\n" + "\n".join(result.log[-20:]))
    for line in result.wrong:
        if emulator.name.startswith(("rv64", "qemu")):
            fail(f"{emulator.name}: wrong: {line}")
        print(f"{emulator.name}: wrong, and so left out: {line}")
        del result.entries[line.split()[1]]
    emulator.mmu = result.mmu
    return result


def compare_sums(runs):
    """Every emulator and every run has the same checksums."""
    sums = {}
    for results in runs.values():
        for result in results:
            for name, figures in result.entries.items():
                sums.setdefault(name, set()).add(figures["sum"])
    different = sorted(name for name, values in sums.items() if len(values) > 1)
    if different:
        fail("checksums differ: " + ", ".join(different))


def per_op(result, name, what="cpu_ns"):
    figures = result.entries[name]
    return figures[what] / figures["ops"]


def ratios(ours, theirs, name):
    return [per_op(q, name) / per_op(r, name) for r, q in zip(ours, theirs)
            if name in r.entries and name in q.entries and per_op(r, name)]


def goal_of(name, other):
    if not other.startswith("qemu-"):
        return 1
    if other.startswith("qemu-7."):
        return GOALS_QEMU_7.get(name, ENTRIES[name][2])
    return ENTRIES[name][2]


def group_goals(other):
    if other.startswith("qemu-7."):
        return GROUP_GOALS_QEMU_7
    return GROUP_GOALS if other.startswith("qemu-") else GROUP_GOALS_OTHERS


def ns(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def table(first, other, runs):
    """Prints a table. @return name -> median ratio"""
    ours, theirs = runs[first.name], runs[other.name]
    found = {}
    print(f"\n| entry | unit | {first.name}, ns | {other.name}, ns | ratio | goal | |")
    print("|---|---|---:|---:|---:|---:|---|")
    for name, (_, unit, _) in ENTRIES.items():
        pairs = ratios(ours, theirs, name)
        if len(pairs) < len(ours):
            continue
        found[name] = statistics.median(pairs)
        goal = goal_of(name, other.name)
        print(f"| {name} | {unit} | {ns(statistics.median(per_op(r, name) for r in ours))} | "
              f"{ns(statistics.median(per_op(r, name) for r in theirs))} | {found[name]:.2f} | "
              f"{goal} | {'met' if found[name] >= goal else 'missed'} |")
    return found


def geometric(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def group_means(found):
    """Geometric means by group, and of all; the boot is not among them."""
    groups = {}
    for name, ratio in found.items():
        if name != "boot":
            groups.setdefault(ENTRIES[name][0], []).append(ratio)
            groups.setdefault("all", []).append(ratio)
    groups["all"] = groups.pop("all", [])  # last
    return {name: (len(values), geometric(values)) for name, values in groups.items() if values}


def means(found, other):
    """Prints the geometric means. @return group -> mean"""
    goals = group_goals(other)
    result = group_means(found)
    print("\n| geometric mean | entries | ratio | goal | |")
    print("|---|---:|---:|---:|---|")
    for name, (count, mean) in result.items():
        goal = goals.get(name)
        met = "" if not goal else "met" if mean >= goal else "missed"
        print(f"| {name} | {count} | {mean:.2f} | {goal or ''} | {met} |")
    return {name: mean for name, (_, mean) in result.items()}


def emulators(options):
    """rv64 first."""
    more = ["--cpu", options.cpu] if options.cpu else []
    found = [rv64(options.rv64, more + shlex.split(options.options))]
    paths = [p for p in options.qemu if p] if options.qemu else [p for p in [shutil.which("qemu-system-riscv64")] if p]
    found += [qemu(path) for path in paths]
    return found + [peer(words, not options.no_sync) for words in options.peer]


def check(options, files):
    """The suite under rv64's --check: does what executes it agree with the interpreter?"""
    machine = emulators(options)[0]
    append = f"console=ttyS0 quiet scale={options.scale}"
    if options.only:
        append += " only=" + options.only
    command = [*machine.command_line(files, append), "--check"]
    print(*command, flush=True)
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode


def measure(machines, files, count, scale, only=None):
    """Boots them in turn. @return name -> list of Run"""
    append = f"console=ttyS0 quiet scale={scale}"
    if only:
        append += " only=" + only
    runs = {machine.name: [] for machine in machines}
    for number in range(count):
        for machine in machines:
            print(f"run {number + 1} of {count}: {machine.name}", file=sys.stderr)
            runs[machine.name].append(boot(machine, files, append))
    compare_sums(runs)
    return runs


def show(options, machines, runs):
    for machine in machines:
        print(f"{machine.name}: {machine.version or ' '.join(machine.command[1:])}; "
              f"paging {machine.mmu}")
    print(f"{options.runs} runs of each, in turn, scale {options.scale}; host CPU time, medians")
    summary = {}
    for other in machines[1:]:
        found = table(machines[0], other, runs)
        summary[other.name] = {"ratios": found, "geometric_means": means(found, other.name)}
    return summary


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0],
                                     epilog=__doc__.split("\n\n", 1)[1],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rv64", help="the built machine", type=Path)
    parser.add_argument("guest", nargs="?", default="")
    parser.add_argument("--cpu", choices=["interpret", "translate"], help="how rv64 executes")
    parser.add_argument("--options", default="", help="more options of rv64, in one word")
    parser.add_argument("--qemu", action="append", help="path of a qemu-system-riscv64, and options"
                        " for it, in one word; may be repeated")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND", help="another"
                        " emulator, with the words {kernel} {initrd} {append}, and {bundle}: kernel"
                        " and initramfs as one file; may be repeated")
    parser.add_argument("--no-sync", action="store_true", help="peers do not read their input")
    parser.add_argument("--only", help="entries, with commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the 0.3 s that an entry runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--initramfs", type=Path, metavar="FILE", help="use or make this one")
    parser.add_argument("--check", action="store_true", help="time nothing: run it in rv64 alone,"
                        " with --check")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    options = parser.parse_args(arguments)
    if options.quick:
        options.runs, options.scale, options.only = 1, 0.002, options.only or QUICK
    unknown = set((options.only or "loop").split(",")) - set(ENTRIES)
    if unknown:
        parser.error("no such entry: " + ", ".join(sorted(unknown)))
    return options


def main(arguments):
    options = parse(arguments)
    guest = Path(options.guest or os.environ.get("GNOMON_GUEST_DIR") or TOP / ".guest")
    busybox = guest / "busybox.cpio.gz"
    missing = [str(file) for file in (guest / "Image", busybox) if not file.exists()]
    ready = options.initramfs and options.initramfs.exists()
    if not missing and not ready and suite_guest.missing():
        missing = [suite_guest.missing()]
    if not missing and not options.check and not options.peer and not options.qemu and \
            not shutil.which("qemu-system-riscv64"):
        missing = ["qemu-system-riscv64 (package qemu-system-misc)"]
    if missing:
        print("skipped: no " + missing[0])
        return 77
    with tempfile.TemporaryDirectory() as folder:
        initrd = options.initramfs or Path(folder) / "initramfs.cpio.gz"
        if not ready:
            suite_guest.initramfs(busybox, initrd)
        if options.check:
            return check(options, (guest / "Image", initrd))
        machines = emulators(options)
        files = [guest / "Image", initrd]
        if any("{bundle}" in word for words in options.peer for word in words.split()):
            files.append(Path(folder) / "bundle")
            suite_guest.bundle(*files)
        runs = measure(machines, files, options.runs, options.scale, options.only)
    summary = show(options, machines, runs)
    if options.json:
        entries = {name: [result.entries for result in results] for name, results in runs.items()}
        options.json.write_text(json.dumps({"summary": summary, "runs": entries}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
