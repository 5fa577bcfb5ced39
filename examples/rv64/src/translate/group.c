/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Groups of accesses: those by the same base register, one soon after the other, lie in one page
 * most of the time. One probe, of the first to the last byte that they touch, does for all of them;
 * if it misses, or they lie in two pages, each is made apart, behind the block.
 *
 * Two base registers may take turns, as in a copy: each has its probe, before the first access.
 * Probes change nothing, so it does not matter that an access may be of no use to the second.
 *
 * Between accesses may stand computation that leaves alone the bases, RCX and RDX. Those of f
 * registers are in a group once FS is known to be on.
 */

#include "emit.h"

/* Bytes that a group may span: the more, the more often it lies in two pages. */
#define SPAN 256

/* Other instructions in a group: they are emitted twice. */
#define OTHERS_MAX 6u

/* Base registers in a group, and where each has what leads to the host's memory. */
#define BASES 2u

static const uint8_t registers[BASES] = {X86_RCX, X86_RDX};

struct base {
    uint32_t reg;
    int32_t low;  /* offsets from it: first byte */
    int32_t high; /* and behind the last */
    bool stores;
    bool links;         /* one is a link of a chain */
    struct x86_rm host; /* of offset 0, once probed */
};

struct group {
    uint32_t end; /* of its last access: index + 1 */
    uint32_t accesses;
    struct base base[BASES];
    uint32_t bases;
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

/* The base of an access: one that the group has, or the next one. */
static struct base *base_of(struct group *g, uint32_t reg)
{
    uint32_t i = 0;

    while (i < g->bases && g->base[i].reg != reg)
        i++;
    return i < BASES ? &g->base[i] : NULL;
}

/*
 * @param written  x registers that the group has written: none is a base from here on, since it was
 *                 another address when the probes were made
 * @return false: the access does not fit the group
 */
static bool add_access(const struct rv64_emit *e, uint32_t index, struct group *g, uint64_t written)
{
    const struct rv64_insn *d = &e->insns[index].d;
    struct base *base = base_of(g, d->rs1);
    int32_t end = d->imm + (int32_t)rv64_emit_size(d->op);
    struct base with;

    if (!base || written >> d->rs1 & 1)
        return false;
    with = *base;
    if (base == &g->base[g->bases])
        with = (struct base){.reg = d->rs1, .low = d->imm, .high = end};
    with.low = d->imm < with.low ? d->imm : with.low;
    with.high = end > with.high ? end : with.high;
    if (with.high - with.low > SPAN)
        return false;
    with.links |= rv64_emit_is_link(e, index);
    with.stores |= emit_is_store(d->op) || rv64_emit_fp_is_store(d->op);
    g->bases += base == &g->base[g->bases];
    *base = with;
    g->accesses++;
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
    struct group g = {.end = e->at};
    uint64_t written = 0;
    uint32_t others = 0;

    for (uint32_t i = e->at; i < e->count; i++) {
        const struct rv64_insn *d = &e->insns[i].d;

        if (i > e->at && (e->insns[i].straddles || e->insns[i].joined))
            break;
        if (is_access(e, d->op)) {
            if (!add_access(e, i, &g, written))
                break;
            g.end = i + 1;
        } else if (!(is_neutral(d) || rv64_emit_fp_is_neutral(e, d)) || ++others > OTHERS_MAX) {
            break;
        }
        if (writes_x(d->op))
            written |= UINT64_C(1) << d->rd;
    }
    return g;
}

/* What stands in a group, apart from accesses, is emitted as anywhere. */
static void emit_members(struct rv64_emit *e, uint32_t end, struct group *g)
{
    while (e->at < end && !emit_full(e)) {
        const struct rv64_insn *d = &e->insns[e->at].d;
        uint32_t count = 1;

        emit_here(e);
        if (d->op == RV64_OP_FP) {
            count = rv64_emit_fp(e);
        } else if (!is_access(e, d->op)) {
            count = rv64_emit_integer(e);
        } else if (!g) {
            count = rv64_emit_fp_is_access(d->op) ? rv64_emit_fp(e) : rv64_emit_access(e);
        } else {
            struct x86_rm at = base_of(g, d->rs1)->host;

            at.disp += d->imm;
            rv64_emit_transfer(e, d, at);
        }
        while (count--)
            rv64_emit_note(e, &e->insns[e->at++].d);
    }
}

/* As rv64_emit_probe(), with RAX alone for a temporary. */
static void emit_probe(struct rv64_emit *e, struct emit_slow *slow, struct base *base, uint32_t to)
{
    const uint32_t access = base->stores ? GN_ACCESS_WRITE : GN_ACCESS_READ;

    rv64_emit_address(e, base->reg, base->low);
    rv64_backend_find(&e->a, e->thunks, to, X86_RAX, (uint32_t)(base->high - base->low), access);
    slow->from[slow->from_count++] = x86_jcc_later(&e->a, X86_NE);
    if (base->links && !base->stores) {
        rv64_emit_link(e, slow,
                       (struct emit_stray){.entry = rv64_backend_delta(e->thunks, to, access),
                                           .to = X86_RAX,
                                           .base = base->reg,
                                           .offset = base->low});
        x86_rr(&e->a, X86_MOV | X86_W, to, X86_RAX);
    } else {
        x86_op(&e->a, X86_MOV | X86_W, to, rv64_backend_delta(e->thunks, to, access));
    }
    if (emit_has_home(base->reg)) {
        base->host = x86_mem_index(to, rv64_emit_home[base->reg], 0, 0);
    } else {
        x86_op(&e->a, X86_ADD | X86_W, to, emit_rm(base->reg));
        base->host = x86_mem(to, 0);
    }
}

uint32_t rv64_emit_group(struct rv64_emit *e)
{
    const uint32_t first = e->at;
    struct emit_slow *slow;
    struct group g;

    if (!is_access(e, e->insns[first].d.op))
        return 0;
    g = find_group(e);
    if (g.accesses <= g.bases)
        return 0;
    slow = rv64_emit_slow(e);
    slow->count = g.end - first;
    for (uint32_t i = 0; i < g.bases; i++)
        emit_probe(e, slow, &g.base[i], registers[i]);
    emit_members(e, g.end, &g);
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
    emit_members(e, slow->insn + slow->count, NULL);
    e->at = at;
}
