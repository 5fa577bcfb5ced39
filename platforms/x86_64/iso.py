#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""iso.py GRUB-MKRESCUE OUT IMAGE... [-- WORD...]: a CD with GRUB that boots the images by Multiboot2.

A menu entry each; the first one boots by itself. The words are every image's command line. For QEMU
(-cdrom), Bochs, and a PC: what an image prints goes to the first serial line, 115,200 baud.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile


def main(mkrescue, out, *rest):
    split = rest.index("--") if "--" in rest else len(rest)
    images, words = rest[:split], " ".join(rest[split + 1 :])
    with tempfile.TemporaryDirectory() as root:
        boot = pathlib.Path(root) / "boot"
        (boot / "grub").mkdir(parents=True)
        menu = ["set timeout=%u" % (len(images) > 1)]
        for image in map(pathlib.Path, images):
            shutil.copy(image, boot / image.name)
            menu.append(f'menuentry "{image.name}" {{\n    multiboot2 /boot/{image.name} {words or "--"}\n}}')
        (boot / "grub" / "grub.cfg").write_text("\n".join(menu) + "\n")
        made = subprocess.run([mkrescue, "-o", out, root], capture_output=True, text=True)
    if made.returncode:
        print(made.stderr)
    return made.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
