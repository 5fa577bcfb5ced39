/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SMAPS_H
#define SMAPS_H

/* What the kernel says of a mapping of this process. */

#include "gn_test.h"

/** @return whether the mapping of this address has a VmFlag, given as " dd" */
static inline int smaps_flag(const void *address, const char *flag)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    unsigned long start;
    unsigned long end;
    char line[512];
    int inside = 0;
    int found = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            inside = start <= (uintptr_t)address && (uintptr_t)address < end;
        else if (inside && !strncmp(line, "VmFlags:", 8))
            found = strstr(line, flag) != NULL;
    }
    fclose(maps);
    return found;
}

#endif /* SMAPS_H */
