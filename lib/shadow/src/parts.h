/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_SHADOW_PARTS_H
#define GN_SHADOW_PARTS_H

/* What each file of the library offers to the others. Included by shadow_internal.h alone. */

/* slot.c */

/** The slot that holds this address, or NULL. */
struct gn_shadow__slot *gn_shadow__slot_find(struct gn_shadow *sh, gn_gpa_t gpa);

/** Frame index of the page or region at a level that holds gpa; NO_FRAME outside RAM and ROM. */
uint32_t gn_shadow__frame(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level);

/** Where the chain of a frame begins. */
uint32_t *gn_shadow__frame_head(struct gn_shadow *sh, uint32_t frame);

/* Of the count of a page: the tables that stand for it, and whether it is watched. */
#define GN_SHADOW__TABLES_OF 0x7fffu
#define GN_SHADOW__WATCHED   0x8000u

/**
 * Level 0: how many shadow tables stand for the page at gpa, with GN_SHADOW__WATCHED; else how many
 * pages of the region have such a count. Not 0: writes are to be known.
 */
uint32_t gn_shadow__frame_tables(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level);

/**
 * A shadow table begins (+1) or ceases (-1) to stand for the page at gpa; or it begins or ceases to
 * be watched (+, -GN_SHADOW__WATCHED). @return the new count
 */
uint32_t gn_shadow__frame_count(struct gn_shadow *sh, gn_gpa_t gpa, int delta);

/** Backing of gpa, which lies in slot. */
static inline gn_hpa_t gn_shadow__hpa(const struct gn_shadow__slot *slot, gn_gpa_t gpa)
{
    return gn_hpa(slot->slot.hpa.v + (gpa.v - slot->slot.gpa.v));
}

/* dirty.c */

/** Is the page at gpa, in this logged slot, known to be dirty? */
int gn_shadow__dirty_test(const struct gn_shadow__slot *slot, gn_gpa_t gpa);

/** The page at gpa is being, or has been, written. Nothing if its slot has no log. */
void gn_shadow__dirty_mark(struct gn_shadow *sh, gn_gpa_t gpa);

/** Takes W, and the mark, from every leaf that maps this page alone; the MMU knows. */
void gn_shadow__page_protect(struct gn_shadow *sh, gn_gpa_t page);

/* walk.c */

/**
 * gn_paging_walk() that reports the A and D bits it sets to the dirty log. -GN_ERR_AGAIN, too, if
 * one of them has changed what a PDPTE says; LATER if it would, and the call is not alone.
 */
int gn_shadow__walk(struct gn_shadow *sh, const struct gn_paging_context *context, gn_gva_t gva,
                    uint32_t access, struct gn_paging_walk *ret_walk);

/* part.c */

/** Writes to a page are to be known from now on: its leaves are to be seen to. */
void gn_shadow__shut_begin(struct gn_shadow *sh, gn_gpa_t page);

/** Goes on with that. @return 0: all is done, or -GN_ERR_AGAIN */
int gn_shadow__shut_run(struct gn_shadow *sh, gn_gpa_t page);

/** Is that begun and not done, for a page of the region at a level that holds gpa? */
int gn_shadow__shutting(const struct gn_shadow *sh, gn_gpa_t gpa, uint32_t level);

/** Nobody needs to know of the writes to a page any more. */
void gn_shadow__shut_end(struct gn_shadow *sh, gn_gpa_t page);

/** An entry leaves its chain: whoever is about to look at it looks at the next. */
void gn_shadow__shut_skip(struct gn_shadow *sh, uint32_t id);

/**
 * The table of a role, found or made, and ready to be led to. Needs a spare table.
 * @return 0 or -GN_ERR_AGAIN
 */
int gn_shadow__table_ready(struct gn_shadow *sh, const struct gn_shadow__role *role,
                           uint32_t *ret_table);

/** Something leads to a table now. */
void gn_shadow__loose_end(struct gn_shadow *sh, uint32_t table);

/** Nothing does. */
void gn_shadow__loose_begin(struct gn_shadow *sh, uint32_t table);

/** Frees all tables that nothing leads to. @return 0 or -GN_ERR_AGAIN */
int gn_shadow__loose_free(struct gn_shadow *sh);

/** Makes room by one table. @return 0, -GN_ERR_AGAIN, or -GN_ERR_NOMEM if all are held */
int gn_shadow__reclaim(struct gn_shadow *sh);

/* rmap.c */

/** Puts an entry at the front of the chain of a frame, or of a table (HEAD_TABLE | index). */
void gn_shadow__chain_add(struct gn_shadow *sh, uint32_t id, uint32_t head);

/** Takes an entry out of its chain. */
void gn_shadow__chain_remove(struct gn_shadow *sh, uint32_t id);

/* table.c */

/** Bucket of the tables that stand for a guest page. */
static inline uint32_t *gn_shadow__bucket(const struct gn_shadow *sh, uint32_t *buckets,
                                          uint64_t address)
{
    uint64_t page = address >> GN_PAGE_SHIFT;

    return &buckets[(page ^ page >> 10) & sh->bucket_mask];
}

/** Are they the same? */
int gn_shadow__role_equal(const struct gn_shadow__role *a, const struct gn_shadow__role *b);

/** The table of this role, or NIL. */
uint32_t gn_shadow__table_find(struct gn_shadow *sh, const struct gn_shadow__role *role);

/** Finds the table of this role or makes it. Needs a spare table: gn_shadow__reserve() before. */
uint32_t gn_shadow__table_get(struct gn_shadow *sh, const struct gn_shadow__role *role);

/** Makes sure that `count` tables can be made. @return 0, -GN_ERR_NOMEM or -GN_ERR_AGAIN */
int gn_shadow__reserve(struct gn_shadow *sh, uint32_t count);

/** The table that a present link leads to. */
uint32_t gn_shadow__link_table(struct gn_shadow *sh, uint64_t entry);

/** Kind of a shadow entry: GN_PAGING_ENTRY_ABSENT, _TABLE or _LEAF. */
uint32_t gn_shadow__kind(struct gn_shadow *sh, uint32_t level, uint64_t entry);

/** Writes an absent entry's marker, or 0. The entry must be absent. */
void gn_shadow__mark_absent(struct gn_shadow *sh, uint32_t id, uint64_t marker);

/** Makes an absent entry link to a table. */
void gn_shadow__link_set(struct gn_shadow *sh, uint32_t id, uint32_t child);

/** Makes an absent entry a leaf that maps the frame at gpa. */
void gn_shadow__leaf_set(struct gn_shadow *sh, uint32_t id, uint64_t entry, uint32_t frame);

/** Changes permissions or marks of a leaf in place; invalidates if it takes something away. */
void gn_shadow__leaf_update(struct gn_shadow *sh, uint32_t id, uint64_t entry);

/** Makes an entry absent, whatever it was; invalidates; frees a table that nobody links now. */
void gn_shadow__entry_drop(struct gn_shadow *sh, uint32_t id);

/** Takes a table out, as far as steps go: unlinks it, drops its entries. Not a held root's. */
void gn_shadow__table_drop(struct gn_shadow *sh, uint32_t table);

/** Makes an entry absent as entry_drop does. The MMU is not told: the caller did or will. */
void gn_shadow__entry_clear(struct gn_shadow *sh, uint32_t id);

/** Frees a table that nobody links and no root begins at, as far as steps go. */
void gn_shadow__table_release(struct gn_shadow *sh, uint32_t table);

/** A page's writes are to be known from here on: what maps it is protected or marked. */
void gn_shadow__page_track(struct gn_shadow *sh, gn_gpa_t page);

/** A page's writes need not be known any more: no leaf is marked. */
void gn_shadow__page_untrack(struct gn_shadow *sh, gn_gpa_t page, uint32_t frame);

/** A guest table begins to be shadowed: if its page was none before, its writes must be known. */
void gn_shadow__table_track(struct gn_shadow *sh, struct gn_shadow__table *table);

/** A guest table ceases to be shadowed, or its page to exist. */
void gn_shadow__table_untrack(struct gn_shadow *sh, struct gn_shadow__table *table);

/** Says why the entries around an absent one are absent, if they are. In sync.c. */
void gn_shadow__explain_around(struct gn_shadow *sh, uint32_t id);

/** See table.c: a leaf of a page whose writes are to be known. */
void gn_shadow__leaf_guard(struct gn_shadow *sh, gn_gpa_t page, uint32_t id);

/** Gives frames of spare tables back, but for `keep` of them. */
void gn_shadow__spare_trim(struct gn_shadow *sh, uint32_t keep);

/** The MMU must forget what this entry, which has or had this value (0: any), translated. */
void gn_shadow__invalidate(struct gn_shadow *sh, uint32_t id, uint64_t value);

/* sync.c */

/** The table that comes after `skip` others among those that stand for a page, or NIL. */
uint32_t gn_shadow__table_of_page(struct gn_shadow *sh, gn_gpa_t page, uint32_t skip);

/** Links a table at an entry that says nothing yet, if it is the guest's there. @return whether */
int gn_shadow__link_try(struct gn_shadow *sh, uint32_t id, uint64_t link);

/** Re-reads one guest entry, under its table's lock. @return GN_SHADOW__SYNC_... */
uint32_t gn_shadow__sync_entry(struct gn_shadow *sh, uint32_t id);

/* What the A or D that a walk sets in an entry does to others that lie there. */
#define GN_SHADOW__TOUCH_NOTHING 0
#define GN_SHADOW__TOUCH_MORE    1 /* there is a table in which that is another mapping */
#define GN_SHADOW__TOUCH_SPOILS  2 /* or is one no more */

/** Tells which, for an entry at gpa that was `before` and will be `after`. */
int gn_shadow__touch(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t bytes, uint64_t before,
                     uint64_t after);

/** Re-reads the entry at gpa for all its tables. The call is alone. */
void gn_shadow__sync_alone(struct gn_shadow *sh, gn_gpa_t gpa, uint32_t bytes);

/** Maps what an absent leaf-level entry should, if the guest's is ready to use, under its table's
 *  lock. @return did it */
int gn_shadow__sync_fill(struct gn_shadow *sh, uint32_t id);

/** gn_shadow_flush(), as far as steps go. @return 0 or -GN_ERR_AGAIN; the MMU knows either way */
int gn_shadow__flush(struct gn_shadow *sh, uint32_t root);

/* around.c */

/** Fills pages around that of a leaf-level entry that a fault has filled, under the lock of its
 *  table. Frees nothing. */
void gn_shadow__around(struct gn_shadow *sh, uint32_t id);

/* policy.c */

/**
 * The writes to an unsync page trap again, and its tables are re-read; or they are dropped, if that
 * takes too many steps. Nothing for other pages. @return 0 or -GN_ERR_AGAIN
 */
int gn_shadow__page_close(struct gn_shadow *sh, gn_gpa_t page);

/** How writes to a page become known, if tables lie there: TRAP, TRACED or UNSYNC. */
uint32_t gn_shadow__page_mode(struct gn_shadow *sh, gn_gpa_t gpa);

/** A new table, tracked and empty, takes the mode of its page, or changes it. Frees nothing. */
void gn_shadow__policy_join(struct gn_shadow *sh, uint32_t table);

/** The last table of a page leaves it. */
void gn_shadow__policy_leave(struct gn_shadow *sh, const struct gn_shadow__table *t);

/** A table has been linked: its new parent learns what is unsync below it. */
void gn_shadow__policy_linked(struct gn_shadow *sh, uint32_t id, uint32_t child);

/**
 * A root or a link is about to lead to a table: what is unsync below is re-read, or unlinked if
 * that takes too many steps. Frees leaf-level tables alone. @return 0 or -GN_ERR_AGAIN
 */
int gn_shadow__policy_reach(struct gn_shadow *sh, uint32_t table);

/** A table of this role is to be made: has its page come to be trapped, if it must? As above. */
int gn_shadow__policy_room(struct gn_shadow *sh, const struct gn_shadow__role *role);

/** The guest is about to write to a page, which may be a table's: shall that trap any more?
 *  @return 0 or GN_SHADOW__LATER */
int gn_shadow__policy_write(struct gn_shadow *sh, gn_gpa_t gpa);

/* root.c */

/** Evicts a cached root that nobody holds. */
void gn_shadow__root_evict(struct gn_shadow *sh, uint32_t root);

/** Is this a cached root's id, or ROOT_ANY? */
static inline int gn_shadow__root_given(const struct gn_shadow *sh, uint32_t root)
{
    return root == GN_SHADOW_ROOT_ANY || (root < sh->params.roots && sh->roots[root].key.size != 0);
}

/** The root that begins at this table, if it is the only one; else ROOT_ANY. */
uint32_t gn_shadow__root_of(const struct gn_shadow *sh, uint32_t table);

/** Evicts the roots that begin at a table. @return 0, or -GN_ERR_BUSY if one is held */
int gn_shadow__roots_evict_at(struct gn_shadow *sh, uint32_t table);

/* seam.c */

/** Makes what the MMU walks for a root of a wider guest, empty. @return 0, -GN_ERR_NOMEM, _AGAIN */
int gn_shadow__seam_make(struct gn_shadow *sh, struct gn_shadow__root *r);

/** Fills it: the root has its table. */
void gn_shadow__seam_copy(struct gn_shadow *sh, struct gn_shadow__root *r);

/** Gives it back, if there is one. No MMU entry leads to it any more. */
void gn_shadow__seam_free(struct gn_shadow *sh, struct gn_shadow__root *r);

/** An entry was written, under its table's lock: what shows it follows. */
void gn_shadow__seam_written(struct gn_shadow *sh, uint32_t id);

/** Is entry i of a root's seam what it should be? */
int gn_shadow__seam_right(struct gn_shadow *sh, const struct gn_shadow__root *r, uint32_t i);

/** Can the MMU be asked for this address? */
static inline int gn_shadow__in_width(const struct gn_shadow *sh, gn_gva_t gva)
{
    uint32_t sign = 64 - sh->geometry.va_bits;

    return (uint64_t)((int64_t)(gva.v << sign) >> sign) == gva.v;
}

/** The level in whose encoding an entry of a table is written: the MMU knows none above its own. */
static inline uint32_t gn_shadow__encoding(const struct gn_shadow *sh, uint32_t level)
{
    return level < sh->geometry.levels ? level : sh->geometry.levels - 1;
}

/* fault.c */

/**
 * The leaf that maps gpa at a level with the permissions of a view (A, D of the guest's leaf
 * included), write-protected or marked as the page requires. @return 0: nothing can be mapped
 */
uint64_t gn_shadow__leaf(struct gn_shadow *sh, const struct gn_shadow__slot *slot, gn_gpa_t gpa,
                         uint32_t level, uint32_t permissions);

/* role.c */

/** Level of the table that a root of a guest's format begins with. */
uint32_t gn_shadow__root_level(const struct gn_shadow *sh, uint32_t format);

/** Bytes of a format's root table, to which it is aligned. */
uint64_t gn_shadow__root_bytes(const struct gn_paging_geometry *g);

/** Role of the table at a level, of those from the shadow's root to the guest's, that gva passes.
 */
struct gn_shadow__role gn_shadow__root_role(const struct gn_shadow *sh,
                                            const struct gn_shadow_root_key *key, uint32_t level,
                                            uint64_t gva);

/** Which part of a guest table at a level the address lies in. */
uint32_t gn_shadow__quadrant(const struct gn_paging_geometry *g, uint32_t level, uint64_t gva);

/** Role of the direct table, one level below `level`, that splinters a guest leaf. */
struct gn_shadow__role gn_shadow__direct_role(const struct gn_shadow__role *parent, uint32_t level,
                                              gn_gpa_t gpa, uint32_t permissions);

/** Role of the table that a guest entry, decoded, leads to; its shadow is entry `index`. */
struct gn_shadow__role gn_shadow__child_role(const struct gn_shadow *sh,
                                             const struct gn_shadow__role *parent, uint32_t index,
                                             const struct gn_paging_entry *entry);

/** What a guest leaf permits below all that stands above its table, with its key. */
uint32_t gn_shadow__permissions(const struct gn_shadow *sh, const struct gn_shadow__role *role,
                                const struct gn_paging_entry *entry);

/** The guest entry that entry `index` of a guest table's shadow stands for. @return 0: none */
int gn_shadow__place(const struct gn_shadow *sh, const struct gn_shadow__role *role, uint32_t index,
                     struct gn_shadow__place *ret_place);

/** The entries that stand for bytes [first, last] of the guest table's page. @return 0: none */
int gn_shadow__places(const struct gn_shadow *sh, const struct gn_shadow__role *role,
                      uint32_t first, uint32_t last, uint32_t *ret_first, uint32_t *ret_last);

/* view.c */

/* Views that a page may have. */
#define GN_SHADOW__VIEWS 3u

/** A leaf's attributes as a part of a word of permissions: its key, where it has one. */
static inline uint32_t gn_shadow__key(uint32_t format, uint32_t attributes)
{
    return gn_shadow__has_keys(format) ? (attributes & GN_PAGING_X86_KEY_MASK)
                                             << (GN_SHADOW__KEY_SHIFT - GN_PAGING_X86_KEY_SHIFT)
                                       : 0;
}

/** What decides about the views of a page: members of a role, or of a root's key. */
struct gn_shadow__rules {
    uint32_t format;
    uint32_t controls;
    uint32_t pkru;
};

/**
 * What a leaf allows in one of the views of a guest page with these permissions. @return
 * GN_PAGING_R|W|X|U of the shadow's format, and G if the MMU may use it through any root; 0: there
 * is no such view
 */
uint32_t gn_shadow__view(const struct gn_shadow *sh, const struct gn_shadow__rules *rules,
                         uint32_t permissions, uint32_t view);

/** What of a guest's permissions a leaf takes from its view. */
#define GN_SHADOW__OF_VIEW (GN_PAGING_RWXU | GN_PAGING_G)

/** The first view in which the MMU allows an access, and what else the permissions say; or 0. */
uint32_t gn_shadow__view_for(const struct gn_shadow *sh, const struct gn_shadow_root_key *key,
                             uint32_t permissions, const struct gn_shadow_access *a);

#endif /* GN_SHADOW_PARTS_H */
