# SPDX-License-Identifier: BSD-3-Clause
"""Where the ABI baselines are, and how one is written: abidiff.py and update.py must agree."""
import pathlib
import platform
import shutil
import subprocess


def missing_tool():
    for tool in ("abidw", "abidiff", "readelf"):
        if not shutil.which(tool):
            return f"no {tool}"
    return None


def path(folder):
    return pathlib.Path(folder) / "abi" / f"{platform.machine()}.abi"


def has_debug_info(shared):
    """Without it libabigail sees names only, and calls any change compatible."""
    command = ["readelf", "--section-headers", "--wide", shared]
    return ".debug_info" in subprocess.run(command, capture_output=True, text=True).stdout


def write(shared, folder, to):
    """What the public header shows, in a form that does not depend on where it was built."""
    subprocess.run(
        [
            "abidw",
            "--no-show-locs",
            "--no-corpus-path",
            "--no-comp-dir-path",
            "--drop-private-types",
            "--headers-dir",
            str(pathlib.Path(folder) / "include"),
            "--out-file",
            str(to),
            shared,
        ],
        check=True,
    )
