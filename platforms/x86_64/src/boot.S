/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * From the boot protocol to C. Both protocols enter in 32-bit protected mode with flat segments and
 * paging off: PVH with EBX = hvm_start_info (QEMU -kernel), Multiboot2 with EAX = its number and
 * EBX = its information (GRUB).
 */

#include "layout.h"

#define PHYS(x) ((x) - GN_X86_64__OFFSET)

        .section .note.pvh, "a", @note
        .align  4
        .long   4, 4, 18                /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz  "Xen"
        .long   PHYS(gn_x86_64__boot_pvh)
        .long   0                       /* QEMU reads 8 bytes */

        .section .multiboot2, "a", @progbits
        .align  8
multiboot2:
        .long   0xe85250d6, 0, 2f - multiboot2, -(0xe85250d6 + 2f - multiboot2)
        .word   3, 0                    /* entry address */
        .long   12, PHYS(gn_x86_64__boot_multiboot2), 0
        .word   0, 0                    /* end */
        .long   8
2:

        .section .boot, "ax", @progbits
        .code32
        .globl  gn_x86_64__boot_pvh, gn_x86_64__boot_multiboot2
gn_x86_64__boot_pvh:
        xorl    %eax, %eax
gn_x86_64__boot_multiboot2:
        cli
        cld
        movl    %eax, %ebp
        movl    %ebx, %esi
        movl    $PHYS(boot_stack_end), %esp

        /* The first GiB, at 0, at the beginning of the top slot, and where the image is linked. */
        movl    $PHYS(boot_pd), %edi
        movl    $0x83, %eax
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        cmpl    $PHYS(boot_pd) + 4096, %edi
        jb      1b
        movl    $PHYS(boot_pd) + 3, PHYS(boot_low)
        movl    $PHYS(boot_pd) + 3, PHYS(gn_x86_64__top)
        movl    $PHYS(boot_pd) + 3, PHYS(gn_x86_64__top) + GN_X86_64__SLOT_IMAGE * 8
        movl    $PHYS(boot_low) + 3, PHYS(gn_x86_64__pml4)
        movl    $PHYS(gn_x86_64__top) + 7, PHYS(gn_x86_64__pml4) + 511 * 8
        movl    $PHYS(gn_x86_64__pml4) + 3, PHYS(gn_x86_64__pml5)
        movl    $PHYS(gn_x86_64__pml4) + 7, PHYS(gn_x86_64__pml5) + 511 * 8

        /* CR4.PAE, and five levels where there are five. */
        movl    $PHYS(gn_x86_64__pml4), %edi
        movl    $0x20, %esp
        xorl    %eax, %eax
        cpuid
        cmpl    $7, %eax
        jb      3f
        movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        btl     $16, %ecx
        jnc     3f
        movl    $PHYS(gn_x86_64__pml5), %edi
        movl    $0x1020, %esp
3:      movl    %esp, %cr4
        movl    %edi, %cr3
        movl    $0xc0000080, %ecx       /* EFER.LME; the rest is for C to enable */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80010023, %eax       /* PG, WP, NE, MP, PE */
        movl    %eax, %cr0
        lgdt    PHYS(boot_gdt_pointer)
        ljmp    $GN_X86_64__CS, $PHYS(boot64)

        .code64
boot64:
        movabsq $high64, %rax
        jmp     *%rax
        .text
high64:
        movl    $GN_X86_64__DS, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        movq    $boot_stack_end, %rsp
        movq    %cr4, %rax
        orl     $0x600, %eax            /* OSFXSR, OSXMMEXCPT: C may use SSE */
        movq    %rax, %cr4
        movl    %ebp, %edi
        /* ESI is the information still; the upper halves are zero by the 32-bit writes. */
        movl    %esi, %esi
        xorl    %ebp, %ebp
        call    gn_x86_64__start
1:      hlt
        jmp     1b

        .section .rodata
        .align  8
boot_gdt:
        .quad   0, 0x00af9a000000ffff, 0x00cf92000000ffff
boot_gdt_pointer:
        .word   . - boot_gdt - 1
        .long   PHYS(boot_gdt)

        .bss
        .align  4096
        .globl  gn_x86_64__pml5, gn_x86_64__pml4, gn_x86_64__top, gn_x86_64__guard
boot_pd:
        .skip   4096
boot_low:
        .skip   4096
gn_x86_64__pml5:
        .skip   4096
gn_x86_64__pml4:
        .skip   4096
gn_x86_64__top:
        .skip   4096
gn_x86_64__guard:                       /* not mapped later: the stack's end */
        .skip   4096
        .skip   0x100000
boot_stack_end:

        .section .note.GNU-stack, "", @progbits
