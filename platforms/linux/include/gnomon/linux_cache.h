/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_LINUX_CACHE_H
#define GN_LINUX_CACHE_H

/*
 * gnomon/linux_cache.h - what a Linux process can learn and have of the machine's cache.
 *
 * A pool of plaintext is worth most where it does not leave the cache. Linux has four things to say
 * to that, from weak to strong, and each is one part of this header:
 *
 *   the cache        how large it is; a clock, a flush and a counter, for a probe that measures
 *   places           where memory lies in the machine: whether a pool can displace itself
 *   ways             a part of the cache that others do not fill                       (resctrl)
 *   pseudo-locking   memory that was put into such a part, and that nothing replaces   (resctrl)
 *
 * Each function tells what was found or done and nothing beyond that; the claim that is made of it
 * (residency) is cachecrypt's.
 *
 * Source: Linux, Documentation/filesystems/resctrl.rst; Documentation/admin-guide/mm/pagemap.rst.
 */

#include <gnomon/linux.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The cache ----------------------------------------------------------------------------- */

/** A cache, as the kernel describes it. */
struct gn_linux_cache {
    uint32_t size;  /**< GN_LINUX_CACHE_INIT sets it */
    uint32_t level; /**< 1 is nearest to the CPU */
    uint64_t bytes; /**< sets by ways by bytes of a line */
    uint32_t ways;
    uint32_t line_bytes;
};

/** First initializer of a gn_linux_cache. */
#define GN_LINUX_CACHE_INIT .size = sizeof(struct gn_linux_cache)

/**
 * The last cache that the first CPU has for data. In a virtual machine this is what the hypervisor
 * says: the machine's cache may be smaller, and others use it. Descriptions that make no sense (a
 * line that is no power of two or more than 4 KiB, more than 1024 ways or 64 MiB a way) are passed
 * over.
 *
 * @param root       NULL: /sys/devices/system/cpu/cpu0/cache; else a folder like it
 * @param ret_cache  with its size set
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: no ret_cache, its size below that of the first version; the path is too long
 *  - -GN_ERR_NOTSUP: the kernel describes no cache
 *
 * Context: process; system calls. Thread-safety: reentrant. Ownership: the caller's.
 * Source: Linux, Documentation/ABI/testing/sysfs-devices-system-cpu.
 */
GN_API GN_NODISCARD int gn_linux_cache_get(const char *root, struct gn_linux_cache *ret_cache);

/**
 * A clock fine enough to tell a cache from DRAM: the time-stamp counter, or nanoseconds. Loads
 * before it are done, loads after it have not begun (x86-64).
 *
 * Context: any. Thread-safety: reentrant.
 */
GN_API uint64_t gn_linux_cache_clock(void);

/**
 * Flushes the line at an address from all caches, to DRAM: never that of a secret.
 *
 * @return 0, or -GN_ERR_NOTSUP: nothing happened (other than x86-64)
 *
 * Context: any. Thread-safety: reentrant.
 */
GN_API int gn_linux_cache_flush(const void *at);

/**
 * A counter of this thread's last-level cache misses in user mode (perf_event_open). It is tried:
 * where lines that were flushed are read and it does not move, there is none.
 *
 * @param ret_counter  [out] a descriptor
 * @return
 *  - 0
 *  - -GN_ERR_NOTSUP: the machine has no such counter, or shows none to a virtual machine; or it
 *    does not count
 *  - -GN_ERR_PERM: not allowed (/proc/sys/kernel/perf_event_paranoid)
 *
 * Context: process; system calls. Thread-safety: reentrant; it counts for the thread that got it.
 * Ownership: the caller's, until gn_linux_cache_counter_put().
 * What the event is, is the kernel's choice for each CPU: on AMD's, misses of the second level.
 */
GN_API GN_NODISCARD int gn_linux_cache_counter_get(int32_t *ret_counter);

/** What it has counted so far; 0: it cannot be read. Context: any; a system call. */
GN_API uint64_t gn_linux_cache_counter_read(int32_t counter);

/** Gives it back. -1: nothing happens. */
GN_API void gn_linux_cache_counter_put(int32_t counter);

/* ---- Places -------------------------------------------------------------------------------- */

/* How much is known of where memory lies. */
#define GN_LINUX_PLACES_MACHINE 1u /**< the address of each page, by /proc/self/pagemap */
#define GN_LINUX_PLACES_HUGE    2u /**< its place in a huge page; not where that lies */

/** Flag: a virtual machine's physical addresses will do. */
#define GN_LINUX_PLACES_GUEST 1u

/** Where memory lies. The library fills it; only the library writes it. */
struct gn_linux_places {
    uint32_t known; /**< GN_LINUX_PLACES_...; 0: nothing */
    int32_t fd;
    const struct gn_linux_memory *memory;
};

/**
 * Learns how much can be known of where memory lies.
 *
 * Machine addresses take CAP_SYS_ADMIN; without it, memory in huge pages is known by its place in
 * these, once the kernel has said (/proc/self/smaps) that all of it is there now. In a virtual
 * machine neither says anything of the machine: its hypervisor may back a huge page by any single
 * pages. There, and where it is not known whether there is a hypervisor, this is refused unless
 * whoever calls says that the guest's addresses will do, because he knows the hypervisor's.
 *
 * @param memory      whose; used until gn_linux_places_put()
 * @param flags       GN_LINUX_PLACES_GUEST, or 0
 * @param ret_places  [out] what is known
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: an argument is NULL, there is no memory, flags are unknown
 *  - -GN_ERR_NOTSUP: a virtual machine
 *  - -GN_ERR_PERM: not allowed, and the memory is not in huge pages
 *  - -GN_ERR_IO: the kernel has no pagemap, or says what makes no sense
 *
 * Context: process; system calls; touches the memory. Thread-safety: reentrant. Ownership: the
 * caller's, until gn_linux_places_put().
 */
GN_API GN_NODISCARD int gn_linux_places_get(const struct gn_linux_memory *memory, uint32_t flags,
                                            struct gn_linux_places *ret_places);

/**
 * Where an address of the memory lies, now: the kernel may move pages that are not SECRET.
 *
 * @param places   what is known
 * @param at       an address of its memory
 * @param ret_hpa  [out] the machine address; with PLACES_HUGE its lower 21 bits alone
 * @return
 *  - 0
 *  - -GN_ERR_RANGE: not an address of the memory
 *  - -GN_ERR_NOENT: it lies nowhere: it was never touched, or was swapped out
 *  - -GN_ERR_PERM, -GN_ERR_IO: as above
 *
 * Context: process; a system call. Thread-safety: reentrant.
 */
GN_API GN_NODISCARD int gn_linux_places_hpa(const struct gn_linux_places *places, const void *at,
                                            gn_hpa_t *ret_hpa);

/** Ends it. NULL, or nothing known: nothing happens. */
GN_API void gn_linux_places_put(struct gn_linux_places *places);

/* ---- Ways of the cache --------------------------------------------------------------------- */

/*
 * resctrl: which ways of a cache the tasks of a group may fill (Intel CAT, AMD QoS). A group with
 * ways of its own shows this and no more: while it exists, a task of another group does not *fill*
 * these ways, and so does not displace what is in them. It does not show that the pool is in them.
 *  - Everything that the process touches is filled there: its stack, code, the ciphertext.
 *  - A line that another way has already is served from there; and a line goes where its task
 *    runs, so a system call's copy, or another process's, of the same page fills other ways.
 *  - Flushes of the whole cache (WBINVD, a CPU that sleeps deeply), and the caches' own inclusion
 *    and replacement, write lines to DRAM all the same. Ways that hardware shares are left out.
 * So ways alone never make a residency "locked": they are the pool_ways of a gn_cachecrypt_cache.
 * ops.cache_locked may say yes for memory of a pseudo-locked region alone (gn_linux_lock_get).
 *
 * Source: Linux, Documentation/filesystems/resctrl.rst (info, schemata, mode, tasks; locking).
 */

/** What resctrl has for a cache. */
struct gn_linux_resctrl {
    uint32_t size;      /**< GN_LINUX_RESCTRL_INIT sets it */
    uint32_t level;     /**< 2 or 3 */
    uint32_t mask;      /**< a bit for each way that there is (cbm_mask) */
    uint32_t shareable; /**< of these, ways that devices may fill, too (shareable_bits) */
    uint32_t min_bits;  /**< least ways of a group (min_cbm_bits) */
    uint32_t groups;    /**< most groups, with the one that is always there (num_closids) */
    uint32_t modes;     /**< 1: groups have modes, so that one can be exclusive */
    uint32_t reserved;
};

/** First initializer of a gn_linux_resctrl. */
#define GN_LINUX_RESCTRL_INIT .size = sizeof(struct gn_linux_resctrl)

/**
 * Tells whether the ways of a cache can be given out, and what there is of them. Changes nothing.
 *
 * @param root         NULL: /sys/fs/resctrl; else a folder like it
 * @param level        2 or 3
 * @param ret_resctrl  with its size set
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: level; no ret_resctrl, its size below that of the first version; path too long
 *  - -GN_ERR_NOTSUP: resctrl is not there: not of this kernel or machine, not mounted, or not for
 *    this level (with code and data apart, not either)
 *  - -GN_ERR_PERM: it may not be read
 *  - -GN_ERR_IO: it says what makes no sense: no number, too long, a mask with holes
 *
 * Context: process; system calls. Thread-safety: reentrant. Ownership: the caller's.
 */
GN_API GN_NODISCARD int gn_linux_resctrl_get(const char *root, uint32_t level,
                                             struct gn_linux_resctrl *ret_resctrl);

/**
 * Tells whether the machine can pseudo-lock. That shows only when it is tried: a group is made, set
 * up for it, and removed; nothing is locked.
 *
 * @param root  as above
 * @return
 *  - 0: it can
 *  - -GN_ERR_NOTSUP: it cannot, or there is no resctrl
 *  - -GN_ERR_INVAL: path too long
 *  - -GN_ERR_PERM, -GN_ERR_NOSPC, -GN_ERR_EXIST: no group can be made: not allowed, none is left,
 *    this process has one (gn_linux_ways_get)
 *  - -GN_ERR_IO: anything else that the kernel says
 *
 * Context: process; system calls; it waits for others who change resctrl. Thread-safety: one thread
 * of a process.
 */
GN_API GN_NODISCARD int gn_linux_resctrl_lockable(const char *root);

/** Which ways are wanted. */
struct gn_linux_ways_params {
    uint32_t size;  /**< GN_LINUX_WAYS_PARAMS_INIT sets it */
    uint32_t level; /**< 2 or 3 */
    uint32_t ways;  /**< how many, 1 to 31 */
    uint32_t reserved;
    const char *root; /**< NULL: /sys/fs/resctrl; else a folder like it */
};

/** First initializer of a gn_linux_ways_params. */
#define GN_LINUX_WAYS_PARAMS_INIT .size = sizeof(struct gn_linux_ways_params)

/** Ways that are this process's. The library fills it; only the library writes it. */
struct gn_linux_ways {
    uint32_t level; /**< 0: there are none */
    uint32_t mask;  /**< which, in each cache of the level */
    char root[128];
    char group[160];
};

/**
 * Takes ways from the default group, in each cache of the level, and moves all threads of the
 * process to an exclusive group that has them, "gnomon-" and the process's number. Threads and
 * children that these start later are in it, too; threads started by another thread during the call
 * may not be. Whatever fails is undone.
 *
 * @param params    see there
 * @param ret_ways  [out] the ways
 * @return
 *  - 0
 *  - -GN_ERR_INVAL, -GN_ERR_2BIG: parameters; path too long
 *  - -GN_ERR_NOTSUP, -GN_ERR_IO: as gn_linux_resctrl_get(); or groups have no modes
 *  - -GN_ERR_RANGE: fewer ways than a group must have
 *  - -GN_ERR_NOSPC: the default group has not so many to give in one piece, or no group is left
 *  - -GN_ERR_EXIST: this process has a group already
 *  - -GN_ERR_BUSY: the kernel refuses the masks or the mode: another group has these ways, or ways
 *    of the other level are shared; info/last_cmd_status says which
 *  - -GN_ERR_PERM: not allowed (it takes root)
 *
 * Context: process; system calls; it waits for others who change resctrl. Thread-safety: one thread
 * of a process. Ownership: the caller's, until gn_linux_ways_put(): a process that ends without it
 * leaves the group behind, and the ways with it.
 */
GN_API GN_NODISCARD int gn_linux_ways_get(const struct gn_linux_ways_params *params,
                                          struct gn_linux_ways *ret_ways);

/**
 * Removes the group and gives its ways back to the default group, which takes the threads. NULL, or
 * a level of 0: nothing happens.
 *
 * @return 0; or an error of gn_linux_ways_get(), and the ways are still owned
 *
 * Context and thread-safety: as gn_linux_ways_get().
 */
GN_API int gn_linux_ways_put(struct gn_linux_ways *ways);

/* ---- Pseudo-locking ------------------------------------------------------------------------ */

/*
 * The kernel takes ways from everybody, fills them with memory of its own, and takes them from
 * itself: nothing replaces what is there. It is Intel's, for some CPUs; the kernel's manual says
 * what undoes it all the same: WBINVD, INVD and CLFLUSH, deep sleep (which the kernel forbids these
 * CPUs), and a task that touches the memory from a CPU of another cache.
 *
 * Each mmap() of such a region zeroes it, and mremap() is refused. So a window, which maps frames
 * one by one, cannot lie over it: it is for memory that is reached by calls alone.
 */

/** What is to be locked. */
struct gn_linux_lock_params {
    uint32_t size;       /**< GN_LINUX_LOCK_PARAMS_INIT sets it */
    uint32_t level;      /**< 2 or 3 */
    uint64_t bytes;      /**< at least so many: whole ways are taken; to 4 GiB */
    const char *root;    /**< NULL: /sys/fs/resctrl; else a folder like it */
    const char *devices; /**< NULL: /dev/pseudo_lock; else a folder like it */
    const char *cpus;    /**< NULL: /sys/devices/system/cpu; else a folder like it */
};

/** First initializer of a gn_linux_lock_params. */
#define GN_LINUX_LOCK_PARAMS_INIT .size = sizeof(struct gn_linux_lock_params)

/** A pseudo-locked region. The library fills it; only the library writes it. */
struct gn_linux_lock {
    uint32_t level;  /**< 0: there is none */
    uint32_t mask;   /**< its ways */
    uint32_t domain; /**< which cache of the level */
    uint32_t reserved;
    uint64_t bytes; /**< what the ways hold */
    char root[128];
    char group[160];
};

/**
 * Locks memory in the cache of the first CPU that this thread may run on, and maps it. From then on
 * the thread, and threads that it starts, run on that cache's CPUs alone: the kernel demands it,
 * and others must not touch the memory from elsewhere. Whatever fails is undone.
 *
 * In this order: the ways are taken from the default group; a group "gnomon-" and the process's
 * number is made; its mode becomes pseudo-locksetup; its schemata names the ways, at which the
 * kernel locks; its mode must then be pseudo-locked; the device of its name is mapped.
 *
 * @param params      see there
 * @param ret_lock    [out] the region
 * @param ret_memory  [out] its memory, GN_LINUX_MEMORY_LOCKED: zeros, not in dumps, never swapped,
 *                    not a child's; the kernel's own map has it
 * @return
 *  - 0
 *  - -GN_ERR_INVAL, -GN_ERR_2BIG: parameters; path too long
 *  - -GN_ERR_NOTSUP: no resctrl, or not for this level
 *  - -GN_ERR_NOSPC: the default group has not so many ways to give; or no group is left
 *  - -GN_ERR_EXIST: this process has a group already
 *  - -GN_ERR_BUSY: the kernel refuses: the CPU cannot do it, others have these ways, there is a
 *    region at this cache already; info/last_cmd_status says which
 *  - -GN_ERR_PERM: not allowed (it takes root)
 *  - -GN_ERR_IO: anything else that the kernel says
 *
 * Context: process; system calls; it waits for others who change resctrl. Thread-safety: one thread
 * of a process. Ownership: the caller's, until gn_linux_lock_put(): a process that ends without it
 * leaves the group behind, and the ways with it.
 */
GN_API GN_NODISCARD int gn_linux_lock_get(const struct gn_linux_lock_params *params,
                                          struct gn_linux_lock *ret_lock,
                                          struct gn_linux_memory *ret_memory);

/**
 * Does the kernel say that the region is locked, now? It does not look at the cache: a probe does.
 *
 * @return 1 or 0; NULL: 0. Context: process; system calls. Thread-safety: reentrant.
 */
GN_API int gn_linux_lock_holds(const struct gn_linux_lock *lock);

/**
 * Wipes the memory, removes the group, and gives its ways back to the default group. The thread
 * stays where it is. NULL, or a level of 0: the memory alone.
 *
 * @return 0; or an error of gn_linux_lock_get(), and the ways are still owned
 *
 * Context and thread-safety: as gn_linux_lock_get().
 */
GN_API int gn_linux_lock_put(struct gn_linux_lock *lock, struct gn_linux_memory *memory);

#ifdef __cplusplus
}
#endif

#endif /* GN_LINUX_CACHE_H */
