/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DEMO_H
#define DEMO_H

#include "vault.h"

/**
 * Plants a secret, dumps the process but for the pool, counts the secret in it; with Gnomon, then
 * without.
 * @param params  of the vault
 * @param dump    NULL, or names of two files for the two dumps
 * @return the exit status: 0 if the first dump has no copy and the second has them all
 */
int vault_demo(const struct vault_params *params, char *const dump[2]);

#endif /* DEMO_H */
