/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Which instructions make a block. It begins where the run time says, and goes on through jumps
 * whose target lies further on in the page and past branches that go forward, which leave it
 * sideways or skip some of it; it ends with what goes back, or elsewhere, or changes the mode, or
 * where the page does.
 */

#include "emit.h"

/* Branches a block goes on behind; each may need an exit, and an indirect call at its end more. */
#define BRANCHES_MAX (RV64_TR_EXITS - RV64_TR_SLOTS - 2)

static bool is_branch(uint32_t op)
{
    return op >= RV64_OP_BEQ_FAR && op <= RV64_OP_BGEU_FAR;
}

/* What a block always ends with. */
static bool ends_block(uint32_t op)
{
    switch (op) {
    case RV64_OP_JR:
    case RV64_OP_JALR:
    case RV64_OP_FENCE_I:
    case RV64_OP_SFENCE_VMA:
    case RV64_OP_ECALL:
    case RV64_OP_EBREAK:
    case RV64_OP_ILLEGAL:
    case RV64_OP_SRET:
    case RV64_OP_MRET:
    case RV64_OP_WFI: return true;
    default: return false;
    }
}

/* @return false: the instruction's second half is on the next page, which is not known */
static bool fetch(const struct rv64_emit *e, uint32_t offset, struct emit_insn *ret)
{
    const uint8_t *page = e->source->page;
    uint32_t wide;

    ret->raw = page[offset] | (uint32_t)page[offset + 1] << 8;
    ret->pc = (e->source->pc & ~GN_PAGE_MASK) | offset;
    ret->length = 2;
    ret->straddles = false;
    ret->joined = false;
    ret->code = NULL;
    ret->skips = 0;
    ret->words = UINT32_MAX;
    ret->known = UINT32_MAX;
    ret->boxed = UINT32_MAX;
    if ((ret->raw & 3) == 3) {
        const uint8_t *second = page + offset + 2;

        if (offset + 2 == GN_PAGE_SIZE) {
            if (!e->source->next_id)
                return false;
            second = e->source->next_page;
            ret->straddles = true;
        }
        ret->raw |= (uint32_t)second[0] << 16 | (uint32_t)second[1] << 24;
        ret->length = 4;
        wide = ret->raw;
    } else {
        wide = rv64_decode_expand((uint16_t)ret->raw);
    }
    /* Reserved compressed encodings expand to 0, which is none either, but of two bytes. */
    if (!wide)
        ret->d = (struct rv64_insn){.op = RV64_OP_ILLEGAL};
    else
        rv64_decode(wide, RV64_OFFSET_NONE, &ret->d);
    return true;
}

static void cover(struct rv64_emit *e, uint32_t offset, uint32_t length)
{
    if (e->block->low > offset)
        e->block->low = offset;
    if (e->block->high < offset + length)
        e->block->high = offset + length;
}

/* Addresses grow in a block, so that the target is found further on, or not at all. */
static void find_target(struct rv64_emit *e, uint32_t branch)
{
    const struct emit_insn *insn = &e->insns[branch];
    uint64_t target = insn->pc + (uint64_t)(int64_t)insn->d.imm;

    for (uint32_t i = branch + 1; i < e->count; i++)
        if (e->insns[i].pc == target) {
            e->insns[i].joined = true;
            e->insns[branch].skips = (uint8_t)(i - branch);
            return;
        }
}

static void find_skips(struct rv64_emit *e)
{
    for (uint32_t i = 0; i < e->count; i++)
        if (is_branch(e->insns[i].d.op))
            find_target(e, i);
}

static void form(struct rv64_emit *e)
{
    uint32_t offset = (uint32_t)(e->source->pc & GN_PAGE_MASK);
    uint32_t branches = 0;

    e->block->low = offset;
    e->block->high = offset;
    while (e->count < e->most && offset < GN_PAGE_SIZE) {
        struct emit_insn *insn = &e->insns[e->count];
        int64_t to;

        if (!fetch(e, offset, insn)) {
            cover(e, offset, 2);
            return;
        }
        cover(e, offset, insn->straddles ? 2 : insn->length);
        e->count++;
        to = (int64_t)offset + insn->d.imm;
        offset += insn->length;
        if (ends_block(insn->d.op))
            return;
        if (insn->d.op == RV64_OP_J_FAR) {
            if (to < offset || to >= (int64_t)GN_PAGE_SIZE)
                return;
            offset = (uint32_t)to;
        } else if (insn->d.op == RV64_OP_JAL_FAR) {
            return;
        } else if (is_branch(insn->d.op)) {
            if (to < offset || ++branches > BRANCHES_MAX)
                return;
        }
    }
}

void rv64_emit_form(struct rv64_emit *e)
{
    form(e);
    find_skips(e);
}
