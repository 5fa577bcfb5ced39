/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_MODESWITCH_INTERNAL_H
#define GN_MODESWITCH_INTERNAL_H

#include "fields.h"
#include "pieces.h"

#include <gnomon/modeswitch.h>

/** Copies and checks parameters. @return 0, or what gn_modeswitch_emit() is to return */
int gn_modeswitch__params(const struct gn_modeswitch_params *params,
                          struct gn_modeswitch_params *ret_params);

#endif /* GN_MODESWITCH_INTERNAL_H */
