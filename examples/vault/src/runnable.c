/* SPDX-License-Identifier: BSD-3-Clause */
#include "runnable.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INTERPRETERS 4 /* as deep as the kernel goes */

/* Where execvp() finds it. @return 0 or -1 */
static int find(const char *name, char *to, size_t size)
{
    const char *path = getenv("PATH");

    if (strchr(name, '/'))
        return snprintf(to, size, "%s", name) < (int)size ? 0 : -1;
    for (path = path ? path : "/bin:/usr/bin"; *path; path += *path == ':') {
        size_t length = strcspn(path, ":");

        if (snprintf(to, size, "%.*s/%s", (int)length, length ? path : ".", name) < (int)size &&
            !access(to, X_OK))
            return 0;
        path += length;
    }
    return -1;
}

static const char *elf_refusal(int fd, const Elf64_Ehdr *h)
{
    Elf64_Phdr p;

    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_machine != EM_X86_64)
        return "not a program for x86-64: nothing would be preloaded";
    for (unsigned i = 0; i < h->e_phnum; i++)
        if (pread(fd, &p, sizeof p, (off_t)(h->e_phoff + i * sizeof p)) == sizeof p &&
            p.p_type == PT_INTERP)
            return NULL;
    return "linked statically: nothing would be preloaded";
}

static int is_privileged(int fd)
{
    struct stat s;

    return !fstat(fd, &s) && ((s.st_mode & S_ISUID && s.st_uid != geteuid()) ||
                              (s.st_mode & S_ISGID && s.st_gid != getegid()));
}

const char *runnable_refusal(const char *name)
{
    char path[PATH_MAX];
    const char *refusal = NULL;

    if (find(name, path, sizeof path))
        return NULL;
    for (int depth = 0; depth < INTERPRETERS && !refusal; depth++) {
        char head[256] = "";
        Elf64_Ehdr elf;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? 0 : pread(fd, head, sizeof head - 1, 0);
        int script = got > 2 && !memcmp(head, "#!", 2);

        memcpy(&elf, head, sizeof elf);
        if (got >= (ssize_t)sizeof elf && !memcmp(head, ELFMAG, SELFMAG))
            refusal = is_privileged(fd) ? "set-uid or set-gid: nothing would be preloaded"
                                        : elf_refusal(fd, &elf);
        if (fd >= 0)
            close(fd);
        if (!script || sscanf(head, "#! %255[^ \t\n]", path) != 1)
            break;
    }
    return refusal;
}
