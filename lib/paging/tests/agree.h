/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_AGREE_H
#define GN_TEST_AGREE_H

/* One access, made by the library in one memory and by a naive machine in its twin. */

#include "guest_memory.h"
#include "naive_aarch64.h"

/* The state of a machine and an access, in the terms of its manual. */
struct trial {
    uint32_t format;
    struct naive_x86 x86; /* one of the three is meant */
    struct naive_riscv riscv;
    struct naive_aarch64 arm;
    uint64_t address;
};

static inline int trial_is_legacy(const struct trial *t)
{
    return t->format == GN_PAGING_X86_32 || t->format == GN_PAGING_X86_PAE;
}

static inline int trial_is_x86(const struct trial *t)
{
    return t->format >= GN_PAGING_X86_32 && t->format <= GN_PAGING_X86_5LEVEL;
}

static inline int trial_is_aarch64(const struct trial *t)
{
    return t->format == GN_PAGING_AARCH64_4K;
}

/* The same in the terms of the library. */
static inline void trial_context_x86(const struct naive_x86 *x, struct gn_paging_context *c)
{
    c->controls =
        (x->cr0 & 1ull << 16 ? GN_PAGING_X86_WP : 0) | (x->cr4 & 1u << 4 ? GN_PAGING_X86_PSE : 0) |
        (x->cr4 & 1ull << 20 ? GN_PAGING_X86_SMEP : 0) |
        (x->cr4 & 1ull << 21 ? GN_PAGING_X86_SMAP : 0) |
        (x->cr4 & 1ull << 22 ? GN_PAGING_X86_PKE : 0) |
        (x->efer & 1ull << 11 ? GN_PAGING_X86_NXE : 0) |
        (x->rflags & 1ull << 18 ? GN_PAGING_X86_AC : 0) | (x->page1gb ? GN_PAGING_X86_1G : 0);
    c->root = gn_gpa(x->cr3 & ~(uint64_t)(c->format == GN_PAGING_X86_PAE ? 0x1f : 0xfff));
    c->pkru = x->pkru;
    c->phys_bits = (uint32_t)x->maxphyaddr;
}

static inline void trial_context_riscv(const struct naive_riscv *v, struct gn_paging_context *c)
{
    c->root = gn_gpa(v->satp_ppn << 12);
    c->controls = (v->sum ? GN_PAGING_RISCV_SUM : 0) | (v->mxr ? GN_PAGING_RISCV_MXR : 0) |
                  (v->hardware_ad ? GN_PAGING_RISCV_ADUE : 0);
    c->extensions =
        (v->pbmte ? GN_PAGING_RISCV_PBMTE : 0) | (v->svnapot ? GN_PAGING_RISCV_NAPOT : 0);
}

static inline void trial_context_aarch64(const struct naive_aarch64 *a, struct gn_paging_context *c)
{
    c->root = gn_gpa(a->ttbr0);
    c->root_high = gn_gpa(a->ttbr1);
    c->phys_bits = (uint32_t)a->oasize;
    c->controls = (a->ha ? GN_PAGING_AARCH64_HA : 0) | (a->hd ? GN_PAGING_AARCH64_HD : 0) |
                  (a->pan ? GN_PAGING_AARCH64_PAN : 0) | (a->wxn ? GN_PAGING_AARCH64_WXN : 0) |
                  (a->epd0 ? GN_PAGING_AARCH64_EPD0 : 0) | (a->epd1 ? GN_PAGING_AARCH64_EPD1 : 0) |
                  (a->tbi0 ? GN_PAGING_AARCH64_TBI0 : 0) | (a->tbi1 ? GN_PAGING_AARCH64_TBI1 : 0) |
                  (a->epan ? GN_PAGING_AARCH64_EPAN : 0);
}

static inline struct gn_paging_context trial_context(const struct trial *t)
{
    struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = t->format};

    if (trial_is_x86(t))
        trial_context_x86(&t->x86, &c);
    else if (trial_is_aarch64(t))
        trial_context_aarch64(&t->arm, &c);
    else
        trial_context_riscv(&t->riscv, &c);
    return c;
}

static inline uint32_t trial_access(const struct trial *t)
{
    int x86 = trial_is_x86(t), arm = trial_is_aarch64(t);
    int probe = x86 ? t->x86.probe : arm ? t->arm.probe : t->riscv.probe;
    char op = x86 ? t->x86.op : arm ? t->arm.op : t->riscv.op;
    uint32_t access = op == 'r' ? GN_ACCESS_READ : op == 'w' ? GN_ACCESS_WRITE : GN_ACCESS_EXEC;

    if (x86 ? t->x86.cpl == 3 : arm ? t->arm.el == 0 : t->riscv.mode == 'u')
        access |= GN_PAGING_AS_USER;
    if (x86 && t->x86.implicit)
        access |= GN_PAGING_IMPLICIT;
    return access | (probe ? GN_PAGING_NO_UPDATE : 0);
}

/* What differs between two results, or NULL. */
static inline const char *trial_difference(const struct gn_paging_walk *r,
                                           const struct naive_result *n)
{
    static const uint32_t outcome[] = {GN_PAGING_TRANSLATED, GN_PAGING_FAULT_PAGE,
                                       GN_PAGING_FAULT_ACCESS, GN_PAGING_FAULT_NONCANONICAL};
    uint32_t permissions;

    if (r->outcome != outcome[n->kind])
        return "outcome";
    if (r->code != n->code)
        return "code";
    if (n->kind != NAIVE_OK)
        return NULL;
    permissions = (n->r ? GN_PAGING_R : 0) | (n->w ? GN_PAGING_W : 0) | (n->x ? GN_PAGING_X : 0) |
                  (n->u ? GN_PAGING_U : 0) | (n->g ? GN_PAGING_G : 0) | (n->a ? GN_PAGING_A : 0) |
                  (n->d ? GN_PAGING_D : 0) | (n->ux ? GN_PAGING_UX : 0);
    if (r->gpa.v != n->pa)
        return "address";
    if (r->shift != n->bits)
        return "page size";
    if (r->permissions != permissions)
        return "permissions";
    if (r->attributes >> 8 || r->reserved[0] | r->reserved[1] | r->reserved[2])
        return "what is to be zero";
    return r->top + 1 - r->level != n->entries ? "levels" : NULL;
}

/* Does the access both ways; what differs, or NULL. The memories are for the caller to compare. */
static inline const char *trial_run(const struct trial *t, struct guest *guest,
                                    const struct naive_memory *memory, struct gn_paging_walk *r,
                                    struct naive_result *n)
{
    struct gn_paging_context context = trial_context(t);

    if (gn_paging_walk(&context, &guest_ops, guest, gn_gva(t->address), trial_access(t), r))
        return "status";
    *n = trial_is_legacy(t)    ? naive_x86_legacy(&t->x86, memory, t->address)
         : trial_is_x86(t)     ? naive_x86(&t->x86, memory, t->address)
         : trial_is_aarch64(t) ? naive_aarch64(&t->arm, memory, t->address)
                               : naive_riscv(&t->riscv, memory, t->address);
    return trial_difference(r, n);
}

/* Tells a failed trial in full. */
static inline void trial_print(const struct trial *t, const char *what,
                               const struct gn_paging_walk *r, const struct naive_result *n)
{
    const struct naive_x86 *x = &t->x86;
    const struct naive_riscv *v = &t->riscv;
    const struct naive_aarch64 *a = &t->arm;

    printf("%s: %s differs at %#llx\n", gn_paging_format_name(t->format), what,
           (unsigned long long)t->address);
    if (trial_is_x86(t))
        printf("  cr0 %llx cr4 %llx efer %llx rflags %llx pkru %x maxphyaddr %d 1g %d; cpl %d "
               "implicit %d op %c probe %d\n",
               (unsigned long long)x->cr0, (unsigned long long)x->cr4, (unsigned long long)x->efer,
               (unsigned long long)x->rflags, x->pkru, x->maxphyaddr, x->page1gb, x->cpl,
               x->implicit, x->op, x->probe);
    else if (trial_is_aarch64(t))
        printf("  ha %d hd %d epd %d %d tbi %d %d oasize %d wxn %d pan %d epan %d; el %d op %c "
               "probe %d\n",
               a->ha, a->hd, a->epd0, a->epd1, a->tbi0, a->tbi1, a->oasize, a->wxn, a->pan, a->epan,
               a->el, a->op, a->probe);
    else
        printf("  sum %d mxr %d hardware a/d %d pbmte %d svnapot %d; mode %c op %c probe %d\n",
               v->sum, v->mxr, v->hardware_ad, v->pbmte, v->svnapot, v->mode, v->op, v->probe);
    for (uint32_t level = r->top + 1; level-- > r->level;)
        printf("  level %u: entry at %llx is now %llx\n", level,
               (unsigned long long)r->step[level].gpa.v, (unsigned long long)r->step[level].value);
    printf("  library: outcome %u code %x reason %u level %u gpa %llx shift %u permissions %x\n",
           r->outcome, r->code, r->reason, r->level, (unsigned long long)r->gpa.v, r->shift,
           r->permissions);
    printf("  naive:   kind %d code %x pa %llx bits %u rwxu %d%d%d%d gad %d%d%d\n", n->kind,
           n->code, (unsigned long long)n->pa, n->bits, n->r, n->w, n->x, n->u, n->g, n->a, n->d);
}

#endif /* GN_TEST_AGREE_H */
