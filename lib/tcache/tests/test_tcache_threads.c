/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * vCPUs that translate, link, run and write, all at once. A page has a version. A block's code
 * says which it was made from, and a vCPU that was told of a write at its last quiescent point must
 * not enter an older one.
 */

#include "box.h"

#define VCPUS   4u
#define T_PAGES 4u
#define T_SPOTS 8u

struct shared {
    struct box box;
    uint64_t version[T_PAGES]; /* atomic */
    uint64_t told[T_PAGES];    /* atomic: versions that gn_tcache_written returned for */
    uint32_t rounds;
};

struct thread {
    struct shared *shared;
    uint32_t vcpu;
    uint64_t rng, entered;
    uint64_t seen[T_PAGES];
};

static uint64_t spot(struct thread *t)
{
    const uint64_t r = gn_test_random(&t->rng);

    return (r >> 8) % T_PAGES * GN_PAGE_SIZE + (r >> 32) % T_SPOTS * 64;
}

static void quiesce(struct thread *t)
{
    uint32_t i;

    for (i = 0; i < T_PAGES; i++)
        t->seen[i] = __atomic_load_n(&t->shared->told[i], __ATOMIC_ACQUIRE);
    assert_int_equal(gn_tcache_quiesce(t->shared->box.tc, t->vcpu), 0);
}

/* Code: version, pc, then a guarded exit. */
static int translate(struct thread *t, uint64_t pc, struct gn_tcache_block *ret_block)
{
    struct gn_tcache *tc = t->shared->box.tc;
    const struct gn_tcache_key key = {{pc}, {pc}, 0, 0};
    const struct gn_tcache_exit exit = {
        .target = {spot(t)}, .jump = 16, .guard = 24, .stub = 16, .flags = GN_TCACHE_EXIT_GUARDED};
    const struct gn_tcache_code code = {
        GN_TCACHE_CODE_INIT, .code_size = 40, .guest_first = (uint32_t)(pc & GN_PAGE_MASK),
        .guest_size = 64,    .exit_count = 1, .exits = &exit};
    struct gn_tcache_room room;
    uint64_t *words;

    if (gn_tcache_block_begin(tc, t->vcpu, &key, &room))
        return -1;
    words = (uint64_t *)(void *)room.code;
    words[0] = __atomic_load_n(&t->shared->version[pc >> GN_PAGE_SHIFT], __ATOMIC_ACQUIRE);
    words[1] = pc;
    words[2] = room.exec + 16;
    words[3] = GN_TCACHE_ID_NONE;
    words[4] = (uint64_t)room.exit_first << 32;
    return gn_tcache_block_commit(tc, t->vcpu, &code, ret_block) ? -1 : 0;
}

static uint64_t find(struct thread *t, const struct gn_tcache_view *view, uint64_t pc,
                     gn_tcache_handle_t exit)
{
    struct gn_tcache *tc = t->shared->box.tc;
    uint64_t entry = exit ? 0 : gn_tcache_probe(view, gn_gva(pc));
    struct gn_tcache_block block;
    int r;

    if (entry)
        return entry;
    r = gn_tcache_lookup(tc, t->vcpu, gn_gva(pc), &block);
    if (r == GN_TCACHE_UNMAPPED) {
        assert_int_equal(gn_tcache_view_map(tc, t->vcpu, gn_gva(pc), gn_gpa(pc)), 0);
        r = gn_tcache_lookup(tc, t->vcpu, gn_gva(pc), &block);
    }
    if (r != GN_TCACHE_FOUND && translate(t, pc, &block))
        return 0;
    if (exit) {
        r = gn_tcache_exit_link(tc, t->vcpu, exit, block.handle);
        assert_true(r == 0 || r == 1 || r == -GN_ERR_INVAL);
    }
    return block.entry;
}

/* Runs along links. @return the exit it left through */
static uint32_t execute(struct thread *t, const struct gn_tcache_view *view, uint64_t entry,
                        uint64_t pc)
{
    uint32_t steps = 8;

    for (;;) {
        uint64_t *words = (uint64_t *)(uintptr_t)entry;
        uint64_t jump;

        if (pc != UINT64_MAX)
            assert_int_equal(words[1], pc);
        assert_true(words[0] >= t->seen[words[1] >> GN_PAGE_SHIFT]);
        t->entered++;
        pc = UINT64_MAX; /* a link's target is not known here */
        jump = __atomic_load_n(&words[2], __ATOMIC_RELAXED);
        if (!steps-- || jump == entry + 16)
            return (uint32_t)(words[4] >> 32);
        (void)view;
        entry = jump;
    }
}

static void write_page(struct thread *t)
{
    struct shared *s = t->shared;
    const uint64_t page = gn_test_random(&t->rng) % T_PAGES;
    const uint64_t version = __atomic_add_fetch(&s->version[page], 1, __ATOMIC_ACQ_REL);
    uint64_t told = __atomic_load_n(&s->told[page], __ATOMIC_RELAXED);

    assert_true(gn_tcache_written(s->box.tc, gn_gpa(page << GN_PAGE_SHIFT), GN_PAGE_SIZE) >= 0);
    while (told < version && !__atomic_compare_exchange_n(&s->told[page], &told, version, 0,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        continue;
}

static void *vcpu_run(void *arg)
{
    struct thread *t = arg;
    const struct gn_tcache_view *view;
    gn_tcache_handle_t exit = 0;
    uint32_t i;

    for (i = 0; i < t->shared->rounds; i++) {
        const uint64_t pc = spot(t);
        uint64_t entry;

        quiesce(t);
        assert_int_equal(gn_tcache_view_load(t->shared->box.tc, t->vcpu, i / 64 % 3, 0, &view), 0);
        entry = find(t, view, pc, exit);
        exit = 0;
        if (entry)
            exit = gn_tcache_exit_get(t->shared->box.tc, execute(t, view, entry, pc));
        if (gn_test_random(&t->rng) % 16 == 0)
            write_page(t);
        if (gn_test_random(&t->rng) % 64 == 0) {
            exit = 0;
            assert_int_equal(gn_tcache_offline(t->shared->box.tc, t->vcpu), 0);
            assert_int_equal(gn_tcache_online(t->shared->box.tc, t->vcpu), 0);
        }
    }
    assert_int_equal(gn_tcache_offline(t->shared->box.tc, t->vcpu), 0);
    return NULL;
}

static void vcpus_share_a_cache(void **state)
{
    const char *rounds = getenv("GN_TEST_ROUNDS");
    struct shared *s = calloc(1, sizeof *s);
    struct thread t[VCPUS];
    pthread_t threads[VCPUS];
    const uint64_t seed = gn_test_seed();
    uint64_t entered = 0;
    uint32_t i;

    (void)state;
    assert_non_null(s);
    s->rounds = rounds ? (uint32_t)strtoul(rounds, NULL, 0) : 20000;
    box_make(&s->box, 0x4000, VCPUS, 16);
    for (i = 0; i < VCPUS; i++) {
        t[i] = (struct thread){.shared = s, .vcpu = i, .rng = seed * (i + 1) | 1};
        assert_int_equal(pthread_create(&threads[i], NULL, vcpu_run, &t[i]), 0);
    }
    for (i = 0; i < VCPUS; i++) {
        pthread_join(threads[i], NULL);
        entered += t[i].entered;
    }
    assert_true(entered > 0);
    box_end(&s->box);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vcpus_share_a_cache),
    };

    return cmocka_run_group_tests_name("tcache_threads", tests, NULL, NULL);
}
