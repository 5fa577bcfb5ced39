/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FAKE_TREE_H
#define FAKE_TREE_H

/* Folders and files that look like the kernel's, under a root of the test's own. */

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gn_test.h"

static char fake_root[64];

/* "a/b" under the root. */
static inline const char *fake_path(const char *name)
{
    static char path[512];

    snprintf(path, sizeof path, "%s/%s", fake_root, name);
    return path;
}

static inline void fake_folder(const char *name)
{
    assert_int_equal(mkdirat(AT_FDCWD, fake_path(name), 0700), 0);
}

static inline void fake_bytes(const char *name, const void *bytes, size_t length)
{
    int fd = open(fake_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    close(fd);
}

static inline void fake_file(const char *name, const char *text)
{
    fake_bytes(name, text, strlen(text));
}

static inline void fake_read(const char *name, char *to, size_t size)
{
    int fd = open(fake_path(name), O_RDONLY);
    ssize_t got = read(fd, to, size - 1);

    assert_true(got >= 0);
    to[got] = 0;
    close(fd);
}

static inline int fake_begin(void **state)
{
    const char *folder = getenv("TMPDIR");

    (void)state;
    snprintf(fake_root, sizeof fake_root, "%.40s/gnomon-XXXXXX", folder ? folder : "/tmp");
    return mkdtemp(fake_root) ? 0 : -1;
}

static inline int fake_remove(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s;
    (void)type;
    (void)where;
    return remove(path);
}

static inline int fake_end(void **state)
{
    (void)state;
    return nftw(fake_root, fake_remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif /* FAKE_TREE_H */
