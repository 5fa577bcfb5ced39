/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The pieces of a switch page. Not compiled into the library, which must build on any machine:
 * pieces.py assembles this into pieces.c, a table of bytes and of the places where the page's
 * address or a parameter goes. A test holds the two together.
 *
 * PAGE, DATA, MSR, SAVE, LOAD and NOTE are filled in when a page is written.
 */

#include "fields.h"

#define EFER    0xc0000080
#define FS_BASE 0xc0000100

/* CR0 with paging off: PE, ET, NE. */
#define CR0_OFF 0x31

        .macro  piece name
        .section .piece.\name, "ax", @progbits
        .endm

/* ---- ring 0: out of the 64-bit world ------------------------------------------------------- */

        .code64
        piece   leave64
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushfq
        cli
        movq    %rsp, PAGE + L_RSP
        sgdt    PAGE + L_GDTR
        sidt    PAGE + L_IDTR
        /* From here to the other world's LIDT an NMI is only noted. */
        lidt    PAGE + F_IDTR
        movw    %ds, PAGE + L_DS
        movw    %es, PAGE + L_ES
        movw    %fs, PAGE + L_FSS
        movw    %gs, PAGE + L_GSS
        movw    %ss, PAGE + L_SS
        movq    %cr0, %rax
        movq    %rax, PAGE + L_CR0
        movq    %cr3, %rax
        movq    %rax, PAGE + L_CR3
        movq    %cr4, %rax
        movq    %rax, PAGE + L_CR4

        piece   leave64_tss
        strw    PAGE + L_TR

        piece   leave64_fsgsbase
        rdfsbase %rax
        movq    %rax, PAGE + L_FS
        rdgsbase %rax
        movq    %rax, PAGE + L_GS

        piece   leave64_bases
        movl    $FS_BASE, %ecx
        rdmsr
        movl    %eax, PAGE + L_FS
        movl    %edx, PAGE + L_FS + 4
        incl    %ecx
        rdmsr
        movl    %eax, PAGE + L_GS
        movl    %edx, PAGE + L_GS + 4

        /* One MSR: a world's value for the other's, on either way. */
        piece   msr
        movl    $MSR, %ecx
        rdmsr
        movl    %eax, SAVE
        movl    %edx, SAVE + 4
        movl    LOAD, %eax
        movl    LOAD + 4, %edx
        wrmsr

        /*
         * CR0.PG cannot go while CR4.PCIDE is set (SDM vol. 3A §4.10.1). What the way back loads
         * outside long mode has neither PCIDE nor, in CR3, a PCID, which would be PWT and PCD
         * there, and keep PCIDE from being set. EAX is CR4.
         */
        piece   leave64_pcid
        btrl    $17, %eax
        movq    %rax, %cr4
        movl    %eax, PAGE + L_CR4
        movl    PAGE + L_CR3, %eax
        movl    %eax, PAGE + L_PCID
        andl    $0xfffff000, PAGE + L_CR3

        /*
         * LMA is not for software to write. The page's stack and its data segment serve whatever
         * comes with paging on, off, and on again. EDX stays 0 and ECX EFER until WRMSR.
         */
        piece   leave64_end
        movl    $EFER, %ecx
        rdmsr
        btrl    $10, %eax
        movl    %eax, PAGE + L_EFER
        lgdt    PAGE + F_GDTR
        movl    $DATA, %eax
        movl    %eax, %ss
        movl    $PAGE + F_STACK, %esp
        ljmpl   *PAGE + F_TO32

/* ---- ring 0: into the 32-bit world --------------------------------------------------------- */

        .code32
        /*
         * In compatibility mode. CR0.PG goes first, which ends long mode; LME may change then, and
         * CR4.PAE; CR3 before PG comes back (SDM vol. 3A §9.8.5.4). What is loaded is read through
         * CS: the data segments are anything.
         */
        piece   arrive32
        movl    $CR0_OFF, %eax
        movl    %eax, %cr0
        movl    %cs:PAGE + C_EFER, %eax
        wrmsr
        movl    %cs:PAGE + C_CR4, %eax
        movl    %eax, %cr4
        movl    %cs:PAGE + C_CR3, %eax
        movl    %eax, %cr3
        movl    %cs:PAGE + C_CR0, %eax
        movl    %eax, %cr0
        lgdt    %cs:PAGE + C_GDTR
        lidt    %cs:PAGE + C_IDTR

        /* LTR wants a TSS that is not busy; this one has been since it was loaded. */
        piece   arrive32_tss
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    PAGE + C_GDTR + 2, %eax
        movzwl  PAGE + C_TR, %ecx
        andb    $0xfd, 5(%eax, %ecx)
        ltrw    PAGE + C_TR

        piece   arrive32_end
        lssl    %cs:PAGE + C_ESP, %esp
        cmpl    $0, %cs:PAGE + F_PENDING
        jne     2f
1:      popl    %gs
        popl    %fs
        popl    %es
        popl    %ds
        popal
        popfl
        lretl
2:      movl    $DATA, %eax
        movl    %eax, %ds
        btrl    $1, PAGE + F_PENDING
        jnc     3f
        int     $18
3:      movl    $DATA, %eax
        movl    %eax, %ds
        btrl    $0, PAGE + F_PENDING
        jnc     1b
        int     $2
        jmp     1b

        /* Where the 32-bit world's first frame, which lies in the page, returns to. */
        piece   first32
        movl    %cs:PAGE + F_ESP0, %esp
        ljmpl   *%cs:PAGE + F_EIP0

/* ---- ring 0: out of the 32-bit world ------------------------------------------------------- */

        piece   leave32
        pushfl
        cli
        pushal
        pushl   %ds
        pushl   %es
        pushl   %fs
        pushl   %gs
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %esp, PAGE + C_ESP
        movw    %ss, PAGE + C_SS
        /* The page's stack first: its segment is flat, which the handler of NMIs relies on. */
        movl    %eax, %ss
        movl    $PAGE + F_STACK, %esp
        sgdt    PAGE + C_GDTR
        sidt    PAGE + C_IDTR
        lidt    PAGE + F_IDTR
        movl    %cr0, %eax
        movl    %eax, PAGE + C_CR0
        movl    %cr3, %eax
        movl    %eax, PAGE + C_CR3
        movl    %cr4, %eax
        movl    %eax, PAGE + C_CR4

        piece   leave32_tss
        strw    PAGE + C_TR

        piece   leave32_end
        movl    $EFER, %ecx
        rdmsr
        movl    %eax, PAGE + C_EFER
        lgdt    PAGE + F_GDTR
        movl    $CR0_OFF, %eax
        movl    %eax, %cr0
        movl    PAGE + L_CR4, %eax
        movl    %eax, %cr4
        movl    PAGE + L_CR3, %eax
        movl    %eax, %cr3
        movl    PAGE + L_EFER, %eax
        wrmsr
        movl    PAGE + L_CR0, %eax
        movl    %eax, %cr0
        ljmpl   *PAGE + F_TO64

/* ---- ring 0: into the 64-bit world --------------------------------------------------------- */

        .code64
        /* Before the world's own IDT: its handlers may count on PCIDE. */
        piece   arrive64_pcid
        movq    %cr4, %rax
        btsl    $17, %eax
        movq    %rax, %cr4
        movl    PAGE + L_PCID, %eax
        movq    %rax, %cr3

        piece   arrive64
        lgdt    PAGE + L_GDTR
        lidt    PAGE + L_IDTR

        piece   arrive64_tss
        movq    PAGE + L_GDTR + 2, %rax
        movzwl  PAGE + L_TR, %ecx
        andb    $0xfd, 5(%rax, %rcx)
        ltrw    PAGE + L_TR

        piece   arrive64_segments
        movw    PAGE + L_DS, %ds
        movw    PAGE + L_ES, %es
        movw    PAGE + L_FSS, %fs
        movw    PAGE + L_GSS, %gs
        movw    PAGE + L_SS, %ss
        movq    PAGE + L_RSP, %rsp

        piece   arrive64_fsgsbase
        movq    PAGE + L_FS, %rax
        wrfsbase %rax
        movq    PAGE + L_GS, %rax
        wrgsbase %rax

        piece   arrive64_bases
        movl    $FS_BASE, %ecx
        movl    PAGE + L_FS, %eax
        movl    PAGE + L_FS + 4, %edx
        wrmsr
        incl    %ecx
        movl    PAGE + L_GS, %eax
        movl    PAGE + L_GS + 4, %edx
        wrmsr

        piece   arrive64_end
        cmpl    $0, PAGE + F_PENDING
        jne     2f
1:      popfq
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret
2:      btrl    $1, PAGE + F_PENDING
        jnc     3f
        int     $18
3:      btrl    $0, PAGE + F_PENDING
        jnc     1b
        int     $2
        jmp     1b

/* ---- ring 0: NMI and machine check in mid-switch ------------------------------------------- */

        /* NOTE is the bit of F_PENDING. */
        piece   note64
        orl     $NOTE, PAGE + F_PENDING
        incl    PAGE + F_LATCHED
        iretq

        /* DS is anything; SS is flat wherever the page's IDT is in force. */
        .code32
        piece   note32
        orl     $NOTE, %ss:PAGE + F_PENDING
        incl    %ss:PAGE + F_LATCHED
        iretl

/* ---- ring 3 -------------------------------------------------------------------------------- */

        /*
         * SS stays: the system's user data segment is flat. DS and ES are for 32-bit code to have.
         * The stack is switched behind the jump, so that a signal finds one that the mode can use.
         */
        .code64
        piece   leave64_user
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, PAGE + L_RSP
        movl    PAGE + C_ESP, %esp
        ljmpl   *PAGE + F_TO32

        .code32
        /* A return would be predicted to go where the other world's last call came from. */
        piece   arrive32_user
        popl    %ebp
        popl    %edi
        popl    %esi
        popl    %ebx
        popl    %ecx
        jmp     *%ecx

        piece   first32_user
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    PAGE + F_ESP0, %esp
        jmp     *PAGE + F_EIP0

        piece   leave32_user
        pushl   %ebx
        pushl   %esi
        pushl   %edi
        pushl   %ebp
        movl    %esp, %ss:PAGE + C_ESP
        ljmpl   *%ss:PAGE + F_TO64

        .code64
        piece   arrive64_user
        movq    PAGE + L_RSP, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        popq    %rcx
        jmp     *%rcx
