#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""writable.py ARCHIVE [NAME...]: the archive has no variable of its own but these; state belongs to
the embedder.

.data.rel.ro is no variable: const tables of addresses, read-only once relocated.
"""
import re
import subprocess
import sys

# value, flags, section, size, name
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")
WRITABLE = re.compile(r"\.(data|bss|tdata|tbss|sdata|sbss|ldata|lbss)(\.|$)|\*COM\*")


def main(archive, *allowed):
    command = ["objdump", "--syms", archive]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    status = 0
    for match in filter(None, map(SYMBOL.match, said.splitlines())):
        section, size, name = match.groups()
        if section.startswith(".data.rel.ro") or int(size, 16) == 0 or name in allowed:
            continue
        if WRITABLE.match(section):
            print(f"{name}: {int(size, 16)} bytes in {section}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
