/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux_internal.h"

/*
 *   root/schemata              root/gnomon-PID/schemata
 *     L3:0=ffff;1=ffff           L3:0=000f;1=000f          the group's, first
 *     L3:0=fff0;1=fff0                                     then nobody else's
 *                                mode: exclusive           then so for ever
 *                                tasks: this process
 */
#define ROOT     GN_LINUX__RESCTRL
#define SCHEMATA 4096u

/* ---- What there is ------------------------------------------------------------------------- */

/* A file that is missing: this is no resctrl, or not one that can do it. */
int gn_linux__outcome(int rc)
{
    return rc == -GN_ERR_NOENT ? -GN_ERR_NOTSUP : rc;
}

/* One piece, as the hardware wants it, and not too small. */
static bool is_mask(uint32_t mask, uint32_t min_bits)
{
    return mask && !(mask & (mask + (mask & -mask))) &&
           (uint32_t)__builtin_popcount(mask) >= min_bits;
}

static int info_read(const char *root, struct gn_linux_resctrl *r)
{
    char folder[GN_LINUX__PATH];
    char name[16];
    uint64_t mask = 0, shareable = 0, min_bits = 0, groups = 0;
    int rc;

    snprintf(name, sizeof name, "info/L%u", r->level);
    rc = gn_linux__path(folder, sizeof folder, root, name);
    if (!rc)
        rc = gn_linux__number_read(folder, "cbm_mask", 16, UINT32_MAX, &mask);
    if (!rc)
        rc = gn_linux__number_read(folder, "shareable_bits", 16, UINT32_MAX, &shareable);
    if (!rc)
        rc = gn_linux__number_read(folder, "min_cbm_bits", 10, 32, &min_bits);
    if (!rc)
        rc = gn_linux__number_read(folder, "num_closids", 10, UINT32_MAX, &groups);
    if (rc)
        return rc;
    r->mask = (uint32_t)mask;
    r->shareable = (uint32_t)shareable;
    r->min_bits = min_bits ? (uint32_t)min_bits : 1;
    r->groups = (uint32_t)groups;
    return is_mask(r->mask, r->min_bits) ? 0 : -GN_ERR_IO;
}

int gn_linux_resctrl_get(const char *root, uint32_t level, struct gn_linux_resctrl *ret_resctrl)
{
    struct gn_linux_resctrl r = {.level = level};
    char text[64];
    int rc;

    if (!ret_resctrl || ret_resctrl->size < sizeof r || level < 2 || level > 3)
        return -GN_ERR_INVAL;
    root = root ? root : ROOT;
    rc = info_read(root, &r);
    if (rc)
        return gn_linux__outcome(rc);
    r.modes = !gn_linux__text_read(root, "mode", text, sizeof text);
    r.size = ret_resctrl->size;
    memset(ret_resctrl, 0, r.size);
    *ret_resctrl = r;
    return 0;
}

/* ---- Schemata ------------------------------------------------------------------------------ */

/* What stands behind "L3:". */
static int masks_parse(const char *at, struct gn_linux__masks *ret)
{
    uint64_t id;
    uint64_t mask;

    ret->count = 0;
    do {
        if (ret->count == GN_LINUX__DOMAINS || gn_linux__number(&at, 10, UINT32_MAX, &id) ||
            *at++ != '=' || gn_linux__number(&at, 16, UINT32_MAX, &mask))
            return -GN_ERR_IO;
        ret->at[ret->count].id = (uint32_t)id;
        ret->at[ret->count++].mask = (uint32_t)mask;
    } while (*at++ == ';');
    return at[-1] == '\n' || !at[-1] ? 0 : -GN_ERR_IO;
}

int gn_linux__masks_read(const char *folder, uint32_t level, struct gn_linux__masks *ret)
{
    char text[SCHEMATA];
    int rc = gn_linux__text_read(folder, "schemata", text, sizeof text);

    for (const char *line = text; !rc && *line; line += *line == '\n') {
        line += strspn(line, " ");
        if (line[0] == 'L' && line[1] == (char)('0' + level) && line[2] == ':')
            return masks_parse(line + 3, ret);
        line += strcspn(line, "\n");
    }
    return rc ? rc : -GN_ERR_NOTSUP;
}

/* Each mask without `clear` and with `set`. */
int gn_linux__masks_write(const char *folder, uint32_t level, const struct gn_linux__masks *m,
                          uint32_t clear, uint32_t set)
{
    char text[SCHEMATA]; /* 64 domains of at most 20 characters */
    size_t length = (size_t)snprintf(text, sizeof text, "L%u:", level);

    for (uint32_t i = 0; i < m->count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%u=%x", i ? ";" : "",
                                   m->at[i].id, (m->at[i].mask & ~clear) | set);
    snprintf(text + length, sizeof text - length, "\n");
    return gn_linux__text_write(folder, "schemata", text);
}

/* The lowest ways that all domains have in one piece; what is left of each must be a mask, too. */
int gn_linux__masks_pick(const struct gn_linux_resctrl *r, uint32_t ways,
                         const struct gn_linux__masks *m, uint32_t *ret_mask)
{
    uint32_t common = r->mask & ~r->shareable;

    for (uint32_t i = 0; i < m->count; i++)
        common &= m->at[i].mask;
    for (uint32_t shift = 0; shift + ways <= 32; shift++) {
        uint32_t mask = (uint32_t)(((UINT64_C(1) << ways) - 1) << shift);
        bool fits = (mask & common) == mask;

        for (uint32_t i = 0; i < m->count && fits; i++)
            fits = is_mask(m->at[i].mask & ~mask, r->min_bits);
        *ret_mask = mask;
        if (fits)
            return 0;
    }
    return -GN_ERR_NOSPC;
}

/* ---- A group ------------------------------------------------------------------------------- */

/* Threads that are started by others meanwhile are missed, as the header says. */
static int tasks_move(const char *group)
{
    DIR *threads = opendir("/proc/self/task");
    struct dirent *thread;
    char text[32];
    int rc = threads ? 0 : -GN_ERR_IO;

    while (!rc && (thread = readdir(threads))) {
        if (thread->d_name[0] == '.')
            continue;
        snprintf(text, sizeof text, "%.20s\n", thread->d_name);
        rc = gn_linux__text_write(group, "tasks", text);
    }
    if (threads)
        closedir(threads);
    return rc;
}

/* Back to whom they were from; the kernel moves a group's tasks when it goes. */
static int give_back(const struct gn_linux_ways *w)
{
    struct gn_linux__masks m;
    int rc = rmdir(w->group) && errno != ENOENT ? gn_linux__error(errno) : 0;

    if (!rc)
        rc = gn_linux__masks_read(w->root, w->level, &m);
    return rc ? rc : gn_linux__masks_write(w->root, w->level, &m, 0, w->mask);
}

static int take(struct gn_linux_ways *w, const struct gn_linux__masks *m)
{
    int rc;

    if (mkdir(w->group, 0700))
        return gn_linux__error(errno);
    rc = gn_linux__masks_write(w->group, w->level, m, UINT32_MAX, w->mask);
    if (!rc)
        rc = gn_linux__masks_write(w->root, w->level, m, w->mask, 0);
    if (!rc)
        rc = gn_linux__text_write(w->group, "mode", "exclusive\n");
    if (!rc)
        rc = tasks_move(w->group);
    if (rc)
        (void)give_back(w);
    return rc;
}

/* resctrl's own protocol: whoever changes something locks the root. */
int gn_linux__root_lock(const char *root)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* "gnomon-" and the process's number. */
static int names_make(const char *root, struct gn_linux_ways *w)
{
    if (strlen(root) >= sizeof w->root)
        return -GN_ERR_INVAL;
    memcpy(w->root, root, strlen(root) + 1);
    return gn_linux__group_path(w->group, sizeof w->group, root);
}

int gn_linux__group_path(char *to, size_t size, const char *folder)
{
    char name[32];

    snprintf(name, sizeof name, "gnomon-%ld", (long)getpid());
    return gn_linux__path(to, size, folder, name);
}

int gn_linux_ways_get(const struct gn_linux_ways_params *params, struct gn_linux_ways *ret_ways)
{
    struct gn_linux_resctrl r = {GN_LINUX_RESCTRL_INIT};
    struct gn_linux_ways_params p;
    struct gn_linux_ways w = {.level = 0};
    struct gn_linux__masks m;
    int fd;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    if (!p.ways || p.ways > 31 || p.reserved || !ret_ways)
        return -GN_ERR_INVAL;
    rc = gn_linux_resctrl_get(p.root, p.level, &r);
    if (!rc && !r.modes)
        rc = -GN_ERR_NOTSUP;
    if (!rc)
        rc = p.ways < r.min_bits ? -GN_ERR_RANGE : names_make(p.root ? p.root : ROOT, &w);
    if (rc)
        return rc;
    fd = gn_linux__root_lock(w.root);
    w.level = p.level;
    rc = gn_linux__masks_read(w.root, p.level, &m);
    if (!rc)
        rc = gn_linux__masks_pick(&r, p.ways, &m, &w.mask);
    if (!rc)
        rc = take(&w, &m);
    if (fd >= 0)
        close(fd);
    if (!rc)
        *ret_ways = w;
    return gn_linux__outcome(rc);
}

int gn_linux_ways_put(struct gn_linux_ways *ways)
{
    int fd;
    int rc;

    if (!ways || !ways->level)
        return 0;
    fd = gn_linux__root_lock(ways->root);
    rc = give_back(ways);
    if (fd >= 0)
        close(fd);
    if (!rc)
        *ways = (struct gn_linux_ways){.level = 0};
    return gn_linux__outcome(rc);
}

/* ---- Pseudo-locking ------------------------------------------------------------------------ */

int gn_linux_resctrl_lockable(const char *root)
{
    struct gn_linux_ways w = {.level = 0};
    int fd;
    int rc = names_make(root ? root : ROOT, &w);

    if (rc)
        return rc;
    fd = gn_linux__root_lock(w.root);
    if (fd < 0)
        return gn_linux__outcome(gn_linux__error(errno));
    rc = mkdir(w.group, 0700) ? gn_linux__error(errno) : 0;
    if (!rc) {
        rc = gn_linux__text_write(w.group, "mode", "pseudo-locksetup\n");
        (void)rmdir(w.group);
        if (rc == -GN_ERR_BUSY)
            rc = -GN_ERR_NOTSUP;
    }
    close(fd);
    return gn_linux__outcome(rc);
}
