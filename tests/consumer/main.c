/* SPDX-License-Identifier: BSD-3-Clause */

#include <gnomon/asid.h>

/* The library that was linked is the one whose header was read. */
int main(void)
{
    return gn_asid_version() == (GN_ASID_VERSION_MAJOR << 16 | GN_ASID_VERSION_MINOR) ? 0 : 1;
}
