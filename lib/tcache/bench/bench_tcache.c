/* SPDX-License-Identifier: BSD-3-Clause */
#include <gnomon/tcache.h>

#include "gn_bench.h"

int main(void)
{
    gn_bench_header();
    return 0;
}
