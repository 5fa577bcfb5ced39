#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""image.py LIMIT IMAGE...: what is loaded of each image is no more than LIMIT bytes.

Memory that is only zeroed at boot does not count: nothing of it is in the file.
"""
import struct
import sys

PT_LOAD = 1


def loaded(path):
    data = open(path, "rb").read()
    offset, entry, count = (
        struct.unpack_from("<Q", data, 32)[0],
        *struct.unpack_from("<HH", data, 54),
    )
    total = 0
    for i in range(count):
        kind, _, _, _, _, file_bytes = struct.unpack_from("<IIQQQQ", data, offset + i * entry)
        total += file_bytes if kind == PT_LOAD else 0
    return total


def main(limit, *images):
    worst = max((loaded(image), image) for image in images)
    print("%d images, the largest %d bytes: %s" % (len(images), *worst))
    return worst[0] > int(limit)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
