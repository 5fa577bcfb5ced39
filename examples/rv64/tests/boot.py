#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""boot.py RV64 GUEST ROOT [OPTION...]: Linux boots, runs what it is told, and powers off.

The guest is GUEST, or if that is empty $GNOMON_GUEST_DIR, or else ROOT/.guest. Without one the
test is skipped. The options go to the machine. With --shell, commands are typed at the prompt
instead of standing on the kernel command line.
"""
import os
import pathlib
import select
import subprocess
import sys
import time

LIMIT = 280  # seconds; the machine ends itself before Meson would
READY = "guest: ready"
COMMAND = "uname -m; for i in 1 2 3 4; do ls / | wc -l; done; echo sum $((6*7))"
ANSWERS = ("riscv64", "sum 42")


def find_guest(given, root):
    folder = pathlib.Path(given or os.environ.get("GNOMON_GUEST_DIR") or f"{root}/.guest")
    files = [folder / "Image", folder / "busybox.cpio.gz"]
    return files if all(file.is_file() for file in files) else None


def watch(process, typed):
    """Shows what the guest prints, types once it is ready; gives all that was printed."""
    seen = b""
    end = time.monotonic() + LIMIT + 10
    while time.monotonic() < end:
        if not select.select([process.stdout], [], [], 1)[0]:
            continue
        some = os.read(process.stdout.fileno(), 65536)
        if not some:
            break
        seen += some
        sys.stdout.write(some.decode(errors="replace"))
        sys.stdout.flush()
        # A prompt, on a line of its own after the guest said that it is ready.
        if typed and READY.encode() in seen and seen.rstrip(b" ").endswith((b"#", b"$")):
            process.stdin.write(typed)
            process.stdin.flush()
            typed = None
    return seen.decode(errors="replace")


def main(program, given, root, *options):
    guest = find_guest(given, root)
    if not guest:
        print("skipped: no guest; set GNOMON_GUEST_DIR, or run examples/rv64/guest/build")
        return 77
    shell = "--shell" in options
    options = [option for option in options if option != "--shell"]
    append = "console=ttyS0"
    if not shell:
        append += " run=" + COMMAND.replace(" ", ",")
    command = [program, "--kernel", str(guest[0]), "--initrd", str(guest[1])]
    command += ["--append", append, "--timeout", str(LIMIT), *options]
    print("+", *command, flush=True)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        seen = watch(process, f"{COMMAND}; poweroff -f\n".encode() if shell else None)
        status = process.wait(10)
    finally:
        process.kill()

    lines = [line.strip() for line in seen.splitlines()]
    missing = [answer for answer in ANSWERS if answer not in lines]
    if status or missing:
        print(f"\nexit status {status}; not seen: {missing}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
