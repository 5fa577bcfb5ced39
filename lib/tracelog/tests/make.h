/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRACELOG_MAKE_H
#define TRACELOG_MAKE_H

/* A log in memory of its own. */

#include <gnomon/tracelog.h>

#include "gn_test.h"

static inline struct gn_tracelog *make(struct gn_tracelog_params params)
{
    const size_t size = gn_tracelog_size(&params);
    struct gn_tracelog *log = NULL;
    void *mem;

    mem = gn_test_memory(gn_tracelog_align(), size);
    assert_int_equal(gn_tracelog_init(mem, size, &params, &log), 0);
    assert_ptr_equal(log, mem);
    assert_true(gn_tracelog_empty(log));
    return log;
}

static inline void destroy(struct gn_tracelog *log)
{
    gn_tracelog_fini(log);
    free(log);
}

#endif /* TRACELOG_MAKE_H */
