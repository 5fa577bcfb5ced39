#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""encrypted.py RV64 GUEST ROOT: what a guest has read from its disk is not in the machine's memory.

The guest reads a disk that is full of a random word, copies a part of it, and says what it read; the
disk afterwards is what it should be. Then the machine's process is dumped by /proc/PID/mem, and the
word is counted: with --encrypt-ram, and in plain RAM. Without a guest the test is skipped.
"""
import hashlib
import json
import os
import pathlib
import random
import string
import subprocess
import sys
import tempfile

import boot

SIZE = 2 << 20
COPIED = SIZE // 2
COMMAND = (f"dd if=/dev/vda of=/dev/vda bs=64k count={COPIED >> 16} seek={COPIED >> 16} "
           "conv=notrunc; sync; echo disk $(sha256sum </dev/vda); read x; poweroff -f")


def count(pid, word):
    """The word in all of a process that its owner can read."""
    found = read = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, access = line.split()[:2]
            if access[0] != "r" or "[v" in line:
                continue
            start, end = (int(part, 16) for part in place.split("-"))
            for at in range(start, end, 1 << 20):
                try:
                    memory.seek(at)
                    some = memory.read(min(1 << 20, end - at))
                except OSError:
                    continue
                read += len(some)
                found += some.count(word)
    print(f"read {read >> 20} MiB: found {found}")
    return found


def run(program, guest, folder, options):
    """@return copies of the word in the process, and its counters; None: the guest got it wrong"""
    word = "".join(random.choices(string.ascii_lowercase, k=16)).encode()
    text = b"".join(b"%s sector %08d" % (word, i) + bytes(480) for i in range(SIZE // 512))[:SIZE]
    disk = pathlib.Path(folder) / "disk"
    disk.write_bytes(text)
    after = text[:COPIED] + text[:COPIED]
    command = [program, "--timeout", "120", "--memory", "64M", "--stats=json", *options, "--drive",
               str(disk), "--kernel", str(guest[0]), "--initrd", str(guest[1]), "--append",
               "console=ttyS0 quiet run=" + COMMAND.replace(" ", ",")]
    print("+", *command, flush=True)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    want = f"disk {hashlib.sha256(after).hexdigest()}".encode()
    seen = b""
    for line in process.stdout:
        seen += line
        if line.startswith(b"disk "):
            break
    found = count(process.pid, word)
    said = process.communicate(b"\n")[1].decode()
    print(seen.decode(errors="replace")[-300:], said[:300])
    if want not in seen or process.returncode or disk.read_bytes() != after:
        print(f"the guest got it wrong; exit status {process.returncode}")
        return None, None
    return found, json.loads(said[said.index("{\n"):])


def secret_memory(program):
    """Can the kernel be kept from reading the pool? The machine says so before it misses its guest."""
    command = [program, "--encrypt-ram", "2M", "--kernel", "/nonexistent"]
    return "memfd_secret" in subprocess.run(command, capture_output=True, text=True).stderr.split(
        "\n")[0]


def main(program, given, root):
    guest = boot.find_guest(given, root)
    if not guest:
        print("skipped: no guest; set GNOMON_GUEST_DIR, or run examples/rv64/guest/build")
        return 77
    if not secret_memory(program):
        print("skipped: no memfd_secret here: the pool, which is plaintext, would be found")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        sealed, counters = run(program, guest, folder, ["--encrypt-ram", "2M"])
        plain, _ = run(program, guest, folder, [])
    if sealed is None or plain is None:
        return 1
    counters = counters["cachecrypt"]
    print(counters)
    least = {"misses": 2000, "evictions_clean": 1, "evictions_dirty": 500, "bounced_in": COPIED,
             "bounced_out": COPIED}
    good = all(counters[name] >= number for name, number in least.items())
    # Not the disk's 4,096 sectors twice, since the guest's page cache may have them once.
    return 0 if good and sealed == 0 and plain >= 1000 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
