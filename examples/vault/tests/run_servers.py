#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_servers.py VAULT: Debian's redis-server and nginx give right answers from sealed memory.

redis has a heap of its own (jemalloc) in front of which the sealed one stands, writes by writev(),
and saves its data in a forked child. nginx reads files into large buffers and sends them, as they
are and compressed. What is not installed is left out.
"""
import gzip
import hashlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import vault_run

OPTIONS = ["--quiet", "--stats", "--threshold", "16K", "--pool", "512K"]
NGINX = """
daemon off; master_process off; pid {0}/pid; error_log stderr;
events {{ }}
http {{
  access_log off; sendfile off; output_buffers 2 256k; gzip_types *; gzip_http_version 1.0; gzip_buffers 4 64k;
  client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c;
  uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
  server {{ listen unix:{0}/socket; root {0}; gzip on; }}
}}
"""


class Server:
    """A server under `vault run` that listens at a socket in a folder."""

    def __init__(self, vault, folder, *command):
        self.process = subprocess.Popen([vault, "run", *OPTIONS, "--", *command], cwd=folder,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.path = str(folder / "socket")

    def connect(self):
        for _ in range(600):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(60)
            try:
                client.connect(self.path)
                return client
            except OSError:
                client.close()
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError("the server is not there: " + self.end(0)[1])

    def end(self, blocks):
        """@return whether it ended well and has sealed so many blocks, and what it said"""
        if self.process.poll() is None:
            self.process.terminate()
        said = self.process.communicate(timeout=60)[1].decode(errors="replace")
        counted = re.findall(r"vault: blocks (\d+).*stuck (\d+).*failed (\d+)", said)
        good = counted and int(counted[-1][0]) >= blocks and counted[-1][1:] == ("0", "0")
        return bool(good) and self.process.returncode == 0, said[-2000:]


def ask(stream, *words):
    """One command of redis' protocol. @return its answer"""
    stream.write(b"*%d\r\n" % len(words)
                 + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
    stream.flush()
    line = stream.readline()
    return stream.read(int(line[1:]) + 2)[:-2] if line[:1] == b"$" else line


def value(number):
    return hashlib.sha256(b"%d" % number).digest() * (number * 60 + 1)


def redis(vault, program, folder):
    server = Server(vault, folder, program, "--port", "0", "--unixsocket", "socket", "--save", "")
    stream = server.connect().makefile("rwb")
    keys = [b"key %d" % number for number in range(60)]
    for number, key in enumerate(keys):
        ask(stream, b"SET", key, value(number))
    right = sum(ask(stream, b"GET", key) == value(number) for number, key in enumerate(keys))
    # A forked child writes all of it to a file, while the parent goes on.
    ask(stream, b"BGSAVE")
    ask(stream, b"APPEND", keys[1], b"x" * 500000)
    for _ in range(600):
        if b"rdb_bgsave_in_progress:0" in ask(stream, b"INFO", b"persistence"):
            break
        time.sleep(0.05)
    saved = (folder / "dump.rdb").read_bytes()
    good, said = server.end(60)
    print(f"redis: {right} right, {len(saved)} bytes saved\n{said}")
    return good and right >= 60 and len(saved) > 10000


def fetch(client, name, how):
    client.sendall(f"GET /{name} HTTP/1.0\r\n{how}\r\n".encode())
    answer = b""
    while part := client.recv(1 << 16):
        answer += part
    client.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return gzip.decompress(body) if how and b"gzip" in head else b"" if how else body


def nginx(vault, program, folder):
    data = b"".join(b"line %d of it\n" % number for number in range(100000))
    (folder / "file").write_bytes(data)
    (folder / "conf").write_text(NGINX.format(folder))
    server = Server(vault, folder, program, "-c", str(folder / "conf"))
    right = sum(fetch(server.connect(), "file", how) == data
                for how in ("", "Accept-Encoding: gzip\r\n", ""))
    good, said = server.end(3)
    print(f"nginx: {right} right\n{said}")
    return good and right == 3


def main(vault):
    if vault_run.unable(vault):
        return vault_run.skip(vault_run.unable(vault))
    programs = {"redis-server": redis, "nginx": nginx}
    found = 0
    for name, test in programs.items():
        program = vault_run.system_program(name)
        if not program:
            print(f"no {name}")
            continue
        found += 1
        with tempfile.TemporaryDirectory() as folder:
            if not test(vault, program, pathlib.Path(folder)):
                return 1
    return 0 if found else vault_run.skip("neither redis-server nor nginx")


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:])))
