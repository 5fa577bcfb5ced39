/* SPDX-License-Identifier: BSD-3-Clause */

/* The same tests, translated: each place when it is first reached. */

#include <stdlib.h>

#include "cpu_fixture.h"
#include "translate_loop.h"

void fixture_engine(struct fixture *f)
{
    struct loop *loop = malloc(sizeof *loop);

    /* Tests change mappings, which nobody tells the loop: every jump is looked up. */
    assert_non_null(loop);
    assert_true(loop_init(loop, &f->cpu, false));
    f->engine = loop;
}

void fixture_engine_end(struct fixture *f)
{
    loop_fini(f->engine);
    free(f->engine);
}
