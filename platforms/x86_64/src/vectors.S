/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Exceptions and interrupts, and probes: one access, made with an address space and a privilege
 * that may forbid it, of which the exception tells what came of it.
 */

#include "layout.h"

        .text
        .altmacro

        /* Exceptions that push an error code: SDM vol. 3A table 6-1. */
#define WITH_ERROR 0x60227d00

        .macro  vector n
        .align  16
vector_\n:
        .if     (\n >= 32) || !((WITH_ERROR >> \n) & 1)
        pushq   $0
        .endif
        pushq   $\n
        jmp     common
        .endm

        .macro  address n
        .quad   vector_\n
        .endm

        .set    n, 0
        .rept   GN_X86_64__VECTORS
        vector  %n
        .set    n, n + 1
        .endr

        .section .rodata
        .globl  gn_x86_64__vector
        .align  8
gn_x86_64__vector:
        .set    n, 0
        .rept   GN_X86_64__VECTORS
        address %n
        .set    n, n + 1
        .endr

        .text
common:
        cmpq    $0, gn_x86_64__probe_stack(%rip)
        jne     probed
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        cld
        movq    %rsp, %rdi
        movq    %rsp, %rbp
        andq    $-16, %rsp
        pushq   %rbp
        pushq   %rbp
        subq    $512, %rsp
        fxsave64 (%rsp)
        movq    %rsp, %rsi
        call    gn_x86_64__trap         /* what to go on with: its own or another's */
        movq    %rax, %rsp
        fxrstor64 (%rsp)
        movq    512(%rsp), %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rbp
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rbx
        popq    %rax
        addq    $16, %rsp
        iretq

        /*
         * An exception in a probe. On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS.
         * It is an IST stack, which is left as it is.
         */
probed:
        pushq   %rdi
        movq    gn_x86_64__probe(%rip), %rdi
        movq    %rax, GN_X86_64__PROBE_VALUE(%rdi)
        movq    8(%rsp), %rax
        movl    %eax, GN_X86_64__PROBE_VECTOR(%rdi)
        movq    16(%rsp), %rax
        movl    %eax, GN_X86_64__PROBE_ERROR(%rdi)
        movq    24(%rsp), %rax
        movq    %rax, GN_X86_64__PROBE_RIP(%rdi)
        movq    %cr2, %rax
        movq    %rax, GN_X86_64__PROBE_CR2(%rdi)
        cld
        movq    gn_x86_64__probe_stack(%rip), %rsp
        movq    $0, gn_x86_64__probe_stack(%rip)
        movl    $GN_X86_64__DS, %eax
        movl    %eax, %ds
        movl    %eax, %es
        popfq
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        /* void gn_x86_64__probe_run(struct gn_x86_64_probe *probe) */
        .globl  gn_x86_64__probe_run
gn_x86_64__probe_run:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushfq
        cli
        movq    %rdi, gn_x86_64__probe(%rip)
        movq    %rsp, gn_x86_64__probe_stack(%rip)
        movq    %rsp, %rcx
        pushq   GN_X86_64__PROBE_SS(%rdi)
        pushq   %rcx
        pushq   GN_X86_64__PROBE_FLAGS(%rdi)
        pushq   GN_X86_64__PROBE_CS(%rdi)
        pushq   GN_X86_64__PROBE_ENTRY(%rdi)
        movq    GN_X86_64__PROBE_GVA(%rdi), %rbx
        movq    GN_X86_64__PROBE_VALUE(%rdi), %rax
        iretq

        /* The instructions of probes, twice: reads, then writes, of 1, 2, 4 and 8 bytes; a selector. */
        .macro  stubs
        .align  8
        movb    (%rbx), %al
        ud2
        .align  8
        movw    (%rbx), %ax
        ud2
        .align  8
        movl    (%rbx), %eax
        ud2
        .align  8
        movq    (%rbx), %rax
        ud2
        .align  8
        movb    %al, (%rbx)
        ud2
        .align  8
        movw    %ax, (%rbx)
        ud2
        .align  8
        movl    %eax, (%rbx)
        ud2
        .align  8
        movq    %rax, (%rbx)
        ud2
        .align  8
        movl    %eax, %fs               /* reads a descriptor, as the supervisor whoever asks */
        ud2
        .endm

        .align  8
        .globl  gn_x86_64__stubs
gn_x86_64__stubs:
        stubs

        .section .user, "ax", @progbits
        stubs

        .bss
        .align  8
gn_x86_64__probe:
        .skip   8
gn_x86_64__probe_stack:
        .skip   8

        .section .note.GNU-stack, "", @progbits
