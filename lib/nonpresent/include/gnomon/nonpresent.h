/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_NONPRESENT_H
#define GN_NONPRESENT_H

/*
 * gnomon/nonpresent.h - shadow entries that are not present, and say why.
 *
 * Under shadow paging a shadow entry may be absent for two reasons: the shadow was not built yet,
 * or the guest's own entry is absent and the guest is owed a page fault. The MMU cannot tell; the
 * hypervisor walks the guest's tables to find out, and for demand-paged guests mostly learns that
 * the fault was the guest's. Here the absent entry remembers what a walk once found:
 *
 *      shadow entry, bit 0 (P, V) clear              lookup answers
 *      +--------------------------------+
 *      | 0                              |  UNKNOWN       walk the guest's tables
 *      +--------------------------------+
 *      | level, page of the guest entry |  GUEST_ABSENT  deliver this fault code, walk nothing
 *      +--------------------------------+
 *      | guest page, rights, generation |  MMIO          emulate a device access, walk nothing
 *      +--------------------------------+
 *
 * When a marker may be believed. A guest can turn an absent entry present at any time.
 *
 *  - GN_NONPRESENT_RULE_IMMEDIATE, for x86 guests: the machine never caches absent entries, so a
 *    present one must be seen at the very next access, without a flush. A marker is believed only
 *    while no traced write to the page that holds the guest's entry is pending. The marker names
 *    that page, and the `pending` op answers (a trace log can).
 *  - GN_NONPRESENT_RULE_FENCED, for RISC-V guests: an absent entry may be remembered until
 *    SFENCE.VMA (Privileged Architecture §4.2.1), so a marker is believed until it is replaced.
 *    Guests that were promised Svvptc want the immediate rule.
 *
 * What keeps it right, and who is responsible. Page faults may be missed (the walk finds them) but
 * never invented.
 *
 *  (a) Absence is remembered only for entries of a table whose writes are traced now. Embedder:
 *      encode_absent only for such tables. Library: the immediate rule asks before each belief.
 *  (b) A table that stops being traced loses its markers first. Embedder; or in one step with
 *      gn_nonpresent_bump(np, GN_NONPRESENT_GUEST_ABSENT), after which no older one is believed.
 *  (c) Shadow pages that stand for no guest table (direct maps, splinters of a guest large page,
 *      a guest with paging off) hold no GUEST_ABSENT markers. Embedder.
 *  (d) Absence at an upper level ends with a write at that level. Library: the marker names level
 *      and page of the entry that was absent, not of the leaf. Embedder: passes those two.
 *  (e) The fault code is made for the access at hand: P clear, W, U and I as it is; the reserved
 *      bit of the code belongs to present entries. Library.
 *  (f) An entry that is present with its A bit clear is not absent; one with reserved bits set is
 *      absent if P or V is clear, whatever else it holds. Embedder: encodes what a walk called
 *      absent, and nothing else.
 *  (g) A marker cannot be mistaken for a mapping, by hardware that lies about its address width
 *      included: bit 0 is clear, which every walker obeys, and no reserved-bit trick is used.
 *      Library. On x86 it does not name cacheable memory either (below). Library.
 *  (h) When a page turns from RAM into a device or back, markers that name it die. Embedder:
 *      gn_nonpresent_bump(np, GN_NONPRESENT_MMIO) at each change of memory slots. Library: older
 *      generations are not believed.
 *  (i) A marker is installed only if no write to the guest's entry was drained between the walk
 *      that found it absent and the installation. Embedder: one lock for both, or re-check.
 *
 * L1TF. On x86 an absent entry is still forwarded to the first-level cache, address bits and all
 * (Intel "L1 Terminal Fault"; CVE-2018-3620, -3646). As in inverted entries of operating systems,
 * the highest five bits of the address a marker seems to hold are ones: that is the last 1/32 of
 * the physical address space, where no memory is. The guest's numbers stand in the other bits.
 *
 * It is not a cache of its own: the markers live in the shadow tables.
 *
 * Sources: US 8,015,388 (bypassing the guest walk for non-present entries); Intel SDM vol. 3A
 * §4.7, §4.10.2.3; RISC-V Privileged Architecture 20211203 §4.2.1, §4.3; Arm DDI 0487 D8 (no TLB
 * holds a translation fault), D24 (ESR_ELx).
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_NONPRESENT_VERSION_MAJOR 0
#define GN_NONPRESENT_VERSION_MINOR 1

/** The library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant. */
GN_API uint32_t gn_nonpresent_version(void);

/** What interprets markers; lives in memory that the embedder gives. */
struct gn_nonpresent;

/*
 * Encodings: the family of the *shadow* table that holds the marker. Values are part of the ABI.
 * All keep 58 bits of content; they differ in where these stand.
 */
#define GN_NONPRESENT_RISCV     1 /**< V is bit 0, the rest of an invalid entry is software's */
#define GN_NONPRESENT_X86_64_ID 2 /**< the family part of GN_NONPRESENT_X86_64() */
#define GN_NONPRESENT_AARCH64   3 /**< valid is bit 0, the rest of an invalid one is ignored */

/**
 * The x86-64 encoding for a machine whose caches work with this many physical-address bits, 36 to
 * 52: CPUID.80000008H:EAX[7:0], or the cache's own width where it is known to be narrower. Bits
 * cache_bits - 5 to cache_bits - 1 of a marker are ones.
 */
#define GN_NONPRESENT_X86_64(cache_bits) (GN_NONPRESENT_X86_64_ID | (uint32_t)(cache_bits) << 8)

/* Guests: whose fault codes a lookup gives. */
#define GN_NONPRESENT_GUEST_RISCV   1 /**< cause 12, 13 or 15 */
#define GN_NONPRESENT_GUEST_X86     2 /**< page-fault error code */
#define GN_NONPRESENT_GUEST_AARCH64 3 /**< a translation fault, its level, and WnR (bit 6) */

/* When GUEST_ABSENT markers are believed. */
#define GN_NONPRESENT_RULE_IMMEDIATE 1 /**< while no write to the guest's table is pending */
#define GN_NONPRESENT_RULE_FENCED    2 /**< until replaced */

/* Kinds of marker, and of answer. */
#define GN_NONPRESENT_UNKNOWN      0 /**< walk the guest's tables; entry 0 always says so */
#define GN_NONPRESENT_GUEST_ABSENT 1 /**< the guest's entry is absent: deliver the fault */
#define GN_NONPRESENT_MMIO         2 /**< the page is a device's */

/* How an access is made; or-ed to GN_ACCESS_READ, _WRITE or _EXEC. Other bits are ignored. */
#define GN_NONPRESENT_ACCESS_KIND   0x0fu /**< mask of the GN_ACCESS_* part */
#define GN_NONPRESENT_AS_USER       0x10u /**< with user privilege; else supervisor */
#define GN_NONPRESENT_X86_FETCH_BIT 0x80u /**< EFER.NXE or CR4.SMEP is on: fetches report I */

/*
 * What an MMIO marker permits without a walk. An access is answered if its kind and its privilege
 * are both there. Include only what holds whatever control bits the guest may change without a
 * coherence point (SUM, MXR, RFLAGS.AC), and W only if the guest's D bit is set already.
 */
#define GN_NONPRESENT_ALLOW_READ       0x01u
#define GN_NONPRESENT_ALLOW_WRITE      0x02u
#define GN_NONPRESENT_ALLOW_EXEC       0x04u
#define GN_NONPRESENT_ALLOW_SUPERVISOR 0x08u
#define GN_NONPRESENT_ALLOW_USER       0x10u
#define GN_NONPRESENT_ALLOW_ALL        0x1fu

/** Guest page numbers that a marker can hold are below 2 to this power. */
#define GN_NONPRESENT_GFN_BITS 40

/** Highest level of an absent guest entry, counted from the leaf; 3 in AArch64. */
#define GN_NONPRESENT_LEVEL_MAX 4

/** Width of a generation, in bits; gn_nonpresent_bump wraps after 2 to this power. */
#define GN_NONPRESENT_GENERATION_BITS 11

/** What the library asks of its embedder. */
struct gn_nonpresent_ops {
    uint32_t size;     /**< GN_NONPRESENT_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Required by GN_NONPRESENT_RULE_IMMEDIATE, else optional and not called. May a write to this
     * page of guest memory have completed that the shadow does not show yet?
     * @param table  the page that holds the guest's entry; 4 KiB aligned
     * @return 0: no. Else the marker is not believed.
     * Called by gn_nonpresent_lookup, in its context; must not re-enter the object.
     */
    int (*pending)(void *ctx, gn_gpa_t table);
};

/** First initializer of a gn_nonpresent_ops. */
#define GN_NONPRESENT_OPS_INIT .size = sizeof(struct gn_nonpresent_ops)

/** How markers are to be written and read. */
struct gn_nonpresent_params {
    uint32_t size;     /**< GN_NONPRESENT_PARAMS_INIT sets it */
    uint32_t encoding; /**< GN_NONPRESENT_RISCV, _AARCH64 or _X86_64(bits); 0: RISCV */
    uint32_t guest;    /**< GN_NONPRESENT_GUEST_*; 0: RISCV */
    uint32_t rule;     /**< GN_NONPRESENT_RULE_*; 0: FENCED for RISC-V, else IMMEDIATE */
    const struct gn_nonpresent_ops *ops; /**< copied; may be NULL with the fenced rule */
    void *ctx;                           /**< passed to ops */
};

/** First initializer of a gn_nonpresent_params. */
#define GN_NONPRESENT_PARAMS_INIT .size = sizeof(struct gn_nonpresent_params)

/** What an entry says, read without judging whether it still holds. */
struct gn_nonpresent_marker {
    uint32_t kind;       /**< GN_NONPRESENT_UNKNOWN, _GUEST_ABSENT or _MMIO */
    uint32_t level;      /**< GUEST_ABSENT: level of the absent guest entry, 0 the leaf */
    uint32_t allow;      /**< MMIO: GN_NONPRESENT_ALLOW_* */
    uint32_t generation; /**< of its kind, when it was made */
    gn_gpa_t gpa;        /**< GUEST_ABSENT: page that holds the guest entry; MMIO: the page */
};

/** The answer for an access. */
struct gn_nonpresent_answer {
    uint32_t kind;  /**< GN_NONPRESENT_UNKNOWN, _GUEST_ABSENT or _MMIO */
    uint32_t code;  /**< GUEST_ABSENT: as GN_NONPRESENT_GUEST_* says; else 0 */
    uint32_t level; /**< GUEST_ABSENT: level of the absent guest entry; else 0 */
    uint32_t allow; /**< MMIO: GN_NONPRESENT_ALLOW_*; else 0 */
    gn_gpa_t gpa;   /**< MMIO: page of the device, add the offset; GUEST_ABSENT: the table page */
};

/** Event counters since init. Advanced without locked instructions: with several threads, low. */
struct gn_nonpresent_stats {
    uint32_t size;              /**< GN_NONPRESENT_STATS_INIT sets it */
    uint32_t reserved;          /**< zero */
    uint64_t encoded_absent;    /**< GUEST_ABSENT markers made */
    uint64_t encoded_mmio;      /**< MMIO markers made */
    uint64_t refused;           /**< encodings refused for range */
    uint64_t hits;              /**< lookups answered GUEST_ABSENT: guest walks saved */
    uint64_t mmio_hits;         /**< lookups answered MMIO */
    uint64_t unknown;           /**< lookups of entries that say nothing */
    uint64_t disbelieved;       /**< GUEST_ABSENT not believed: a write was pending */
    uint64_t absent_stale;      /**< GUEST_ABSENT of an older generation */
    uint64_t mmio_stale;        /**< MMIO of an older generation */
    uint64_t mmio_disallowed;   /**< MMIO that does not permit the access: walked */
    uint64_t absent_generation; /**< gn_nonpresent_bump calls, GUEST_ABSENT */
    uint64_t mmio_generation;   /**< gn_nonpresent_bump calls, MMIO */
};

/** First initializer of a gn_nonpresent_stats. */
#define GN_NONPRESENT_STATS_INIT .size = sizeof(struct gn_nonpresent_stats)

/**
 * How much memory an object needs.
 *
 * @param params  as for gn_nonpresent_init
 * @return bytes, or 0 when gn_nonpresent_init would refuse the parameters
 *
 * Context: any; O(1). Thread-safety: reentrant. Ownership: params is only read.
 */
GN_API size_t gn_nonpresent_size(const struct gn_nonpresent_params *params);

/** The alignment of that memory, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_nonpresent_align(void);

/**
 * Builds an object in the embedder's memory.
 *
 * @param mem     aligned to gn_nonpresent_align(); its content does not matter
 * @param len     its length in bytes, at least gn_nonpresent_size(params)
 * @param params  how markers are to be written and read
 * @param ret_np  the object
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: mem, params or ret_np is NULL; mem unaligned; an unknown guest or rule; a
 *    cache_bits outside 36 to 52; the fenced rule for an x86 guest; the immediate rule without a
 *    pending op
 *  - -GN_ERR_NOTSUP: an unknown encoding
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_2BIG: params or ops has a non-zero tail that this version does not know
 *
 * Context: any; O(1). Thread-safety: none needed before it returns. Ownership: mem belongs to the
 * object until gn_nonpresent_fini; params and ops are only read.
 */
GN_API GN_NODISCARD int gn_nonpresent_init(void *mem, size_t len,
                                           const struct gn_nonpresent_params *params,
                                           struct gn_nonpresent **ret_np);

/**
 * Ends an object; its memory is the embedder's again.
 *
 * @param np  an object, or NULL
 *
 * Context: any; O(1). Thread-safety: no other call on the object may run.
 */
GN_API void gn_nonpresent_fini(struct gn_nonpresent *np);

/**
 * Makes the entry that says "the guest's entry is absent".
 *
 * @param np         the object
 * @param level      level of the table that holds the absent guest entry, 0 the leaf's
 * @param entry      guest physical address of that entry (any address in its page)
 * @param ret_value  the shadow entry, not present
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or level above GN_NONPRESENT_LEVEL_MAX, or
 *    above 3 for an AArch64 guest
 *  - -GN_ERR_RANGE: the page number has more than GN_NONPRESENT_GFN_BITS bits: store 0 instead
 *
 * Context: any; O(1). Thread-safety: reentrant, lock-free. See rules (a), (c), (f), (i).
 */
GN_API GN_NODISCARD int gn_nonpresent_encode_absent(struct gn_nonpresent *np, uint32_t level,
                                                    gn_gpa_t entry, uint64_t *ret_value);

/**
 * Makes the entry that says "this page is a device's".
 *
 * @param np         the object
 * @param page       guest physical address of the page (any address in it)
 * @param allow      GN_NONPRESENT_ALLOW_*: what the guest's tables permit there
 * @param ret_value  the shadow entry, not present
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or an unknown bit in allow
 *  - -GN_ERR_RANGE: the page number has more than GN_NONPRESENT_GFN_BITS bits: store 0 instead
 *
 * Context: any; O(1). Thread-safety: reentrant, lock-free. Against a concurrent gn_nonpresent_bump
 * the embedder orders it: slots must not change between its look at them and this call.
 */
GN_API GN_NODISCARD int gn_nonpresent_encode_mmio(struct gn_nonpresent *np, gn_gpa_t page,
                                                  uint32_t allow, uint64_t *ret_value);

/**
 * Reads an entry. Pure: the same arguments give the same result, no object is needed.
 *
 * @param encoding    GN_NONPRESENT_RISCV, _AARCH64 or _X86_64(bits)
 * @param entry       any 64-bit value; what no encode function makes decodes as UNKNOWN, present
 *                    entries included
 * @param ret_marker  filled on success; members that the kind has no use for are 0
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: ret_marker is NULL, or cache_bits is outside 36 to 52
 *  - -GN_ERR_NOTSUP: an unknown encoding
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_nonpresent_decode(uint32_t encoding, uint64_t entry,
                                             struct gn_nonpresent_marker *ret_marker);

/**
 * Makes the entry that gn_nonpresent_decode reads as this marker. Pure; for tests and tools.
 *
 * @param encoding   GN_NONPRESENT_RISCV, _AARCH64 or _X86_64(bits)
 * @param marker     kind, and the members that it uses; the offset in gpa is ignored. UNKNOWN
 *                   gives 0
 * @param ret_value  the shadow entry, not present
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; an unknown kind; level, allow or generation out of range;
 *    cache_bits outside 36 to 52
 *  - -GN_ERR_RANGE: the page number has more than GN_NONPRESENT_GFN_BITS bits
 *  - -GN_ERR_NOTSUP: an unknown encoding
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_nonpresent_encode(uint32_t encoding,
                                             const struct gn_nonpresent_marker *marker,
                                             uint64_t *ret_value);

/**
 * What does this shadow entry say about this access?
 *
 * @param np          the object
 * @param entry       the shadow entry, read once; a present entry is answered UNKNOWN
 * @param access      GN_ACCESS_* | GN_NONPRESENT_AS_USER | GN_NONPRESENT_X86_FETCH_BIT
 * @param ret_answer  filled on success
 * @return
 *  - 0 (UNKNOWN is a value)
 *  - -GN_ERR_INVAL: a NULL argument, or an unknown access kind
 *
 * Context: that of the pending op; O(1) and what that op costs. Thread-safety: reentrant,
 * lock-free, concurrent with encode and bump.
 */
GN_API GN_NODISCARD int gn_nonpresent_lookup(struct gn_nonpresent *np, uint64_t entry,
                                             uint32_t access,
                                             struct gn_nonpresent_answer *ret_answer);

/**
 * From now on no marker of this kind that exists is believed: memory slots changed (MMIO), or
 * tables stopped being traced (GUEST_ABSENT).
 *
 * @param np    the object
 * @param kind  GN_NONPRESENT_GUEST_ABSENT or GN_NONPRESENT_MMIO
 * @return
 *  - 0
 *  - 1: the generation wrapped to 0. Before the next lookup the embedder must replace every marker
 *    of this kind, in all of its shadow tables, by 0: old ones would be believed again
 *  - -GN_ERR_INVAL: np is NULL, or another kind
 *
 * Context: any; O(1). Thread-safety: one bump at a time, concurrent with lookups; one that runs at
 * the same time may answer as before.
 */
GN_API GN_NODISCARD int gn_nonpresent_bump(struct gn_nonpresent *np, uint32_t kind);

/**
 * Tells the counters.
 *
 * @param np     the object
 * @param stats  with its size set; filled as far as both sides know, unknown members become zero
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or a size below that of the first version
 *
 * Context: any; O(1). Thread-safety: concurrent with all but fini.
 */
GN_API GN_NODISCARD int gn_nonpresent_stats_get(const struct gn_nonpresent *np,
                                                struct gn_nonpresent_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_NONPRESENT_H */
