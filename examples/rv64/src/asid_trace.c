/* SPDX-License-Identifier: BSD-3-Clause */
#include "asid_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than there are cached roots, and what a capital and a letter can say. */
#define SPACES_MAX 676u
#define COLUMNS    96

struct rv64_asid_trace {
    FILE *file;
    uint64_t space[SPACES_MAX]; /* in the order of their last activation */
    uint32_t count;
    char token[4]; /* not yet written, so that it can be counted; empty: none */
    uint32_t times;
    int column;
};

struct rv64_asid_trace *rv64_asid_trace_create(const char *path)
{
    struct rv64_asid_trace *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->file = fopen(path, "w");
    if (!t->file) {
        free(t);
        return NULL;
    }
    fputs("gnomon-asid-trace 1\n", t->file);
    return t;
}

static void token_write(struct rv64_asid_trace *t)
{
    char text[24];
    int length;

    if (!t->times)
        return;
    length = t->times > 1 ? snprintf(text, sizeof text, "%s%u", t->token, t->times)
                          : snprintf(text, sizeof text, "%s", t->token);
    if (t->column + length > COLUMNS) {
        fputc('\n', t->file);
        t->column = 0;
    }
    fputs(text, t->file);
    t->column += length;
    t->times = 0;
}

static void token_put(struct rv64_asid_trace *t, const char *token)
{
    if (t->times && strcmp(token, t->token)) {
        token_write(t);
    }
    strcpy(t->token, token);
    t->times++;
}

/* What stands for the place `at`, behind `sign` if that is not 0. */
static void place_put(struct rv64_asid_trace *t, char sign, uint32_t at)
{
    char token[4];
    char *end = token;

    if (sign)
        *end++ = sign;
    if (at >= 26)
        *end++ = (char)('A' + at / 26);
    *end++ = (char)('a' + at % 26);
    *end = 0;
    token_put(t, token);
}

static uint32_t place_of(const struct rv64_asid_trace *t, uint64_t space)
{
    uint32_t at = 0;

    while (at < t->count && t->space[at] != space)
        at++;
    return at;
}

void rv64_asid_trace_activate(struct rv64_asid_trace *t, uint64_t space)
{
    uint32_t at = place_of(t, space);

    if (at < t->count) {
        place_put(t, 0, at);
    } else {
        /* Who has not run for so long is as good as gone. */
        if (t->count == SPACES_MAX)
            place_put(t, '-', --t->count);
        at = t->count++;
        token_put(t, "+");
    }
    memmove(&t->space[1], &t->space[0], at * sizeof t->space[0]);
    t->space[0] = space;
}

void rv64_asid_trace_release(struct rv64_asid_trace *t, uint64_t space)
{
    uint32_t at = place_of(t, space);

    if (at == t->count)
        return;
    place_put(t, '-', at);
    t->count--;
    memmove(&t->space[at], &t->space[at + 1], (t->count - at) * sizeof t->space[0]);
}

void rv64_asid_trace_destroy(struct rv64_asid_trace *t)
{
    int failed;

    if (!t)
        return;
    token_write(t);
    fputc('\n', t->file);
    failed = ferror(t->file);
    if (fclose(t->file) || failed)
        fputs("rv64: the file of --asid-trace is not complete\n", stderr);
    free(t);
}
