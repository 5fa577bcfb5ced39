#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_python3.py VAULT: Debian's python3 sorts, compresses, reads and writes files, with threads and
children. And what it keeps in a large block is not in its memory in plain.
"""
import sys
import tempfile

import vault_run

WORK = r"""
import hashlib, json, os, subprocess, sys, threading, zlib
path = sys.argv[1] + "/data"
numbers = [(i * 7919 + 13) % 1000003 for i in range(150000)]
numbers.sort()
print(len(numbers), sum(numbers[::1000]), numbers[12345])
data = bytearray()
for i in range(20000):
    data += b"%d:%s\n" % (i, hashlib.sha1(b"%d" % i).hexdigest().encode())
print(hashlib.sha256(data).hexdigest())
packed = zlib.compress(bytes(data), 6)
print(len(packed), zlib.decompress(packed) == data)
with open(path, "wb", buffering=0) as file:
    print(file.write(data))
with open(path, "rb") as file:
    print(hashlib.sha256(file.read()).hexdigest())
into = bytearray(len(data))
with open(path, "rb", buffering=0) as file:
    print(file.readinto(into), into == data)
fd = os.open(path, os.O_RDWR)
print(os.pwrite(fd, memoryview(data)[5:200005], 100), os.pread(fd, 300000, 50) [50:150])
print(os.preadv(fd, [into, bytearray(10)], 0), hashlib.md5(into).hexdigest())
os.close(fd)
table = {("k%d" % i): i for i in range(40000)}
print(len(json.dumps(table)), table["k777"])

def work(n):
    block = bytearray(1 << 20)
    for i in range(0, len(block), 997):
        block[i] = (i + n) & 255
    results[n] = hashlib.sha256(block).hexdigest()
results = {}
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(results.items()))

sys.stdout.flush()
reader, writer = os.pipe()
child = os.fork()
if not child:
    data[:3] = b"abc"
    own = hashlib.sha256(data + bytes(into)).hexdigest()
    grown = bytearray(b"x" * 500000)
    os.write(writer, (own + hashlib.md5(grown).hexdigest()).encode())
    os._exit(0)
data[-3:] = b"xyz"
print(hashlib.sha256(data).hexdigest())
print(os.read(reader, 1000), os.waitpid(child, 0)[1])
print(hashlib.sha256(data + into).hexdigest())
said = subprocess.run(["sha256sum"], input=bytes(data), stdout=subprocess.PIPE, check=True)
print(said.stdout)
said = subprocess.run([sys.executable, "-c", "print(len(bytes(300000) + b'x'))"],
                      stdout=subprocess.PIPE, check=True)
print(said.stdout)
"""

# Looks for what it keeps in a large block everywhere in its own memory.
SEARCH = r"""
import os, sys
word = bytes(a ^ b for a, b in zip(os.urandom(0) or b"\x1f\x0a\x07\x1d\x0b\x1b\x5e\x58\x41\x19\x06\x1d", b"long-live-it"))
block = bytearray(8 << 20)
for i in range(0, len(block), 64):
    block[i:i + len(word)] = word
other = bytearray(8 << 20)
for i in range(0, len(other), 4096):
    other[i] = 1
found = 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
    for line in maps:
        if line.split()[1][0] != "r" or "[v" in line:
            continue
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        for at in range(start, end, 1 << 15):
            try:
                memory.seek(at)
                found += memory.read(min(1 << 15, end - at)).count(word)
            except OSError:
                break
print(found, file=sys.stderr)
print(block.count(word))
"""


def search(vault, python3, *options):
    import subprocess

    done = subprocess.run([vault, "run", "--quiet", *options, python3, "-c", SEARCH]
                          if options else [python3, "-c", SEARCH], capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return int(done.stdout), int(done.stderr.split()[0])


def main(vault):
    python3 = vault_run.system_program("python3")
    if not python3:
        return vault_run.skip("no python3")
    if vault_run.unable(vault):
        return vault_run.skip(vault_run.unable(vault))
    least = {"blocks": 50, "misses": 1000, "seals": 500, "system calls": 5}
    with tempfile.TemporaryDirectory() as folder:
        command = [python3, "-c", WORK, folder]
        if not vault_run.compare(vault, ["--pool", "1M"], command, least):
            return 1
    if "memfd_secret" not in vault_run.about(vault):
        print("no memfd_secret here: the pool, which is plaintext, would be found by a search")
        return 0
    whole, plain = search(vault, python3)
    held, sealed = search(vault, python3, "--pool", "256K")
    print(f"{whole} copies of a word: found {plain} in plain memory, {sealed} under vault run")
    return 0 if held == whole and plain >= whole and sealed < 20 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
