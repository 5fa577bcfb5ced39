#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""terminal.py RV64 [OPTION]...: the terminal is as it was, whatever ends the machine; and a machine
whose input has ended says that its guest waits.

The options are of a build that has them (--encrypt-ram). The guest traps for ever, or sleeps.
"""
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import time

from assemble import WFI, firmware

ENDINGS = {signal.SIGSEGV: -signal.SIGSEGV, signal.SIGBUS: -signal.SIGBUS,
           signal.SIGABRT: -signal.SIGABRT, signal.SIGTERM: 128 + signal.SIGTERM}


def is_restored(machine, number, status):
    """Ends a machine at a terminal by a signal. @return whether it went as it should"""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    # Its own session, so that it is in the terminal's foreground.
    process = subprocess.Popen(
        machine, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=lambda: (os.setsid(), os.close(os.open(os.ttyname(theirs), os.O_RDWR))))
    for _ in range(400):
        if termios.tcgetattr(theirs) != before or process.poll() is not None:
            break
        time.sleep(0.02)
    raw = termios.tcgetattr(theirs) != before
    process.send_signal(number)
    said = process.communicate(timeout=60)[1].decode()
    restored = termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    print(f"{number.name}: raw {raw}, status {process.returncode}, restored {restored}")
    if not raw or process.returncode != status or not restored:
        print(said)
        return False
    return True


def is_told(machine):
    """No input, and a guest that sleeps. @return whether that is said, once, and nothing ended"""
    process = subprocess.Popen([*machine, "--timeout", "60"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    running = process.poll() is None
    process.terminate()
    more = process.communicate(timeout=60)[1]
    print(said, more)
    return "standard input has ended" in said and "input" not in more and running


def main(program, *options):
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "sleeps"
        image.write_bytes(firmware([WFI, WFI, WFI, WFI]))
        for choice in [], list(options):
            machine = [program, "--bios", str(image), *choice]
            if not all(is_restored(machine, *ending) for ending in ENDINGS.items()):
                return 1
        return 0 if is_told([program, "--bios", str(image)]) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
