/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "linux_internal.h"

/*
 * Small files of the kernel's. What they hold is believed as far as its form goes: a file that is
 * too long, or no number where one is due, is an error and not a guess.
 */

int gn_linux__path(char *to, size_t size, const char *folder, const char *name)
{
    int length = snprintf(to, size, "%s/%s", folder, name);

    return length < 0 || (size_t)length >= size ? -GN_ERR_INVAL : 0;
}

int gn_linux__error(int number)
{
    switch (number) {
    case EINVAL:
    case EBUSY: return -GN_ERR_BUSY;
    case EEXIST: return -GN_ERR_EXIST;
    case ENOSPC: return -GN_ERR_NOSPC;
    case ENOENT:
    case ENOTDIR: return -GN_ERR_NOENT;
    case EACCES:
    case EROFS:
    case EPERM: return -GN_ERR_PERM;
    default: return -GN_ERR_IO;
    }
}

int gn_linux__text_read(const char *folder, const char *name, char *to, size_t size)
{
    char path[GN_LINUX__PATH];
    size_t length = 0;
    ssize_t got = 1;
    int fd;
    int rc = gn_linux__path(path, sizeof path, folder, name);

    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gn_linux__error(errno);
    while (length < size && got > 0) {
        got = read(fd, to + length, size - length);
        length += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (got < 0 || length == size || memchr(to, 0, length))
        return -GN_ERR_IO; /* too long, or no text */
    to[length] = 0;
    return 0;
}

int gn_linux__text_write(const char *folder, const char *name, const char *text)
{
    char path[GN_LINUX__PATH];
    size_t length = strlen(text);
    ssize_t put;
    int fd;
    int rc = gn_linux__path(path, sizeof path, folder, name);

    if (rc)
        return rc;
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0)
        return gn_linux__error(errno);
    put = write(fd, text, length);
    rc = put < 0 ? gn_linux__error(errno) : put == (ssize_t)length ? 0 : -GN_ERR_IO;
    close(fd);
    return rc;
}

static uint32_t digit(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a') + 10;
    return c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10 : 16;
}

int gn_linux__number(const char **at, uint32_t base, uint64_t max, uint64_t *ret_number)
{
    const char *c = *at;
    uint64_t number = 0;

    if (digit(*c) >= base)
        return -GN_ERR_IO;
    for (; digit(*c) < base; c++) {
        if (number > max / base || digit(*c) > max - number * base)
            return -GN_ERR_IO;
        number = number * base + digit(*c);
    }
    *at = c;
    *ret_number = number;
    return 0;
}

int gn_linux__number_read(const char *folder, const char *name, uint32_t base, uint64_t max,
                          uint64_t *ret_number)
{
    char text[32];
    const char *at = text;
    uint64_t number;
    int rc = gn_linux__text_read(folder, name, text, sizeof text);

    if (!rc)
        rc = gn_linux__number(&at, base, max, &number);
    if (!rc && *at == '\n')
        at++;
    if (!rc && *at)
        rc = -GN_ERR_IO;
    if (!rc)
        *ret_number = number;
    return rc;
}
