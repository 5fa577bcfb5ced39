# SPDX-License-Identifier: BSD-3-Clause
"""Instructions as numbers, for guests of a few of them."""
import struct

ZERO, T0, T1, A0, A6, A7 = 0, 5, 6, 10, 16, 17
WFI, ECALL = 0x10500073, 0x00000073
SYSCON = 0x100000


def lui(rd, value):
    return (value & 0xFFFFF) << 12 | rd << 7 | 0x37


def addi(rd, rs, value):
    return (value & 0xFFF) << 20 | rs << 15 | rd << 7 | 0x13


def load(rd, value):
    return [lui(rd, (value + 0x800) >> 12), addi(rd, rd, value)]


def store(address, value):
    """Of 64 bits."""
    return [*load(T0, address), *load(T1, value), 3 << 12 | T0 << 15 | T1 << 20 | 0x23]


def csrs(number, value):
    return [*load(T0, value), number << 20 | T0 << 15 | 2 << 12 | 0x73]


def bnez(rs, distance):
    imm = distance >> 1
    return ((imm >> 11 & 1) << 31 | (imm >> 4 & 0x3F) << 25 | rs << 15 | 1 << 12 | (imm & 0xF) << 8
            | (imm >> 10 & 1) << 7 | 0x63)


POWER_OFF = store(SYSCON, 0x5555)


def firmware(words):
    return struct.pack(f"<{len(words)}I", *words)


def kernel(words):
    """The header of a Linux Image jumps over itself."""
    jump = struct.pack("<II", 0x0400006F, 0x13)  # j +64; nop
    sizes = struct.pack("<QQ", 2 << 20, 64 + 4 * len(words))
    return jump + sizes + bytes(32) + b"RSC\x05" + bytes(4) + firmware(words)
