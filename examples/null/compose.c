/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * The empty composition: no library, no platform. It has nothing to do, and does it; what counts
 * is that it builds, so that no part of the house is needed by accident.
 */

int main(void)
{
    return 0;
}
