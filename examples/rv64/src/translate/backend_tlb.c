/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The memory back end that probes the slab of the context in force (<gnomon/softmmu_inline.h>). The
 * page looked for is that of the last byte: an access that leaves its page does not find it.
 */

#include "backend.h"

#include "emit.h"

void rv64_backend_load(struct x86 *a)
{
    x86_op(a, X86_MOV | X86_W, REG_DATA, CPU_MEM(jit.data));
    x86_op(a, X86_MOV | X86_W, REG_DATA,
           x86_mem(REG_DATA, offsetof(struct gn_softmmu_window, slab)));
}

void rv64_backend_find(struct x86 *a, const struct rv64_tr_thunks *thunks, uint32_t place,
                       uint32_t last, uint32_t size, uint32_t access)
{
    x86_rr(a, X86_MOV | X86_W, place, X86_RAX);
    x86_shift_imm(a, X86_SHR, X86_W, x86_reg(place), GN_PAGE_SHIFT - 4);
    x86_op(a, X86_AND | X86_W, place, x86_mem(REG_DATA, offsetof(struct gn_softmmu_slab, mask)));
    if (size && last == X86_RAX)
        x86_arith_imm(a, X86_I_ADD, X86_W, x86_reg(last), (int32_t)size - 1);
    else if (size > 1)
        x86_op(a, X86_LEA | X86_W, last, x86_mem(X86_RAX, (int32_t)size - 1));
    else if (size)
        x86_rr(a, X86_MOV | X86_W, last, X86_RAX);
    x86_arith_imm(a, X86_I_AND, X86_W, x86_reg(last), -(int32_t)GN_PAGE_SIZE);
    x86_op(a, X86_CMP | X86_W, last,
           x86_mem_index(REG_DATA, place, 0, thunks->data_offset[access]));
}

struct x86_rm rv64_backend_delta(const struct rv64_tr_thunks *thunks, uint32_t place,
                                 uint32_t access)
{
    return x86_mem_index(REG_DATA, place, 0,
                         thunks->data_offset[access] +
                             (int32_t)offsetof(struct gn_softmmu_entry, delta));
}

struct x86_rm rv64_backend_expected(void)
{
    return x86_mem(REG_DATA, offsetof(struct gn_softmmu_slab, expected));
}
