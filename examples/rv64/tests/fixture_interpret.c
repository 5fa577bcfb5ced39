/* SPDX-License-Identifier: BSD-3-Clause */

/* The tests of the hart, interpreted. */

#include "cpu_fixture.h"

void fixture_engine(struct fixture *f)
{
    (void)f;
}

void fixture_engine_end(struct fixture *f)
{
    (void)f;
}
