/* SPDX-License-Identifier: BSD-3-Clause */

/* Alone, so that who only asks is not linked with the translator. */

#include "run.h"

bool rv64_translator_built(void)
{
    return true;
}

bool rv64_translator_dumps(void)
{
    return RV64_DUMPS;
}
