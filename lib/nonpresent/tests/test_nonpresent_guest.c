/* SPDX-License-Identifier: BSD-3-Clause */

/* Never a page fault that the bare machine could not have delivered: random runs of a guest. */

#include "ask.h"

#define TABLES  4
#define ENTRIES 4
#define PAGES   (TABLES * ENTRIES)
#define ROOT    0x100000

/* A guest with two levels of tables, a log of its writes, and the shadow of its leaf entries. */
struct guest {
    uint8_t upper[TABLES]; /* present? */
    uint8_t lower[TABLES][ENTRIES];
    uint8_t absent_since[PAGES];  /* was the page absent at some moment since the last fence? */
    uint8_t logged_upper[TABLES]; /* written, not drained */
    uint8_t logged_lower[TABLES][ENTRIES];
    uint64_t shadow[PAGES]; /* 1: mapped; else a marker or 0 */
    uint64_t faults;
};

static int guest_present(const struct guest *g, uint32_t page)
{
    return g->upper[page / ENTRIES] && g->lower[page / ENTRIES][page % ENTRIES];
}

static uint64_t table_gpa(uint32_t table)
{
    return ROOT + (table + 1) * GN_PAGE_SIZE;
}

static int guest_pending(void *ctx, gn_gpa_t table)
{
    const struct guest *g = ctx;
    uint32_t i, t;

    if (table.v == ROOT) {
        for (i = 0; i < TABLES; i++)
            if (g->logged_upper[i])
                return 1;
        return 0;
    }
    t = (uint32_t)((table.v - ROOT) / GN_PAGE_SIZE) - 1;
    assert_true(t < TABLES);
    for (i = 0; i < ENTRIES; i++)
        if (g->logged_lower[t][i])
            return 1;
    return 0;
}

static void guest_write(struct guest *g, uint64_t r)
{
    const uint32_t page = r % PAGES, t = page / ENTRIES;
    const uint8_t value = r >> 8 & 1;
    uint32_t i;

    if (r >> 9 & 3) {
        g->lower[t][page % ENTRIES] = value;
        g->logged_lower[t][page % ENTRIES] = 1;
    } else {
        g->upper[t] = value;
        g->logged_upper[t] = 1;
    }
    for (i = 0; i < PAGES; i++)
        g->absent_since[i] |= !guest_present(g, i);
}

/* The consumer: forgets what it had derived from entries that were written. */
static void guest_drain(struct guest *g)
{
    uint32_t i;

    for (i = 0; i < PAGES; i++)
        if (g->logged_upper[i / ENTRIES] || g->logged_lower[i / ENTRIES][i % ENTRIES])
            g->shadow[i] = 0;
    memset(g->logged_upper, 0, sizeof g->logged_upper);
    memset(g->logged_lower, 0, sizeof g->logged_lower);
}

static void guest_fence(struct guest *g)
{
    uint32_t i;

    guest_drain(g);
    for (i = 0; i < PAGES; i++)
        g->absent_since[i] = !guest_present(g, i);
}

static void guest_walk(struct gn_nonpresent *np, struct guest *g, uint32_t page)
{
    const uint32_t t = page / ENTRIES;

    if (guest_present(g, page))
        g->shadow[page] = 1;
    else if (!g->upper[t])
        assert_int_equal(gn_nonpresent_encode_absent(np, 1, gn_gpa(ROOT + t * 8), &g->shadow[page]),
                         0);
    else
        assert_int_equal(gn_nonpresent_encode_absent(
                             np, 0, gn_gpa(table_gpa(t) + page % ENTRIES * 8), &g->shadow[page]),
                         0);
}

static void guest_access(struct gn_nonpresent *np, struct guest *g, uint32_t page, int immediate)
{
    if (g->shadow[page] & 1)
        return;
    if (look(np, g->shadow[page], GN_ACCESS_READ).kind != GN_NONPRESENT_GUEST_ABSENT) {
        guest_walk(np, g, page);
        return;
    }
    g->faults++;
    if (immediate)
        assert_false(guest_present(g, page));
    else
        assert_true(g->absent_since[page]);
}

static void run_guest(uint32_t encoding, uint32_t guest, uint32_t rule)
{
    static struct guest g;
    struct gn_nonpresent_ops mine = {GN_NONPRESENT_OPS_INIT, .pending = guest_pending};
    struct gn_nonpresent_params params = {
        GN_NONPRESENT_PARAMS_INIT, encoding, guest, rule, &mine, &g};
    uint64_t mem[64], rng = gn_test_seed();
    struct gn_nonpresent *np;
    int i;

    memset(&g, 0, sizeof g);
    memset(g.absent_since, 1, sizeof g.absent_since);
    assert_int_equal(gn_nonpresent_init(mem, sizeof mem, &params, &np), 0);
    for (i = 0; i < 400000; i++) {
        const uint64_t r = gn_test_random(&rng);

        if (r % 8 == 0)
            guest_write(&g, r >> 8);
        else if (r % 64 == 1)
            guest_drain(&g);
        else if (r % 64 == 2)
            guest_fence(&g);
        else
            guest_access(np, &g, (uint32_t)(r >> 8) % PAGES, rule == GN_NONPRESENT_RULE_IMMEDIATE);
    }
    assert_true(g.faults > 1000);
    assert_int_equal(stats_of(np).hits, g.faults);
    gn_nonpresent_fini(np);
}

static void never_a_page_fault_that_the_bare_machine_could_not_have_delivered_x86(void **state)
{
    (void)state;
    run_guest(GN_NONPRESENT_X86_64(46), GN_NONPRESENT_GUEST_X86, GN_NONPRESENT_RULE_IMMEDIATE);
}

static void never_a_page_fault_that_the_bare_machine_could_not_have_delivered_riscv(void **state)
{
    (void)state;
    run_guest(GN_NONPRESENT_RISCV, GN_NONPRESENT_GUEST_RISCV, GN_NONPRESENT_RULE_FENCED);
}

static void never_a_page_fault_too_many_for_a_riscv_guest_under_the_immediate_rule(void **state)
{
    (void)state;
    run_guest(GN_NONPRESENT_RISCV, GN_NONPRESENT_GUEST_RISCV, GN_NONPRESENT_RULE_IMMEDIATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_a_page_fault_that_the_bare_machine_could_not_have_delivered_x86),
        cmocka_unit_test(never_a_page_fault_that_the_bare_machine_could_not_have_delivered_riscv),
        cmocka_unit_test(never_a_page_fault_too_many_for_a_riscv_guest_under_the_immediate_rule),
    };

    return cmocka_run_group_tests_name("nonpresent_guest", tests, NULL, NULL);
}
