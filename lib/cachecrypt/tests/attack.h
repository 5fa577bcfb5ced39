/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTACK_H
#define ATTACK_H

/* A world to attack, and what has to be true after an attack on it. */
#include "world.h"

#define PAGES 600u /* three levels */
#define BYTES 256u

static struct world w;
static struct land land;

static inline void begin(void)
{
    world_plan(&w, 4, BYTES);
    world_begin(&w);
    land_add(&w, &land, PAGES, BYTES);
}

static inline void end(void)
{
    land_remove(&w, &land);
    world_end(&w);
}

/** Pages 1 to 40 hold their number, page 599 too; all is in the store. */
static inline void furnish(void)
{
    for (uint8_t page = 1; page <= 40; page++)
        put_page(&w, &land, page, page);
    put_page(&w, &land, PAGES - 1, 99);
    put_away(&w, &land);
}

/** The region is dead: no call gets anything of it, nothing of it is in a frame. */
static inline void want_dead(void)
{
    struct gn_cachecrypt_view view;
    struct gn_cachecrypt_span span;
    uint8_t byte = 0x77;
    void *at = NULL;

    assert_int_equal(land_info(&w, &land).state, GN_CACHECRYPT_STATE_POISONED);
    assert_int_equal(gn_cachecrypt_read(w.cc, land.region, 0, &byte, 1), -GN_ERR_BADMSG);
    assert_int_equal(byte, 0x77);
    assert_int_equal(gn_cachecrypt_write(w.cc, land.region, 0, &byte, 1), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_pin(w.cc, land.region, 0, 1, 0, &span), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_touch(w.cc, land.region, 0, 0, &at), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_flush(w.cc, land.region), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_evict(w.cc, land.region, 0, 1), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_discard(w.cc, land.region, 0, BYTES), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_rekey(w.cc, land.region), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_rekey_step(w.cc, land.region, 1, NULL), -GN_ERR_BADMSG);
    assert_int_equal(gn_cachecrypt_view_get(w.cc, land.region, &view), -GN_ERR_BADMSG);
    assert_int_equal(land_info(&w, &land).resident, 0);
    for (size_t i = 0; i < (size_t)w.cc->frame_count * w.cc->frame_bytes; i++)
        assert_int_equal(w.cc->frames[i], 0);
    assert_int_equal(world_stats(&w).auth_failures, 1);
}

/** Looks at a page after an attack on it: refused, and the end of the region. */
static inline void want_detected(uint64_t page)
{
    assert_int_equal(look(&w, &land, page), -GN_ERR_BADMSG);
    want_dead();
}

static inline void swap(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t kept = a[i];

        a[i] = b[i];
        b[i] = kept;
    }
}

#endif /* ATTACK_H */
