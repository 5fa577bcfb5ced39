#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run.py ROOT libs|platforms NAME [NEED...]: NAME configures and builds alone, with its needs."""
import json
import pathlib
import subprocess
import sys
import tempfile


def main(root, kind, name, *needs):
    picked = {"libs": "[]", "platforms": "[]", "examples": "[]", kind: name}
    with tempfile.TemporaryDirectory() as temporary:
        build = pathlib.Path(temporary) / "build"
        options = [f"-D{option}={value}" for option, value in picked.items()]
        options += ["-Dtests=disabled", "-Dbenchmarks=disabled", "-Dcrypto=disabled", "-Dwerror=true"]
        subprocess.run(
            ["meson", "setup", "--fatal-meson-warnings", *options, str(build), root], check=True
        )
        subprocess.run(["meson", "compile", "-C", str(build)], check=True)
        said = subprocess.run(
            ["meson", "introspect", "--installed", str(build)],
            check=True,
            capture_output=True,
            text=True,
        )
    have = {path.name[: -len(".pc")] for path in map(pathlib.Path, json.loads(said.stdout))
            if path.suffix == ".pc"}
    want = {f"gnomon-{part}" for part in (name, *needs)}
    if have != want:
        print(f"built {sorted(have)} instead of {sorted(want)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
