/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

#include <stddef.h>
#include <string.h>

/*
 * The processor as a platform. What CR3 names is a copy of the shadow's root with the platform's
 * entry in it. The copy's other entries are brought up to date before each access: the shadow adds
 * entries without a word, and takes them away with an invalidation.
 */

#define AC_BIT 0x10u /* GN_PAGING_X86_AC */

/* Pages invalidated one by one; a longer range is an ASID's. */
#define PAGES_MAX 64u

/* The entry of a root that is the platform's. */
#define OWN 511u

/* INVPCID's kinds: SDM vol. 2A. */
#define INVPCID_ADDRESS 0u
#define INVPCID_CONTEXT 1u
#define INVPCID_ALL     2u

#define CR3_KEEP ((uint64_t)1 << 63)

struct gn_x86_64_mmu {
    uint64_t root[512]; /* what CR3 names */
    uint64_t memory_size;
    uint64_t shadow; /* the shadow's root */
    uint32_t asid;
    uint32_t user;
    uint32_t controls;
    uint32_t levels;
    uint32_t pkru;
    uint32_t reserved;
    struct gn_x86_64_mmu_stats stats;
};

/* A look at the tables: what the processor will find, or 0 and why. */
struct look {
    uint64_t entry; /* the last one */
    uint64_t hpa;   /* of the byte */
    uint32_t present, bad;
};

static int has(uint32_t feature)
{
    return (gn_x86_64_features() & feature) != 0;
}

static struct look look(const struct gn_x86_64_mmu *mmu, uint64_t gva)
{
    struct look r = {0};
    uint64_t table = mmu->shadow;

    for (uint32_t level = mmu->levels; level--;) {
        const uint32_t shift = 12 + 9 * level;
        const uint64_t *entries = gn_x86_64_direct(gn_hpa(table));

        if (table >= mmu->memory_size) {
            r.bad = 1;
            return r;
        }
        r.entry = entries[gva >> shift & 511];
        if (!(r.entry & PTE_P))
            return r;
        table = r.entry & PTE_ADDRESS;
        if (level == 0 || (level < 3 && r.entry & PTE_PS)) {
            const uint64_t offset = ((uint64_t)1 << shift) - 1;

            r.present = 1;
            r.hpa = (table & ~offset) | (gva & offset);
            r.bad = r.hpa >= mmu->memory_size;
            return r;
        }
    }
    return r;
}

/* One entry of the copy. The A bit that the processor sets stays in ours: nobody asks for it. */
static void refresh(struct gn_x86_64_mmu *mmu, uint64_t gva)
{
    const uint32_t index = gva >> (12 + 9 * (mmu->levels - 1)) & 511;
    const uint64_t *shadow = gn_x86_64_direct(gn_hpa(mmu->shadow));

    if (index != OWN && mmu->shadow < mmu->memory_size)
        mmu->root[index] = shadow[index];
}

/* All but the platform's own: this code is reached through it, and CR3 may name the copy. */
static void copy_root(struct gn_x86_64_mmu *mmu)
{
    const size_t bytes = OWN * sizeof mmu->root[0];

    if (mmu->shadow < mmu->memory_size)
        memcpy(mmu->root, gn_x86_64_direct(gn_hpa(mmu->shadow)), bytes);
    else
        memset(mmu->root, 0, bytes);
}

static void load(struct gn_x86_64_mmu *mmu)
{
    const uint64_t keep = has(GN_X86_64_HAS_PCID) ? CR3_KEEP | mmu->asid : 0;

    mmu->stats.loads++;
    gn_x86_64__cr3_set(gn_x86_64_physical(mmu->root).v | keep);
}

/* Somebody else may have loaded another root meanwhile. */
static int is_loaded(const struct gn_x86_64_mmu *mmu)
{
    return (gn_x86_64__cr3() & PTE_ADDRESS) == gn_x86_64_physical(mmu->root).v;
}

/* Bits of <gnomon/paging.h> that the processor cannot put in force. */
static int lacks(uint32_t controls)
{
    return (controls & 0x02 && !has(GN_X86_64_HAS_NX)) ||
           (controls & 0x04 && !has(GN_X86_64_HAS_SMEP)) ||
           (controls & 0x08 && !has(GN_X86_64_HAS_SMAP)) ||
           (controls & 0x20 && !has(GN_X86_64_HAS_PKU));
}

static int x86_64_context_set(void *object, uint32_t vcpu, const struct gn_mmu_context *context)
{
    struct gn_x86_64_mmu *mmu = object;
    struct gn_mmu_context c;
    int rc = gn_base_params_copy(&c, sizeof c, context, sizeof c);

    if (rc)
        return rc;
    if (vcpu || c.user > 1 || c.root.v & GN_PAGE_MASK)
        return -GN_ERR_INVAL;
    if (lacks(c.controls))
        return -GN_ERR_NOTSUP;
    if (c.asid >= (has(GN_X86_64_HAS_PCID) ? 4096u : 1u))
        return -GN_ERR_RANGE;
    mmu->user = c.user;
    mmu->controls = c.controls;
    if (c.asid == mmu->asid && c.root.v == mmu->shadow && is_loaded(mmu))
        return 0;
    mmu->asid = c.asid;
    mmu->shadow = c.root.v;
    copy_root(mmu);
    load(mmu);
    return 0;
}

static void invpcid(struct gn_x86_64_mmu *mmu, uint64_t kind, uint64_t asid, uint64_t gva)
{
    const uint64_t descriptor[2] = {asid, gva};

    mmu->stats.invpcid++;
    __asm__ volatile("invpcid %0, %1" : : "m"(descriptor), "r"(kind) : "memory");
}

/* Everything, of every ASID: the platform's global entries, too. */
static void flush_all(struct gn_x86_64_mmu *mmu)
{
    const uint64_t cr4 = gn_x86_64__cr4();

    if (has(GN_X86_64_HAS_INVPCID)) {
        invpcid(mmu, INVPCID_ALL, 0, 0);
        return;
    }
    mmu->stats.flushes++;
    gn_x86_64__cr4_set(cr4 & ~(uint64_t)CR4_PGE);
    gn_x86_64__cr4_set(cr4);
}

static void flush_asid(struct gn_x86_64_mmu *mmu, uint32_t asid)
{
    if (has(GN_X86_64_HAS_INVPCID)) {
        invpcid(mmu, INVPCID_CONTEXT, asid, 0);
    } else if (asid == mmu->asid) {
        mmu->stats.flushes++;
        gn_x86_64__cr3_set(gn_x86_64_physical(mmu->root).v | asid); /* KEEP is clear */
    } else if (has(GN_X86_64_HAS_PCID)) {
        flush_all(mmu);
    }
}

/* Another ASID without PCID has no translations: the load of CR3 took them. */
static void flush_page(struct gn_x86_64_mmu *mmu, uint32_t asid, uint64_t gva)
{
    if (asid == mmu->asid) {
        mmu->stats.invlpg++;
        __asm__ volatile("invlpg (%0)" : : "r"(gva) : "memory");
    } else if (has(GN_X86_64_HAS_INVPCID)) {
        invpcid(mmu, INVPCID_ADDRESS, asid, gva);
    } else {
        flush_asid(mmu, asid);
    }
}

static void x86_64_invalidate_all(void *object)
{
    struct gn_x86_64_mmu *mmu = object;

    copy_root(mmu);
    flush_all(mmu);
}

static void x86_64_invalidate_asid(void *object, uint32_t asid)
{
    struct gn_x86_64_mmu *mmu = object;

    if (asid == GN_MMU_ASID_ANY) {
        x86_64_invalidate_all(object);
        return;
    }
    if (asid == mmu->asid)
        copy_root(mmu);
    flush_asid(mmu, asid);
}

static void x86_64_invalidate_range(void *object, uint32_t asid, gn_gva_t gva, uint64_t length)
{
    struct gn_x86_64_mmu *mmu = object;
    const uint64_t first = gva.v & ~GN_PAGE_MASK;
    uint64_t last = gva.v + length - 1;

    if (!length)
        return;
    last = last < gva.v ? UINT64_MAX : last;
    if (last - first >= PAGES_MAX * GN_PAGE_SIZE ||
        (asid == GN_MMU_ASID_ANY && has(GN_X86_64_HAS_PCID))) {
        x86_64_invalidate_asid(object, asid);
        return;
    }
    asid = asid == GN_MMU_ASID_ANY ? mmu->asid : asid;
    refresh(mmu, first);
    refresh(mmu, last);
    for (uint64_t page = first; page <= last; page += GN_PAGE_SIZE) {
        flush_page(mmu, asid, page);
        if (page + GN_PAGE_SIZE < page)
            break;
    }
}

/* One instruction. Zero: done; else what stopped it, or -GN_ERR_IO. */
static int step(struct gn_x86_64_mmu *mmu, uint64_t gva, uint32_t kind, uint32_t bytes,
                uint64_t *value, struct gn_mmu_answer *answer, const struct look *seen)
{
    struct gn_x86_64_probe p = {
        .gva = gva, .value = *value, .flags = mmu->controls & AC_BIT ? GN_X86_64_FLAG_AC : 0};
    const uint32_t done = kind == GN_ACCESS_EXEC ? 3 : 6;
    int rc;

    gn_x86_64_controls_set(mmu->controls, mmu->pkru);
    rc = gn_x86_64_probe_access(kind | (mmu->user ? 0x10u : 0), bytes, &p);
    gn_x86_64_controls_set(0x3, 0);
    if (rc)
        return rc;
    mmu->stats.probes++;
    *value = p.value;
    if (p.vector == done)
        return 0;
    if (p.vector != 14)
        return -GN_ERR_IO;
    mmu->stats.faults++;
    answer->entry = seen->entry;
    answer->outcome = p.error & 8 ? GN_MMU_BAD_TABLE : p.error & 1 ? GN_MMU_DENIED : GN_MMU_ABSENT;
    return 1;
}

/* A jump to a breakpoint, and the bytes as they were. */
static int fetch(struct gn_x86_64_mmu *mmu, uint64_t gva, void *data, uint32_t bytes,
                 struct gn_mmu_answer *answer, const struct look *seen)
{
    volatile uint8_t *code = seen->present ? gn_x86_64_direct(gn_hpa(seen->hpa)) : NULL;
    uint8_t kept = 0;
    uint64_t none = 0;
    int rc;

    if (code) {
        kept = *code;
        *code = 0xcc;
    }
    rc = step(mmu, gva, GN_ACCESS_EXEC, 1, &none, answer, seen);
    if (code)
        *code = kept;
    if (!rc)
        memcpy(data, gn_x86_64_direct(gn_hpa(seen->hpa)), bytes);
    return rc;
}

/* The largest power of two that is aligned and left, up to 8. */
static uint32_t piece(uint64_t gva, uint32_t bytes)
{
    uint32_t n = 8;

    while (n > bytes || gva & (n - 1))
        n /= 2;
    return n;
}

static int transfer(struct gn_x86_64_mmu *mmu, uint64_t gva, uint32_t kind, uint8_t *data,
                    uint32_t bytes, struct gn_mmu_answer *answer, const struct look *seen)
{
    for (uint32_t done = 0, n; done < bytes; done += n) {
        uint64_t value = 0;
        int rc;

        n = piece(gva + done, bytes - done);
        if (kind == GN_ACCESS_WRITE)
            memcpy(&value, data + done, n);
        rc = step(mmu, gva + done, kind, n, &value, answer, seen);
        if (rc)
            return rc;
        if (kind == GN_ACCESS_READ)
            memcpy(data + done, &value, n);
    }
    return 0;
}

static int x86_64_access(void *object, uint32_t vcpu, gn_gva_t gva, uint32_t access, void *data,
                         uint32_t bytes, struct gn_mmu_answer *ret_answer)
{
    struct gn_x86_64_mmu *mmu = object;
    struct gn_mmu_answer answer = {.outcome = GN_MMU_DONE};
    const uint32_t unused = 64 - (12 + 9 * mmu->levels);
    struct look seen;
    int rc;

    if (vcpu || !data || !ret_answer || access >= GN_ACCESS_KINDS || !bytes ||
        (gva.v & GN_PAGE_MASK) + bytes > GN_PAGE_SIZE)
        return -GN_ERR_INVAL;
    if (gva.v >= GN_X86_64__TOP || (uint64_t)((int64_t)(gva.v << unused) >> unused) != gva.v)
        return -GN_ERR_RANGE;
    seen = look(mmu, gva.v);
    if (seen.bad) {
        answer.outcome = GN_MMU_BAD_TABLE;
        answer.entry = seen.entry;
        *ret_answer = answer;
        return 0;
    }
    refresh(mmu, gva.v);
    rc = access == GN_ACCESS_EXEC ? fetch(mmu, gva.v, data, bytes, &answer, &seen)
                                  : transfer(mmu, gva.v, access, data, bytes, &answer, &seen);
    if (rc < 0)
        return rc;
    *ret_answer = answer;
    return 0;
}

void gn_x86_64_mmu_pkru_set(struct gn_x86_64_mmu *mmu, uint32_t pkru)
{
    mmu->pkru = pkru;
}

size_t gn_x86_64_mmu_size(void)
{
    return sizeof(struct gn_x86_64_mmu);
}

int gn_x86_64_mmu_init(void *mem, uint64_t memory_size, struct gn_x86_64_mmu **ret_mmu)
{
    struct gn_x86_64_mmu *mmu = mem;

    if (!mem || (uintptr_t)mem & GN_PAGE_MASK || !ret_mmu || !memory_size)
        return -GN_ERR_INVAL;
    memset(mmu, 0, sizeof *mmu);
    mmu->memory_size = memory_size;
    mmu->shadow = UINT64_MAX; /* none */
    mmu->levels = has(GN_X86_64_HAS_LA57) ? 5 : 4;
    gn_x86_64_root_adopt(mmu->root);
    load(mmu);
    flush_all(mmu);
    *ret_mmu = mmu;
    return 0;
}

void gn_x86_64_mmu_fini(struct gn_x86_64_mmu *mmu)
{
    if (!mmu)
        return;
    gn_x86_64_root_own();
    flush_all(mmu);
}

const struct gn_mmu_ops *gn_x86_64_mmu_ops(void)
{
    static struct gn_mmu_ops ops = {
        .size = sizeof ops,
        .caps = GN_MMU_CAP_WALKS,
        .context_set = x86_64_context_set,
        .invalidate_range = x86_64_invalidate_range,
        .invalidate_asid = x86_64_invalidate_asid,
        .invalidate_all = x86_64_invalidate_all,
        .access = x86_64_access,
    };

    if (has(GN_X86_64_HAS_PCID)) {
        ops.caps |= GN_MMU_CAP_ASID;
        ops.asid_bits = 12;
    }
    return &ops;
}

int gn_x86_64_mmu_stats_get(const struct gn_x86_64_mmu *mmu, struct gn_x86_64_mmu_stats *ret_stats)
{
    uint32_t size;

    if (!mmu || !ret_stats || ret_stats->size < sizeof size)
        return -GN_ERR_INVAL;
    size = ret_stats->size < sizeof mmu->stats ? ret_stats->size : (uint32_t)sizeof mmu->stats;
    memcpy(ret_stats, &mmu->stats, size);
    ret_stats->size = size;
    return 0;
}
