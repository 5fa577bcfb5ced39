/* SPDX-License-Identifier: BSD-3-Clause */

/* No write is unknown after a drain: against a naive model, and beside a producer that runs. */

#include <gnomon/tracelog_inline.h>

#include <pthread.h>
#include <sched.h>

#include "make.h"

/* ---- long runs against a naive model ---------------------------------------------------- */

#define MODEL_PAGES 8
#define MODEL_WORDS (MODEL_PAGES * 512)

/* Guest memory and what the consumer knows of it. */
struct model {
    struct gn_tracelog *log;
    uint64_t memory[MODEL_WORDS + 1];
    uint64_t known[MODEL_WORDS + 1];
    uint64_t when[MODEL_WORDS + 1]; /* number of the write that was last */
    uint64_t writes;
};

static void model_apply(struct model *m, const struct gn_tracelog_item *item)
{
    uint64_t from = item->gpa.v / 8, to = (item->gpa.v + item->bytes + 7) / 8, i;

    if (item->kind == GN_TRACELOG_ALL) {
        from = 0;
        to = MODEL_WORDS;
    }
    assert_true(to <= MODEL_WORDS);
    for (i = from; i < to; i++)
        m->known[i] = m->memory[i];
}

static void model_write(struct model *m, uint64_t *rng)
{
    /* A few hot words, so that duplicates and full rings are common. */
    const uint64_t r = gn_test_random(rng);
    const uint64_t i = r & 1 ? r / 2 % 32 * 129 % (MODEL_WORDS - 1) : r / 2 % (MODEL_WORDS - 1);
    const uint32_t vcpu = (r >> 40) % 3;

    m->memory[i] = m->when[i] = ++m->writes;
    if (r >> 45 & 1) { /* a write of two words, across pages at times */
        m->memory[i + 1] = m->when[i + 1] = m->writes;
        gn_tracelog_append(m->log, vcpu, gn_gpa(i * 8 + 4), 8);
    } else if ((r >> 46 & 15) == 0) {
        gn_tracelog_append_page(m->log, gn_gpa(i * 8));
    } else {
        gn_tracelog_append(m->log, vcpu, gn_gpa(i * 8), 8);
    }
}

/* What is unknown is pending, and what the last whole drain had to know is known. */
static void model_check(const struct model *m, uint64_t writes_at_begin, int ended)
{
    int differs = 0;
    uint64_t i;

    for (i = 0; i < MODEL_WORDS; i++) {
        if (m->known[i] == m->memory[i])
            continue;
        differs = 1;
        assert_true(gn_tracelog_pending(m->log, gn_gpa(i * 8)));
        if (ended)
            assert_true(m->when[i] > writes_at_begin);
    }
    if (differs)
        assert_false(gn_tracelog_empty(m->log));
}

static void model_drain(struct model *m, uint64_t *rng)
{
    const uint64_t writes_at_begin = m->writes;
    const uint64_t manner = gn_test_random(rng) % 16;
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;
    uint64_t steps = 0;
    int r;

    gn_tracelog_drain_begin(m->log, &d);
    for (;;) {
        r = manner == 1 && steps == 3 ? gn_tracelog_drain_rest(m->log, &d, &item)
                                      : gn_tracelog_drain_next(m->log, &d, &item);
        if (r != 1)
            break;
        steps++;
        /* Bounded: three rings of 16, every page, the everything flag. */
        assert_true(steps <= 3 * 16 + MODEL_PAGES + 1);
        if (gn_test_random(rng) % 4 == 0)
            model_write(m, rng);
        if (gn_test_random(rng) % 32 == 0)
            model_check(m, 0, 0); /* with an item in hand that the shadow does not show */
        if (manner == 0 && steps == 5)
            return; /* abandoned, the item not applied */
        model_apply(m, &item);
        if (gn_test_random(rng) % 4 == 0)
            model_write(m, rng);
        if (manner == 2 && steps == 4) {
            gn_tracelog_drain_end(m->log, &d);
            return;
        }
    }
    assert_int_equal(r, 0);
    model_check(m, writes_at_begin, 1);
}

static void no_write_that_completed_before_a_drain_began_is_unknown_after_it(void **state)
{
    static struct model m;
    uint64_t rng = gn_test_seed();
    const uint64_t counts[] = {MODEL_PAGES, MODEL_PAGES / 2, 0};
    int i, k;

    (void)state;
    for (k = 0; k < 6; k++) {
        memset(&m, 0, sizeof m);
        m.log = make((struct gn_tracelog_params){
            GN_TRACELOG_PARAMS_INIT, .vcpus = 3, .ring_entries = 16, .filter_entries = 8,
            .pending_entries = 4, .flags = k < 3 ? 0 : GN_TRACELOG_SERIAL,
            .page_count = counts[k % 3]});
        for (i = 0; i < 4000; i++) {
            uint64_t n = gn_test_random(&rng) % 40;

            while (n--)
                model_write(&m, &rng);
            if (i % 8 == 0)
                model_check(&m, 0, 0);
            model_drain(&m, &rng);
        }
        destroy(m.log);
    }
}

/* ---- a producer and a consumer at the same time ----------------------------------------- */

#define RACE_WORDS 4

struct race {
    struct gn_tracelog *log;
    uint64_t memory[64 * RACE_WORDS]; /* one word a cache line and page class */
    uint64_t known[64 * RACE_WORDS];
    uint64_t burst; /* bursts that the producer completed */
    uint64_t seen;  /* bursts that the consumer checked */
    uint64_t last;  /* the consumer: no burst after this one */
    uint64_t lost;
};

static uint64_t race_gpa(uint64_t word)
{
    return word * 4096 + word * 8;
}

static void *race_producer(void *arg)
{
    struct race *race = arg;
    uint64_t rng = 88172645463325252u, value = 0, n, w;

    for (n = 1; n <= __atomic_load_n(&race->last, __ATOMIC_ACQUIRE); n++) {
        uint64_t left = gn_test_random(&rng) % 12 + 1;

        while (left--) {
            w = gn_test_random(&rng) % RACE_WORDS;
            /* Relaxed: the log alone orders it before the consumer's reading. */
            __atomic_store_n(&race->memory[w * 64], ++value, __ATOMIC_RELAXED);
            gn_tracelog_append_inline(race->log, 0, gn_gpa(race_gpa(w)), 8);
        }
        __atomic_store_n(&race->burst, n, __ATOMIC_RELEASE);
        while (__atomic_load_n(&race->seen, __ATOMIC_ACQUIRE) < n)
            sched_yield();
    }
    return NULL;
}

static void race_drain(struct race *race)
{
    struct gn_tracelog_drain d;
    struct gn_tracelog_item item;
    uint64_t w;

    gn_tracelog_drain_begin(race->log, &d);
    while (gn_tracelog_drain_next(race->log, &d, &item) == 1)
        for (w = 0; w < RACE_WORDS; w++)
            if (item.kind == GN_TRACELOG_ALL ||
                item.gpa.v >> GN_PAGE_SHIFT == race_gpa(w) >> GN_PAGE_SHIFT)
                race->known[w * 64] = __atomic_load_n(&race->memory[w * 64], __ATOMIC_RELAXED);
}

static void race_run(struct gn_tracelog_params params, uint64_t bursts)
{
    static struct race race;
    const time_t until = time(NULL) + 2;
    pthread_t producer;
    uint64_t burst, w;

    memset(&race, 0, sizeof race);
    race.log = make(params);
    race.last = bursts;
    assert_int_equal(pthread_create(&producer, NULL, race_producer, &race), 0);
    do {
        burst = __atomic_load_n(&race.burst, __ATOMIC_ACQUIRE);
        race_drain(&race);
        if (burst > race.seen) {
            /* All writes of the burst completed before this drain began, and no other did. */
            for (w = 0; w < RACE_WORDS; w++)
                race.lost +=
                    race.known[w * 64] != __atomic_load_n(&race.memory[w * 64], __ATOMIC_RELAXED);
            /* A machine that is busy elsewhere makes each burst a wait for the scheduler. */
            if (time(NULL) > until)
                __atomic_store_n(&race.last, burst, __ATOMIC_RELEASE);
            __atomic_store_n(&race.seen, burst, __ATOMIC_RELEASE);
        }
    } while (burst < race.last);
    assert_int_equal(pthread_join(producer, NULL), 0);
    assert_int_equal(race.lost, 0);
    assert_true(gn_tracelog_empty(race.log));
    destroy(race.log);
}

static uint64_t race_bursts(void)
{
    const char *given = getenv("GN_TEST_BURSTS");

    return given ? strtoull(given, NULL, 0) : 150000;
}

static void no_write_is_lost_while_a_drain_runs_beside_the_producer(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .page_count = 16}, race_bursts());
}

static void no_write_is_lost_while_rings_overflow_beside_a_drain(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .ring_entries = 2,
                                         .page_count = 16, .flags = GN_TRACELOG_NO_FILTER},
             race_bursts());
}

static void no_write_is_lost_while_everything_overflows_beside_a_drain(void **state)
{
    (void)state;
    race_run((struct gn_tracelog_params){GN_TRACELOG_PARAMS_INIT, .ring_entries = 2},
             race_bursts());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_write_that_completed_before_a_drain_began_is_unknown_after_it),
        cmocka_unit_test(no_write_is_lost_while_a_drain_runs_beside_the_producer),
        cmocka_unit_test(no_write_is_lost_while_rings_overflow_beside_a_drain),
        cmocka_unit_test(no_write_is_lost_while_everything_overflows_beside_a_drain),
    };

    return cmocka_run_group_tests_name("tracelog_model", tests, NULL, NULL);
}
