/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "linux_internal.h"

#define PAGEMAP "/proc/self/pagemap"

/* An entry of pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define ENTRY_FRAME   ((UINT64_C(1) << 55) - 1)
#define ENTRY_PRESENT (UINT64_C(1) << 63)

/* ---- Huge pages ---------------------------------------------------------------------------- */

/* What a line of smaps says is mapped by huge pages, in bytes; 0: another line. */
static uint64_t huge_of(const char *line)
{
    static const char *const names[] = {"AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"};
    unsigned long kilobytes;

    for (int i = 0; i < 3; i++)
        if (!strncmp(line, names[i], strlen(names[i])) &&
            sscanf(line + strlen(names[i]), "%lu", &kilobytes) == 1)
            return (uint64_t)kilobytes << 10;
    return 0;
}

/* A mapping that has more than the memory counts when all of it is huge. */
bool gn_linux__huge(const struct gn_linux_memory *m)
{
    uint64_t left = m->bytes;
    uint64_t missing = 0; /* of the mapping that the lines are about */
    uint64_t from = (uintptr_t)m->base;
    FILE *maps = fopen("/proc/self/smaps", "re");
    unsigned long start;
    unsigned long end;
    char line[512];

    while (maps && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) != 2) {
            uint64_t huge = missing ? huge_of(line) : 0;

            missing -= huge < missing ? huge : missing;
            continue;
        }
        if (missing)
            break;
        if (start >= from + m->bytes || end <= from)
            continue;
        missing = end - start;
        left -= (end < from + m->bytes ? end : from + m->bytes) - (start > from ? start : from);
    }
    if (maps)
        fclose(maps);
    return maps && !left && !missing;
}

/* ---- Machine addresses --------------------------------------------------------------------- */

static int entry_read(int fd, const void *at, uint64_t *ret_frame)
{
    uint64_t entry;
    off_t offset = (off_t)(((uintptr_t)at >> GN_PAGE_SHIFT) * sizeof entry);

    if (pread(fd, &entry, sizeof entry, offset) != sizeof entry)
        return -GN_ERR_IO;
    if (!(entry & ENTRY_PRESENT))
        return -GN_ERR_NOENT;
    if (!(entry & ENTRY_FRAME))
        return -GN_ERR_PERM; /* hidden from who has no CAP_SYS_ADMIN, since Linux 4.2 */
    *ret_frame = entry & ENTRY_FRAME;
    return 0;
}

/* One byte a page, not changed: a page that was never touched lies nowhere. */
static void touch(const struct gn_linux_memory *m)
{
    for (uint64_t at = 0; at < m->bytes; at += GN_PAGE_SIZE) {
        volatile uint8_t *byte = (volatile uint8_t *)m->base + at;

        *byte = *byte;
    }
}

int gn_linux__places_get(const struct gn_linux_memory *memory, uint32_t flags, bool is_virtual,
                         const char *pagemap, struct gn_linux_places *ret_places)
{
    struct gn_linux_places p = {.known = GN_LINUX_PLACES_MACHINE, .memory = memory};
    uint64_t frame;
    int rc;

    if (is_virtual && !(flags & GN_LINUX_PLACES_GUEST))
        return -GN_ERR_NOTSUP;
    touch(memory);
    p.fd = open(pagemap, O_RDONLY | O_CLOEXEC);
    rc = p.fd < 0 ? gn_linux__error(errno) : entry_read(p.fd, memory->base, &frame);
    if (rc == -GN_ERR_PERM && memory->flags & GN_LINUX_MEMORY_HUGE && gn_linux__huge(memory)) {
        p.known = GN_LINUX_PLACES_HUGE;
        rc = 0;
    }
    if (rc) {
        if (p.fd >= 0)
            close(p.fd);
        return rc == -GN_ERR_PERM ? rc : -GN_ERR_IO;
    }
    *ret_places = p;
    return 0;
}

int gn_linux_places_get(const struct gn_linux_memory *memory, uint32_t flags,
                        struct gn_linux_places *ret_places)
{
    if (!memory || !memory->kind || !ret_places || flags & ~GN_LINUX_PLACES_GUEST)
        return -GN_ERR_INVAL;
    return gn_linux__places_get(memory, flags, gn_linux__virtual(), PAGEMAP, ret_places);
}

int gn_linux_places_hpa(const struct gn_linux_places *places, const void *at, gn_hpa_t *ret_hpa)
{
    const struct gn_linux_memory *m = places->memory;
    uint64_t frame;
    int rc;

    if (!places->known || (uintptr_t)at - (uintptr_t)m->base >= m->bytes)
        return -GN_ERR_RANGE;
    if (places->known == GN_LINUX_PLACES_HUGE) {
        *ret_hpa = gn_hpa((uintptr_t)at & (GN_LINUX_HUGE_BYTES - 1));
        return 0;
    }
    rc = entry_read(places->fd, at, &frame);
    if (!rc)
        *ret_hpa = gn_hpa(frame << GN_PAGE_SHIFT | ((uintptr_t)at & GN_PAGE_MASK));
    return rc;
}

void gn_linux_places_put(struct gn_linux_places *places)
{
    if (!places || !places->known)
        return;
    if (places->fd >= 0)
        close(places->fd);
    *places = (struct gn_linux_places){.fd = -1};
}
