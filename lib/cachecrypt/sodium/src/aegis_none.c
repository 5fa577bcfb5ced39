/* SPDX-License-Identifier: BSD-3-Clause */
/* A libsodium before 1.0.19. */
#include "sodium_internal.h"

const struct gn_cachecrypt_cipher *const gn_cachecrypt_sodium__aegis256 = NULL;
