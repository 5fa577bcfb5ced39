/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

uint32_t machine_format;

static void on_traced_write(void *ctx, uint32_t vcpu, gn_hpa_t hpa, uint32_t bytes)
{
    struct machine *m = ctx;

    assert_true(m->events < EVENTS);
    assert_true(hpa.v < m->p.memory_size);
    m->event[m->events++] = (struct event){hpa.v, vcpu, bytes, m->p.memory[hpa.v]};
}

/*
 * The suite's markers: an absent entry with bit 1 set, what it says in bits 2 and 3, and a number
 * above. Formats ignore all bits of an entry whose bit 0 is clear.
 */
static int on_absent(void *ctx, uint32_t vcpu, uint64_t entry, uint32_t access,
                     struct gn_mmu_answer *ret_answer)
{
    (void)ctx;
    (void)vcpu;
    if ((entry & 2) == 0)
        return 0;
    if (entry & 4) {
        ret_answer->outcome = GN_MMU_GUEST_FAULT;
        ret_answer->code = (uint32_t)(entry >> 12) + (access & GN_PAGING_ACCESS_KIND);
    } else {
        ret_answer->outcome = GN_MMU_MMIO;
        ret_answer->gpa = gn_gpa(entry & ~GN_PAGE_MASK);
    }
    return 1;
}

static const struct platform_events events = {on_traced_write, on_absent};

int machine_setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);

    *state = NULL;
    if (!m || gn_paging_geometry(machine_format, &m->geometry))
        return -1;
    if (platform_under_test.open(&m->p, machine_format, &events, m)) {
        free(m);
        return 0;
    }
    m->format = machine_format;
    m->caps = m->p.ops->caps;
    m->asid = m->caps & GN_MMU_CAP_ASID ? 1 : 0;
    m->next_table = m->p.memory_size;
    *state = m;
    return 0;
}

int machine_teardown(void **state)
{
    struct machine *m = *state;

    if (m)
        platform_under_test.close(&m->p);
    free(m);
    return 0;
}

struct machine *machine_of(void **state)
{
    if (!*state) {
        print_message("skipped: the platform cannot be had here\n");
        skip();
    }
    return *state;
}

int machine_is_x86(const struct machine *m)
{
    return m->format == GN_PAGING_X86_4LEVEL || m->format == GN_PAGING_X86_5LEVEL;
}

void machine_needs(const struct machine *m, uint32_t caps, const char *why)
{
    if ((m->caps & caps) == caps)
        return;
    print_message("skipped: %s\n", why);
    skip();
}

uint32_t machine_controls(const struct machine *m)
{
    return machine_is_x86(m) ? GN_PAGING_X86_WP | GN_PAGING_X86_NXE : 0;
}

static uint64_t encode(const struct machine *m, uint32_t level, uint32_t kind, uint32_t permissions,
                       uint64_t address)
{
    const struct gn_paging_entry e = {.kind = kind, .permissions = permissions, .address = address};
    uint64_t value = 0;

    assert_int_equal(gn_paging_entry_encode(m->format, level, &e, &value), 0);
    return value;
}

static uint64_t table_new(struct machine *m)
{
    m->next_table -= GN_PAGE_SIZE;
    assert_true(m->next_table >= m->p.memory_size / 2);
    return m->next_table;
}

struct space space_new(struct machine *m, uint32_t asid)
{
    return (struct space){m, table_new(m), m->asid + asid};
}

static uint64_t *entry_of(struct space *s, uint64_t gva, uint32_t level)
{
    const struct gn_paging_context c = {GN_PAGING_CONTEXT_INIT, .format = s->m->format,
                                        .controls = UINT32_MAX};
    uint64_t table = s->root;

    for (uint32_t at = s->m->geometry.levels - 1;; at--) {
        uint64_t *entry = word(s->m, table + (gva >> (12 + 9 * at) & 511) * 8);
        struct gn_paging_entry e;

        if (at == level)
            return entry;
        if (!*entry)
            *entry = encode(s->m, at, GN_PAGING_ENTRY_TABLE, R | W | X | U, table_new(s->m));
        assert_int_equal(gn_paging_entry_decode(&c, at, *entry, &e), 0);
        assert_int_equal(e.kind, GN_PAGING_ENTRY_TABLE);
        table = e.address;
    }
}

void space_put(struct space *s, uint64_t gva, uint32_t level, uint64_t entry)
{
    const struct gn_mmu_ops *ops = s->m->p.ops;

    *entry_of(s, gva, level) = entry;
    if (entry & 1 && ops->map)
        assert_int_equal(ops->map(s->m->p.mmu, s->asid, gn_gva(gva), level, entry), 0);
    if (!(entry & 1) && ops->unmap)
        assert_int_equal(
            ops->unmap(s->m->p.mmu, s->asid, gn_gva(gva), (uint64_t)1 << (12 + 9 * level)), 0);
}

void space_map(struct space *s, uint64_t gva, uint32_t level, uint64_t hpa, uint32_t permissions)
{
    space_put(s, gva, level, encode(s->m, level, GN_PAGING_ENTRY_LEAF, permissions, hpa));
}

void space_unmap(struct space *s, uint64_t gva, uint32_t level)
{
    space_put(s, gva, level, 0);
}

void load_as(const struct space *s, uint32_t vcpu, uint32_t user, uint32_t controls)
{
    const struct gn_mmu_context c = {GN_MMU_CONTEXT_INIT, .asid = s->asid, .root = gn_hpa(s->root),
                                     .user = user, .controls = controls};

    assert_int_equal(s->m->p.ops->context_set(s->m->p.mmu, vcpu, &c), 0);
}

void load(const struct space *s, uint32_t vcpu)
{
    load_as(s, vcpu, 1, machine_controls(s->m));
}

struct gn_mmu_answer do_access(struct machine *m, uint32_t vcpu, uint64_t gva, uint32_t kind,
                               void *data, uint32_t bytes)
{
    struct gn_mmu_answer r;

    memset(&r, 0x5a, sizeof r);
    assert_int_equal(m->p.ops->access(m->p.mmu, vcpu, gn_gva(gva), kind, data, bytes, &r), 0);
    return r;
}

uint32_t outcome(struct machine *m, uint64_t gva, uint32_t kind)
{
    uint64_t data = 0x0123456789abcdefull;
    uint32_t r = do_access(m, 0, gva, kind, &data, 8).outcome;

    if (r != GN_MMU_DONE)
        assert_int_equal(data, 0x0123456789abcdefull);
    return r;
}

uint64_t peek(struct machine *m, uint32_t vcpu, uint64_t gva)
{
    uint64_t data = 0;

    assert_int_equal(do_access(m, vcpu, gva, READ, &data, 8).outcome, GN_MMU_DONE);
    return data;
}

uint64_t *word(struct machine *m, uint64_t hpa)
{
    assert_true(hpa <= m->p.memory_size - 8);
    return (uint64_t *)(m->p.memory + hpa);
}
