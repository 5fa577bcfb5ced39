/* SPDX-License-Identifier: BSD-3-Clause */
/* Which registers a cipher uses is not known here. */
#include "sodium_internal.h"

void gn_cachecrypt_sodium__clear_registers(void)
{
}
