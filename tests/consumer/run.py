#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run.py installed|subproject ROOT BUILD COMPILER...: a project of somebody else uses a library.

installed   from a staged `meson install`, by pkg-config: with Meson, and with a bare compiler
subproject  from a subprojects/ folder that holds our sources, with `libs=asid` alone
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run(command, check=True, text=True, **options)


def build_and_test(source, build, *options):
    run("meson", "setup", "--fatal-meson-warnings", *options, str(build), str(source))
    run("meson", "test", "-C", str(build), "--print-errorlogs")


def installed(source, temporary, build, compiler):
    stage = temporary / "stage"
    run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", str(stage))
    folder = next(stage.rglob("gnomon-asid.pc")).parent
    os.environ["PKG_CONFIG_PATH"] = str(folder)
    os.environ["PKG_CONFIG_SYSROOT_DIR"] = str(stage)
    os.environ["LD_LIBRARY_PATH"] = str(folder.parent)
    build_and_test(source, temporary / "build", "--wrap-mode=nofallback")

    asked = run("pkg-config", "--cflags", "--libs", "gnomon-asid", stdout=subprocess.PIPE)
    program = str(temporary / "program")
    run(*compiler, str(source / "main.c"), *asked.stdout.split(), "-o", program)
    run(program)


def subproject(source, temporary, root):
    (source / "subprojects").mkdir()
    (source / "subprojects" / "gnomon").symlink_to(root)
    build = temporary / "build"
    build_and_test(source, build, "--force-fallback-for=gnomon")
    built = sorted(path.name for path in build.rglob("libgnomon-*.so"))
    assert built == ["libgnomon-asid.so"], f"built {built}"


def main(way, root, build, *compiler):
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        source = temporary / "consumer"
        source.mkdir()
        for name in ("meson.build", "main.c"):
            shutil.copy(HERE / name, source)
        if way == "installed":
            installed(source, temporary, build, compiler)
        else:
            subproject(source, temporary, root)


if __name__ == "__main__":
    main(*sys.argv[1:])
