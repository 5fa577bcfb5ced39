/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RUNNABLE_H
#define RUNNABLE_H

/**
 * Would the dynamic linker preload a library into this program? It passes over some without a word,
 * and they would run unprotected.
 * @param name  as given to execvp()
 * @return NULL: yes, or it is not there, which execvp() says better; else why not, a string
 * constant
 */
const char *runnable_refusal(const char *name);

#endif /* RUNNABLE_H */
