/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * uint64_t switch_call(const void *enter, uint64_t sled): calls enter behind a sled of one-byte
 * instructions, with every register that a function must keep filled.
 * @return 0, or what was not kept: a bit each
 */

#define SLED 2048

        .text
        .globl  switch_call
switch_call:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        pushq   %rdi
        movabsq $0x1111111111111111, %rbx
        movabsq $0x2222222222222222, %rbp
        movabsq $0x3333333333333333, %r12
        movabsq $0x4444444444444444, %r13
        movabsq $0x5555555555555555, %r14
        movabsq $0x6666666666666666, %r15
        leaq    sled_end(%rip), %rax
        subq    %rsi, %rax
        jmp     *%rax
        .rept   SLED
        nop
        .endr
sled_end:
        call    *(%rsp)
        xorl    %eax, %eax
        movabsq $0x1111111111111111, %rcx
        cmpq    %rcx, %rbx
        je      1f
        orl     $1, %eax
1:      movabsq $0x2222222222222222, %rcx
        cmpq    %rcx, %rbp
        je      1f
        orl     $2, %eax
1:      movabsq $0x3333333333333333, %rcx
        cmpq    %rcx, %r12
        je      1f
        orl     $4, %eax
1:      movabsq $0x4444444444444444, %rcx
        cmpq    %rcx, %r13
        je      1f
        orl     $8, %eax
1:      movabsq $0x5555555555555555, %rcx
        cmpq    %rcx, %r14
        je      1f
        orl     $16, %eax
1:      movabsq $0x6666666666666666, %rcx
        cmpq    %rcx, %r15
        je      1f
        orl     $32, %eax
1:      popq    %rdi
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

        /* uint64_t switch_count(const void *enter): the time-stamp counter over one round trip */
        .globl  switch_count
switch_count:
        pushq   %rbx
        movq    %rdi, %rbx
        rdtsc
        movl    %eax, %esi
        pushq   %rsi
        call    *%rbx
        rdtsc
        popq    %rsi
        subl    %esi, %eax
        popq    %rbx
        ret

        /* What switch_count() is told to find out what counting costs, call and return included. */
        .globl  switch_empty
switch_empty:
        ret

        .section .note.GNU-stack, "", @progbits
