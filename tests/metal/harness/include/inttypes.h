/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_INTTYPES_H
#define METAL_INTTYPES_H

#include <stdint.h>

#define PRIu32 "u"
#define PRIx32 "x"
#define PRIu64 "lu"
#define PRIx64 "lx"

#endif /* METAL_INTTYPES_H */
