/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_X86_64_H
#define GN_X86_64_H

/*
 * gnomon/x86_64.h - the bare machine: x86-64 in ring 0, without an operating system.
 *
 * A program linked with this platform is an image that QEMU boots (-kernel, by PVH) and GRUB, too
 * (Multiboot2). The platform brings the processor to long mode with page tables of its own, catches
 * every exception on a stack that is sure to be there, finds the memory, and calls
 * gn_x86_64_main(). And it is a platform in the sense of <gnomon/mmu.h>: shadow tables go into CR3,
 * and the processor itself judges the accesses.
 *
 *     virtual addresses                                     root table in CR3
 *
 *     +--------------------+ ffff_ffff_ffff_ffff            +-----+
 *     | user code (1 page) | ffff_ffff_c000_0000      511   |  *--|--> the platform's, in each root
 *     | the image          | ffff_ffff_8000_0000            +-----+
 *     | physical memory    | ffff_ff80_0000_0000      510   |     |
 *     +--------------------+                                :     :    the shadow's entries
 *     | everything else: the guest's           |        0   |     |
 *     +----------------------------------------+            +-----+
 *
 * The platform lives in the topmost 512 GiB, one entry of the root table, so that it stays where
 * it is while any guest's address space is in CR3, and translations survive between accesses. What
 * it costs: no guest address in there can be accessed.
 *
 * Where CPUID has LA57 the machine runs with five levels, else with four: a processor cannot change
 * that without leaving long mode. NX, SMEP, SMAP, protection keys, 1 GiB pages, PCID and INVPCID
 * are used where they are there.
 *
 * Rules of use. One processor; others stay where the firmware left them. Interrupts are off and all
 * lines of the interrupt controller masked until gn_x86_64_irq_enable(). An exception that no probe
 * and no hook asked for prints its frame on the serial line and ends the machine. This part has
 * globals, as the machine has: tables that the processor reads, and what was found at boot.
 * It is no operating system: no processes, no files, no drivers but a serial line, a timer and two
 * interrupt controllers.
 *
 * Sources: Intel SDM vol. 3A ch. 4 to 6, 9; AMD APM vol. 2; Xen, "x86/HVM direct boot ABI";
 * Multiboot2 specification 2.0; QEMU, docs/specs.
 */

#include <gnomon/base.h>
#include <gnomon/mmu.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this platform's interface. */
#define GN_X86_64_VERSION_MAJOR 0
#define GN_X86_64_VERSION_MINOR 1

/** The image's own; called once, on a stack of 1 MiB with a page below it that is not mapped.
 * @return what gn_x86_64_exit() is told */
int gn_x86_64_main(void);

/* ---- the processor ------------------------------------------------------------------------ */

/* What the processor has, of what is used here. */
#define GN_X86_64_HAS_NX      0x001u /**< no-execute; EFER.NXE is set */
#define GN_X86_64_HAS_1G      0x002u /**< 1 GiB pages */
#define GN_X86_64_HAS_LA57    0x004u /**< five levels; they are in force */
#define GN_X86_64_HAS_SMEP    0x008u
#define GN_X86_64_HAS_SMAP    0x010u
#define GN_X86_64_HAS_PKU     0x020u
#define GN_X86_64_HAS_PCID    0x040u /**< CR4.PCIDE is set */
#define GN_X86_64_HAS_INVPCID 0x080u
#define GN_X86_64_HAS_SVM     0x100u

/** GN_X86_64_HAS_..., found at boot. Context: any. Thread-safety: reentrant. */
uint32_t gn_x86_64_features(void);

/** Width of a physical address, in bits: 32 to 52. Context: any. Thread-safety: reentrant. */
uint32_t gn_x86_64_phys_bits(void);

/** The time-stamp counter. Under QEMU's -icount shift=0 it counts instructions. Context: any. */
uint64_t gn_x86_64_tsc(void);

/** Its frequency, in Hz, measured against the timer at the first call, for 10 ms. Context: any. */
uint64_t gn_x86_64_tsc_hz(void);

/**
 * Puts control bits in force: CR0.WP, EFER.NXE, CR4.SMEP, SMAP and PKE, and PKRU with PKE. What the
 * processor lacks stays clear. GN_PAGING_X86_AC and other bits do nothing here.
 *
 * @param controls  GN_PAGING_X86_... (<gnomon/paging.h>)
 * Context: any; changes the interrupted code's too.
 */
void gn_x86_64_controls_set(uint32_t controls, uint32_t pkru);

/* ---- memory ------------------------------------------------------------------------------- */

/** A range of the boot protocol's memory map. */
struct gn_x86_64_range {
    gn_hpa_t base;
    uint64_t length;   /**< bytes */
    uint32_t kind;     /**< as in E820: 1 is memory that may be used */
    uint32_t reserved; /**< zero */
};

/** The memory map, sorted as the firmware did. Context: any. Ownership: the platform's. */
const struct gn_x86_64_range *gn_x86_64_memory_map(uint32_t *ret_count);

/** The command line that the image was started with. Context: any. Ownership: the platform's. */
const char *gn_x86_64_command_line(void);

/**
 * Physical memory as the image sees it. For addresses below 4 GiB and in memory: always there.
 * Context: any. Thread-safety: reentrant.
 */
void *gn_x86_64_direct(gn_hpa_t hpa);

/** The other way, for pointers of gn_x86_64_direct() and into the image. Context: any. */
gn_hpa_t gn_x86_64_physical(const void *pointer);

/**
 * Takes consecutive frames, from the highest that are free.
 *
 * @param count  frames of 4 KiB, not 0
 * @param align  of the first one's address, in bytes: a power of two, 4096 or more
 * @param ret_hpa  the first byte; contents are unspecified
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a bad argument
 *  - -GN_ERR_NOMEM: there are not so many in a row
 *
 * Context: any, not from interrupts; O(frames). Thread-safety: one caller at a time.
 * Ownership: the caller's until gn_x86_64_frames_free().
 */
GN_NODISCARD int gn_x86_64_frames_alloc(uint64_t count, uint64_t align, gn_hpa_t *ret_hpa);

/**
 * Takes the frames of a certain range, as far as they are memory; what the firmware keeps in there
 * (a hole, its own tables) stays.
 *
 * @return
 *  - 0
 *  - -GN_ERR_BUSY: one of them is taken; none is taken then
 *
 * Context, Thread-safety, Ownership: as above.
 */
GN_NODISCARD int gn_x86_64_frames_claim(gn_hpa_t hpa, uint64_t count);

/** Gives frames back; those of a range that were never to be had stay so. Context: as above. */
void gn_x86_64_frames_free(gn_hpa_t hpa, uint64_t count);

/** How many are free. Context: any; O(frames). */
uint64_t gn_x86_64_frames_left(void);

/**
 * Puts the platform's own entry into a root table of the format in force (four levels, or five with
 * LA57), so that the table can be loaded. What stood there is lost.
 *
 * @param root  the table, 4 KiB
 */
void gn_x86_64_root_adopt(void *root);

/** Loads CR3 with an adopted root. All translations but global ones are forgotten. */
void gn_x86_64_root_load(gn_hpa_t root);

/** Loads the platform's own root, which maps nothing but the platform. */
void gn_x86_64_root_own(void);

/* ---- the outside -------------------------------------------------------------------------- */

/** Writes to the serial line, COM1; waits while it is busy. Context: any. */
void gn_x86_64_serial_write(const char *text, size_t bytes);

/**
 * Ends the machine: QEMU's debug-exit device gets 16 + status, and QEMU exits with twice that and
 * one, which no failure of its own gives. Without that device the status goes to the serial line,
 * in hexadecimal, Bochs is told to end, and the processor halts for good.
 *
 * @param status  0 to 110; more is 110
 */
void gn_x86_64_exit(uint32_t status) __attribute__((noreturn));

/** What an exception or interrupt found: registers, as pushed. */
struct gn_x86_64_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error; /**< error is 0 where the processor pushes none */
    uint64_t rip, cs, rflags, rsp, ss;
};

/**
 * Called for exceptions that no probe asked for, on the exception's own stack. May change the
 * frame, which is what the processor goes on with.
 *
 * @return 1: go on; 0: print the frame, and end the machine
 */
typedef int gn_x86_64_hook(struct gn_x86_64_frame *frame);

/** Sets the hook of exceptions; NULL: none. */
void gn_x86_64_exception_hook(gn_x86_64_hook *hook);

/**
 * Called for interrupts, on the stack that was interrupted, after the controller was told that it
 * is over. @param saved  what to go on with. @return saved, or what another call was given: so
 * a scheduler switches between threads
 */
typedef void *gn_x86_64_irq_hook(uint32_t line, void *saved);

/** Sets the hook of interrupts, unmasks these lines of the controller, and sets RFLAGS.IF. */
void gn_x86_64_irq_enable(gn_x86_64_irq_hook *hook, uint32_t lines);

/** Clears RFLAGS.IF and masks every line. */
void gn_x86_64_irq_disable(void);

/** Lets the timer tick on line 0. @param hz  19 to 1,193,182 */
void gn_x86_64_timer_start(uint32_t hz);

/* ---- probes ------------------------------------------------------------------------------- */

/**
 * One access as the processor makes it: an instruction that reads or writes, or a jump. It ends by
 * an exception in any case; which one says what came of it.
 */
struct gn_x86_64_probe {
    uint64_t gva;    /**< where; not in the platform's topmost 512 GiB */
    uint64_t value;  /**< [in,out] what is written; RAX afterwards: what was read */
    uint64_t entry;  /**< set by the probe: where it begins */
    uint64_t flags;  /**< RFLAGS: GN_X86_64_FLAG_AC or 0 */
    uint64_t cs, ss; /**< set by the probe */
    uint32_t vector; /**< 6 (#UD): performed; of a fetch, 3 (#BP) or what the code there does; of an
                          implicit access, 13 (#GP) with code 4, or 6 */
    uint32_t error;  /**< error code of a fault, 0 if none */
    uint64_t cr2;    /**< CR2 then */
    uint64_t rip;    /**< where it stopped */
};

/** RFLAGS.AC. */
#define GN_X86_64_FLAG_AC 0x40000u

/**
 * Makes a probe in the address space and under the controls that are in force.
 *
 * @param access  GN_ACCESS_..., or-ed with GN_PAGING_AS_USER for ring 3; a read with
 *                GN_PAGING_IMPLICIT is the processor's own, of a descriptor for FS
 * @param bytes   1, 2, 4 or 8 (implicit: 8); of a fetch: ignored, the code at gva runs until it
 *                faults
 * @param probe   flags, gva and value are read; the rest is filled
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL argument, an unknown access or size
 *  - -GN_ERR_RANGE: gva is the platform's
 *
 * Context: ring 0; interrupts are off meanwhile. Thread-safety: one at a time.
 */
GN_NODISCARD int gn_x86_64_probe_access(uint32_t access, uint32_t bytes,
                                        struct gn_x86_64_probe *probe);

/* ---- the MMU of <gnomon/mmu.h> ------------------------------------------------------------ */

/** A processor's MMU that walks shadow tables. */
struct gn_x86_64_mmu;

/** Counters since init. */
struct gn_x86_64_mmu_stats {
    uint32_t size;     /**< set by the caller; at most that many bytes are written */
    uint32_t reserved; /**< zero */
    uint64_t probes;   /**< instructions that accessed the guest's memory */
    uint64_t faults;   /**< of those: page faults */
    uint64_t loads;    /**< of CR3 */
    uint64_t invlpg;   /**< INVLPG executed */
    uint64_t invpcid;  /**< INVPCID executed */
    uint64_t flushes;  /**< of everything, or of one address space, by CR3 or CR4 */
};

/** First initializer of a gn_x86_64_mmu_stats. */
#define GN_X86_64_MMU_STATS_INIT .size = sizeof(struct gn_x86_64_mmu_stats)

/** Bytes of an object, and its alignment: a frame's. Context: any. Thread-safety: reentrant. */
size_t gn_x86_64_mmu_size(void);

/**
 * Makes an MMU: one virtual CPU, which is the processor. Formats: X86_5LEVEL where LA57 is in
 * force, else X86_4LEVEL. Capabilities: GN_MMU_CAP_WALKS, and GN_MMU_CAP_ASID where PCID is there.
 *
 * An entry that leads to memory at `memory_size` and above is GN_MMU_BAD_TABLE: the processor would
 * read whatever it finds there, so every access is preceded by a look at the tables in software,
 * which decides nothing else.
 *
 * A fetch is a jump to a breakpoint that is put there for that moment; the bytes are read then.
 *
 * @param mem          gn_x86_64_mmu_size() bytes of gn_x86_64_direct() or the image's, 4 KiB
 *                     aligned
 * @param memory_size  bytes of physical memory from 0 on that tables and leaves may lead to
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: a NULL or unaligned argument
 *
 * Context: ring 0. Thread-safety: one MMU at a time is in use. Ownership: mem is the MMU's until
 * gn_x86_64_mmu_fini().
 */
GN_NODISCARD int gn_x86_64_mmu_init(void *mem, uint64_t memory_size,
                                    struct gn_x86_64_mmu **ret_mmu);

/** Ends it: the platform's own root and controls are in force. NULL does nothing. */
void gn_x86_64_mmu_fini(struct gn_x86_64_mmu *mmu);

/**
 * Its operations. access() returns, beside what <gnomon/mmu.h> says, -GN_ERR_RANGE for an address
 * that is not canonical or in the platform's topmost 512 GiB, and -GN_ERR_IO when the processor
 * raised something else than a page fault. context_set() returns -GN_ERR_INVAL for a bad context
 * or another virtual CPU than 0, -GN_ERR_RANGE for an ASID that there is not, -GN_ERR_NOTSUP for
 * controls that the processor lacks.
 */
const struct gn_mmu_ops *gn_x86_64_mmu_ops(void);

/**
 * The guest's PKRU, by which accesses are judged under a context with GN_PAGING_X86_PKE; 0 at
 * first. No context has it: the guest changes it without a word.
 */
void gn_x86_64_mmu_pkru_set(struct gn_x86_64_mmu *mmu, uint32_t pkru);

/** Copies the counters. @return 0, or -GN_ERR_INVAL */
GN_NODISCARD int gn_x86_64_mmu_stats_get(const struct gn_x86_64_mmu *mmu,
                                         struct gn_x86_64_mmu_stats *ret_stats);

#ifdef __cplusplus
}
#endif

#endif /* GN_X86_64_H */
