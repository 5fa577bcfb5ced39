#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""pieces.py [--check] COMPILER...: assembles page.S into pieces.c, both beside this script.

With --check nothing is written: pieces.c must be what would be. Exits with 77 where the compiler
makes no x86-64 code.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
HEAD = """/* SPDX-License-Identifier: BSD-3-Clause */

/* Made of page.S by pieces.py. */

#include "pieces.h"
"""


def assemble(compiler):
    with tempfile.NamedTemporaryFile(suffix=".o") as out:
        done = subprocess.run(
            [*compiler, "-c", "-m64", str(HERE / "page.S"), "-o", out.name], capture_output=True, text=True
        )
        if done.returncode:
            print("skipped: no x86-64 assembler: " + done.stderr)
            sys.exit(77)
        return pathlib.Path(out.name).read_bytes()


def text(data, at):
    return data[at : data.index(b"\0", at)].decode()


class Object:
    """Sections, symbols and relocations of an ELF64 file."""

    def __init__(self, data):
        self.data = data
        offset, size, count, names = (
            struct.unpack_from("<Q", data, 40)[0],
            *struct.unpack_from("<HHH", data, 58),
        )
        self.section = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
        strings = self.section[names][4]
        self.name = [text(data, strings + s[0]) for s in self.section]
        symbols = next(s for s in self.section if s[1] == 2)
        strings = self.section[symbols[6]][4]
        self.symbol = [
            text(data, strings + struct.unpack_from("<I", data, at)[0])
            for at in range(symbols[4], symbols[4] + symbols[5], 24)
        ]

    def bytes_of(self, index):
        return self.data[self.section[index][4] :][: self.section[index][5]]

    def fixes_of(self, index):
        for s in self.section:
            if s[1] == 4 and s[7] == index:
                for at in range(s[4], s[4] + s[5], 24):
                    offset, info, addend = struct.unpack_from("<QQq", self.data, at)
                    assert info & 0xFFFFFFFF in (10, 11), "not an absolute 32-bit relocation"
                    yield offset, self.symbol[info >> 32], addend


def lines(items, per_line):
    items = list(items)
    for i in range(0, len(items), per_line):
        yield "    " + ", ".join(items[i : i + per_line]) + ","


def render(obj):
    """One table of bytes, one of places, and where each piece's begin in them."""
    code, fixes, pieces = [], [], []
    for i, name in enumerate(obj.name):
        if not name.startswith(".piece."):
            continue
        own, places = obj.bytes_of(i), list(obj.fixes_of(i))
        pieces.append(
            f"const struct piece gn_modeswitch__{name[len('.piece.'):]} = "
            f"{{code + {len(code)}, fix + {len(fixes)}, {len(own)}, {len(places)}}};"
        )
        code += [f"0x{byte:02x}" for byte in own]
        fixes += [f"{{{at}, FIX_{what}, {add:#x}}}" for at, what, add in places]
    out = [HEAD, "static const uint8_t code[] = {", *lines(code, 16), "};\n"]
    out += ["static const struct fix fix[] = {", *lines(fixes, 3), "};\n", *pieces]
    return "\n".join(out) + "\n"


def main(argv):
    check = argv[:1] == ["--check"]
    made = render(Object(assemble(argv[check:])))
    path = HERE / "pieces.c"
    if not check:
        path.write_text(made)
    elif "".join(path.read_text().split()) != "".join(made.split()):
        print("pieces.c is not what page.S says: run lib/modeswitch/src/pieces.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
