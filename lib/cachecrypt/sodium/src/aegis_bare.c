/* SPDX-License-Identifier: BSD-3-Clause */
/* With aegis.c, where sodium_init() does not run; a shared libsodium does not export this name. */
#include "sodium_internal.h"

int _crypto_aead_aegis256_pick_best_implementation(void);

int gn_cachecrypt_sodium__aegis256_start(void)
{
    return _crypto_aead_aegis256_pick_best_implementation();
}
