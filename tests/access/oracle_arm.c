/* SPDX-License-Identifier: BSD-3-Clause */
#include "oracle.h"

/* AArch64's part of the oracle. `level` is ours; the manual's counts from the root. */

/* Status and level as in ESR_EL1, with WnR. */
unsigned oracle_arm_code(const struct oracle *o, unsigned status, int level)
{
    return (status + (unsigned)(3 - level)) | (o->op == 'w' ? 0x40 : 0);
}

/* Of a table's entry, bits 62:59 take something from all below. */
enum oracle_step oracle_arm_step(const struct oracle *o, struct oracle_path *path, int level,
                                 uint64_t entry, uint64_t *ret_address)
{
    uint64_t offset = ((uint64_t)1 << oracle_shift(o, level)) - 1;

    /* Bit 1: a table, or at the last level a page. There is no block at the root's level. */
    if (!oracle_bit(entry, 0) || (!oracle_bit(entry, 1) && (level == 0 || level == 3)))
        return ORACLE_ABSENT;
    if (oracle_any_bit(entry, o->maxphyaddr, 47))
        return ORACLE_RESERVED;
    *ret_address = entry & 0x0000fffffffff000ull;
    if (level == 0 || !oracle_bit(entry, 1)) {
        path->g = !oracle_bit(entry, 11);
        *ret_address &= ~offset;
        return ORACLE_LEAF;
    }
    path->x &= !oracle_bit(entry, 59);
    path->ux &= !oracle_bit(entry, 60);
    path->u &= !oracle_bit(entry, 61);
    path->w &= !oracle_bit(entry, 62);
    return ORACLE_TABLE;
}

/* D8.4: the two exception levels' rights, from a leaf and what lies above it. */
static int arm_rights(const struct oracle *o, const struct oracle_path *path, uint64_t leaf,
                      int dbm)
{
    int user = oracle_bit(leaf, 6) && path->u;
    int write = (!oracle_bit(leaf, 7) || dbm) && path->w;
    int uxn = oracle_bit(leaf, 54) || !path->ux;
    int pxn = oracle_bit(leaf, 53) || !path->x;

    if (o->user)
        switch (o->op) {
        case 'r': return user;
        case 'w': return user && write;
        default: return !uxn && !(o->wxn && user && write);
        }
    if (o->op == 'x') /* what EL0 may write is not for EL1 to execute */
        return !pxn && !(user && write) && !(o->wxn && write);
    if (o->pan && (user || (o->epan && !uxn)))
        return 0;
    return o->op == 'r' || write;
}

int oracle_arm_judge(const struct oracle *o, const struct oracle_path *path, int level,
                     uint64_t leaf, unsigned *ret_code, uint64_t *ret_wanted)
{
    int dbm = o->ha && o->hd && oracle_bit(leaf, 51);

    *ret_wanted = leaf | 1 << 10;
    if (o->op == 'w' && dbm)
        *ret_wanted &= ~((uint64_t)1 << 7);
    *ret_code = oracle_arm_code(o, 0x08, level);
    if (!oracle_bit(leaf, 10) && !o->ha)
        return 0;
    *ret_code = oracle_arm_code(o, 0x0c, level);
    return arm_rights(o, path, leaf, dbm);
}
