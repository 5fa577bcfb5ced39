/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_ERROR_H
#define RV64_ERROR_H

/*
 * What to tell the user when the machine cannot be built: one line, made where the mistake is
 * found and printed once, by main().
 */

/** A message without "rv64: " and without a newline. */
struct rv64_error {
    char text[1024];
};

/** Writes the message. @return -1, always, so that a function can end with it. */
__attribute__((format(printf, 2, 3))) int rv64_error_set(struct rv64_error *error,
                                                         const char *format, ...);

/** Prints "rv64: MESSAGE" on stderr, as one line whatever a file name in it contains. */
void rv64_error_print(const struct rv64_error *error);

#endif /* RV64_ERROR_H */
