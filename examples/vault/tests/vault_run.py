# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program plainly and under `vault run`, and compares what they print, byte for byte."""
import re
import shutil
import subprocess


def skip(reason):
    print(f"skipped: {reason}")
    return 77


def system_program(name):
    """Debian's, and no wrapper of somebody's."""
    return shutil.which(name, path="/usr/bin:/bin:/usr/sbin")


def about(vault, *options):
    """What `vault run` says of itself: its counters, or why it does not run."""
    done = subprocess.run([vault, "run", "--quiet", "--stats", *options, "true"],
                          capture_output=True, text=True)
    return done.stderr


def unable(vault, *options):
    """Why nothing can be protected on this machine (no seccomp, say), or None."""
    said = about(vault, *options)
    return None if "vault: blocks" in said else said.strip() or "nothing is preloaded here"


def compare(vault, options, command, least, **keywords):
    """@return the counters; None: the runs differ, or too little was sealed"""
    plain = subprocess.run(command, capture_output=True, timeout=100, **keywords)
    sealed = subprocess.run([vault, "run", "--stats", *options, "--", *command],
                            capture_output=True, timeout=200, **keywords)
    said = sealed.stderr.decode(errors="replace")
    print("+ vault run", *options, "--", *[str(part)[:60] for part in command])
    print(said[-3000:])
    if plain.returncode or sealed.returncode != plain.returncode:
        print(f"exit status {plain.returncode} plainly, {sealed.returncode} sealed")
        return None
    if sealed.stdout != plain.stdout:
        print(f"the output differs: {len(plain.stdout)} bytes plainly, {len(sealed.stdout)} sealed")
        return None
    lines = [line for line in said.splitlines() if line.startswith("vault: blocks ")]
    counters = {name.strip(): int(value)
                for line in lines[-1:] for name, value in re.findall(r"([a-z ]+) (\d+)", line[7:])}
    for name, number in least.items():
        if counters.get(name, 0) < number:
            print(f"{name}: {counters.get(name)}, and {number} were expected")
            return None
    if counters.get("in plain memory") or counters.get("stuck"):
        print("a block was not sealed, or not freed")
        return None
    return counters
