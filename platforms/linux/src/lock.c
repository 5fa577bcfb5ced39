/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux_internal.h"

/*
 *   root/schemata            root/gnomon-PID/mode        root/gnomon-PID/schemata
 *     L3:1=fff0  (first)       pseudo-locksetup (second)   L3:1=f  (third: the kernel loads and
 *                              pseudo-locked (read)                locks it, and makes the device)
 *
 * Source: Linux, Documentation/filesystems/resctrl.rst, "Cache Pseudo-Locking", and the mmap() of
 * its devices, fs/resctrl/pseudo_lock.c.
 */
#define DEVICES "/dev/pseudo_lock"
#define CPUS    "/sys/devices/system/cpu"
#define INDICES 16

/* The cache that this thread will stay at. */
struct domain {
    uint32_t id;
    uint64_t bytes;
    cpu_set_t cpus;
};

/* ---- Which cache --------------------------------------------------------------------------- */

/* "0-3,8". */
static int cpus_parse(const char *at, cpu_set_t *ret)
{
    uint64_t from, to;

    CPU_ZERO(ret);
    do {
        if (gn_linux__number(&at, 10, CPU_SETSIZE - 1, &from))
            return -GN_ERR_IO;
        to = from;
        if (*at == '-' && (at++, gn_linux__number(&at, 10, CPU_SETSIZE - 1, &to)))
            return -GN_ERR_IO;
        for (; from <= to; from++)
            CPU_SET(from, ret);
    } while (*at++ == ',');
    return at[-1] == '\n' || !at[-1] ? 0 : -GN_ERR_IO;
}

static int index_read(const char *folder, struct domain *d)
{
    uint64_t id, line, ways, sets;
    char text[512];
    int rc = gn_linux__number_read(folder, "id", 10, UINT32_MAX, &id);

    if (!rc)
        rc = gn_linux__number_read(folder, "coherency_line_size", 10, 4096, &line);
    if (!rc)
        rc = gn_linux__number_read(folder, "ways_of_associativity", 10, 1024, &ways);
    if (!rc)
        rc = gn_linux__number_read(folder, "number_of_sets", 10, UINT32_MAX, &sets);
    if (!rc)
        rc = gn_linux__text_read(folder, "shared_cpu_list", text, sizeof text);
    if (!rc)
        rc = cpus_parse(text, &d->cpus);
    if (rc)
        return rc;
    d->id = (uint32_t)id;
    d->bytes = line * ways * sets;
    return d->bytes ? 0 : -GN_ERR_IO;
}

/* Of the first CPU that this thread may run on. */
static int domain_find(const char *root, uint32_t level, const cpu_set_t *mine, struct domain *d)
{
    char folder[GN_LINUX__PATH];
    char name[64];
    uint64_t is = 0;
    int cpu = 0;

    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, mine))
        cpu++;
    for (int i = 0; i < INDICES; i++) {
        snprintf(name, sizeof name, "cpu%d/cache/index%d", cpu, i);
        if (gn_linux__path(folder, sizeof folder, root, name))
            return -GN_ERR_INVAL;
        if (!gn_linux__number_read(folder, "level", 10, 8, &is) && is == level)
            return index_read(folder, d);
    }
    return -GN_ERR_NOTSUP;
}

/* ---- The region ---------------------------------------------------------------------------- */

int gn_linux_lock_holds(const struct gn_linux_lock *lock)
{
    char mode[32];

    return lock && lock->level && !gn_linux__text_read(lock->group, "mode", mode, sizeof mode) &&
           !strcmp(mode, "pseudo-locked\n");
}

static int give_back(const struct gn_linux_lock *k)
{
    const struct gn_linux__masks none = {.count = 1, .at = {{.id = k->domain}}};
    struct gn_linux__masks m;
    uint32_t mask = 0;
    int rc = rmdir(k->group) && errno != ENOENT ? gn_linux__error(errno) : 0;

    if (!rc)
        rc = gn_linux__masks_read(k->root, k->level, &m);
    for (uint32_t i = 0; !rc && i < m.count; i++)
        mask |= m.at[i].id == k->domain ? m.at[i].mask : 0;
    return rc ? rc : gn_linux__masks_write(k->root, k->level, &none, 0, mask | k->mask);
}

static int set_up(const struct gn_linux_lock *k, const struct gn_linux__masks *one)
{
    int rc = gn_linux__masks_write(k->root, k->level, one, k->mask, 0);

    if (!rc && mkdir(k->group, 0700)) {
        rc = gn_linux__error(errno);
        if (rc == -GN_ERR_EXIST) /* somebody's: not to be removed */
            return gn_linux__masks_write(k->root, k->level, one, 0, k->mask) ? -GN_ERR_IO : rc;
    }
    if (!rc)
        rc = gn_linux__text_write(k->group, "mode", "pseudo-locksetup\n");
    if (!rc)
        rc = gn_linux__masks_write(k->group, k->level, one, UINT32_MAX, k->mask);
    if (!rc && !gn_linux_lock_holds(k))
        rc = -GN_ERR_IO;
    if (rc)
        (void)give_back(k);
    return rc;
}

/* Which ways; what is there is looked at and not changed. */
static int choose(struct gn_linux_lock *k, const struct gn_linux_lock_params *p,
                  const struct domain *d, struct gn_linux__masks *one)
{
    struct gn_linux_resctrl r = {GN_LINUX_RESCTRL_INIT};
    struct gn_linux__masks m;
    uint64_t way, ways;
    int rc = gn_linux_resctrl_get(k->root, p->level, &r);

    if (!rc)
        rc = gn_linux__masks_read(k->root, p->level, &m);
    if (rc)
        return rc;
    one->count = 0;
    for (uint32_t i = 0; i < m.count; i++)
        if (m.at[i].id == d->id)
            one->at[one->count++] = m.at[i];
    way = d->bytes / (uint32_t)__builtin_popcount(r.mask);
    if (one->count != 1 || !way)
        return -GN_ERR_IO;
    ways = (p->bytes + way - 1) / way;
    ways = ways < r.min_bits ? r.min_bits : ways;
    if (ways > 31)
        return -GN_ERR_NOSPC;
    k->level = p->level;
    k->domain = d->id;
    k->bytes = ways * way;
    return gn_linux__masks_pick(&r, (uint32_t)ways, one, &k->mask);
}

/* The kernel zeroes it, and wants a thread that runs nowhere else. */
static int map(const char *devices, const struct gn_linux_lock *k, struct gn_linux_memory *ret)
{
    struct gn_linux_memory m = {.kind = GN_LINUX_MEMORY_LOCKED, .bytes = k->bytes};
    char path[GN_LINUX__PATH];

    if (gn_linux__group_path(path, sizeof path, devices))
        return -GN_ERR_INVAL;
    m.fd = open(path, O_RDWR | O_CLOEXEC);
    if (m.fd < 0)
        return gn_linux__error(errno);
    m.base = mmap(NULL, m.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
    if (m.base == MAP_FAILED) {
        close(m.fd);
        return -GN_ERR_IO;
    }
    m.degraded = GN_LINUX_DEGRADED_SECRET;
    m.degraded |= madvise(m.base, m.bytes, MADV_DONTFORK) ? GN_LINUX_DEGRADED_FORK : 0;
    *ret = m;
    return 0;
}

static int lock_and_map(struct gn_linux_lock *k, const struct gn_linux_lock_params *p,
                        const struct domain *d, struct gn_linux_memory *ret_memory)
{
    struct gn_linux__masks one;
    int fd = gn_linux__root_lock(k->root);
    int rc = choose(k, p, d, &one);

    if (!rc)
        rc = set_up(k, &one);
    if (!rc) {
        rc = map(p->devices ? p->devices : DEVICES, k, ret_memory);
        if (rc)
            (void)give_back(k);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int gn_linux_lock_get(const struct gn_linux_lock_params *params, struct gn_linux_lock *ret_lock,
                      struct gn_linux_memory *ret_memory)
{
    struct gn_linux_lock_params p;
    struct gn_linux_lock k = {.level = 0};
    struct domain d;
    cpu_set_t mine, both;
    int rc = gn_base_params_copy(&p, sizeof p, params, sizeof p);

    if (rc)
        return rc;
    p.root = p.root ? p.root : GN_LINUX__RESCTRL;
    if (p.level < 2 || p.level > 3 || !p.bytes || p.bytes > UINT32_MAX || !ret_lock ||
        !ret_memory || strlen(p.root) >= sizeof k.root)
        return -GN_ERR_INVAL;
    memcpy(k.root, p.root, strlen(p.root) + 1);
    rc = gn_linux__group_path(k.group, sizeof k.group, k.root);
    if (!rc && sched_getaffinity(0, sizeof mine, &mine))
        rc = -GN_ERR_IO;
    if (!rc)
        rc = domain_find(p.cpus ? p.cpus : CPUS, p.level, &mine, &d);
    if (rc)
        return gn_linux__outcome(rc);
    CPU_AND(&both, &mine, &d.cpus);
    if (!CPU_COUNT(&both) || sched_setaffinity(0, sizeof both, &both))
        return -GN_ERR_IO;
    rc = lock_and_map(&k, &p, &d, ret_memory);
    if (rc)
        (void)sched_setaffinity(0, sizeof mine, &mine);
    else
        *ret_lock = k;
    return gn_linux__outcome(rc);
}

int gn_linux_lock_put(struct gn_linux_lock *lock, struct gn_linux_memory *memory)
{
    int fd;
    int rc;

    gn_linux_memory_put(memory);
    if (!lock || !lock->level)
        return 0;
    fd = gn_linux__root_lock(lock->root);
    rc = give_back(lock);
    if (fd >= 0)
        close(fd);
    if (!rc)
        *lock = (struct gn_linux_lock){.level = 0};
    return gn_linux__outcome(rc);
}
