#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""includes.py FOLDER [NEED...]: a library includes its own headers and those of its needs' folders.

Its headers are <gnomon/NAME.h> and <gnomon/NAME_PART.h>. What it wants of any other library is an
ops table there.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"](?:.*/)?gnomon/(\w+\.h)[>"]', re.MULTILINE)


def main(folder, *needs):
    status = 0
    seen = [pathlib.Path(each) / "include" / "gnomon" for each in (folder, *needs)]
    allowed = sorted(path.name for each in seen for path in each.glob("*.h"))
    for part in ("include", "src"):
        for path in sorted((pathlib.Path(folder) / part).rglob("*.[chS]")):
            for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
                if name not in allowed:
                    print(f"{path}: includes <gnomon/{name}>; allowed: {', '.join(allowed)}")
                    status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
