/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The 32-bit world's program, copied to LEGACY_CODE. Each round it reads its pages in their order, faults
 * on purpose and handles that, fills every register with something of its own, calls back, and looks
 * whether all is as it was.
 */

#include "guest.h"

        .section .rodata
        .globl  legacy_begin, legacy_end, legacy_fault, legacy_nmi, legacy_check, legacy_irq
        .code32
legacy_begin:
1:      cmpl    $0, LEGACY_DATA + LEGACY_FAST
        jne     7f
        incl    LEGACY_DATA + LEGACY_ROUNDS
        movl    $LEGACY_PAGES, %esi
        movl    $LEGACY_COUNT, %ecx
        xorl    %eax, %eax
2:      imull   $31, %eax, %eax
        addl    (%esi), %eax
        addl    $0x1000, %esi
        loop    2b
        movl    %eax, LEGACY_DATA + LEGACY_SUM
        movl    LEGACY_ABSENT, %eax     /* 5 bytes: the handler goes on behind them */

        xorl    %eax, %eax
        movl    %eax, %fs               /* null selectors are values, too */
        movl    %eax, %gs
        movl    $LEGACY_DS, %eax
        movl    %eax, %es
        movl    $0x11111111, %eax
        movl    $0x22222222, %ebx
        movl    $0x33333333, %ecx
        movl    $0x44444444, %edx
        movl    $0x55555555, %esi
        movl    $0x66666666, %edi
        movl    $0x77777777, %ebp
        stc
        std
        lcall   *LEGACY_DATA + LEGACY_BACK
        jnc     8f
        pushfl
        testl   $0x400, (%esp)
        jz      8f
        popfl
        cld
        cmpl    $0x11111111, %eax
        jne     8f
        cmpl    $0x22222222, %ebx
        jne     8f
        cmpl    $0x33333333, %ecx
        jne     8f
        cmpl    $0x44444444, %edx
        jne     8f
        cmpl    $0x55555555, %esi
        jne     8f
        cmpl    $0x66666666, %edi
        jne     8f
        cmpl    $0x77777777, %ebp
        jne     8f
        cmpl    $LEGACY_STACK, %esp
        jne     8f
        movl    %es, %eax
        cmpl    $LEGACY_DS, %eax
        jne     8f
        movl    %fs, %eax
        testl   %eax, %eax
        jnz     8f
        jmp     1b
8:      incl    LEGACY_DATA + LEGACY_WRONG
        movl    $LEGACY_STACK, %esp
        cld
        jmp     1b
7:      cmpl    $0, LEGACY_DATA + LEGACY_STI
        je      9f
        sti
9:      lcall   *LEGACY_DATA + LEGACY_BACK
        jmp     9b

        /* Page fault: noted; the instruction is skipped. */
        .org    legacy_begin + 0x200
legacy_fault:
        pushl   %eax
        incl    LEGACY_DATA + LEGACY_FAULTS
        movl    %cr2, %eax
        movl    %eax, LEGACY_DATA + LEGACY_CR2
        movl    4(%esp), %eax
        movl    %eax, LEGACY_DATA + LEGACY_ERROR
        addl    $5, 8(%esp)
        popl    %eax
        addl    $4, %esp
        iretl

        .org    legacy_begin + 0x240
legacy_nmi:
        incl    %ss:LEGACY_DATA + LEGACY_NMIS
        iretl

        /* Machine check: noted; MCG_STATUS.MCIP goes, so that another one may come. */
        .org    legacy_begin + 0x260
legacy_check:
        pushal
        incl    %ss:LEGACY_DATA + LEGACY_CHECKS
        movl    $0x17a, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        wrmsr
        popal
        iretl

        /* The timer, by the first interrupt controller. */
        .org    legacy_begin + 0x280
legacy_irq:
        pushl   %eax
        incl    %ss:LEGACY_DATA + LEGACY_IRQS
        movl    4(%esp), %eax
        movl    %eax, %ss:LEGACY_DATA + LEGACY_IRQ_EIP
        movb    $0x20, %al
        outb    %al, $0x20
        popl    %eax
        iretl
legacy_end:

        .section .note.GNU-stack, "", @progbits
