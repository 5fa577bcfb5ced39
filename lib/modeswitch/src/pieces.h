/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MODESWITCH_PIECES_H
#define GN_MODESWITCH_PIECES_H

#include <stdint.h>

/* What is added to the 32 bits at a place. */
enum fix_kind { FIX_PAGE, FIX_DATA, FIX_MSR, FIX_SAVE, FIX_LOAD, FIX_NOTE, FIX_KINDS };

struct fix {
    uint16_t at;
    uint16_t kind;
    uint32_t addend;
};

/** Instructions, and where something has to be filled in. */
struct piece {
    const uint8_t *code;
    const struct fix *fix;
    uint32_t bytes, fixes;
};

extern const struct piece gn_modeswitch__leave64, gn_modeswitch__leave64_tss,
    gn_modeswitch__leave64_fsgsbase, gn_modeswitch__leave64_bases, gn_modeswitch__msr,
    gn_modeswitch__leave64_pcid, gn_modeswitch__leave64_end, gn_modeswitch__arrive32,
    gn_modeswitch__arrive32_tss, gn_modeswitch__arrive32_end, gn_modeswitch__leave32,
    gn_modeswitch__leave32_tss, gn_modeswitch__leave32_end, gn_modeswitch__arrive64_pcid,
    gn_modeswitch__arrive64, gn_modeswitch__arrive64_tss, gn_modeswitch__arrive64_segments,
    gn_modeswitch__arrive64_fsgsbase, gn_modeswitch__arrive64_bases, gn_modeswitch__arrive64_end,
    gn_modeswitch__first32, gn_modeswitch__first32_user, gn_modeswitch__note64,
    gn_modeswitch__note32, gn_modeswitch__leave64_user, gn_modeswitch__arrive32_user,
    gn_modeswitch__leave32_user, gn_modeswitch__arrive64_user;

#endif /* GN_MODESWITCH_PIECES_H */
