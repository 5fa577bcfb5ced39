/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Groups of accesses: those by the same base register, one soon after the other, lie in one page
 * most of the time. One probe, of the first to the last byte that they touch, does for all of them;
 * if it misses, or they lie in two pages, each is made apart, behind the block.
 *
 * Between them may stand computation that leaves alone the base, and RCX. Those of f registers are
 * in a group once FS is known to be on.
 */

#include "emit.h"

/* Bytes that a group may span: the more, the more often it lies in two pages. */
#define SPAN 256

/* Other instructions in a group: they are emitted twice. */
#define OTHERS_MAX 6u

struct group {
    uint32_t end; /* of its last access: index + 1 */
    uint32_t accesses;
    int32_t low; /* offsets from the base: from, to */
    int32_t high;
    bool stores;
};

/* Computation that writes no register of the host but RAX and its result's home. */
static bool is_neutral(const struct rv64_insn *d)
{
    switch (d->op) {
    case RV64_OP_NOP:
    case RV64_OP_LUI:
    case RV64_OP_ADDI:
    case RV64_OP_XORI:
    case RV64_OP_ORI:
    case RV64_OP_ANDI:
    case RV64_OP_SRLI:
    case RV64_OP_SRAI:
    case RV64_OP_ADDIW:
    case RV64_OP_SLLIW:
    case RV64_OP_SRLIW:
    case RV64_OP_SRAIW:
    case RV64_OP_ADD:
    case RV64_OP_SUB:
    case RV64_OP_XOR:
    case RV64_OP_OR:
    case RV64_OP_AND:
    case RV64_OP_ADDW:
    case RV64_OP_SUBW: return true;
    case RV64_OP_SLLI: return d->imm > 3; /* else it may be part of an address */
    default: return false;
    }
}

/* @return false: the access does not fit the group */
static bool add_access(struct group *g, const struct rv64_insn *d)
{
    int32_t end = d->imm + (int32_t)rv64_emit_size(d->op);
    int32_t low = d->imm < g->low ? d->imm : g->low;
    int32_t high = end > g->high ? end : g->high;

    if (high - low > SPAN)
        return false;
    g->low = low;
    g->high = high;
    g->accesses++;
    g->stores |= emit_is_store(d->op) || rv64_emit_fp_is_store(d->op);
    return true;
}

/* May this be a member by which there is a group? */
static bool is_access(const struct rv64_emit *e, uint32_t op)
{
    return emit_is_load(op) || emit_is_store(op) ||
           (rv64_emit_fp_is_access(op) && rv64_emit_fp_is_on(e));
}

static bool writes_x(uint32_t op)
{
    return !emit_is_store(op) && op != RV64_OP_NOP && op != RV64_OP_FP &&
           !rv64_emit_fp_is_access(op);
}

static struct group find_group(const struct rv64_emit *e)
{
    const struct rv64_insn *first = &e->insns[e->at].d;
    struct group g = {.end = e->at, .low = first->imm, .high = first->imm};
    uint32_t others = 0;

    for (uint32_t i = e->at; i < e->count; i++) {
        const struct rv64_insn *d = &e->insns[i].d;

        if (i > e->at && (e->insns[i].straddles || e->insns[i].joined))
            break;
        if (is_access(e, d->op)) {
            if (d->rs1 != first->rs1 || !add_access(&g, d))
                break;
            g.end = i + 1;
        } else if (!(is_neutral(d) || rv64_emit_fp_is_neutral(e, d)) || ++others > OTHERS_MAX) {
            break;
        }
        if (writes_x(d->op) && d->rd == first->rs1)
            break;
    }
    return g;
}

/* What stands in a group, apart from accesses, is emitted as anywhere. */
static void emit_members(struct rv64_emit *e, uint32_t end, struct x86_rm host, bool apart)
{
    while (e->at < end) {
        const struct rv64_insn *d = &e->insns[e->at].d;
        uint32_t count = 1;

        if (d->op == RV64_OP_FP) {
            count = rv64_emit_fp(e);
        } else if (!is_access(e, d->op)) {
            count = rv64_emit_integer(e);
        } else if (apart) {
            count = rv64_emit_fp_is_access(d->op) ? rv64_emit_fp(e) : rv64_emit_access(e);
        } else {
            struct x86_rm at = host;

            at.disp += d->imm;
            rv64_emit_transfer(e, d, at);
        }
        while (count--)
            rv64_emit_note(e, &e->insns[e->at++].d);
    }
}

uint32_t rv64_emit_group(struct rv64_emit *e)
{
    const uint32_t first = e->at;
    const struct rv64_insn *d = &e->insns[first].d;
    struct emit_slow *slow;
    struct x86_rm host;
    struct group g;

    if (!is_access(e, d->op))
        return 0;
    g = find_group(e);
    if (g.accesses < 2)
        return 0;
    slow = rv64_emit_slow(e);
    slow->count = g.end - first;
    rv64_emit_address(e, d->rs1, g.low);
    rv64_emit_probe(e, slow, (uint32_t)(g.high - g.low),
                    g.stores ? GN_ACCESS_WRITE : GN_ACCESS_READ);
    if (emit_has_home(d->rs1)) {
        host = x86_mem_index(X86_RCX, rv64_emit_home[d->rs1], 0, 0);
    } else {
        x86_rr(&e->a, X86_ADD | X86_W, X86_RCX, X86_RAX);
        host = x86_mem(X86_RCX, -g.low);
    }
    emit_members(e, g.end, host, false);
    e->at = first;
    emit_slow_back(e, slow);
    return g.end - first;
}

void rv64_emit_group_apart(struct rv64_emit *e, const struct emit_slow *slow)
{
    uint32_t at = e->at;

    e->at = slow->insn;
    e->words = slow->words;
    e->fp.known = slow->known;
    e->fp.boxed = 0;
    emit_members(e, slow->insn + slow->count, (struct x86_rm){0}, true);
    e->at = at;
}
