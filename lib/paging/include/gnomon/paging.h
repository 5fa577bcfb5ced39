/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_PAGING_H
#define GN_PAGING_H

/*
 * gnomon/paging.h - page-table formats as data, and a walker that gives the exact fault.
 *
 * A format is a const table: its geometry, a decoder and an encoder of entries. One walker serves
 * all of them, so that a hypervisor which shadows or emulates an MMU asks one function "what would
 * the machine do with this access?" and gets either a translation or the architectural fault, with
 * the error code, cause or syndrome that the guest is owed.
 *
 *    format       levels  pages                  of the manual
 *    X86_32       2       4 KiB, 4 MiB           Intel SDM vol. 3A §4.3
 *    X86_PAE      3       4 KiB, 2 MiB           §4.4
 *    X86_4LEVEL   4       4 KiB, 2 MiB, 1 GiB    §4.5
 *    X86_5LEVEL   5       the same               §4.5
 *    SV39         3       4 KiB .. 1 GiB         RISC-V Privileged Architecture §4.4
 *    SV48         4       4 KiB .. 512 GiB       §4.5
 *    SV57         5       4 KiB .. 256 TiB       §4.6
 *    AARCH64_4K   4       4 KiB, 2 MiB, 1 GiB    Arm DDI 0487 D8: stage 1, EL1&0, VMSAv8-64
 *
 *        gn_gva_t --+
 *                   |   +--------+  entry   +--------+  entry   +--------+
 *    context: root--+-->| level 2|--------->| level 1|--------->| level 0|---> gn_gpa_t, page size,
 *    controls           +--------+          +--------+          +--------+     permissions
 *                            |  load(gpa), cmpxchg(gpa): the embedder's ops        or a fault
 *
 * Levels count from the leaf: level 0 maps 4 KiB pages in every format, the root is level
 * `levels - 1`. A table is named by the level of the entries it holds.
 *
 * Rules of use:
 *  - Guest tables are hostile. A walk reads at most one entry a level, plus a bounded number of
 *    restarts when an entry changes while its A or D bit is being set. Each entry is read once and
 *    judged by that value.
 *  - A and D bits are set by compare-and-swap, never set for an access that faults, never by a
 *    walk with GN_PAGING_NO_UPDATE. (Where a guest changes the leaf while x86 table entries above
 *    it get their A bit, those keep it, though the access may fault now: as on the machine.)
 *  - The library keeps no state: everything is in the arguments.
 *  - PAE: a walk reads the PDPTE from memory each time. A processor of Intel's loads all four into
 *    registers at a move to CR3, and raises #GP there if a present one has a reserved bit: whoever
 *    wants that decodes them then (level 2; kind RESERVED), keeps a copy of the 32 bytes, and names
 *    the copy as the root, at an address that the ops know. In a walk, such a bit is a page fault.
 *  - AArch64: bit 55 of the address chooses between root (TTBR0_EL1, the lower half) and root_high
 *    (TTBR1_EL1, the upper one). Both ranges have 48 bits: TCR_EL1.T0SZ and T1SZ are 16.
 *
 * It is not a TLB (see softmmu), and keeps no shadow (see shadow). Not modelled: stage 2 and nested
 * paging; shadow-stack accesses, supervisor keys (PKS) and LASS of x86; of AArch64 other granules
 * and widths (LPA2), permission indirection and overlay, E0PD, HPD, and NS.
 *
 * Sources: RISC-V Privileged Architecture 20211203 §4.3-§4.6, ch. 5 (Svnapot), ch. 6 (Svpbmt);
 * Intel SDM vol. 3A ch. 4; Arm DDI 0487 D8, and ESR_EL1 in D17.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_PAGING_VERSION_MAJOR 0
#define GN_PAGING_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_paging_version(void);

/* Formats. Values are part of the ABI; numbers not named here are kept for formats to come. */
#define GN_PAGING_BARE       0 /**< no translation: satp.MODE = Bare, or CR0.PG = 0 */
#define GN_PAGING_X86_32     1 /**< x86 with CR4.PAE = 0: 4-byte entries, 4 KiB and 4 MiB pages */
#define GN_PAGING_X86_PAE    2 /**< x86 PAE outside long mode: 4 KiB and 2 MiB pages */
#define GN_PAGING_X86_4LEVEL 3 /**< x86-64, 48-bit addresses: 4 KiB, 2 MiB, 1 GiB pages */
#define GN_PAGING_X86_5LEVEL 4 /**< x86-64 with CR4.LA57 */
#define GN_PAGING_SV39       5 /**< RISC-V Sv39: 4 KiB, 2 MiB, 1 GiB pages */
#define GN_PAGING_SV48       6 /**< RISC-V Sv48 */
#define GN_PAGING_SV57       7 /**< RISC-V Sv57 */
#define GN_PAGING_AARCH64_4K 8 /**< VMSAv8-64 stage 1, EL1&0: granule 4 KiB, 48 bits */

/** Most levels that any format has. */
#define GN_PAGING_LEVELS_MAX 5

/* What an entry or a whole walk permits, the same bits for every format. */
#define GN_PAGING_R     0x001u /**< data may be read */
#define GN_PAGING_W     0x002u /**< data may be written (given privilege, and see CR0.WP) */
#define GN_PAGING_X     0x004u /**< instructions may be fetched; AArch64: by EL1 (PXN is 0) */
#define GN_PAGING_U     0x008u /**< a user page; AArch64: EL0 may access its data (AP[1]) */
#define GN_PAGING_G     0x010u /**< global: the same in every address space */
#define GN_PAGING_A     0x020u /**< accessed bit */
#define GN_PAGING_D     0x040u /**< dirty bit; AArch64: AP[2] is 0, so that no write changes it */
#define GN_PAGING_UX    0x080u /**< AArch64 alone: EL0 may fetch instructions (UXN is 0) */
#define GN_PAGING_SOFT0 0x100u /**< a bit that the architecture leaves to software */
#define GN_PAGING_SOFT1 0x200u /**< another one */

/** The bits above that a leaf of the walker may carry besides permissions. */
#define GN_PAGING_RWXU (GN_PAGING_R | GN_PAGING_W | GN_PAGING_X | GN_PAGING_U)

/* How an access is made; or-ed to GN_ACCESS_READ, _WRITE or _EXEC. */
#define GN_PAGING_ACCESS_KIND 0x0fu /**< mask of the GN_ACCESS_* part */
#define GN_PAGING_AS_USER     0x10u /**< with user privilege; else supervisor */
#define GN_PAGING_IMPLICIT    0x20u /**< x86: descriptor tables; supervisor, despite _AS_USER */
#define GN_PAGING_NO_UPDATE   0x40u /**< leave A and D as they are, and do not fault for them */

/* Control state. Bits of other architectures are ignored. */
#define GN_PAGING_X86_WP    0x0001u /**< CR0.WP */
#define GN_PAGING_X86_NXE   0x0002u /**< EFER.NXE */
#define GN_PAGING_X86_SMEP  0x0004u /**< CR4.SMEP */
#define GN_PAGING_X86_SMAP  0x0008u /**< CR4.SMAP */
#define GN_PAGING_X86_AC    0x0010u /**< RFLAGS.AC */
#define GN_PAGING_X86_PKE   0x0020u /**< CR4.PKE: gn_paging_context.pkru applies to user pages */
#define GN_PAGING_X86_1G    0x0040u /**< CPUID Page1GB: 1 GiB pages exist */
#define GN_PAGING_X86_PSE   0x0080u /**< CR4.PSE: 32-bit paging has 4 MiB pages */
#define GN_PAGING_RISCV_SUM 0x0100u /**< sstatus.SUM */
#define GN_PAGING_RISCV_MXR 0x0200u /**< sstatus.MXR */
#define GN_PAGING_RISCV_ADUE \
    0x0400u /**< the MMU sets A and D; else (Svade) they fault when clear */
#define GN_PAGING_AARCH64_HA \
    0x010000u /**< TCR_EL1.HA: the MMU sets the access flag; else it faults when clear */
#define GN_PAGING_AARCH64_HD   0x020000u /**< TCR_EL1.HD: and makes DBM pages dirty; needs HA */
#define GN_PAGING_AARCH64_PAN  0x040000u /**< PSTATE.PAN */
#define GN_PAGING_AARCH64_WXN  0x080000u /**< SCTLR_EL1.WXN */
#define GN_PAGING_AARCH64_EPD0 0x100000u /**< TCR_EL1.EPD0: no walks in the lower half */
#define GN_PAGING_AARCH64_EPD1 0x200000u /**< TCR_EL1.EPD1: no walks in the upper half */
#define GN_PAGING_AARCH64_TBI0 0x400000u /**< TCR_EL1.TBI0: bits 63:56 are ignored, lower half */
#define GN_PAGING_AARCH64_TBI1 0x800000u /**< TCR_EL1.TBI1: the same for the upper half */
#define GN_PAGING_AARCH64_EPAN \
    0x1000000u /**< SCTLR_EL1.EPAN: PAN concerns what EL0 may only execute, too; needs PAN */

/* Extensions that give a meaning to bits of an entry which are reserved without. They stand apart
 * from the controls, all of which may be set by whoever only wants to know what an entry permits.
 */
#define GN_PAGING_RISCV_PBMTE 0x1u /**< menvcfg.PBMTE: Svpbmt's bits 62:61 are memory types */
#define GN_PAGING_RISCV_NAPOT 0x2u /**< Svnapot: bit 63 makes 64 KiB pages of level 0 */

/*
 * What an entry says of memory beside permissions: gn_paging_entry.attributes. The bits are the
 * format's own, nothing is judged by them (but protection keys, see GN_PAGING_X86_PKE).
 */
#define GN_PAGING_X86_PWT       0x01u /**< write-through; leaves and tables */
#define GN_PAGING_X86_PCD       0x02u /**< cache disable; leaves and tables */
#define GN_PAGING_X86_PAT       0x04u /**< third bit of a leaf's memory type */
#define GN_PAGING_X86_KEY_SHIFT 4     /**< protection key of a 4- or 5-level leaf, */
#define GN_PAGING_X86_KEY_MASK  0xf0u /**< supervisor pages included */
#define GN_PAGING_X86_KEY(key)  ((uint32_t)(key) << 4) /**< key 0 to 15 */

#define GN_PAGING_RISCV_PBMT(type) ((uint32_t)(type)) /**< of a leaf: 0 PMA, 1 NC, 2 IO */
#define GN_PAGING_RISCV_PBMT_MASK  0x3u
#define GN_PAGING_RISCV_NAPOT64K \
    0x4u /**< a leaf of level 0 that maps 64 KiB from address: itself and its neighbours alike */

#define GN_PAGING_AARCH64_INDEX(n)   ((uint32_t)(n)) /**< AttrIndx of a leaf: a byte of MAIR_EL1 */
#define GN_PAGING_AARCH64_INDEX_MASK 0x07u
#define GN_PAGING_AARCH64_SH(sh)     ((uint32_t)(sh) << 3) /**< shareability of a leaf */
#define GN_PAGING_AARCH64_SH_SHIFT   3
#define GN_PAGING_AARCH64_SH_MASK    0x18u
#define GN_PAGING_AARCH64_CONTIGUOUS 0x20u /**< a hint, that the walker leaves alone */
#define GN_PAGING_AARCH64_DBM \
    0x40u /**< dirty bit modifier: with HD, AP[2] says clean; encode: W without D is AP[2] = 1 */
#define GN_PAGING_AARCH64_GP 0x80u /**< guarded page (BTI) */

/* Kinds of outcome of a walk. */
#define GN_PAGING_TRANSLATED   0 /**< gpa, shift and permissions hold */
#define GN_PAGING_FAULT_PAGE   1 /**< page fault; code is the error code or the cause */
#define GN_PAGING_FAULT_ACCESS 2 /**< no memory behind a table; x86 has no code for it */
#define GN_PAGING_FAULT_NONCANONICAL \
    3 /**< x86: #GP or #SS, the embedder knows which; 32-bit formats: no such linear address */

/* Why an entry stopped the walk: gn_paging_walk.reason, more than the code tells. */
#define GN_PAGING_REASON_NONE   0 /**< it did not */
#define GN_PAGING_REASON_ABSENT 1 /**< the present or valid bit is clear */
#define GN_PAGING_REASON_RESERVED \
    2 /**< reserved bit or encoding, misaligned superpage; AArch64: an address past phys_bits */
#define GN_PAGING_REASON_PERMISSION 3 /**< present, and forbids this access */
#define GN_PAGING_REASON_AD         4 /**< A, or (Svade) D for a write, is clear */
#define GN_PAGING_REASON_ADDRESS \
    5 /**< the virtual address is not of the format's width; AArch64: or of a half with EPDn */
#define GN_PAGING_REASON_MEMORY 6 /**< the embedder has no memory at the entry's address */

/** For gn_paging_fault_code: the level at which it happened, or-ed to the reason. */
#define GN_PAGING_REASON_LEVEL(level) ((uint32_t)(level) << GN_PAGING_REASON_LEVEL_SHIFT)
#define GN_PAGING_REASON_LEVEL_SHIFT  8

/* x86 page-fault error code (SDM vol. 3A §4.7). */
#define GN_PAGING_X86_PF_P    0x01u
#define GN_PAGING_X86_PF_W    0x02u
#define GN_PAGING_X86_PF_U    0x04u
#define GN_PAGING_X86_PF_RSVD 0x08u
#define GN_PAGING_X86_PF_I    0x10u
#define GN_PAGING_X86_PF_PK   0x20u

/*
 * AArch64: bits 6:0 of ESR_EL1.ISS. The class (EC) follows from the access: an instruction or a
 * data abort, from the same or a lower level. The level in a status is the manual's: 3 for the
 * last one, GN_PAGING's level 0.
 */
#define GN_PAGING_AARCH64_FSC_MASK     0x3fu /**< DFSC or IFSC; its bits 1:0 are the level, and */
#define GN_PAGING_AARCH64_ADDRESS_SIZE 0x00u /**< REASON_RESERVED; of the root: level 0 */
#define GN_PAGING_AARCH64_TRANSLATION  0x04u /**< REASON_ABSENT; REASON_ADDRESS: level 0 */
#define GN_PAGING_AARCH64_ACCESS_FLAG  0x08u /**< REASON_AD */
#define GN_PAGING_AARCH64_PERMISSION   0x0cu /**< REASON_PERMISSION */
#define GN_PAGING_AARCH64_EXTERNAL     0x14u /**< REASON_MEMORY: external abort on the walk */
#define GN_PAGING_AARCH64_WNR          0x40u /**< a write; never with a fetch */

/** An address space and the control state under which it is walked. */
struct gn_paging_context {
    uint32_t size;     /**< GN_PAGING_CONTEXT_INIT sets it */
    uint32_t format;   /**< GN_PAGING_BARE, ... */
    gn_gpa_t root;     /**< of the root table; 4 KiB aligned, X86_PAE: 32 bytes. AArch64: TTBR0 */
    uint32_t controls; /**< GN_PAGING_X86_..., GN_PAGING_RISCV_... or GN_PAGING_AARCH64_... */
    uint32_t pkru;     /**< x86 PKRU */
    /**
     * Width of a physical address. x86: MAXPHYADDR, 32 to 52, others mean 52 (X86_32 without
     * CPUID PSE-36: 32). AArch64: TCR_EL1.IPS in bits, 32 to 48, others mean 48. RISC-V: ignored.
     */
    uint32_t phys_bits;
    uint32_t extensions; /**< GN_PAGING_RISCV_PBMTE, _NAPOT; others are zero */
    gn_gpa_t root_high; /**< AArch64: TTBR1, of the upper half; else zero. Not in a first context */
};

/** First initializer of a gn_paging_context: `{GN_PAGING_CONTEXT_INIT, .format = ...}`. */
#define GN_PAGING_CONTEXT_INIT .size = sizeof(struct gn_paging_context)

/** How the walker reaches guest memory. */
struct gn_paging_ops {
    uint32_t size;     /**< GN_PAGING_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Required. Reads an aligned entry of 4 or 8 bytes, in one access; 4 are zero-extended.
     * @return 0, or -GN_ERR_FAULT: no memory there (the guest gets an access fault).
     * Called wherever a walk is; must not re-enter the caller's library object.
     */
    int (*load)(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t *ret_value);
    /**
     * Required unless every walk has GN_PAGING_NO_UPDATE. Replaces expected by desired, atomically
     * against the guest's own accesses.
     * @return 0: replaced, or the table lies in read-only memory and is to be left alone;
     * -GN_ERR_AGAIN: the entry was not as expected; -GN_ERR_FAULT: no memory there.
     */
    int (*cmpxchg)(void *ctx, gn_gpa_t gpa, uint32_t bytes, uint64_t expected, uint64_t desired);
};

/** First initializer of a gn_paging_ops. */
#define GN_PAGING_OPS_INIT .size = sizeof(struct gn_paging_ops)

/** An entry that a walk passed. */
struct gn_paging_step {
    gn_gpa_t gpa;   /**< where the entry lies */
    uint64_t value; /**< what it held when the walk ended: A and D as set by the walk */
};

/** The result of a walk. */
struct gn_paging_walk {
    uint32_t outcome;     /**< GN_PAGING_TRANSLATED or GN_PAGING_FAULT_... */
    uint32_t code;        /**< of a fault: x86 error code, RISC-V cause, AArch64 ISS; or 0 */
    uint32_t reason;      /**< GN_PAGING_REASON_... */
    uint32_t level;       /**< level of the leaf, or of the entry that stopped the walk */
    uint32_t top;         /**< level of the root table; step[top] .. step[level] are filled */
    uint32_t shift;       /**< log2 of the page size in bytes; 12, 21, 30, ... (BARE: 63) */
    uint32_t permissions; /**< GN_PAGING_R|W|X|U|UX of all levels combined; G, A, D of the leaf */
    uint32_t entries;     /**< entries loaded, restarts included: what the walk cost */
    gn_gpa_t gpa;         /**< translated address of the byte asked for; 0 if no leaf was met */
    struct gn_paging_step step[GN_PAGING_LEVELS_MAX]; /**< indexed by level; others: undefined */
    uint32_t attributes;                              /**< of the leaf, see gn_paging_entry */
    uint32_t reserved[3];                             /**< zero */
};

/** The shape of a format. */
struct gn_paging_geometry {
    uint32_t levels;      /**< tables on a full walk; 0 for BARE */
    uint32_t va_bits;     /**< width of a virtual address, sign-extended above; 32, BARE: not */
    uint32_t entry_bytes; /**< 4 or 8 */
    uint32_t index_bits;  /**< bits of the address that index a table, where this is all there is
                               to say: equal tables, one root. Else 0: see level_bits, roots */
    uint32_t leaf_levels; /**< bit n: a leaf may stand at level n */
    uint32_t pa_bits;     /**< widest physical address an entry can hold */
    uint32_t inherited;   /**< GN_PAGING_W|X|U|UX bits of table entries that restrict what lies
                               below */
    uint32_t roots;       /**< 1; AArch64 2, chosen by the top bit of an address; BARE 0 */
    uint32_t level_bits[GN_PAGING_LEVELS_MAX]; /**< bits that index a table of each level */
    uint32_t reserved[3];                      /**< zero */
};

/* What an entry is. */
#define GN_PAGING_ENTRY_ABSENT   0 /**< the hardware ignores all other bits */
#define GN_PAGING_ENTRY_TABLE    1 /**< points to a table of the next lower level */
#define GN_PAGING_ENTRY_LEAF     2 /**< maps a page */
#define GN_PAGING_ENTRY_RESERVED 3 /**< present, and faults whoever uses it */

/** A decoded entry. */
struct gn_paging_entry {
    uint32_t kind;        /**< GN_PAGING_ENTRY_... */
    uint32_t permissions; /**< GN_PAGING_R .. GN_PAGING_SOFT1, of this entry alone. Of a table
                               entry: what it leaves to the levels below */
    uint64_t address;     /**< physical address of the table or page, in bytes */
    uint32_t attributes;  /**< GN_PAGING_X86_PWT ..., _RISCV_PBMT ..., _AARCH64_INDEX ... */
    uint32_t reserved[3]; /**< zero */
};

/**
 * Tells a format's shape.
 *
 * @param format        GN_PAGING_...
 * @param ret_geometry  filled on success
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: ret_geometry is NULL
 *  - -GN_ERR_NOTSUP: the library does not know the format
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_paging_geometry(uint32_t format,
                                           struct gn_paging_geometry *ret_geometry);

/** A format's name ("sv39"), or NULL if unknown. Context: any. Thread-safety: reentrant. */
GN_API const char *gn_paging_format_name(uint32_t format);

/**
 * Decodes an entry of a table.
 *
 * @param context   format, and what decides about reserved bits (controls, phys_bits)
 * @param level     level of the table that holds it, 0 .. levels - 1
 * @param value     the entry, zero-extended
 * @param ret_entry filled on success; all but the kind is 0 for an absent or reserved entry
 * @return
 *  - 0 (a reserved entry is a value)
 *  - -GN_ERR_INVAL: a NULL argument, a context shorter than known, unknown extensions, or the
 * format has no such level
 *  - -GN_ERR_2BIG: a context longer than known, with a tail that is not zero
 *  - -GN_ERR_NOTSUP: unknown format, or BARE
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_paging_entry_decode(const struct gn_paging_context *context,
                                               uint32_t level, uint64_t value,
                                               struct gn_paging_entry *ret_entry);

/**
 * Encodes an entry.
 *
 * @param format     GN_PAGING_..., not BARE
 * @param level      level of the table that is to hold it
 * @param entry      kind TABLE or LEAF (ABSENT gives 0); permissions that the format cannot say
 *                   are widened where it has no choice (x86 leaves are always readable, X86_32
 *                   ones always executable, a PDPTE of X86_PAE permits all)
 * @param ret_value  the entry
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; kind RESERVED; no such level; no leaf at that level; the
 *    address is not aligned to what the entry maps; attributes that such an entry does not have, or
 *    that are reserved; reserved is not zero; a RISC-V leaf with W and no R, or with neither R nor
 *    X
 *  - -GN_ERR_RANGE: the address is wider than the format's (X86_32: 40 bits for a 4 MiB page, else
 *    32)
 *  - -GN_ERR_NOTSUP: unknown format, or BARE
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_paging_entry_encode(uint32_t format, uint32_t level,
                                               const struct gn_paging_entry *entry,
                                               uint64_t *ret_value);

/**
 * Would a page with these combined permissions allow this access? The privilege rules alone:
 * user and supervisor, SUM, MXR, WP, SMEP, SMAP, NX, PAN, WXN; neither A and D nor protection keys.
 *
 * @param context      format and controls
 * @param permissions  GN_PAGING_R|W|X|U|UX of all levels combined
 * @param access       GN_ACCESS_* | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT
 * @return 1 or 0
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API int gn_paging_allows(const struct gn_paging_context *context, uint32_t permissions,
                            uint32_t access);

/**
 * The fault code that a page-fault for this access carries.
 *
 * @param context  format and controls (x86: the I bit exists only with NXE or SMEP)
 * @param access   GN_ACCESS_* | GN_PAGING_AS_USER
 * @param reason   GN_PAGING_REASON_ABSENT, _RESERVED, _PERMISSION or _AD; for AArch64 or-ed to
 *                 GN_PAGING_REASON_LEVEL(level), which others ignore
 * @return x86: error code; RISC-V and BARE: cause 12, 13 or 15; AArch64: ISS, see
 *         GN_PAGING_AARCH64_FSC_MASK
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API uint32_t gn_paging_fault_code(const struct gn_paging_context *context, uint32_t access,
                                     uint32_t reason);

/**
 * Walks the guest's tables for one access, as the machine would.
 *
 * @param context   address space and control state
 * @param ops       how to reach guest memory
 * @param ops_ctx   passed to ops
 * @param gva       the address accessed (one byte of it: split accesses that cross a page)
 * @param access    GN_ACCESS_* | GN_PAGING_AS_USER | GN_PAGING_IMPLICIT | GN_PAGING_NO_UPDATE
 * @param ret_walk  filled on success, for translations and faults alike
 * @return
 *  - 0: see ret_walk->outcome
 *  - -GN_ERR_INVAL: a NULL argument or a required op that is NULL, a context or ops shorter than
 *    known, an unaligned root, an unknown access kind, an unknown bit in access or
 *    extensions
 *  - -GN_ERR_2BIG: a context or ops longer than known, with a tail that is not zero
 *  - -GN_ERR_NOTSUP: unknown format
 *  - -GN_ERR_AGAIN: entries changed at each of 16 restarts; nothing was promised to the guest,
 *    call again
 *  - what an op returned, if not one of the values its comment names
 *
 * Context: any that the ops allow; O(levels). Thread-safety: reentrant, concurrent walks and guest
 * writes of the same tables allowed. Ownership: nothing is kept.
 */
GN_API GN_NODISCARD int gn_paging_walk(const struct gn_paging_context *context,
                                       const struct gn_paging_ops *ops, void *ops_ctx, gn_gva_t gva,
                                       uint32_t access, struct gn_paging_walk *ret_walk);

#ifdef __cplusplus
}
#endif

#endif /* GN_PAGING_H */
