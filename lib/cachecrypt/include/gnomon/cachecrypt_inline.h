/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_CACHECRYPT_INLINE_H
#define GN_CACHECRYPT_INLINE_H

/*
 * gnomon/cachecrypt_inline.h - a page that is in the pool, found without a call. Outside the ABI:
 * it changes with the library, compile against the version you link.
 *
 * The pool has a small table of its resident pages, two to a bucket; what does not find its place
 * there is found by the calls. An entry is one word, so a hit is a load, two compares and an add.
 *
 * The pointer that a hit gives is good until the next call on the object that is not a hit: any
 * such call may evict the page. One thread at a time works on an object this way; several use
 * gn_cachecrypt_read, _write and _pin, which take the lock.
 */

#include <gnomon/cachecrypt.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * An entry of the table:
 *   63..24: region << 32 | page      23: 1      22..0: frame
 */
#define GN_CACHECRYPT_ENTRY_SHIFT 23
#define GN_CACHECRYPT_ENTRY_FRAME (((uint64_t)1 << GN_CACHECRYPT_ENTRY_SHIFT) - 1)

/** What a hit needs of a region. The library's own: read it through gn_cachecrypt_hit(). */
struct gn_cachecrypt_view {
    uint64_t *table; /**< buckets of two entries */
    uint64_t mask;   /**< buckets - 1 */
    uint64_t key;    /**< region << 32 */
    uint8_t *frames; /**< the first frame */
    uint8_t *flags;  /**< two bytes a frame: referenced, dirty */
    uint32_t page_shift;
    uint32_t frame_shift;
    uint32_t fold; /**< bits of the bucket number */
    uint32_t reserved;
    uint64_t salt; /**< of the region */
};

/** The salt of a region. */
static inline uint64_t gn_cachecrypt_salt(uint64_t region)
{
    return region << 3;
}

/**
 * The view of a region.
 *
 * @param cc        the object
 * @param region    the region
 * @param ret_view  good as long as the region
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument
 *  - -GN_ERR_NOENT: no such region
 *
 * Context: any; O(1). Thread-safety: as gn_cachecrypt_read.
 */
GN_API GN_NODISCARD int gn_cachecrypt_view_get(struct gn_cachecrypt *cc, uint32_t region,
                                               struct gn_cachecrypt_view *ret_view);

/** The bucket of a page. The salt moves pages of equal number in two regions apart. */
static inline uint64_t *gn_cachecrypt_bucket(const struct gn_cachecrypt_view *view, uint64_t page)
{
    return view->table + 2 * ((page ^ page >> view->fold ^ view->salt) & view->mask);
}

/**
 * The plaintext of a byte whose page is in the pool.
 *
 * @param view    of the region
 * @param offset  in bytes, any value
 * @param write   1: it will be written
 * @return where it is, good to the end of its page, or NULL: call gn_cachecrypt_read, _write, _pin
 *         or gn_cachecrypt_touch
 *
 * Context: any; O(1). Thread-safety: none: no other call on the object may run, until the pointer
 * is used no longer.
 */
static inline void *gn_cachecrypt_hit(const struct gn_cachecrypt_view *view, uint64_t offset,
                                      int write)
{
    const uint64_t page = offset >> view->page_shift;
    const uint64_t key = view->key | page;
    const uint64_t *bucket = gn_cachecrypt_bucket(view, page);
    const uint64_t want = key << 1 | 1;
    const uint64_t first = bucket[0], second = bucket[1];
    const uint64_t entry = second >> GN_CACHECRYPT_ENTRY_SHIFT == want ? second : first;
    const uint64_t frame = entry & GN_CACHECRYPT_ENTRY_FRAME;

    if (entry >> GN_CACHECRYPT_ENTRY_SHIFT != want || page >> 32)
        return NULL;
    view->flags[2 * frame] = 1;
    if (write)
        view->flags[2 * frame + 1] = 1;
    return view->frames + (frame << view->frame_shift) +
           (offset & (((uint64_t)1 << view->page_shift) - 1));
}

/**
 * gn_cachecrypt_hit, and where that misses, the call that brings the page in.
 *
 * @param cc      the object
 * @param region  the region, whose view it is
 * @param view    the view
 * @param offset  in bytes
 * @param access  GN_ACCESS_READ or GN_ACCESS_WRITE
 * @param ret_at  where the byte is, good to the end of its page, until the next call that misses
 * @return as gn_cachecrypt_read
 *
 * Context and thread-safety: of gn_cachecrypt_hit and gn_cachecrypt_touch.
 */
GN_API GN_NODISCARD int gn_cachecrypt_touch(struct gn_cachecrypt *cc, uint32_t region,
                                            uint64_t offset, uint32_t access, void **ret_at);

GN_NODISCARD static inline int gn_cachecrypt_at(struct gn_cachecrypt *cc, uint32_t region,
                                                const struct gn_cachecrypt_view *view,
                                                uint64_t offset, uint32_t access, void **ret_at)
{
    void *at = gn_cachecrypt_hit(view, offset, access == GN_ACCESS_WRITE);

    if (!at)
        return gn_cachecrypt_touch(cc, region, offset, access, ret_at);
    *ret_at = at;
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif /* GN_CACHECRYPT_INLINE_H */
