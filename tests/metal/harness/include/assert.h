/* SPDX-License-Identifier: BSD-3-Clause */
#include <cmocka.h>

#undef assert
#ifdef NDEBUG
#define assert(c) ((void)0)
#else
#define assert(c) metal_true((uint64_t)(c), #c, __FILE__, __LINE__)
#endif
