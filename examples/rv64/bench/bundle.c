/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * A kernel and an initramfs as one file, for emulators that load a kernel only. This is what such a
 * file begins with: it copies the device tree, adds to /chosen where the initramfs is, and jumps to
 * the kernel. suite_guest.py puts the parts together:
 *
 *      0x80200000  this program       0x80400000  the kernel       0x81200000  the initramfs
 */

#include <stddef.h>
#include <stdint.h>

#define KERNEL UINT64_C(0x80400000)
#define INITRD UINT64_C(0x81200000)

enum { BEGIN_NODE = 1, END_NODE, PROPERTY, NOP, END = 9 };
enum { TOTAL_SIZE = 1, OFF_STRUCT, OFF_STRINGS, OFF_RESERVED, SIZE_STRINGS = 8, SIZE_STRUCT };

/* In the section that is linked first. Entered with the hart in a0, the tree in a1. initrd_size is
 * filled by suite_guest.py. */
__asm__(".pushsection .text.unlikely, \"ax\"\n"
        ".option norvc\n"
        ".global _start, initrd_size\n"
        "_start: j 1f\n"
        ".balign 8\n"
        "initrd_size: .quad 0\n"
        "1: lla sp, stack_top\n"
        "mv s0, a0\n"
        "mv a0, a1\n"
        "call tree_with_initrd\n"
        "mv a1, a0\n"
        "mv a0, s0\n"
        "li t0, 0x80400000\n"
        "slli t0, t0, 32\n"
        "srli t0, t0, 32\n"
        "fence.i\n"
        "jr t0\n"
        ".popsection\n"
        ".pushsection .bss\n"
        ".space 4096\n"
        "stack_top:\n"
        ".popsection\n");

extern const uint64_t initrd_size;
uint64_t tree_with_initrd(const uint32_t *old);

static uint32_t swap(uint32_t v)
{
    return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

/* Big-endian words, at multiples of 4. */
static uint32_t get(const uint32_t *word)
{
    return swap(*word);
}

static uint32_t *put(uint32_t *to, uint32_t value)
{
    *to = swap(value);
    return to + 1;
}

static uint32_t *put_address(uint32_t *to, uint32_t name, uint64_t value)
{
    to = put(put(put(to, PROPERTY), 8), name);
    return put(put(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

static uint32_t *copy(uint32_t *to, const uint32_t *from, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        to[i] = from[i];
    return to + words;
}

static int is_chosen(const uint32_t *name)
{
    return get(name) == 0x63686f73 && get(name + 1) == 0x656e0000; /* "chosen" */
}

/* Words of the token at `from`. */
static uint32_t token_words(const uint32_t *from)
{
    uint32_t words = 1;

    if (get(from) == PROPERTY)
        return 3 + (get(from + 1) + 3) / 4;
    if (get(from) == BEGIN_NODE)
        do
            words++;
        while (get(from + words - 1) & 0xff);
    return words;
}

static uint32_t *copy_struct(uint32_t *to, const uint32_t *from, uint32_t names)
{
    for (;;) {
        uint32_t token = get(from), words = token_words(from);

        to = copy(to, from, words);
        if (token == END)
            return to;
        if (token == BEGIN_NODE && is_chosen(from + 1)) {
            to = put_address(to, names, INITRD);
            to = put_address(to, names + 19, INITRD + initrd_size);
        }
        from += words;
    }
}

/* The new tree's address: behind the initramfs. */
uint64_t tree_with_initrd(const uint32_t *old)
{
    static const char names[] = "linux,initrd-start\0linux,initrd-end";
    uint32_t *tree = (uint32_t *)((INITRD + initrd_size + 0xffff) & ~UINT64_C(0xffff));
    const char *strings = (const char *)old + get(old + OFF_STRINGS);
    uint32_t length = get(old + SIZE_STRINGS);
    uint32_t *to = copy(tree, old, 10) + 2;
    char *end;

    put(tree + OFF_RESERVED, (uint32_t)((char *)to - (char *)tree));
    to = put(put(put(put(to, 0), 0), 0), 0);
    put(tree + OFF_STRUCT, (uint32_t)((char *)to - (char *)tree));
    end = (char *)copy_struct(to, old + get(old + OFF_STRUCT) / 4, length);
    put(tree + SIZE_STRUCT, (uint32_t)(end - (char *)to));
    put(tree + OFF_STRINGS, (uint32_t)(end - (char *)tree));
    for (uint32_t i = 0; i < length; i++)
        *end++ = strings[i];
    for (size_t i = 0; i < sizeof names; i++)
        *end++ = names[i];
    put(tree + SIZE_STRINGS, length + (uint32_t)sizeof names);
    put(tree + TOTAL_SIZE, (uint32_t)(end - (char *)tree));
    return (uint64_t)tree;
}
