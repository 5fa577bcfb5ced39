/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MODESWITCH_H
#define GN_MODESWITCH_H

/*
 * gnomon/modeswitch.h - the switch page: from 64-bit code to 32-bit code and back.
 *
 * A processor in long mode cannot load a 32-bit address space: it has to leave long mode, which it
 * does only with paging off, in code that lies at one address with paging on, off, and on again
 * with other tables. That code is one page, the switch page. This library writes it into memory of
 * the embedder's, and refuses a place where it could not work.
 *
 *      64-bit world                    the switch page                   32-bit world
 *      4 or 5 levels               +---------------------+             2 levels, or PAE
 *      GDT, IDT, stack             | 64-bit section      |             GDT, IDT, stack
 *                    call enter -->|   save, far jump    |
 *                                  | 32-bit section      |
 *                                  |   paging off, load  |--> goes on behind its last call of back
 *                    return <------|   save, paging off  |<-- lcall back
 *                                  | saved state, GDT,   |
 *                                  | IDT, stack          |
 *                                  +---------------------+
 *
 * The two worlds are coroutines. enter() returns when the 32-bit world calls back(), and back()
 * returns at the next enter(). Each keeps, as if nothing had happened: general registers (of the
 * 64-bit world those that a function must keep), flags, stack, segment registers, GDTR, IDTR, CR0,
 * CR3, CR4, EFER, bases of FS and GS, TR if asked for, and the MSRs that the embedder names. Left
 * alone, and so shared: CR2, debug registers, LDTR, x87 and SSE state, all other MSRs.
 *
 * Two forms. RING0 is the above. RING3 is for a process of a 64-bit system: the same two worlds
 * share one address space, so that the 32-bit world lies below 4 GiB, and a far jump to
 * a compatibility code segment is all that happens; nothing but stacks is switched. There both
 * worlds keep what a function must keep (of the 32-bit one EBX, ESI, EDI, EBP), and data segments
 * are the 32-bit world's: 64-bit code has no use for them.
 *
 * Interrupts during a RING0 switch:
 *  - Maskable ones are held: IF is clear from before anything is switched until the other world's
 *    flags are restored. They arrive there, before the first instruction behind, or where that
 *    world's flags do not take them, stay pending.
 *  - NMI and machine check come when they like. The page has an IDT of its own, whose gates for
 *    vectors 2 and 18 are right in long mode and out of it (the two kinds of gate do not overlap),
 *    and is loaded while the GDT in force knows the gates' selector, whichever GDT it is. The
 *    handler remembers that it came. On arrival, with everything restored but IF, the page executes
 *    INT 2 or INT 18: the world that is arrived at handles it, and finds the switch in the frame.
 *    Several NMIs that come during one switch are one, as on the processor. Machine checks ask for
 *    CR4.MCE in both worlds' CR4: the one in force changes in mid-switch, and without it a machine
 *    check shuts the processor down. MCG_STATUS.MCIP is for the world's handler to clear; a second
 *    machine check before that is a shutdown, too, in mid-switch as anywhere.
 *  - Others do not occur: the page faults nowhere, if it is mapped as promised. With TF or debug
 *    registers set on the page a switch is not survived.
 * In the RING3 form the system sees to all that: a signal may come at any instruction.
 *
 * Rules of use. The page is the embedder's: 4 KiB, writable by supervisor code (RING3: by the
 * process) and executable, not to be paged out, mapped at its physical address in both worlds.
 * One page serves one pair of worlds on one processor (RING3: one thread) at a time. In the RING0
 * form the 64-bit world's root table lies below 4 GiB, since CR3 is loaded outside long mode, and
 * CR4.PCIDE is clear at a switch unless the page was written for PCIDs.
 *
 * It is no emulator and no loader: what the 32-bit world contains is the embedder's business. It
 * does not enter real mode.
 *
 * Sources: US 7,478,388 and 8,266,628 (switch page between operating modes); Intel SDM vol. 3A
 * §9.8.5 (leaving and entering IA-32e mode), §6.14 (64-bit gates), §6.7 (NMI), §6.15 (#MC); vol.
 * 2A, far jumps.
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this library's interface; the soname carries MAJOR. */
#define GN_MODESWITCH_VERSION_MAJOR 0
#define GN_MODESWITCH_VERSION_MINOR 1

/** The version of the library in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant.
 */
GN_API uint32_t gn_modeswitch_version(void);

/** Bytes of a switch page, and its alignment. */
#define GN_MODESWITCH_PAGE 4096u

/** MSRs that each world has its own values of. */
#define GN_MODESWITCH_MSRS_MAX 8u

/* gn_modeswitch_params.form */
#define GN_MODESWITCH_RING0 0u
#define GN_MODESWITCH_RING3 1u

/* gn_modeswitch_params.flags, RING0 */
/** CR4.FSGSBASE is set in the 64-bit world: bases are kept by RDFSBASE and its like. */
#define GN_MODESWITCH_FSGSBASE 1u
/** The 32-bit world has a TSS: TR is switched, too. Both GDTs must be writable. */
#define GN_MODESWITCH_TSS 2u
/**
 * CR4.PCIDE is set in the 64-bit world: it is clear in mid-switch and in the other world, and set
 * again, with CR3's PCID, on the way back. Translations are forgotten on either way in any case.
 */
#define GN_MODESWITCH_PCID 4u

/** What a switch page is made of. */
struct gn_modeswitch_params {
    uint32_t size;    /**< GN_MODESWITCH_PARAMS_INIT sets it */
    uint32_t form;    /**< GN_MODESWITCH_RING0 or _RING3 */
    uint32_t flags;   /**< GN_MODESWITCH_FSGSBASE, _TSS, _PCID */
    uint32_t msrs;    /**< RING0: entries of msr */
    uint64_t address; /**< where the page is mapped, in both worlds; RING0: physical, too */
    /**
     * Selectors. RING0: of flat segments of ring 0 that stand at the same place in the GDTs of both
     * worlds, and in the page's own: 64-bit code, 32-bit code, data. Below 0x80, different.
     * RING3: what the system has for user code: 0x33, 0x23, 0x2b on Linux.
     */
    uint32_t code64, code32, data;
    /* The 32-bit world, as it is entered first. */
    uint32_t eip;
    uint32_t esp;                         /**< flags are 2: interrupts are off */
    uint32_t cr3;                         /**< RING0: root of its tables; PAE: 32 bytes aligned */
    uint32_t cr0;                         /**< RING0: with PG and PE */
    uint32_t cr4;                         /**< RING0: without LA57, PCIDE */
    uint32_t efer;                        /**< RING0: without LME, LMA */
    uint32_t gdt, gdt_limit;              /**< RING0: linear address there, in bytes - 1 */
    uint32_t idt, idt_limit;              /**< the same */
    uint32_t tr;                          /**< with _TSS */
    uint32_t msr[GN_MODESWITCH_MSRS_MAX]; /**< RING0: numbers; not EFER, bases of FS and GS */
    uint64_t msr_value[GN_MODESWITCH_MSRS_MAX]; /**< what the 32-bit world has at first */
    uint32_t reserved[2];                       /**< zero */
};

/** First initializer of a gn_modeswitch_params. */
#define GN_MODESWITCH_PARAMS_INIT .size = sizeof(struct gn_modeswitch_params)

/** Where things lie in a page: offsets from its first byte. */
struct gn_modeswitch_layout {
    uint32_t size;  /**< of this structure, as the library knows it */
    uint32_t enter; /**< void enter(void), of the 64-bit world */
    uint32_t back;  /**< what the 32-bit world calls: RING0 by LCALL code32, RING3 by CALL */
    uint32_t code64_begin, code64_end; /**< 64-bit instructions; enter is the first */
    uint32_t code32_begin, code32_end; /**< 32-bit instructions */
    uint32_t tail64_begin, tail64_end; /**< 64-bit instructions: the way back */
    uint32_t nmi32_begin, nmi32_end;   /**< 32-bit instructions: handlers of NMI and #MC */
    uint32_t nmi64_begin, nmi64_end;   /**< 64-bit instructions: the same */
    uint32_t latched; /**< uint32_t: how many NMIs and machine checks came in mid-switch */
};

/**
 * Writes a switch page.
 *
 * @param page        GN_MODESWITCH_PAGE bytes, aligned to as many: params.address as the caller
 *                    sees it
 * @param len         its length, in bytes
 * @param params      see there
 * @param ret_layout  filled on success
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument; an unknown form or flag; a selector that is null, not one of
 *    ring 0 (RING3: of ring 3), beyond the GDT's limit, or twice the same; CR0 without PG or PE;
 *    CR4 with LA57 or PCIDE; EFER with LME or LMA; a root that is not aligned or, without PAE, EFER
 *    with NXE; an MSR that is switched anyway or named twice; reserved is not zero
 *  - -GN_ERR_2BIG: the structure is longer than known and not zero there; too many MSRs
 *  - -GN_ERR_NOMEM: len is too small
 *  - -GN_ERR_FAULT: page or params.address is not aligned to 4 KiB: it would not be mapped as one
 *  - -GN_ERR_RANGE: the page is not below 2 GiB, where both kinds of code reach it by 32 bits that
 *    64-bit code extends by their sign; or it is page 0
 *
 * Context: any; O(1). Thread-safety: reentrant for different pages. Ownership: the page is the
 * caller's; it holds the state of the world that does not run.
 */
GN_API GN_NODISCARD int gn_modeswitch_emit(void *page, size_t len,
                                           const struct gn_modeswitch_params *params,
                                           struct gn_modeswitch_layout *ret_layout);

/** How a check looks at tables: the embedder's, of both worlds. */
struct gn_modeswitch_check_ops {
    uint32_t size;     /**< GN_MODESWITCH_CHECK_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Required. Where an address leads in a world.
     * @param bits  64 or 32: the world
     * @param ret_physical  of the byte
     * @param ret_flags  GN_MODESWITCH_MAP_...
     * @return 0, or -GN_ERR_NOENT: nothing is mapped there
     */
    int (*translate)(void *ctx, uint32_t bits, uint64_t address, uint64_t *ret_physical,
                     uint32_t *ret_flags);
};

/** First initializer of a gn_modeswitch_check_ops. */
#define GN_MODESWITCH_CHECK_OPS_INIT .size = sizeof(struct gn_modeswitch_check_ops)

/* What a mapping permits to the world's code. */
#define GN_MODESWITCH_MAP_WRITE 1u
#define GN_MODESWITCH_MAP_EXEC  2u

/**
 * Looks whether a page that was written can be used: nothing that a switch touches is unmapped
 * while it does. The page itself in both worlds, and in the 32-bit one its stack, its GDT as far as
 * the selectors, and its first instruction. RING0 alone asks for identity.
 *
 * @param params  as given to gn_modeswitch_emit()
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, or what gn_modeswitch_emit() would refuse
 *  - -GN_ERR_NOENT: something is not mapped
 *  - -GN_ERR_PERM: something is mapped without the permission that the switch needs
 *  - -GN_ERR_FAULT: the page is mapped elsewhere than at its physical address
 *  - what ops->translate failed with
 *
 * Context: where ops->translate may be called; O(1). Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_modeswitch_check(const struct gn_modeswitch_params *params,
                                            const struct gn_modeswitch_check_ops *ops,
                                            void *ops_ctx);

#ifdef __cplusplus
}
#endif

#endif /* GN_MODESWITCH_H */
