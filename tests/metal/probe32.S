/* SPDX-License-Identifier: BSD-3-Clause */

/* One access in 32-bit mode: begun by IRET, ended by an exception, of which the data page tells. */

#include "probe32.h"

        .section .rodata
        .globl  probe32_begin, probe32_stubs, probe32_handlers, probe32_end
        .code32
probe32_begin:
        movl    $PROBE32_USER_DS, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    PROBE32_DATA + PROBE32_GVA, %ebx
        cmpl    $0, PROBE32_DATA + PROBE32_RING3
        je      1f
        pushl   $PROBE32_USER_DS
        pushl   $0
        pushl   PROBE32_DATA + PROBE32_FLAGS
        pushl   $PROBE32_USER_CS
        jmp     2f
1:      pushl   PROBE32_DATA + PROBE32_FLAGS
        pushl   $PROBE32_CS
2:      pushl   PROBE32_DATA + PROBE32_ENTRY
        movl    PROBE32_DATA + PROBE32_VALUE, %eax
        iretl

        /* At the same offsets in the user page. */
        .org    probe32_begin + 0x100
probe32_stubs:
        movl    (%ebx), %eax
        ud2
        movl    %eax, (%ebx)
        ud2

        /* Of vectors 0 to 31, 16 bytes each. */
        .macro  handler n, error
        .org    probe32_begin + 0x200 + \n * 16
        .ifeq   \error
        pushl   $0
        .endif
        pushl   $\n
        jmp     common
        .endm

        .altmacro
        .macro  handlers
        .set    n, 0
        .rept   32
        handler %n, %((0x60227d00 >> n) & 1)
        .set    n, n + 1
        .endr
        .endm

        .org    probe32_begin + 0x200
probe32_handlers:
        handlers
        .org    probe32_begin + 0x400
common:
        movl    %eax, %ss:PROBE32_DATA + PROBE32_VALUE
        popl    %ss:PROBE32_DATA + PROBE32_VECTOR
        popl    %ss:PROBE32_DATA + PROBE32_ERROR
        popl    %ss:PROBE32_DATA + PROBE32_EIP
        movl    %cr2, %eax
        movl    %eax, %ss:PROBE32_DATA + PROBE32_CR2
        movl    $PROBE32_STACK, %esp
        lcall   *%ss:PROBE32_DATA + PROBE32_BACK
        ud2
probe32_end:

        .section .note.GNU-stack, "", @progbits
