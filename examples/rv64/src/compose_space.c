/* SPDX-License-Identifier: BSD-3-Clause */
/* Address spaces: what satp and the privileges in force come to, as contexts of the MMU. */

#include "compose_internal.h"

/* SATP: mode in 63..60, ASID in 59..44, root page number below. */
#define SATP_MODE(satp) ((satp) >> 60)
#define SATP_ASID(satp) ((satp) >> 44 & 0xffff)
#define SATP_ROOT(satp) (((satp) & ((UINT64_C(1) << 44) - 1)) << GN_PAGE_SHIFT)
#define SATP_SV39       8u

void rv64_compose_contexts_make(struct rv64_compose *c)
{
    for (uint32_t i = 0; i < sizeof c->guest_context / sizeof *c->guest_context; i++)
        c->guest_context[i] = (struct gn_softmmu_context){
            GN_SOFTMMU_CONTEXT_INIT, .asid = c->guest_asid, .root = c->guest.hpa,
            .view = i % GN_SOFTMMU_VIEWS, .mxr = i / GN_SOFTMMU_VIEWS};
    /* Untranslated pages are user pages, for every privilege to use. */
    c->bare_context =
        (struct gn_softmmu_context){GN_SOFTMMU_CONTEXT_INIT, .asid = RV64_ASID_BARE,
                                    .root = c->bare.hpa, .view = GN_SOFTMMU_VIEW_USER};
}

/* Makes the root of satp the guest's current one. */
static void guest_root_load(struct rv64_compose *c, uint64_t satp)
{
    const struct gn_shadow_root_key key = {
        GN_SHADOW_ROOT_KEY_INIT, .format = GN_PAGING_SV39, .table = gn_gpa(SATP_ROOT(satp)),
        .controls = rv64_compose_controls(c), .tag = SATP_ASID(satp)};
    struct rv64_before before = {c->guest, c->guest_asid, c->guest_held && c->asid};
    struct gn_shadow_root root;

    if (gn_shadow_root_get(c->shadow, &key, &root))
        rv64_compose_panic(c, "no shadow root can be had");
    before.held &= c->cookies[root.id] != root.cookie;
    c->cookies[root.id] = root.cookie;
    if (c->asid_trace)
        rv64_asid_trace_activate(c->asid_trace, root.cookie);
    if (c->asid) {
        c->guest_asid = rv64_asid_activate(c->asid, root.cookie);
    } else {
        c->guest_asid = RV64_ASID_ALONE;
        if (!c->guest_held || root.cookie != c->guest.cookie) {
            gn_softmmu_invalidate_all(c->softmmu);
            c->switch_flushes++;
        }
    }
    if (c->guest_held && gn_shadow_root_put(c->shadow, c->guest.id))
        rv64_compose_panic(c, "the root in force was not held");
    c->guest = root;
    c->guest_satp = satp;
    c->guest_held = true;
    rv64_compose_contexts_make(c);
    if (before.held)
        rv64_compose_inherit(c, &before);
}

static bool is_bare(const struct rv64_mmu_context *x, uint8_t priv)
{
    return priv == RV64_PRIV_M || SATP_MODE(x->satp) != SATP_SV39;
}

static uint32_t view_of(const struct rv64_mmu_context *x, uint8_t priv)
{
    if (priv == RV64_PRIV_U)
        return GN_SOFTMMU_VIEW_USER;
    return x->sum ? GN_SOFTMMU_VIEW_SUM : GN_SOFTMMU_VIEW_SUPERVISOR;
}

static void port_load(struct rv64_compose *c, uint32_t port, const struct rv64_mmu_context *x,
                      uint8_t priv)
{
    const struct gn_softmmu_context *s = &c->bare_context;
    struct rv64_port *p = &c->port[port];

    p->bare = is_bare(x, priv);
    p->user = p->bare || priv == RV64_PRIV_U;
    p->root = c->bare.id;
    if (!p->bare) {
        p->root = c->guest.id;
        s = &c->guest_context[view_of(x, priv) + (x->mxr ? GN_SOFTMMU_VIEWS : 0)];
    }
    if (gn_softmmu_context_set(c->softmmu, 0, port, s))
        rv64_compose_panic(c, "a context was refused");
}

void rv64_compose_fetch_port(struct rv64_compose *c)
{
    const struct rv64_mmu_context x = {.satp = c->fetch_satp, .fetch_priv = c->fetch_priv};

    if (!c->fetch_stale)
        return;
    c->fetch_stale = false;
    port_load(c, GN_SOFTMMU_PORT_FETCH, &x, x.fetch_priv);
}

/*
 * A system call changes this six times, mostly to allow the kernel the user's pages for a moment.
 * What fetches go through, which SUM and MXR are not for, is loaded when there is a fetch: code in
 * caches needs none.
 */
void rv64_mmu_context_set(struct rv64_mmu *mmu, const struct rv64_mmu_context *context)
{
    struct rv64_compose *c = (struct rv64_compose *)mmu;
    bool bare = is_bare(context, context->fetch_priv);

    c->fetch_stale |= context->satp != c->fetch_satp || context->fetch_priv != c->fetch_priv;
    c->fetch_satp = context->satp;
    c->fetch_priv = context->fetch_priv;
    c->context = context;
    if ((!bare || !is_bare(context, context->data_priv)) &&
        (!c->guest_held || context->satp != c->guest_satp))
        guest_root_load(c, context->satp);
    port_load(c, GN_SOFTMMU_PORT_DATA, context, context->data_priv);
    c->mmu.space = bare ? c->bare.cookie : c->guest.cookie;
}
