/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TCACHE_H
#define GN_TCACHE_H

/*
 * gnomon/tcache.h - the translation cache: host code that was made of guest code.
 *
 * A binary translator turns a run of guest instructions, a block, into host code, and wants to find
 * it again. What this library keeps for it: the memory of the code, who jumps to whom, what is
 * reachable in which address space, and which blocks end when guest memory is written.
 *
 *     guest PC --view--> (guest physical address, guest PC, mode key) --hash--> block
 *
 *      views: one a fetch context and vCPU         blocks, by guest physical page
 *      +--------------------------------+         page 0x80201: [A][B]..[C]   <- gn_tcache_written
 *      | jumps: pc -> host entry        |            |           page bitmap of 64-byte granules
 *      | ids:   page -> (GVA, GPA) pair |--guards--> |
 *      +--------------------------------+      A --link--> B      same page: no check
 *                                              A ==guard=> D      other page: compares an ID
 *
 *      code memory:   [ region | region | region | region ]   filled in turn, the oldest is evicted
 *
 * Blocks are keyed by guest physical address, so that address spaces share them, and a switch of
 * address space is a switch of views. They are keyed by guest PC too, since code may depend on it,
 * and by a mode key: whatever else of the guest's state the code was made for (privilege, FPU on,
 * 32-bit code). A block is made of bytes of one guest page.
 *
 * Invariant: after a guest write to bytes that a block was made from has been told by
 * gn_tcache_written(), and the vCPU has passed its next quiescent point (the fence that the guest
 * needs anyway), that vCPU enters the block no more: by no jump cache, no link, no lookup.
 *
 * Rules of use, in the order of a dispatcher's round:
 *  1. pc is to run: gn_tcache_probe() in the loaded view (<gnomon/tcache_inline.h>; translated code
 *     does the same inline for indirect jumps).
 *  2. Missed: gn_tcache_lookup(). It answers found; or not mapped: the embedder translates pc's
 *     page, tells gn_tcache_view_map(), and asks again; or missing.
 *  3. Missing: interpret it, or gn_tcache_block_begin(), read the guest's code, emit, and
 *     gn_tcache_block_commit().
 *  4. If control came through a direct exit of a block: gn_tcache_exit_link() it to what was found.
 *     Its handle was taken when it arrived, since step 3 may have evicted the block.
 *  5. Enter the host code. When it comes back, or before, gn_tcache_quiesce().
 * When the guest's mapping of fetches changes (a TLB flush, a shadow invalidation):
 * gn_tcache_invalidate(). When code memory may have been written: gn_tcache_written().
 *
 * Direct exits are patched by an op of the embedder, who knows the host's instructions. An exit to
 * the block's own page is linked as it is: whoever runs the block has its page mapped. One to
 * another page needs a guard, code that compares the ID of the page in the view with the one it was
 * linked under; so links need no flush when address spaces change, and are exact. The library
 * unlinks whatever leads into a block that goes, and what leads out of it.
 *
 * An indirect jump that has few targets may have open exits, each of which compares the target with
 * the PC of the block that it was linked to: an inline cache of the site. They are linked and
 * unlinked as the others are; gn_tcache_exit_close() ends that where the targets are many.
 *
 * Code memory is divided into regions. Each vCPU fills one; when it is full, the region filled
 * longest ago is evicted whole. Memory is used again when each vCPU that is online has passed a
 * quiescent point since: a moment at which it neither executes code of the cache nor is to return
 * to it, and holds no address of it. All else is bounded at init, too.
 *
 * Concurrency: vCPUs look up without lock; what changes shared state takes the embedder's lock. A
 * vCPU's views are its own: calls that take a vCPU are made by its thread, or while it is stopped.
 *
 * It translates nothing, decodes nothing, and never writes code memory itself.
 *
 * Sources: linking of blocks and lookup by virtual, then physical key: QEMU (Bellard, USENIX 2005);
 * sub-page write detection: Transmeta's Code Morphing Software (Dehnert et al., CGO 2003); FIFO
 * eviction by region: Hazelwood and Smith, "Managing bounded code caches", TACO 2006; quiescent
 * states: McKenney and Slingwine, "Read-Copy Update", PDCS 1998.
 */

#include <gnomon/base.h>
#include <gnomon/tcache_inline.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_TCACHE_VERSION_MAJOR 0
#define GN_TCACHE_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_tcache_version(void);

/** A translation cache; lives in memory that the embedder gives. */
struct gn_tcache;

/**
 * Names a block, or a direct exit of one. A handle outlives what it names: it then names nothing.
 * 0 names nothing, ever.
 */
typedef uint64_t gn_tcache_handle_t;

/** For `space`: all of them. */
#define GN_TCACHE_SPACE_ANY UINT64_MAX

/* Limits of the parameters. */
#define GN_TCACHE_CODE_MAX    0x40000000u /**< most bytes of code memory: 1 GiB */
#define GN_TCACHE_REGIONS_MAX 1024u
#define GN_TCACHE_VCPUS_MAX   256u
#define GN_TCACHE_VIEWS_MAX   4096u     /**< most views a vCPU */
#define GN_TCACHE_BLOCKS_MAX  0x400000u /**< most blocks */
#define GN_TCACHE_EXITS_MAX   256u      /**< most direct exits of one block */

/** What a patch op is to write. Addresses are those of the words that the block's exit names. */
struct gn_tcache_patch {
    uint8_t *jump;        /**< where the jump is written, in the writable mapping */
    uint64_t jump_exec;   /**< the same place in the executable mapping */
    uint64_t target;      /**< host address to jump to: a block's, or the exit's own stub */
    uint8_t *guard;       /**< where the guard's ID is written; NULL: the exit needs no guard */
    uint32_t id;          /**< the guard's ID; GN_TCACHE_ID_NONE when the exit is unlinked */
    uint32_t linked;      /**< 1: target is a block; 0: it is the stub */
    uint32_t jump_offset; /**< of jump in code memory, in bytes */
    uint32_t flags;       /**< the exit's: GN_TCACHE_EXIT_* */
    uint64_t pc;          /**< OPEN: the PC to compare with; 0 when the exit is unlinked */
};

/**
 * What the library asks of its embedder. Ops are called with the object's lock held, so they must
 * not re-enter it.
 */
struct gn_tcache_ops {
    uint32_t size;  /**< GN_TCACHE_OPS_INIT sets it */
    uint32_t flags; /**< 0 */
    /**
     * Required. Makes a direct exit of a block jump to patch->target. Other vCPUs may execute the
     * place meanwhile: each of the two words is to be replaced in one piece, the jump before the
     * guard when linking; when unlinking, the guard first. An open exit's PC is replaced in one
     * piece, too: last when linking, first when unlinking.
     */
    void (*patch)(void *ctx, const struct gn_tcache_patch *patch);
    /**
     * Optional. A guest page begins (1) or ceases (0) to hold code: from now on the embedder tells
     * gn_tcache_written() of writes to it, or it need not any more. Called before the translator
     * reads the page. May be called for a page that is told already.
     */
    void (*watch)(void *ctx, gn_gpa_t page, uint32_t on);
    /**
     * Optional, for hosts where memory is not writable and executable at once and is not mapped
     * twice. Code memory is about to be written: before the first patch of a call, and from
     * gn_tcache_block_begin on until that block is committed or abandoned. With several vCPUs the
     * embedder keeps them from executing meanwhile.
     */
    void (*open)(void *ctx);
    /** Required with open. Code memory has been written, and is to be executable again. */
    void (*close)(void *ctx);
    /** Optional (NULL: the embedder serialises all calls). Takes the embedder's lock. */
    void (*lock)(void *ctx);
    /** Required with lock. Releases it. */
    void (*unlock)(void *ctx);
    /** Optional. An invariant of the library is broken; must not return. `what` is a constant. */
    void (*panic)(void *ctx, const char *what);
};

/** First initializer of a gn_tcache_ops. */
#define GN_TCACHE_OPS_INIT .size = sizeof(struct gn_tcache_ops)

/** What a cache is. */
struct gn_tcache_params {
    uint32_t size;       /**< GN_TCACHE_PARAMS_INIT sets it */
    uint32_t code_size;  /**< bytes of code memory, 4096 to GN_TCACHE_CODE_MAX */
    uint8_t *code;       /**< code memory in its writable mapping; the embedder's */
    uint64_t exec;       /**< host address of its executable mapping; 0: the same as code */
    uint32_t regions;    /**< 2 * vcpus + 2 to GN_TCACHE_REGIONS_MAX; 0: 32, or 4 * vcpus if more */
    uint32_t vcpus;      /**< 1 to GN_TCACHE_VCPUS_MAX; 0 means 1 */
    uint32_t views;      /**< views a vCPU, 1 to GN_TCACHE_VIEWS_MAX; 0 means 64 */
    uint32_t blocks;     /**< most blocks, up to GN_TCACHE_BLOCKS_MAX; 0: code_size / 512 */
    uint32_t pages;      /**< most guest pages with code; 0: blocks / 4; 4 * vcpus at least */
    uint32_t exits;      /**< most exits of all blocks; 0: 2 * blocks */
    uint32_t block_size; /**< most bytes of code of a block; 0: 16384, or a region if less */
    uint32_t block_exits; /**< most exits of a block, up to GN_TCACHE_EXITS_MAX; 0: 16 */
    uint32_t align;       /**< of a block's first byte, a power of two up to 64; 0: 16 */
    uint32_t reserved;    /**< 0 */
    uint64_t seed; /**< of the hashes, so that guests cannot choose colliding keys; may be 0 */
    const struct gn_tcache_ops *ops; /**< copied */
    void *ctx;                       /**< passed to ops */
};

/** First initializer of a gn_tcache_params. */
#define GN_TCACHE_PARAMS_INIT .size = sizeof(struct gn_tcache_params)

/** What a block is found by. */
struct gn_tcache_key {
    gn_gva_t pc;       /**< guest PC of its first instruction */
    gn_gpa_t gpa;      /**< guest physical address of it: the same offset in the page */
    uint32_t mode;     /**< mode key */
    uint32_t reserved; /**< 0 */
};

/** Room for a block: what gn_tcache_block_begin gives. */
struct gn_tcache_room {
    uint8_t *code;       /**< where to write */
    uint64_t exec;       /**< where it will be executed */
    uint32_t code_room;  /**< bytes */
    uint32_t exit_room;  /**< direct exits */
    uint32_t exit_first; /**< exit i of the block has the number exit_first + i */
    uint32_t reserved;   /**< 0 */
};

/** gn_tcache_exit.flags: the exit compares the ID of its target's page. */
#define GN_TCACHE_EXIT_GUARDED 1u
/**
 * gn_tcache_exit.flags: the exit belongs to an indirect jump, and compares its target with the PC
 * of the block that it is linked to. GUARDED says that it can have a guard: it needs one while it
 * leads to another page.
 */
#define GN_TCACHE_EXIT_OPEN 2u
/** gn_tcache_patch.flags: the exit was closed, so that it is not linked again. */
#define GN_TCACHE_EXIT_CLOSED 4u

/** A direct exit of a block. Offsets count from the block's first byte of code. */
struct gn_tcache_exit {
    gn_gva_t target; /**< guest PC it leads to; OPEN: not looked at */
    uint32_t jump;   /**< of what the patch op is to write */
    uint32_t guard;  /**< of the ID that the guard compares; GUARDED only */
    uint32_t stub;   /**< where the jump leads while it is not linked */
    uint32_t flags;  /**< GN_TCACHE_EXIT_* */
};

/** A block that was emitted. */
struct gn_tcache_code {
    uint32_t size;        /**< GN_TCACHE_CODE_INIT sets it */
    uint32_t code_size;   /**< bytes of code, 1 to code_room */
    uint32_t entry;       /**< offset that lookups and jump caches enter at */
    uint32_t entry_fast;  /**< offset that linked exits enter at; may be entry */
    uint32_t guest_first; /**< offset in the guest page of the first byte it was made from */
    uint32_t guest_size;  /**< how many bytes from there it was made from, 1 to the page's end */
    uint32_t exit_count;  /**< direct exits, 0 to exit_room */
    uint32_t reserved;    /**< 0 */
    const struct gn_tcache_exit *exits; /**< only read */
    uint64_t cookie;                    /**< the embedder's */
};

/** First initializer of a gn_tcache_code. */
#define GN_TCACHE_CODE_INIT .size = sizeof(struct gn_tcache_code)

/** A block, as lookups tell it. */
struct gn_tcache_block {
    gn_tcache_handle_t handle; /**< names it */
    struct gn_tcache_key key;
    uint64_t entry;      /**< host address, for who comes from outside */
    uint64_t entry_fast; /**< for linked exits */
    uint64_t code;       /**< host address of its first byte of code */
    uint64_t cookie;     /**< as it was committed */
    uint32_t code_size;  /**< bytes */
    uint32_t guest_size; /**< bytes */
    uint32_t index;      /**< below params.blocks, rounded up to regions; its own while it lives */
    uint32_t exit_first; /**< number of its first exit */
};

/* What gn_tcache_lookup found. */
#define GN_TCACHE_MISSING  0 /**< the page is mapped; there is no such block */
#define GN_TCACHE_FOUND    1
#define GN_TCACHE_UNMAPPED 2 /**< the view does not know the page: tell gn_tcache_view_map */

/** Counters since init. */
struct gn_tcache_stats {
    uint32_t size; /**< set by the caller: GN_TCACHE_STATS_INIT */
    uint32_t reserved;
    uint64_t lookups;        /**< gn_tcache_lookup: what jump caches did not answer */
    uint64_t found;          /**< of those, FOUND */
    uint64_t unmapped;       /**< of those, UNMAPPED */
    uint64_t maps;           /**< pages told to views */
    uint64_t blocks_made;    /**< committed */
    uint64_t blocks_lost;    /**< abandoned, or overtaken by a write or another vCPU */
    uint64_t blocks_written; /**< dropped since guest memory was written */
    uint64_t blocks_evicted; /**< dropped with their region */
    uint64_t regions_evicted;
    uint64_t links;           /**< exits linked, those behind a guard included */
    uint64_t links_guarded;   /**< of those, behind a guard */
    uint64_t unlinks;         /**< links taken back */
    uint64_t writes;          /**< gn_tcache_written: pages that hold code */
    uint64_t writes_filtered; /**< of those, no granule of a block was touched */
    uint64_t writes_missed;   /**< of the rest, no block was dropped */
    uint64_t watches;         /**< pages that began to hold code */
    uint64_t invalidations;   /**< pages that views forgot; all of all views count as one */
    uint64_t views_made;      /**< views built or taken over */
    uint64_t flushes;         /**< everything dropped */
    uint64_t waits;           /**< rooms refused until other vCPUs are quiescent */
    uint64_t blocks;          /**< now: live blocks */
    uint64_t pages;           /**< now: pages that hold code */
    uint64_t code_used;       /**< now: bytes of code memory that are not free */
    uint64_t links_open;      /**< of links, those of open exits */
    uint64_t closes;          /**< open exits closed */
};

/** First initializer of a gn_tcache_stats. */
#define GN_TCACHE_STATS_INIT .size = sizeof(struct gn_tcache_stats)

/**
 * Bytes that gn_tcache_init needs, code memory left out.
 * @return 0 if params are invalid
 * Context: any; O(1). Thread-safety: reentrant. Ownership: params are only read.
 */
GN_API size_t gn_tcache_size(const struct gn_tcache_params *params);

/** Alignment that gn_tcache_init needs, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_tcache_align(void);

/**
 * Makes a cache, empty. No vCPU is online.
 *
 * @param mem         memory, aligned to gn_tcache_align()
 * @param len         its bytes, at least gn_tcache_size(params)
 * @param params      what to make
 * @param ret_tcache  the cache, which lies in mem
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL or misaligned argument, a parameter out of its range, no patch op, or
 *    unlock or close missing
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params or ops has a non-zero tail that this version does not know
 *
 * Context: any; O(memory but for views, which are cleared when they are first used); no op is
 * called. Thread-safety: none needed before it returns. Ownership: mem and code memory belong to
 * the cache until gn_tcache_fini; params and ops are only read.
 */
GN_API GN_NODISCARD int gn_tcache_init(void *mem, size_t len, const struct gn_tcache_params *params,
                                       struct gn_tcache **ret_tcache);

/**
 * Ends a cache; its memory is the embedder's again. Watched pages are told that they are no more.
 *
 * @param tcache  a cache, or NULL
 *
 * Context: any in which the ops may be called; O(pages). Thread-safety: no other call may run, no
 * vCPU executes its code.
 */
GN_API void gn_tcache_fini(struct gn_tcache *tcache);

/**
 * A vCPU begins to use the cache: from now on it may look up and execute, and memory waits for its
 * quiescent points.
 *
 * @param tcache  the cache
 * @param vcpu    below params.vcpus
 * @return 0; -GN_ERR_INVAL: tcache is NULL, or no such vCPU
 *
 * Context: any; takes the lock; O(1). Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_online(struct gn_tcache *tcache, uint32_t vcpu);

/**
 * A vCPU stops using the cache, to sleep or for good: memory no longer waits for it. It holds no
 * address of code, and has no block begun.
 *
 * @return 0; -GN_ERR_INVAL: tcache is NULL, or no such vCPU; -GN_ERR_BUSY: it has a block begun
 *
 * Context: any; takes the lock; O(1). Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_offline(struct gn_tcache *tcache, uint32_t vcpu);

/**
 * A quiescent point: the vCPU is not inside code of the cache, will not return to it, and holds no
 * address or struct gn_tcache_block from before. What was dropped until now leaves its loaded view.
 *
 * @return 0; -GN_ERR_INVAL: tcache is NULL, no such vCPU, or it is offline
 *
 * Context: any; O(1), without lock, if nothing was dropped since its last; else O(dropped), at most
 * O(GN_TCACHE_VIEW_JUMPS), under the lock. Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_quiesce(struct gn_tcache *tcache, uint32_t vcpu);

/**
 * Has each vCPU that is online passed a quiescent point since this moment was taken? For guests
 * whose writes to code need no fence: write, take, kick the vCPUs, wait until it is passed.
 *
 * @param moment  what gn_tcache_moment() returned
 * @return 1: yes; 0: no, or tcache is NULL
 *
 * Context: any; O(vcpus), no lock. Thread-safety: any thread.
 */
GN_API int gn_tcache_passed(const struct gn_tcache *tcache, uint64_t moment);

/**
 * Takes a moment for gn_tcache_passed. @return it; 0 if tcache is NULL. Context: any; O(1), no
 * lock. Thread-safety: any thread.
 */
GN_API uint64_t gn_tcache_moment(struct gn_tcache *tcache);

/**
 * Loads a view: vCPU is about to fetch in a context. It is found, or made: then the one that was
 * not loaded longest may have to go. Jumps and pages that it knew are kept as far as they are true.
 *
 * @param tcache    the cache
 * @param vcpu      the vCPU, online; not inside code that goes on reading the old view
 * @param space     names the address space as fetches see it: any 64 bits but
 *                  GN_TCACHE_SPACE_ANY; the embedder does not use a name again for another address
 *                  space without gn_tcache_invalidate() of all its addresses
 * @param mode      mode key of the code that runs in it
 * @param ret_view  what translated code reads; stays valid and loaded until the next load
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU or it is offline, or space is SPACE_ANY
 *
 * Context: any; O(1) for a view that exists and missed no drops, without lock; else as
 * gn_tcache_quiesce, and O(view) to make one. Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_view_load(struct gn_tcache *tcache, uint32_t vcpu, uint64_t space,
                                            uint32_t mode, const struct gn_tcache_view **ret_view);

/**
 * Gives the loaded view, if it was just made, what another view of the vCPU and of the same mode
 * knows, page by page where the embedder says that the page is mapped alike: an operating system's
 * own code, in the address space of a new process. Does nothing for a view that is not new.
 *
 * @param tcache     the cache
 * @param vcpu       the vCPU, with a view loaded
 * @param space      the other's address space; nothing is inherited if it has no view
 * @param same       is this page mapped to gpa in the loaded view's address space, too, and may be
 *                   fetched from? May call gn_tcache_invalidate(), and no other function
 * @param ctx        passed to it
 * @param ret_pages  pages inherited; may be NULL
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU or it is offline
 *  - -GN_ERR_PERM: no view is loaded
 *
 * Context: where `same` may be called; O(1) for a view that is not new, else O(view).
 * Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_view_inherit(struct gn_tcache *tcache, uint32_t vcpu,
                                               uint64_t space,
                                               int (*same)(void *ctx, gn_gva_t page, gn_gpa_t gpa),
                                               void *ctx, uint32_t *ret_pages);

/**
 * The loaded view learns what a page is: where it holds until gn_tcache_invalidate().
 *
 * @param tcache  the cache
 * @param vcpu    the vCPU; a view is loaded
 * @param pc      any address in the page
 * @param gpa     any guest physical address in the page it is mapped to, for fetches in the view
 * @return 0; -GN_ERR_INVAL: tcache is NULL, no such vCPU or it is offline; -GN_ERR_PERM: no view is
 * loaded
 *
 * Context: any; takes the lock; O(1), O(view) if another page gives way. Thread-safety: the vCPU's
 * thread.
 */
GN_API GN_NODISCARD int gn_tcache_view_map(struct gn_tcache *tcache, uint32_t vcpu, gn_gva_t pc,
                                           gn_gpa_t gpa);

/**
 * What pages are mapped to may have changed: a vCPU's views of an address space forget them. Links
 * and blocks stay: they hold where the same is mapped again.
 *
 * @param tcache  the cache
 * @param vcpu    the vCPU
 * @param space   the address space, or GN_TCACHE_SPACE_ANY
 * @param pc      first address
 * @param length  bytes; UINT64_MAX: all addresses
 * @return 1: the loaded view knew some of them; 0: it did not; -GN_ERR_INVAL: tcache is NULL, or no
 * such vCPU
 *
 * Context: any, also from C called by translated code, which leaves for the dispatcher before it
 * relies on the change; O(views of the space * min(pages, view)), O(view) for everything in all
 * spaces; no lock. Thread-safety: the
 * vCPU's thread, or it is stopped.
 */
GN_API GN_NODISCARD int gn_tcache_invalidate(struct gn_tcache *tcache, uint32_t vcpu,
                                             uint64_t space, gn_gva_t pc, uint64_t length);

/**
 * An address space is gone: its views on a vCPU are free for others.
 *
 * @return 0, also if there are none; -GN_ERR_INVAL: tcache is NULL, or no such vCPU. A view that is
 * loaded stays so, and knows nothing.
 *
 * Context, Thread-safety: as gn_tcache_invalidate.
 */
GN_API GN_NODISCARD int gn_tcache_space_drop(struct gn_tcache *tcache, uint32_t vcpu,
                                             uint64_t space);

/**
 * What is to be entered for a PC in the loaded view? A block that is found becomes known to the
 * view's jump cache.
 *
 * @param tcache     the cache
 * @param vcpu       the vCPU; a view is loaded
 * @param pc         guest PC
 * @param ret_block  written if found
 * @return
 *  - GN_TCACHE_FOUND: ret_block, which may be entered and linked until the next quiescent point
 *  - GN_TCACHE_MISSING, GN_TCACHE_UNMAPPED
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU or it is offline
 *  - -GN_ERR_PERM: no view is loaded
 *
 * Context: any; O(1) on average, no lock. Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_lookup(struct gn_tcache *tcache, uint32_t vcpu, gn_gva_t pc,
                                         struct gn_tcache_block *ret_block);

/**
 * The block of a key, whatever views know.
 *
 * @return GN_TCACHE_FOUND or GN_TCACHE_MISSING; -GN_ERR_INVAL: a NULL argument
 *
 * Context: any; O(1) on average, no lock. Thread-safety: a vCPU that is online, between quiescent
 * points.
 */
GN_API GN_NODISCARD int gn_tcache_block_find(struct gn_tcache *tcache,
                                             const struct gn_tcache_key *key,
                                             struct gn_tcache_block *ret_block);

/**
 * Begins a block: gives room for its code and watches the page it comes from, which the translator
 * then reads. Is a quiescent point of the vCPU, and may evict the region filled longest ago.
 *
 * @param tcache    the cache
 * @param vcpu      the vCPU, online
 * @param key       what it will be found by
 * @param ret_room  where to write code, and the numbers of its exits
 * @return
 *  - 0; then commit or abandon follows
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU or it is offline, or pc and gpa lie at different
 *    offsets in their pages
 *  - -GN_ERR_PERM: the vCPU has begun a block already
 *  - -GN_ERR_AGAIN: memory waits for other vCPUs' quiescent points: interpret, and try later
 *
 * Context: any in which the ops may be called; takes the lock; O(1), O(blocks of a region) when
 * one is evicted. Thread-safety: the vCPU's thread.
 */
GN_API GN_NODISCARD int gn_tcache_block_begin(struct gn_tcache *tcache, uint32_t vcpu,
                                              const struct gn_tcache_key *key,
                                              struct gn_tcache_room *ret_room);

/**
 * The block's code is written: it can be found from now on. Its exits are not linked.
 *
 * @param tcache     the cache
 * @param vcpu       the vCPU
 * @param code       what was emitted
 * @param ret_block  the block; or, if another vCPU has made the same meanwhile, that one
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, no such vCPU, a size or an offset out of its range, an exit
 *    with unknown flags; the block stays begun
 *  - -GN_ERR_PERM: no block was begun
 *  - -GN_ERR_2BIG: code has a non-zero tail that this version does not know; the block stays begun
 *  - -GN_ERR_AGAIN: its page was written since the begin: abandoned, translate anew
 *
 * Context: any in which the ops may be called; takes the lock; O(exits). Thread-safety: the vCPU's
 * thread. Ownership: code and its exits are only read.
 */
GN_API GN_NODISCARD int gn_tcache_block_commit(struct gn_tcache *tcache, uint32_t vcpu,
                                               const struct gn_tcache_code *code,
                                               struct gn_tcache_block *ret_block);

/**
 * Gives up the block that was begun, if any.
 *
 * @return 0; -GN_ERR_INVAL: tcache is NULL, or no such vCPU
 *
 * Context, Thread-safety: as gn_tcache_block_commit.
 */
GN_API GN_NODISCARD int gn_tcache_block_abandon(struct gn_tcache *tcache, uint32_t vcpu);

/**
 * What a handle names.
 *
 * @return 1: ret_block; 0: its block is gone; -GN_ERR_INVAL: a NULL argument
 *
 * Context: any; takes the lock; O(1). Thread-safety: any thread.
 */
GN_API GN_NODISCARD int gn_tcache_block_get(struct gn_tcache *tcache, gn_tcache_handle_t block,
                                            struct gn_tcache_block *ret_block);

/**
 * Which live block has code at a host address? For handlers of host faults, profilers and tests.
 *
 * @param exec  an address in the executable mapping
 * @return 1: ret_block; 0: none; -GN_ERR_INVAL: a NULL argument
 *
 * Context: any; takes the lock; O(log blocks of a region). Thread-safety: any thread.
 */
GN_API GN_NODISCARD int gn_tcache_block_at(struct gn_tcache *tcache, uint64_t exec,
                                           struct gn_tcache_block *ret_block);

/**
 * The handle of an exit that a vCPU has just left through.
 *
 * @param number  room.exit_first + i of the block's begin
 * @return the handle; 0 if tcache is NULL, there is no such exit, or its block is gone
 *
 * Context: any; O(1), no lock. Thread-safety: the vCPU that left, before its next quiescent point.
 */
GN_API gn_tcache_handle_t gn_tcache_exit_get(const struct gn_tcache *tcache, uint32_t number);

/**
 * Links a direct exit to a block that was found for its target in the loaded view. A guarded exit
 * that is linked to another block already changes over, an open one does not.
 *
 * @param tcache  the cache
 * @param vcpu    the vCPU; its loaded view is the one that the exit's block runs in
 * @param exit    the exit
 * @param block   the block
 * @return
 *  - 1: linked, or it was
 *  - 0: not now: one of the two is gone; a plain exit leads to another page; modes differ; an
 *    open exit is closed, or linked to a block of another PC; or, for a guard that was linked
 *    elsewhere, other vCPUs must be quiescent first
 *  - -GN_ERR_INVAL: tcache is NULL, no such vCPU or it is offline, or the target of an
 *    exit that is not open is not the block's PC
 *
 * Context: any in which the ops may be called; takes the lock; O(1). Thread-safety: the vCPU's
 * thread.
 */
GN_API GN_NODISCARD int gn_tcache_exit_link(struct gn_tcache *tcache, uint32_t vcpu,
                                            gn_tcache_handle_t exit, gn_tcache_handle_t block);

/**
 * Closes an open exit: unlinks it, and has it never linked again. The patch op is called with
 * CLOSED. An exit that is gone, closed or not open stays as it is.
 *
 * @return 1: it was closed; 0: it stays as it is; -GN_ERR_INVAL: tcache is NULL
 *
 * Context: any in which the ops may be called; takes the lock; O(1). Thread-safety: any thread.
 */
GN_API GN_NODISCARD int gn_tcache_exit_close(struct gn_tcache *tcache, gn_tcache_handle_t exit);

/**
 * Guest memory was written, by whomever: blocks made from any of these bytes are dropped, and what
 * led to them is unlinked. A write that touches no granule (64 bytes) of code costs a look.
 *
 * @param tcache  the cache
 * @param gpa     first byte written
 * @param length  how many; UINT64_MAX: to the end of the address space
 * @return 1: blocks were dropped; 0: none; -GN_ERR_INVAL: tcache is NULL
 *
 * Context: any in which the ops may be called, also from C called by translated code: a block that
 * runs goes on to its end, and leaves; takes the lock; O(pages written, at most pages with code),
 * and O(blocks of the page) where a granule is touched. Thread-safety: any thread.
 */
GN_API GN_NODISCARD int gn_tcache_written(struct gn_tcache *tcache, gn_gpa_t gpa, uint64_t length);

/**
 * Drops every block, and unlinks all. Memory is used again as after an eviction.
 *
 * @return 0; -GN_ERR_INVAL: tcache is NULL
 *
 * Context: as gn_tcache_written; O(blocks). Thread-safety: any thread.
 */
GN_API GN_NODISCARD int gn_tcache_flush(struct gn_tcache *tcache);

/**
 * Tells the counters.
 *
 * @param tcache  the cache
 * @param stats   with its size set; filled as far as both sides know, unknown members become zero
 * @return 0; -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any; takes the lock; O(vcpus + regions). Thread-safety: any thread; the counts of vCPUs
 * that are looking up may be told before or after.
 */
GN_API GN_NODISCARD int gn_tcache_stats_get(struct gn_tcache *tcache,
                                            struct gn_tcache_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_TCACHE_H */
