/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_LINUX_INTERNAL_H
#define GN_LINUX_INTERNAL_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <gnomon/linux_cache.h>

/* A page's state: 0 not mapped, else the frame's number + 1, and whether writes are allowed. */
#define PAGE_WRITABLE   (1u << 31)
#define PAGE_FRAME(s)   (((s) & ~PAGE_WRITABLE) - 1)
#define PAGE_STATE(f)   ((uint32_t)(f) + 1)
#define PAGE_FRAMES_MAX ((1u << 31) - 2)

/** How pages get into a window, and out of it. All return 0 or -GN_ERR_NOMEM. */
struct gn_linux__way {
    uint32_t way;      /**< GN_LINUX_FAULTS_... */
    uint32_t degraded; /**< what it cannot give */
    int (*reserve)(struct gn_linux_window *w);
    int (*map)(struct gn_linux_window *w, void *to, uint32_t frame, uint32_t writable);
    int (*protect)(struct gn_linux_window *w, void *to, uint32_t writable);
    int (*unmap)(struct gn_linux_window *w, void *from, uint32_t frame, uint32_t writable);
};

extern const struct gn_linux__way gn_linux__sigsegv;
extern const struct gn_linux__way gn_linux__userfaultfd;

struct gn_linux_window {
    const struct gn_linux__way *way;
    const struct gn_linux_memory *memory;
    struct gn_linux_window_ops ops;
    void *ops_ctx;
    uint8_t *base;
    uint64_t pages;
    uint32_t flags;
    uint32_t degraded;
    int uffd; /**< -1: none */
    /** A page that a child finds wiped: 1, and 0 in a child, which has no window but this table. */
    volatile uint32_t *here;
    /**
     * Who is in: 0, or the thread's id; WAITED is set when somebody sleeps. Not a pthread mutex:
     * those are not to be locked in signal handlers.
     */
    _Atomic uint32_t owner;
    uint64_t signals; /**< of the thread that is in: what it had blocked before */
    uint64_t faults;
    uint64_t again;
    uint64_t maps;
    uint64_t unmaps;
    uint32_t state[]; /**< by page */
};

/** What a fault was: GN_ACCESS_...; GN_ACCESS_KINDS: nobody knows. */
uint32_t gn_linux__access(const void *ucontext);

/** Is this a virtual machine, as far as its CPU tells? Where that is not known: yes. */
bool gn_linux__virtual(void);

/** Does the kernel say that all of the memory is mapped by huge pages, now? */
bool gn_linux__huge(const struct gn_linux_memory *m);

/** gn_linux_places_get(), on a machine that is virtual or not, by the file `pagemap`. */
int gn_linux__places_get(const struct gn_linux_memory *memory, uint32_t flags, bool is_virtual,
                         const char *pagemap, struct gn_linux_places *ret_places);

/** The windows that faults may concern, and who had the signals before. */
struct gn_linux__fault_table {
    _Atomic(struct gn_linux_window *) windows[GN_LINUX_FAULTS_MAX];
    struct sigaction before[2]; /**< of SIGSEGV, of SIGBUS */
};

extern struct gn_linux__fault_table gn_linux__faults;

/* ---- Files of the kernel's (text.c) -------------------------------------------------------- */

/** Room for a path. */
#define GN_LINUX__PATH 256

/** folder/name. @return 0, or -GN_ERR_INVAL: too long */
int gn_linux__path(char *to, size_t size, const char *folder, const char *name);

/**
 * A file as a string. @return 0; -GN_ERR_INVAL: path too long; -GN_ERR_NOENT, -GN_ERR_PERM;
 * -GN_ERR_IO: cannot be read, or has no less than `size` bytes
 */
int gn_linux__text_read(const char *folder, const char *name, char *to, size_t size);

/** What an errno means here; EINVAL, by which the kernel refuses a value, is -GN_ERR_BUSY. */
int gn_linux__error(int number);

/**
 * Writes to a file that is there, all in one call, as the kernel's want it.
 * @return 0, or gn_linux__error()'s
 */
int gn_linux__text_write(const char *folder, const char *name, const char *text);

/** Digits of a number to max; *at moves behind them. @return 0, or -GN_ERR_IO: none, or too many */
int gn_linux__number(const char **at, uint32_t base, uint64_t max, uint64_t *ret_number);

/** A file that is a number and perhaps a newline. @return as the two above */
int gn_linux__number_read(const char *folder, const char *name, uint32_t base, uint64_t max,
                          uint64_t *ret_number);

/* ---- resctrl (resctrl.c) ------------------------------------------------------------------- */

#define GN_LINUX__RESCTRL "/sys/fs/resctrl"
#define GN_LINUX__DOMAINS 64u

/** The masks of one level: a line of a schemata file, or a part of one. */
struct gn_linux__masks {
    uint32_t count;
    struct {
        uint32_t id;
        uint32_t mask;
    } at[GN_LINUX__DOMAINS];
};

/** What a missing file means: this is no resctrl, or not one that can do it. */
int gn_linux__outcome(int rc);

/** The masks of a group. @return 0, an error of gn_linux__text_read(), -GN_ERR_NOTSUP: none */
int gn_linux__masks_read(const char *folder, uint32_t level, struct gn_linux__masks *ret);

/** Writes each mask without `clear` and with `set`; other domains stay. @return as text_write() */
int gn_linux__masks_write(const char *folder, uint32_t level, const struct gn_linux__masks *m,
                          uint32_t clear, uint32_t set);

/**
 * The lowest ways that all the domains have in one piece and devices do not fill; what is left of
 * each mask is one, too. @return 0 or -GN_ERR_NOSPC
 */
int gn_linux__masks_pick(const struct gn_linux_resctrl *r, uint32_t ways,
                         const struct gn_linux__masks *m, uint32_t *ret_mask);

/** folder/gnomon-PID. @return 0 or -GN_ERR_INVAL: too long */
int gn_linux__group_path(char *to, size_t size, const char *folder);

/** Locks the root, as whoever changes resctrl does. @return a descriptor to close, or -1 */
int gn_linux__root_lock(const char *root);

#endif /* GN_LINUX_INTERNAL_H */
