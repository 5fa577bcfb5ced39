/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <stddef.h>

/* GN_PAGING_ACCESS_KIND, GN_PAGING_AS_USER and GN_PAGING_IMPLICIT of <gnomon/paging.h>. */
#define KIND     0x0fu
#define AS_USER  0x10u
#define IMPLICIT 0x20u

/* The first descriptor of the LDT. */
#define SELECTOR 7u

/* Bit 1 of RFLAGS is always set. */
#define FLAGS_FIXED 2u

#define STUB_BYTES 8u

_Static_assert(offsetof(struct gn_x86_64_probe, gva) == GN_X86_64__PROBE_GVA, "as in vectors.S");
_Static_assert(offsetof(struct gn_x86_64_probe, value) == GN_X86_64__PROBE_VALUE, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, entry) == GN_X86_64__PROBE_ENTRY, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, flags) == GN_X86_64__PROBE_FLAGS, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, cs) == GN_X86_64__PROBE_CS, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, ss) == GN_X86_64__PROBE_SS, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, vector) == GN_X86_64__PROBE_VECTOR, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, error) == GN_X86_64__PROBE_ERROR, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, cr2) == GN_X86_64__PROBE_CR2, "as above");
_Static_assert(offsetof(struct gn_x86_64_probe, rip) == GN_X86_64__PROBE_RIP, "as above");

/* Of the stubs in vectors.S: log2 of the size, and 4 more for writes; the last is MOV to FS. */
static int stub_of(uint32_t access, uint32_t bytes)
{
    const uint32_t kind = access & KIND;

    if (access & IMPLICIT)
        return kind == GN_ACCESS_READ && bytes == 8 ? 8 : -1;
    for (int i = 0; i < 4; i++)
        if (bytes == 1u << i)
            return i + (kind == GN_ACCESS_WRITE ? 4 : 0);
    return -1;
}

int gn_x86_64_probe_access(uint32_t access, uint32_t bytes, struct gn_x86_64_probe *probe)
{
    const uint32_t kind = access & KIND;
    const int user = (access & AS_USER) != 0, stub = stub_of(access, bytes);

    if (!probe || kind >= GN_ACCESS_KINDS || (kind != GN_ACCESS_EXEC && stub < 0))
        return -GN_ERR_INVAL;
    if (probe->gva >= GN_X86_64__TOP)
        return -GN_ERR_RANGE;
    probe->flags = (probe->flags & GN_X86_64_FLAG_AC) | FLAGS_FIXED;
    probe->cs = user ? GN_X86_64__USER_CS : GN_X86_64__CS;
    probe->ss = user ? GN_X86_64__USER_DS : GN_X86_64__DS;
    if (access & IMPLICIT) {
        probe->value = SELECTOR;
        gn_x86_64__ldt_load(probe->gva);
    }
    if (kind == GN_ACCESS_EXEC)
        probe->entry = probe->gva;
    else
        probe->entry = (user ? GN_X86_64__USER : (uint64_t)(uintptr_t)gn_x86_64__stubs) +
                       (uint64_t)stub * STUB_BYTES;
    gn_x86_64__probe_run(probe);
    return 0;
}
