/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_TEST_PAGES_H
#define GN_TEST_PAGES_H

/* Parameters that pass, for tests to spoil. */

#include <gnomon/modeswitch.h>

#include "gn_test.h"

#define ADDRESS 0x70000u

static inline struct gn_modeswitch_params ring0_params(void)
{
    const struct gn_modeswitch_params p = {
        GN_MODESWITCH_PARAMS_INIT,
        .form = GN_MODESWITCH_RING0,
        .address = ADDRESS,
        .code64 = 0x08,
        .code32 = 0x18,
        .data = 0x10,
        .eip = 0xc0000000,
        .esp = 0xc0003000,
        .cr3 = 0x71000,
        .cr0 = 0x80000011,
        .cr4 = 0x20,
        .gdt = 0xc0001000,
        .gdt_limit = 0x3f,
        .idt = 0xc0001100,
        .idt_limit = 0xff,
    };

    return p;
}

static inline struct gn_modeswitch_params ring3_params(void)
{
    const struct gn_modeswitch_params p = {
        GN_MODESWITCH_PARAMS_INIT,
        .form = GN_MODESWITCH_RING3,
        .address = ADDRESS,
        .code64 = 0x33,
        .code32 = 0x23,
        .data = 0x2b,
        .eip = 0x80000,
        .esp = 0x90000,
    };

    return p;
}

#endif /* GN_TEST_PAGES_H */
