/* SPDX-License-Identifier: BSD-3-Clause */
#include "x86_64_internal.h"

/* From boot.S. Each step needs those before it: a fault without descriptors is a triple fault. */
void gn_x86_64__start(uint32_t protocol, uint32_t information)
{
    gn_x86_64__serial_init();
    gn_x86_64__irq_init();
    gn_x86_64__descriptors_init();
    gn_x86_64__processor_init();
    gn_x86_64__boot_read(protocol, information);
    gn_x86_64__tables_init();
    gn_x86_64__frames_init();
    gn_x86_64_exit((uint32_t)gn_x86_64_main());
}
