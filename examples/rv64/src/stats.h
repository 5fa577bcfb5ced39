/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_STATS_H
#define RV64_STATS_H

/* What --stats prints: every counter of the hart, the libraries and the devices, and the cost. */

#include "machine.h"

/** Prints the statistics on standard error. Text is for people, JSON is one object. */
void rv64_stats_print(const struct rv64_machine *machine, enum rv64_stats_format format);

#endif /* RV64_STATS_H */
