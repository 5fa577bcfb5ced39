/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_CPU_H
#define RV64_CPU_H

/*
 * One RV64GC hart: I M A F D C, Zicsr, Zifencei, with M, S and U modes, Sv39 and 16-bit ASIDs.
 * This is the architectural state and the calls that the machine makes on it; the interpreter is
 * in interp.c, CSRs are in csr.c, traps in trap.c, floating point in fpu.c.
 */

#include <stdbool.h>
#include <stdint.h>

#include "mmu.h"
#include "translate/jit.h"

#define RV64_PRIV_U 0
#define RV64_PRIV_S 1
#define RV64_PRIV_M 3

/* Interrupt numbers: bits of mip and mie, and causes with bit 63 set. */
#define RV64_IRQ_SSI 1
#define RV64_IRQ_MSI 3
#define RV64_IRQ_STI 5
#define RV64_IRQ_MTI 7
#define RV64_IRQ_SEI 9
#define RV64_IRQ_MEI 11

/* Exception causes (RISC-V Privileged Architecture, table "mcause"). */
#define RV64_CAUSE_FETCH_MISALIGNED 0
#define RV64_CAUSE_FETCH_ACCESS     1
#define RV64_CAUSE_ILLEGAL          2
#define RV64_CAUSE_BREAKPOINT       3
#define RV64_CAUSE_LOAD_MISALIGNED  4
#define RV64_CAUSE_LOAD_ACCESS      5
#define RV64_CAUSE_STORE_MISALIGNED 6
#define RV64_CAUSE_STORE_ACCESS     7
#define RV64_CAUSE_ECALL_U          8
#define RV64_CAUSE_ECALL_S          9
#define RV64_CAUSE_ECALL_M          11
#define RV64_CAUSE_FETCH_PAGE_FAULT 12
#define RV64_CAUSE_LOAD_PAGE_FAULT  13
#define RV64_CAUSE_STORE_PAGE_FAULT 15

struct rv64_decode_cache;
struct rv64_cpu;
struct rv64_translator;

/** What runs a hart in place of the interpreter; see translate/run.h. */
struct rv64_cpu_engine {
    /** As rv64_cpu_run(). */
    int (*run)(struct rv64_cpu *cpu, uint64_t budget);
    /** The MMU has been told of another context, in which other code is fetched. */
    void (*context)(struct rv64_cpu *cpu);
    /** FENCE.I: what was written is to be executed. */
    void (*fence_i)(struct rv64_cpu *cpu);
    /** Bytes at a guest physical address were written: by a device, or to a watched page. */
    void (*written)(struct rv64_cpu *cpu, uint64_t gpa, uint64_t length);
    /**
     * Translations of fetches were withdrawn, in an address space of that name (UINT64_MAX: in
     * all of them), from va on; length UINT64_MAX: everywhere.
     */
    void (*withdrawn)(struct rv64_cpu *cpu, uint64_t space, uint64_t va, uint64_t length);
    /** An address space is gone; its name is not used again. */
    void (*space_gone)(struct rv64_cpu *cpu, uint64_t space);
};

/** What the machine does for its CPU. */
struct rv64_cpu_ops {
    /**
     * ECALL from S-mode when the machine has SBI built in; a0-a7 are cpu->x[10..17], results go
     * there. NULL: the ECALL traps to M-mode (--bios).
     */
    void (*sbi_call)(void *machine, struct rv64_cpu *cpu);
    /** The time CSR: ticks of the 10 MHz timebase. */
    uint64_t (*time)(void *machine);
};

/** Counters for --stats; all count since reset. */
struct rv64_cpu_stats {
    uint64_t instructions; /**< retired, all modes */
    uint64_t exceptions;   /**< taken, page faults included */
    uint64_t page_faults;  /**< of those, causes 12, 13 and 15 */
    uint64_t interrupts;   /**< taken */
    uint64_t satp_writes;
    uint64_t sfences;
    uint64_t fence_is;
    uint64_t decoded;      /**< instructions decoded into the decode cache */
    uint64_t decode_pages; /**< code pages entered into the decode cache */
    uint64_t decode_evictions;
};

/** The hart. The machine owns it; only the thread that runs it touches it. */
struct rv64_cpu {
    uint64_t x[33]; /**< x[0] stays 0; x[32] swallows what instructions write to x0 */
    uint64_t f[32]; /**< singles are NaN-boxed */
    uint64_t pc;
    uint8_t priv; /**< RV64_PRIV_* */
    bool wfi;     /**< the last instruction was WFI and no interrupt is pending */
    bool stop;    /**< set by the machine: rv64_cpu_run() returns soon */
    bool svade;   /**< A or D clear faults, instead of being set by the MMU */
    uint64_t fcsr;

    uint64_t mstatus, mtvec, medeleg, mideleg, mie, mip, mcounteren, mscratch, mepc, mcause, mtval;
    uint64_t menvcfg, mcountinhibit;
    uint64_t stvec, scounteren, sscratch, sepc, scause, stval, satp, senvcfg;

    bool reservation_valid; /**< LR/SC */
    uint64_t reservation;   /**< virtual address of the reservation */

    bool attention; /**< leave the block after this instruction: an interrupt or a new mapping */
    bool seip_line; /**< SEIP as the PLIC drives it; mip has this or what M-mode software set */
    bool seip_soft;
    bool context_known;              /**< `context` is what the MMU was last told */
    struct rv64_mmu_context context; /**< see rv64_cpu_context_update() */
    uint64_t cycle_offset;           /**< mcycle less instructions retired; mcycle if inhibited */
    uint64_t instret_offset;         /**< the same for minstret */
    struct rv64_trap trap;           /**< of the instruction being executed, until it is taken */

    struct rv64_jit jit;                  /**< translated code's; not used by the interpreter */
    const struct rv64_cpu_engine *engine; /**< NULL: the interpreter */
    struct rv64_translator *translator;   /**< engine's */
    struct rv64_mmu *mmu;
    struct rv64_decode_cache *decode;
    const struct rv64_cpu_ops *ops;
    void *machine; /**< passed to ops */
    struct rv64_cpu_stats stats;
};

/** Why rv64_cpu_run() came back. */
#define RV64_RUN_BUDGET 0 /**< the instructions were executed */
#define RV64_RUN_WFI    1 /**< waiting: nothing to execute before an interrupt */
#define RV64_RUN_STOP   2 /**< cpu->stop was set */

/**
 * Prepares a hart in M-mode at pc 0, everything else as the architecture's reset has it.
 * @return 0, or -1: no memory for the decode cache.
 */
int rv64_cpu_init(struct rv64_cpu *cpu, struct rv64_mmu *mmu, const struct rv64_cpu_ops *ops,
                  void *machine);

/** Frees the decode cache. */
void rv64_cpu_fini(struct rv64_cpu *cpu);

/**
 * Sets the hart to begin in S-mode at pc with hart id in a0 and the device tree in a1, with the
 * delegations and counters that firmware would have set up.
 */
void rv64_cpu_start_supervisor(struct rv64_cpu *cpu, uint64_t pc, uint64_t dtb);

/** Sets the hart to begin in M-mode at pc with hart id in a0 and the device tree in a1. */
void rv64_cpu_start_machine(struct rv64_cpu *cpu, uint64_t pc, uint64_t dtb);

/**
 * Executes at most about `budget` instructions, by whatever engine the hart has.
 * @return RV64_RUN_*
 */
int rv64_cpu_run(struct rv64_cpu *cpu, uint64_t budget);

/**
 * Interprets at most about `budget` instructions (checked at jumps: it may run a block more).
 * @return RV64_RUN_*
 */
int rv64_cpu_interpret(struct rv64_cpu *cpu, uint64_t budget);

/**
 * Does one thing: takes an interrupt, or interprets one instruction, or takes the trap of one. A
 * trap or an interrupt retires nothing.
 * @return RV64_RUN_*: BUDGET if something was done
 */
int rv64_cpu_step(struct rv64_cpu *cpu);

/** Raises or lowers an interrupt line: a bit of mip. */
void rv64_cpu_irq_set(struct rv64_cpu *cpu, uint32_t irq, bool level);

/**
 * Instructions at [gpa, gpa + length) may have been written behind the fences' back (a snapshot
 * load, a reset); FENCE.I needs no such call.
 */
void rv64_cpu_code_changed(struct rv64_cpu *cpu, uint64_t gpa, uint64_t length);

/**
 * Forgets which code is mapped where: a translation that rv64_mmu_fetch_page() gave was withdrawn.
 * Decoded code stays. May be called at any time, from inside rv64_mmu_load() and _store() too; the
 * page that is being executed is left at its next jump out of it.
 */
void rv64_cpu_fetch_flush(struct rv64_cpu *cpu);

/* csr.c and trap.c: used by the interpreter. */

/** Takes a trap: sets epc, cause, tval and status for the mode it is delegated to, jumps. */
void rv64_cpu_trap(struct rv64_cpu *cpu, const struct rv64_trap *trap);

/** Takes the interrupt of highest priority that is pending and enabled. @return whether one was. */
bool rv64_cpu_interrupt(struct rv64_cpu *cpu);

/** Reads a CSR for an instruction. @return 0, or -1: illegal instruction. */
int rv64_csr_read(struct rv64_cpu *cpu, uint32_t csr, uint64_t *ret_value);

/** Writes a CSR for an instruction. @return 0, or -1: illegal instruction. */
int rv64_csr_write(struct rv64_cpu *cpu, uint32_t csr, uint64_t value);

/**
 * Tells the MMU of the CSRs and the privilege that select an address space and a view, if they are
 * not what it was last told; clear cpu->context_known to have it told in any case.
 */
void rv64_cpu_context_update(struct rv64_cpu *cpu);

/**
 * What comes before instructions are executed: the MMU is told, an interrupt is taken.
 * @return RV64_RUN_STOP or RV64_RUN_WFI: none are to be; RV64_RUN_BUDGET: as many as there may be
 */
static inline int rv64_cpu_turn(struct rv64_cpu *cpu)
{
    rv64_cpu_context_update(cpu);
    if (cpu->stop)
        return RV64_RUN_STOP;
    cpu->attention = false;
    rv64_cpu_interrupt(cpu);
    cpu->wfi = cpu->wfi && !(cpu->mip & cpu->mie);
    return cpu->wfi ? RV64_RUN_WFI : RV64_RUN_BUDGET;
}

#endif /* RV64_CPU_H */
