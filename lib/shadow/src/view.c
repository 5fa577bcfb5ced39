/* SPDX-License-Identifier: BSD-3-Clause */
#include "shadow_internal.h"

/*
 * What a leaf may say of a guest's page. Where the MMU's rules are not the guest's - another
 * architecture, or x86 with CR0.WP = 0, while the MMU's is 1 - no single leaf may allow all that
 * the guest allows, and nothing else. Then a page has several views, each of which allows less, and
 * the leaf shows the one that the last access needed: the next that needs another faults and flips
 * it (Linux does so for CR0.WP = 0: Documentation/virt/kvm/x86/mmu.rst).
 *
 * A view is sound under every state of the controls that belong to an access (SUM, MXR, AC): those
 * change without a word to us.
 */

uint32_t gn_shadow_mmu_controls(const struct gn_shadow *sh, uint32_t format, uint32_t controls,
                                uint32_t access)
{
    const uint32_t x86_always = GN_PAGING_X86_WP | GN_PAGING_X86_NXE;
    int x86_guest = gn_shadow__is_x86(format);
    int open;

    if (!sh)
        return controls;
    /* PAN is to EL1 what SMAP without AC is, and a RISC-V supervisor without SUM. */
    if (format == GN_PAGING_AARCH64_4K) {
        open = !(controls & GN_PAGING_AARCH64_PAN);
        if (!gn_shadow__is_x86(sh->params.format))
            return open ? GN_PAGING_RISCV_SUM : 0;
        return x86_always | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP | (open ? GN_PAGING_X86_AC : 0);
    }
    if (gn_shadow__is_x86(sh->params.format)) {
        /* Entries of shorter formats have no keys: ours, of key 0, are open to all. */
        if (x86_guest || format == GN_PAGING_BARE)
            return (controls & (gn_shadow__has_keys(format) ? UINT32_MAX : ~GN_PAGING_X86_PKE)) |
                   x86_always;
        /* RISC-V's rules of supervisors and user pages: SMEP, and SMAP with AC in SUM's place. */
        return x86_always | GN_PAGING_X86_SMEP | GN_PAGING_X86_SMAP |
               (controls & GN_PAGING_RISCV_SUM ? GN_PAGING_X86_AC : 0);
    }
    if (!x86_guest)
        return controls;
    open = !(controls & GN_PAGING_X86_SMAP) ||
           (controls & GN_PAGING_X86_AC && !(access & GN_PAGING_IMPLICIT));
    return open ? GN_PAGING_RISCV_SUM : 0;
}

/* What PKRU says of a key: bit 0 forbids data accesses, bit 1 writes (SDM vol. 3A §4.6.2). */
static uint32_t key_rights(uint32_t pkru, uint32_t permissions)
{
    return pkru >> (permissions >> GN_SHADOW__KEY_SHIFT & 15) * 2 & 3;
}

/* SDM vol. 3A §4.6.1. View 0 is the page as it is, 1 and 2 turn a user's into a supervisor's. */
static uint32_t view_x86(int x86_shadow, const struct gn_shadow__rules *rules, uint32_t permissions,
                         uint32_t view)
{
    uint32_t controls = rules->controls;
    uint32_t p = permissions & GN_PAGING_RWXU;
    uint32_t supervisor;

    if (p & GN_PAGING_U && controls & GN_PAGING_X86_PKE) {
        uint32_t rights = x86_shadow ? 0 : key_rights(rules->pkru, permissions);

        /* Keys are for user pages: one that is a supervisor's were open whatever PKRU becomes. */
        if (x86_shadow && view)
            return 0;
        p &= rights & 1 ? ~(GN_PAGING_R | GN_PAGING_W) : rights & 2 ? ~GN_PAGING_W : p;
    }
    supervisor = p & (GN_PAGING_R | GN_PAGING_W);
    if (p & GN_PAGING_R && !(controls & GN_PAGING_X86_WP))
        supervisor |= GN_PAGING_W;
    if (p & GN_PAGING_X && !(controls & GN_PAGING_X86_SMEP))
        supervisor |= GN_PAGING_X;
    if (view == 0)
        return !(p & GN_PAGING_U)                ? p | (supervisor & GN_PAGING_W)
               : p & (GN_PAGING_R | GN_PAGING_X) ? p
                                                 : 0;
    /* An x86 MMU needs those views for a write past a read-only entry only. */
    if (!(p & GN_PAGING_U) || (x86_shadow && (p & GN_PAGING_W || !(supervisor & GN_PAGING_W))))
        return 0;
    /* As a supervisor's page it is open whatever AC says: not with SMAP. */
    if (view == 1)
        return controls & GN_PAGING_X86_SMAP ? 0 : supervisor;
    /* But where a page can be executed and not read, supervisors may fetch from it. */
    return x86_shadow ? 0 : supervisor & GN_PAGING_X;
}

/*
 * Arm DDI 0487 D8.4. View 0 has the data of a page, and its execution by those whose data they are;
 * view 1 is for the others, who execute it only, which no x86 entry can say.
 */
static uint32_t view_aarch64(int x86_shadow, uint32_t controls, uint32_t p, uint32_t view)
{
    uint32_t user = p & GN_PAGING_U;
    uint32_t wxn = controls & GN_PAGING_AARCH64_WXN;
    int write = (p & GN_PAGING_W) != 0;
    int user_runs = p & GN_PAGING_UX && !(wxn && user && write);
    int kernel_runs = p & GN_PAGING_X && !(write && (user || wxn));
    int runs = view ? (user ? kernel_runs : user_runs) : (user ? user_runs : kernel_runs);

    /* With EPAN what EL0 may run is closed to EL1 as PAN says, and no page of the MMU's is so. */
    if (view == 0 && !user && controls & GN_PAGING_AARCH64_EPAN && p & GN_PAGING_UX)
        return runs && !x86_shadow ? GN_PAGING_X : 0;
    if (view == 0)
        return (p & (GN_PAGING_R | GN_PAGING_W | GN_PAGING_U)) | (runs ? GN_PAGING_X : 0);
    if (view > 1 || x86_shadow || !runs)
        return 0;
    return GN_PAGING_X | (user ? 0 : GN_PAGING_U);
}

/* x86 cannot forbid to read. With MXR, which is part of the role then, what executes is read. */
static uint32_t view_riscv(int x86_shadow, uint32_t controls, uint32_t p, uint32_t view)
{
    if (view)
        return 0;
    if (!x86_shadow || p & GN_PAGING_R)
        return p;
    return controls & GN_PAGING_RISCV_MXR ? p | GN_PAGING_R : 0;
}

/*
 * An MMU that heeds G goes on using the leaf through roots of other controls and with other rights
 * of keys. So it must say just what the guest's entry says, which depends on neither; and where it
 * is not the MMU that judges keys, none may forbid the page.
 */
static int view_global(const struct gn_shadow *sh, const struct gn_shadow__rules *rules,
                       uint32_t permissions, uint32_t seen)
{
    /* AArch64's permissions are other ones. */
    return sh->params.flags & GN_SHADOW_MMU_GLOBAL && permissions & GN_PAGING_G &&
           rules->format != GN_PAGING_AARCH64_4K && seen == (permissions & GN_PAGING_RWXU) &&
           !(gn_shadow__has_keys(rules->format) && permissions & GN_PAGING_U &&
             !gn_shadow__is_x86(sh->params.format));
}

uint32_t gn_shadow__view(const struct gn_shadow *sh, const struct gn_shadow__rules *rules,
                         uint32_t permissions, uint32_t view)
{
    uint32_t p = permissions & GN_PAGING_RWXU;
    int x86_shadow = gn_shadow__is_x86(sh->params.format);
    uint32_t seen;

    /*
     * A guest that does not translate does not know whose page it is, but our MMU does: supervisor
     * code never runs from a RISC-V user page, nor do SUM, SMEP and SMAP let it everywhere.
     */
    if (rules->format == GN_PAGING_BARE)
        return view == 0 ? p : view == 1 ? p & ~GN_PAGING_U : 0;
    if (rules->format == GN_PAGING_AARCH64_4K)
        seen = view_aarch64(x86_shadow, rules->controls, permissions, view);
    else if (gn_shadow__is_x86(rules->format))
        seen = view_x86(x86_shadow, rules, permissions, view);
    else
        seen = view_riscv(x86_shadow, rules->controls, p, view);
    return seen | (view_global(sh, rules, permissions, seen) ? GN_PAGING_G : 0);
}

/*
 * Does a key stop the MMU where it does not stop the guest? With WP = 0 a supervisor may write in
 * spite of it, and our MMU's WP is set.
 */
static int key_stops(const struct gn_shadow *sh, const struct gn_shadow_root_key *key,
                     uint32_t permissions, const struct gn_shadow_access *a)
{
    return gn_shadow__is_x86(sh->params.format) && key->controls & GN_PAGING_X86_PKE &&
           !(key->controls & GN_PAGING_X86_WP) && permissions & GN_PAGING_U &&
           (a->access & GN_PAGING_ACCESS_KIND) == GN_ACCESS_WRITE &&
           key_rights(a->pkru, permissions) & 2;
}

uint32_t gn_shadow__view_for(const struct gn_shadow *sh, const struct gn_shadow_root_key *key,
                             uint32_t permissions, const struct gn_shadow_access *a)
{
    const struct gn_shadow__rules rules = {key->format, key->controls, key->pkru};
    uint32_t of_access =
        GN_PAGING_X86_AC | GN_PAGING_RISCV_SUM | GN_PAGING_RISCV_MXR | GN_PAGING_AARCH64_PAN;
    uint32_t controls =
        key->format == GN_PAGING_BARE ? a->controls : key->controls | (a->controls & of_access);
    uint32_t access = a->access;
    struct gn_paging_context c = gn_shadow__guest_context(
        sh->params.format, gn_gpa(0), gn_shadow_mmu_controls(sh, key->format, controls, access), 0);

    if (key_stops(sh, key, permissions, a))
        return 0;
    /* A supervisor's access in spite of the CPL; RISC-V and AArch64 know no such thing. */
    if (!gn_shadow__is_x86(key->format) && key->format != GN_PAGING_BARE)
        access &= ~GN_PAGING_IMPLICIT;
    else if (access & GN_PAGING_IMPLICIT)
        access &= ~GN_PAGING_AS_USER;
    for (uint32_t view = 0; view < GN_SHADOW__VIEWS; view++) {
        uint32_t seen = gn_shadow__view(sh, &rules, permissions, view);

        if (seen && gn_paging_allows(&c, seen & GN_PAGING_RWXU, access))
            return seen | (permissions & ~GN_SHADOW__OF_VIEW);
    }
    return 0;
}
