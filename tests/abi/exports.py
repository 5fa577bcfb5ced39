#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""exports.py SHARED ARCHIVE MAP NAME VERSION: what the library exports is what its map says.

Each symbol stands under the node that names it, the newest node is the header's version, and what
was compiled as GN_API (visible in the archive) is what the map names.
"""
import pathlib
import re
import subprocess
import sys

NODE = re.compile(r"(\w[\w.]*)\s*\{(.*?)\}\s*([\w.]*)\s*;", re.DOTALL)
GLOBALS = re.compile(r"global\s*:(.*?)(?:local\s*:|$)", re.DOTALL)


def promised(text):
    """The map's nodes in order, and the set of symbol@@node."""
    text = re.sub(r"/\*.*?\*/|#[^\n]*", "", text, flags=re.DOTALL)
    nodes, symbols = [], set()
    for node, body, _parent in NODE.findall(text):
        nodes.append(node)
        for names in GLOBALS.findall(body):
            symbols |= {f"{name}@@{node}" for name in re.findall(r"[\w*?]+", names)}
    return nodes, symbols


def exported(shared):
    command = ["nm", "--dynamic", "--defined-only", "--with-symbol-versions", shared]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return {row[2] for row in rows if len(row) == 3 and row[1] != "A"}


def visible(archive):
    command = ["readelf", "--symbols", "--wide", archive]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # number, value, size, type, binding, visibility, section, name
    rows = [line.split() for line in said.splitlines()]
    return {
        row[7]
        for row in rows
        if len(row) == 8 and row[4:6] == ["GLOBAL", "DEFAULT"] and row[6] != "UND"
    }


def main(shared, archive, map_file, name, version):
    status = 0
    nodes, want = promised(pathlib.Path(map_file).read_text(encoding="utf-8"))
    have = exported(shared)
    for symbol in sorted(want - have):
        print(f"in the map, not exported: {symbol}")
        status = 1
    for symbol in sorted(have - want):
        print(f"exported, not in the map: {symbol}")
        status = 1
    named = {symbol.split("@@")[0] for symbol in want}
    for symbol in sorted(visible(archive) - named):
        print(f"GN_API, not in the map: {symbol}")
        status = 1
    newest = f"GN_{name.upper()}_{version}"
    if not nodes or nodes[-1] != newest:
        print(f"the header is {newest}, the map's newest node {nodes[-1] if nodes else 'none'}")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
