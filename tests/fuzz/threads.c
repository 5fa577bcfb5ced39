/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/*
 *      fuzz-threads [--seed N] [--worlds N]
 *
 * The fuzzer's machine with a thread for each vCPU: accesses, stores to tables, flushes, switches,
 * devices, revocations, all at once. Nobody judges what a vCPU sees meanwhile (lib/shadow's
 * test_shadow_threads does, for tables that it understands): what must hold under any interleaving
 * is that calls end, answer what they may, and leave no trace. So when all threads have ended, all
 * flush, and from then on the machine must be what the guest's tables say: the audit, every cached
 * translation, every address that some vCPU reached, and operations of the fuzzer, one by one, as
 * it judges them. Then the threads go on in the same world.
 *
 * The seed decides what is done, and the scheduler when.
 */

#define WORLDS     40u
#define ROUNDS     3u
#define OPERATIONS 300u /* of a thread in a round */
#define ORDINARY   60u  /* operations between rounds */
#define REACHED    48u
#define TRIES      200u
#define RUN        24u

struct worker {
    struct world *w;
    struct vcpu *v;
    struct dice d;
    uint64_t reached[REACHED]; /* addresses at which accesses succeeded */
    uint32_t next;
    uint64_t done, gave_up;
};

static uint64_t world_seed;

_Noreturn void fail(const char *format, ...)
{
    va_list args;

    printf("FAILED in the world of seed %#" PRIx64 ": ", world_seed);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(1);
}

/* ---- What a thread does --------------------------------------------------------------------- */

/* @return 1: it is to be called again */
static int goes_on(struct world *w, int rc, uint32_t *calls, const char *what)
{
    if (rc && (rc != -GN_ERR_AGAIN || !w->c.steps))
        fail("%s: %s", what, gn_base_status_name(rc));
    if (rc && ++*calls > CALLS_MAX)
        fail("%s: it comes to no end", what);
    return rc != 0;
}

static void sync_range(struct world *w, uint64_t gpa, uint64_t length)
{
    gn_gpa_t at = gn_gpa(gpa);
    uint32_t calls = 0;

    while (goes_on(w, gn_shadow_sync_part(w->shadow, &at, &length), &calls, "a sync"))
        ;
}

static void forget(struct world *w, uint32_t root)
{
    uint32_t calls = 0;

    while (goes_on(w, gn_shadow_flush(w->shadow, root), &calls, "a flush of the shadow"))
        ;
}

/* A flush ends when all is synced that it must see: what another thread has taken, too. */
static void drain(struct world *w)
{
    struct gn_tracelog_drain drain;
    struct gn_tracelog_item item;

    locks_drain(w, 1);
    gn_tracelog_drain_begin(w->log, &drain);
    for (int rc; (rc = gn_tracelog_drain_next(w->log, &drain, &item)) != 0;) {
        if (rc < 0)
            fail("a drain: %s", gn_base_status_name(rc));
        if (item.kind != GN_TRACELOG_ALL)
            sync_range(w, item.gpa.v, item.bytes);
        else
            forget(w, GN_SHADOW_ROOT_ANY);
    }
    locks_drain(w, 0);
}

/* An entry in one piece, as processors write it. */
static void put(const struct world *w, void *host, uint64_t value)
{
    if (w->bytes == 8)
        __atomic_store_n((uint64_t *)host, value, __ATOMIC_RELEASE);
    else
        __atomic_store_n((uint32_t *)host, (uint32_t)value, __ATOMIC_RELEASE);
}

/* The MMU's part, in which nobody invalidates. @return 1: it has the answer, and has stored */
static int run(struct worker *t, uint64_t gva, uint32_t access, const uint64_t *value,
               struct result *r)
{
    struct world *w = t->w;
    uint32_t n = t->v->number;
    int done;

    mmu_enter(w, n);
    context_load(w, t->v, (access & GN_PAGING_AS_USER) != 0, (access & GN_PAGING_IMPLICIT) != 0);
    done =
        mmu_access(w, t->v, gva, access & GN_PAGING_ACCESS_KIND, value ? (uint32_t)w->bytes : 1, r);
    if (done && r->outcome == GN_SHADOW_FILLED && value &&
        !memory_protected(w, r->gpa, (uint32_t)w->bytes)) {
        put(w, r->host, *value);
        if (r->traced)
            gn_softmmu_written(w->mmu[n], 0, r->hpa, (uint32_t)w->bytes);
    }
    mmu_leave(w, n);
    return done;
}

/* The MMU could not. @return 1: try again */
static int ask(struct worker *t, uint64_t gva, uint32_t access, struct gn_shadow_answer *ret)
{
    const struct vcpu *v = t->v;
    const struct gn_shadow_access a = {GN_SHADOW_ACCESS_INIT,   .root = v->root.id,
                                       .gva = gn_gva(gva),      .access = access,
                                       .controls = v->controls, .vcpu = v->number};
    int rc = gn_shadow_fault(t->w->shadow, &a, ret);

    if (rc == -GN_ERR_AGAIN)
        return 1;
    /* Others may have what tables there are. */
    if (rc && rc != -GN_ERR_NOMEM)
        fail("a fault: %s", gn_base_status_name(rc));
    if (rc)
        ret->outcome = NO_ROOM;
    return ret->outcome == GN_SHADOW_FILLED;
}

/* An access, or the store of an entry. Others may take away what it needs, again and again. */
static void access_try(struct worker *t, uint64_t gva, uint32_t access, const uint64_t *value)
{
    struct world *w = t->w;
    struct gn_shadow_answer answer;
    struct result r = {0};

    for (uint32_t tries = 0; tries < TRIES; tries++) {
        if (run(t, gva, access, value, &r)) {
            if (r.outcome == GN_SHADOW_FILLED)
                t->reached[t->next++ % REACHED] = gva;
            t->done += r.outcome == GN_SHADOW_FILLED;
            return;
        }
        if (ask(t, gva, access, &answer))
            continue;
        if (value && (answer.outcome == GN_SHADOW_TRAPPED || answer.outcome == GN_SHADOW_EMULATE)) {
            if (!memory_protected(w, answer.gpa.v, (uint32_t)w->bytes))
                put(w, w->memory + w->ram_hpa + answer.gpa.v, *value);
            sync_range(w, answer.gpa.v, (uint32_t)w->bytes);
        }
        return;
    }
    t->gave_up++;
}

static uint64_t somewhere(struct worker *t)
{
    return dice_below(&t->d, 3) ? t->reached[dice_below(&t->d, REACHED)] ^ dice_below(&t->d, 4096)
                                : gva_any(t->w, &t->d);
}

static void do_access(struct worker *t)
{
    uint32_t kind = dice_below(&t->d, GN_ACCESS_KINDS);
    uint32_t user = dice_below(&t->d, 2) ? GN_PAGING_AS_USER : 0;
    uint64_t gva =
        dice_below(&t->d, 12) ? somewhere(t) : linear_of(t->w, t->v->number, page_any(&t->d));

    access_try(t, gva, kind | user, NULL);
}

/* One entry, or a run of them. */
static void do_store(struct worker *t)
{
    struct world *w = t->w;
    uint32_t bytes = (uint32_t)w->bytes;
    uint64_t place = edit_place(w, &t->d);
    uint32_t count = dice_below(&t->d, 8) ? 1 : 1 + dice_below(&t->d, RUN);

    for (uint32_t i = 0; i < count; i++, place += bytes) {
        uint64_t value = entry_any(w, &t->d, place);

        access_try(t, linear_of(w, t->v->number, place), GN_ACCESS_WRITE, &value);
    }
}

static void do_device(struct worker *t)
{
    struct world *w = t->w;
    uint32_t bytes = (uint32_t)w->bytes;
    uint64_t place = edit_place(w, &t->d);
    const struct gn_shadow_slot *s = slot_at(w, place);

    if (!s || s->kind == GN_SHADOW_SLOT_MMIO || memory_protected(w, place, bytes))
        return;
    put(w, w->memory + w->ram_hpa + place, entry_any(w, &t->d, place));
    if (dice_below(&t->d, 2))
        gn_tracelog_append_range(w->log, gn_gpa(place), bytes);
    else
        sync_range(w, place, bytes);
}

static void do_flush(struct worker *t)
{
    struct world *w = t->w;
    uint32_t root = dice_below(&t->d, 4) ? t->v->root.id : GN_SHADOW_ROOT_ANY;
    gn_gva_t gva = gn_gva(somewhere(t));
    int page = dice_below(&t->d, 2) != 0;
    uint32_t calls = 0;

    drain(w);
    while (goes_on(w,
                   page ? gn_shadow_coherence_page(w->shadow, root, gva)
                        : gn_shadow_coherence_root(w->shadow, root),
                   &calls, "a coherence point"))
        ;
}

/* Another address space, or this one under other controls; it may take over what it shares. */
static void do_switch(struct worker *t, uint32_t space, uint32_t controls)
{
    struct world *w = t->w;
    const struct gn_shadow_root_key key = world_key(w, space, controls);
    uint32_t from = t->v->root.id;
    struct gn_shadow_root root;
    uint32_t calls = 0;
    int rc;

    while ((rc = gn_shadow_root_get(w->shadow, &key, &root)) == -GN_ERR_AGAIN)
        (void)goes_on(w, rc, &calls, "a root");
    if (rc == -GN_ERR_NOSPC || rc == -GN_ERR_NOMEM)
        return;
    if (rc)
        fail("a root: %s", gn_base_status_name(rc));
    __atomic_store_n(&w->cookies[root.id], root.cookie, __ATOMIC_RELAXED);
    __atomic_store_n(&w->root_space[root.id], space, __ATOMIC_RELAXED);
    if (dice_below(&t->d, 2) && gn_shadow_root_adopt(w->shadow, root.id, from, NULL))
        fail("a root was not held");
    world_load(w, t->v->number, &root, space, controls);
}

static void do_rare(struct worker *t)
{
    struct world *w = t->w;
    uint64_t gpa = page_any(&t->d);
    uint32_t calls = 0;

    switch (dice_below(&t->d, 8)) {
    case 0:
        while (goes_on(w, gn_shadow_revoke(w->shadow, gn_gpa(gpa), GN_PAGE_SIZE), &calls,
                       "a revocation"))
            ;
        break;
    case 1: forget(w, dice_below(&t->d, 4) ? t->v->root.id : GN_SHADOW_ROOT_ANY); break;
    case 2:
    case 3: do_device(t); break;
    case 4: do_switch(t, t->v->space, t->v->controls ^ control_any(w, &t->d)); break;
    default: do_switch(t, dice_below(&t->d, ORDERLY), t->v->controls); break;
    }
}

static void *worker_main(void *arg)
{
    struct worker *t = arg;

    for (uint32_t i = 0; i < OPERATIONS; i++) {
        uint32_t what = dice_below(&t->d, 128);

        if (what < 80)
            do_access(t);
        else if (what < 112)
            do_store(t);
        else if (what < 120)
            do_flush(t);
        else
            do_rare(t);
    }
    return NULL;
}

/* ---- What all stand still for -----------------------------------------------------------------
 */

static void round_run(struct world *w, struct worker *workers)
{
    pthread_t thread[VCPUS];

    /* A dirty log would be judged by who writes first. */
    for (uint32_t i = 0; i < SLOTS; i++)
        if (w->logging[i])
            dirty_toggle(w, i);
    w->running = 1;
    for (uint32_t i = 0; i < VCPUS; i++)
        if (pthread_create(&thread[i], NULL, worker_main, &workers[i]))
            fail("no thread is to be had");
    for (uint32_t i = 0; i < VCPUS; i++)
        pthread_join(thread[i], NULL);
    w->running = 0;
}

/* Everything equals the model: what was reached, and what comes next. */
static void round_judge(struct world *w, const struct worker *workers, struct dice *d)
{
    struct op op = {.kind = OP_BARRIER};

    operate(w, &op);
    for (uint32_t i = 0; i < VCPUS * VCPUS * REACHED; i++) {
        op = (struct op){.kind = OP_ACCESS,
                         .vcpu = i % VCPUS,
                         .a = dice_below(d, 2) ? GN_ACCESS_READ : GN_PAGING_AS_USER,
                         .x = workers[i / VCPUS % VCPUS].reached[i / VCPUS / VCPUS]};
        operate(w, &op);
    }
    for (uint32_t i = 0; i < ORDINARY; i++) {
        generate(w, d, &op);
        operate(w, &op);
    }
    op = (struct op){.kind = OP_BARRIER};
    operate(w, &op);
}

static void world_run(uint64_t seed, struct worker *ret_sum)
{
    static struct world world;
    struct worker workers[VCPUS];
    struct dice d = {seed ^ UINT64_C(0x7472656164)};

    world_seed = seed;
    world_open(&world, seed, 1);
    memset(workers, 0, sizeof workers);
    for (uint32_t i = 0; i < VCPUS; i++)
        workers[i] = (struct worker){.w = &world, .v = &world.vcpu[i], .d = {dice_next(&d)}};
    for (uint32_t i = 0; i < ROUNDS; i++) {
        round_run(&world, workers);
        round_judge(&world, workers, &d);
    }
    for (uint32_t i = 0; i < VCPUS; i++) {
        ret_sum->done += workers[i].done;
        ret_sum->gave_up += workers[i].gave_up;
    }
    world_close(&world);
    world_free(&world);
}

int main(int argc, char **argv)
{
    uint64_t seed = 20261123;
    uint64_t worlds = WORLDS;
    struct worker sum = {0};

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (i + 1 < argc && strcmp(argv[i], "--worlds") == 0) {
            worlds = strtoull(argv[i + 1], NULL, 0);
        } else {
            fprintf(stderr, "usage: fuzz-threads [--seed N] [--worlds N]\n");
            return 2;
        }
    }
    printf("fuzz-threads: --seed %" PRIu64 " --worlds %" PRIu64 "\n", seed, worlds);
    fflush(stdout);
    for (uint64_t i = 0; i < worlds; i++) {
        struct dice d = {seed + i * UINT64_C(0x632be59bd9b4e019)};

        world_run(dice_next(&d), &sum);
    }
    printf("accesses done %" PRIu64 ", given up %" PRIu64 "\n", sum.done, sum.gave_up);
    return 0;
}
