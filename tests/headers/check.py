#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check.py LANGUAGE HEADER COMPILER [ARGUMENT...]: the header compiles alone, and twice in a row.

LANGUAGE is c11, c++11, or freestanding: C11 with no headers but the compiler's own.
"""
import subprocess
import sys

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]


def said_by(command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def compile_alone(compiler, arguments, source):
    command = [*compiler, *arguments, "-fsyntax-only", "-"]
    return subprocess.run(command, input=source, text=True).returncode


def main(language, header, *compiler):
    flags = {
        "c11": ["-x", "c", "-std=c11", "-Wstrict-prototypes"],
        "c++11": ["-x", "c++", "-std=c++11"],
        "freestanding": ["-x", "c", "-std=c11", "-ffreestanding", "-nostdinc"],
    }[language]
    if language == "c++11" and compile_alone(compiler, flags, "") != 0:
        print("skipped: the compiler has no C++")
        return 77
    if language == "freestanding":
        flags += ["-isystem", said_by([*compiler, "-print-file-name=include"])]
    return compile_alone(compiler, flags + WARNINGS, f"#include <{header}>\n" * 2)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
