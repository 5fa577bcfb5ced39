/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <string.h>

/*
 * Frames: two bits each, in memory of their own. `usable` says that the firmware gave it to us,
 * `taken` that somebody has it. Searched from the top, where nobody asks for certain addresses.
 */

static uint64_t *usable, *taken;
static uint64_t frames;

static int bit(const uint64_t *map, uint64_t frame)
{
    return (int)(map[frame / 64] >> frame % 64 & 1);
}

static void bits_set(uint64_t *map, uint64_t first, uint64_t count, int to)
{
    for (uint64_t i = first; i < first + count; i++) {
        const uint64_t mask = (uint64_t)1 << i % 64;

        map[i / 64] = to ? map[i / 64] | mask : map[i / 64] & ~mask;
    }
}

static int is_free(uint64_t frame)
{
    return frame < frames && bit(usable, frame) && !bit(taken, frame);
}

/* The end of the range that holds both bitmaps: the highest one below 4 GiB that is large enough.
 */
static uint64_t place(uint64_t bytes)
{
    const uint64_t image_end = gn_x86_64_physical(gn_x86_64__end).v;
    uint64_t best = 0;
    uint32_t count;
    const struct gn_x86_64_range *map = gn_x86_64_memory_map(&count);

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t end = (map[i].base.v + map[i].length) & ~GN_PAGE_MASK;

        if (map[i].kind == 1 && end <= (uint64_t)4 << 30 && end > best &&
            map[i].length >= bytes + GN_PAGE_SIZE && end - bytes >= image_end)
            best = end;
    }
    if (!best)
        gn_x86_64__panic("no memory for the frame allocator");
    return best;
}

static uint64_t memory_end(void)
{
    uint64_t end = 0;
    uint32_t count;
    const struct gn_x86_64_range *map = gn_x86_64_memory_map(&count);

    for (uint32_t i = 0; i < count; i++)
        if (map[i].kind == 1 && map[i].base.v + map[i].length > end)
            end = map[i].base.v + map[i].length;
    return end < (uint64_t)GN_X86_64__SLOT_IMAGE << 30 ? end
                                                       : (uint64_t)GN_X86_64__SLOT_IMAGE << 30;
}

void gn_x86_64__frames_init(void)
{
    const uint64_t image = gn_x86_64_physical(gn_x86_64__image).v >> GN_PAGE_SHIFT;
    const uint64_t image_end = gn_x86_64_physical(gn_x86_64__end).v >> GN_PAGE_SHIFT;
    uint64_t bytes, at;
    uint32_t count;
    const struct gn_x86_64_range *map = gn_x86_64_memory_map(&count);

    frames = memory_end() >> GN_PAGE_SHIFT;
    bytes = ((frames + 63) / 64 * 16 + GN_PAGE_MASK) & ~GN_PAGE_MASK;
    at = place(bytes) - bytes;
    usable = gn_x86_64_direct(gn_hpa(at));
    taken = usable + (frames + 63) / 64;
    memset(usable, 0, bytes);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t first = (map[i].base.v + GN_PAGE_MASK) >> GN_PAGE_SHIFT;
        uint64_t end = (map[i].base.v + map[i].length) >> GN_PAGE_SHIFT;

        end = end < frames ? end : frames;
        if (map[i].kind == 1 && first < end)
            bits_set(usable, first, end - first, 1);
    }
    bits_set(usable, 0, 1, 0); /* frame 0 would be a NULL to many */
    bits_set(taken, image, image_end - image, 1);
    bits_set(taken, at >> GN_PAGE_SHIFT, bytes >> GN_PAGE_SHIFT, 1);
}

int gn_x86_64_frames_alloc(uint64_t count, uint64_t align, gn_hpa_t *ret_hpa)
{
    const uint64_t step = align >> GN_PAGE_SHIFT;

    if (!count || align < GN_PAGE_SIZE || align & (align - 1) || !ret_hpa)
        return -GN_ERR_INVAL;
    if (count > frames)
        return -GN_ERR_NOMEM;
    for (uint64_t first = (frames - count) & ~(step - 1);;) {
        uint64_t end = first + count;

        while (end > first && is_free(end - 1))
            end--;
        if (end == first) {
            bits_set(taken, first, count, 1);
            *ret_hpa = gn_hpa(first << GN_PAGE_SHIFT);
            return 0;
        }
        /* No stretch that holds this frame will do: each frame is looked at about once. */
        if (end - 1 < count)
            return -GN_ERR_NOMEM;
        first = (end - 1 - count) & ~(step - 1);
    }
}

int gn_x86_64_frames_claim(gn_hpa_t hpa, uint64_t count)
{
    const uint64_t first = hpa.v >> GN_PAGE_SHIFT;

    for (uint64_t i = first; i < first + count; i++)
        if (i < frames && bit(usable, i) && bit(taken, i))
            return -GN_ERR_BUSY;
    for (uint64_t i = first; i < first + count && i < frames; i++)
        if (bit(usable, i))
            bits_set(taken, i, 1, 1);
    return 0;
}

void gn_x86_64_frames_free(gn_hpa_t hpa, uint64_t count)
{
    const uint64_t first = hpa.v >> GN_PAGE_SHIFT;

    for (uint64_t i = first; i < first + count && i < frames; i++)
        bits_set(taken, i, 1, 0);
}

uint64_t gn_x86_64_frames_left(void)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < frames; i++)
        n += (uint64_t)is_free(i);
    return n;
}
