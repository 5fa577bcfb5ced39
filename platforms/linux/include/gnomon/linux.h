/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_LINUX_H
#define GN_LINUX_H

/*
 * gnomon/linux.h - what a Linux process can give to memory encryption: memory that others do not
 * see, and faults on pages that are not there.
 *
 * Encrypted memory needs two things of its host. Plaintext, keys and counters must lie where
 * neither swap nor a core dump nor a debugger finds them; and somebody must be told when a program
 * touches a page that is ciphertext just now. Linux has several ways to do each. This platform
 * takes the best that the machine has, and says which protections are missing: a bit each, in
 * `degraded`, with a name and a sentence.
 *
 *     window: addresses that the program uses           memory: the pool, and what is secret
 *     +------+------+------+------+------+--            +---------+---------+---------+--
 *     |  -   | page |  -   |  -   | page |              | frame 0 | frame 1 | frame 2 |
 *     +------+--|---+------+------+--|---+--            +----^----+----^----+---------+--
 *        |      +--------------------|-----------------------|---------+
 *        |                           +-----------------------+
 *        v touched: SIGSEGV or SIGBUS
 *     gn_linux_faults_add()'s handler -> gn_linux_window_fault() -> ops->fault(page, access)
 *                                                                      |
 *        gn_linux_window_unmap(victim), gn_linux_window_map(page, frame, writable) <---+
 *
 * Memory, best first:
 *
 *  - SECRET: memfd_secret. Not in the kernel's own map of memory, so that ptrace, /proc/PID/mem and
 *    DMA through the kernel do not reach it; never swapped, never dumped.
 *  - SHARED: an ordinary memfd, locked and left out of dumps; a child process does not inherit it.
 *  - PRIVATE: anonymous, locked, left out of dumps; a child process finds zeros.
 *  - LOCKED, apart from these: in the cache itself (gn_linux_lock_get of <gnomon/linux_cache.h>).
 *
 * Windows, by what the memory is:
 *
 *  - SIGSEGV (SECRET, SHARED): a page of the window is a second mapping of its frame. Nothing is
 *    copied, and there is no plaintext but in the memory. A fault costs a signal and an mmap.
 *  - USERFAULTFD (PRIVATE): userfaultfd in SIGBUS mode. The kernel takes no registration on
 *    memfd_secret, so the frame moves: it is copied to the window and wiped, and copied back when
 *    the page goes. Resident pages of the window are then part of the pool, and locked as it is.
 *
 * Either way a system call that is given an address in a window fails with EFAULT unless the page
 * is there: both faults are signals, and the kernel sends itself none. Whoever cannot keep system
 * calls off a window touches the pages first, or copies through other memory.
 *
 * Rules of use:
 *
 *  - Between gn_linux_window_enter() and _leave(), and in ops->fault, the window's pages must not
 *    be touched: such a fault is not taken, and the process ends.
 *  - A window may have two mappings for each mapped page of a process's limit, vm.max_map_count.
 *
 * What is global, and why. A signal handler has no argument that leads to an object, so the windows
 * that faults may concern, and the actions that the process had before, stand in one table,
 * gn_linux__faults. It is the only variable, a process needs it once since signal actions are the
 * process's, and who never calls gn_linux_faults_add() never touches it: a program with a handler
 * of its own calls gn_linux_window_fault() from there.
 *
 * It is not an MMU for guests yet: there is no gn_mmu_ops here. This header is freestanding; the
 * library behind it is not.
 *
 * Sources: memfd_secret(2), userfaultfd(2), ioctl_userfaultfd(2), madvise(2), mlock(2), prctl(2).
 */

#include <gnomon/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this platform's interface; the soname carries MAJOR. */
#define GN_LINUX_VERSION_MAJOR 0
#define GN_LINUX_VERSION_MINOR 1

/** The version in use: MAJOR << 16 | MINOR. Context: any. Thread-safety: reentrant. */
GN_API uint32_t gn_linux_version(void);

/* ---- What is missing ----------------------------------------------------------------------- */

/** Not memfd_secret: the kernel's map has it; ptrace, /proc/PID/mem and process_vm_readv read it.
 */
#define GN_LINUX_DEGRADED_SECRET (1u << 0)
/** Not locked (RLIMIT_MEMLOCK): it may be swapped out. */
#define GN_LINUX_DEGRADED_LOCK (1u << 1)
/** A core dump has it. */
#define GN_LINUX_DEGRADED_DUMP (1u << 2)
/** A child process inherits it. */
#define GN_LINUX_DEGRADED_FORK (1u << 3)
/** The process is dumpable: processes of the same user may attach to it and see its registers. */
#define GN_LINUX_DEGRADED_DUMPABLE (1u << 4)
/** Plaintext of resident pages lies in the window, outside of the memory. */
#define GN_LINUX_DEGRADED_COPIES (1u << 5)
/** System calls given an address in the window fail with EFAULT while the page is not there. */
#define GN_LINUX_DEGRADED_SYSCALLS (1u << 6)
/** How many bits there are. */
#define GN_LINUX_DEGRADED_COUNT 7

/**
 * The name of a missing protection, and what it means.
 *
 * @param bit       one GN_LINUX_DEGRADED_*
 * @param ret_text  NULL, or where a sentence about it goes
 * @return its name in lower case, a string constant; "unknown" for anything else
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
GN_API const char *gn_linux_degraded_name(uint32_t bit, const char **ret_text);

/**
 * What the process itself leaves open: 0 or GN_LINUX_DEGRADED_DUMPABLE.
 *
 * Context: any; a system call. Thread-safety: reentrant.
 */
GN_API uint32_t gn_linux_process_degraded(void);

/**
 * Makes the process undumpable (PR_SET_DUMPABLE): no core, no debugger of the same user, and
 * /proc/self belongs to root. An execve() undoes it.
 *
 * @return what gn_linux_process_degraded() says now
 *
 * Context: any; system calls. Thread-safety: reentrant.
 */
GN_API uint32_t gn_linux_process_protect(void);

/* ---- Memory -------------------------------------------------------------------------------- */

/* Kinds of memory; best first. */
#define GN_LINUX_MEMORY_SECRET  1u /**< memfd_secret */
#define GN_LINUX_MEMORY_SHARED  2u /**< an ordinary memfd */
#define GN_LINUX_MEMORY_PRIVATE 4u /**< anonymous */
#define GN_LINUX_MEMORY_LOCKED  8u /**< in the cache; of gn_linux_lock_get() alone */

/** Flag: a child process inherits the memory, SECRET and SHARED; see gn_linux_memory_replace(). */
#define GN_LINUX_MEMORY_INHERIT 1u
/**
 * Flag: the memory lies in huge pages, SHARED and PRIVATE: each GN_LINUX_HUGE_BYTES of it are one
 * piece of the machine's memory, so that no two of its pages contend for the same lines of a cache.
 * The kernel gives memfd_secret single pages only: whoever wants this does without SECRET.
 */
#define GN_LINUX_MEMORY_HUGE 2u

/** Bytes of a huge page. */
#define GN_LINUX_HUGE_BYTES (UINT64_C(2) << 20)

/** What memory is wanted. */
struct gn_linux_memory_params {
    uint32_t size;  /**< GN_LINUX_MEMORY_PARAMS_INIT sets it */
    uint32_t kinds; /**< GN_LINUX_MEMORY_... that will do; 0 means SECRET and PRIVATE */
    uint64_t bytes; /**< how much, rounded up to pages, with HUGE to huge ones; not 0 */
    uint32_t flags; /**< GN_LINUX_MEMORY_INHERIT, _HUGE, or 0 */
    uint32_t reserved;
};

/** First initializer of a gn_linux_memory_params. */
#define GN_LINUX_MEMORY_PARAMS_INIT .size = sizeof(struct gn_linux_memory_params)

/** Memory. The library fills it; only the library writes it. */
struct gn_linux_memory {
    uint32_t kind;     /**< GN_LINUX_MEMORY_...; 0: there is none */
    uint32_t degraded; /**< GN_LINUX_DEGRADED_... that hold for it */
    void *base;        /**< readable and writable, zero at first, 4 KiB aligned */
    uint64_t bytes;
    int32_t fd;     /**< SECRET, SHARED: what it maps; else -1 */
    uint32_t flags; /**< those of the parameters */
    /**
     * By page: the page of fd that is mapped there; NULL: the same number. From
     * gn_linux_memory_arrange().
     */
    const uint32_t *order;
};

/**
 * Gets memory of the first kind wanted that the machine has.
 *
 * @param params      what is wanted
 * @param ret_memory  [out] the memory
 * @return
 *  - 0; ret_memory->degraded says what it lacks
 *  - -GN_ERR_INVAL: no bytes, or kinds or flags unknown
 *  - -GN_ERR_2BIG: params is longer than known
 *  - -GN_ERR_NOMEM: none of the kinds can be had; with HUGE: the kernel has no such pages to give
 *
 * Context: process; system calls. Thread-safety: reentrant. Ownership: the caller's, until
 * gn_linux_memory_put().
 */
GN_API GN_NODISCARD int gn_linux_memory_get(const struct gn_linux_memory_params *params,
                                            struct gn_linux_memory *ret_memory);

/**
 * Wipes memory and gives it back. NULL, or a kind of 0: nothing happens.
 *
 * Context: process; O(bytes). Thread-safety: one thread an object. Ownership: nobody's afterwards.
 */
GN_API void gn_linux_memory_put(struct gn_linux_memory *memory);

/**
 * Gives memory back unwiped: what a parent does with the copy that its child has taken.
 *
 * Context: process; system calls. Thread-safety: one thread an object. Ownership: others' who map
 * it; the kernel's when there are none.
 */
GN_API void gn_linux_memory_forget(struct gn_linux_memory *memory);

/**
 * Makes memory of some of its pages: afterwards it has `count` pages, page i being what page
 * pages[i] was. For whoever has looked where each lies in the machine and wants only those that fit
 * a cache. What was in the memory is wiped.
 *
 * @param memory  SECRET or SHARED, neither HUGE nor arranged already; in no window
 * @param pages   numbers of pages, ascending
 * @param count   how many, from 1 to what the memory has
 * @return
 *  - 0; the other pages are given back, with SECRET by gn_linux_memory_put() only: the kernel makes
 *    no holes there
 *  - -GN_ERR_INVAL: another kind of memory; numbers that are not ascending, or too large
 *  - -GN_ERR_NOMEM: the kernel refused; the memory is as it was, but wiped
 *
 * Context: process; O(count) system calls and as many mappings. Thread-safety: one thread an
 * object.
 */
GN_API GN_NODISCARD int gn_linux_memory_arrange(struct gn_linux_memory *memory,
                                                const uint32_t *pages, uint32_t count);

/**
 * Gives a process a copy of memory in the place of the original, at the same address: what a child
 * does with a copy that the parent made before fork(), since the original is the parent's.
 *
 * @param memory  SECRET or SHARED
 * @param copy    of the same kind and size; empty (kind 0) afterwards
 * @return
 *  - 0: memory->base is the copy's content; it is neither HUGE nor arranged any more
 *  - -GN_ERR_INVAL: kind or size differ, or are PRIVATE
 *  - -GN_ERR_NOMEM: the kernel refused; nothing has changed
 *
 * Context: process; system calls, safe in the child of a process with threads. Thread-safety:
 * nobody uses the memory meanwhile. Ownership: memory owns what was the copy's.
 */
GN_API GN_NODISCARD int gn_linux_memory_replace(struct gn_linux_memory *memory,
                                                struct gn_linux_memory *copy);

/* ---- Window -------------------------------------------------------------------------------- */

/* How a window learns of faults. */
#define GN_LINUX_FAULTS_SIGSEGV     1u
#define GN_LINUX_FAULTS_USERFAULTFD 2u

/** A window. */
struct gn_linux_window;

/** What the window asks of the embedder. */
struct gn_linux_window_ops {
    uint32_t size;     /**< GN_LINUX_WINDOW_OPS_INIT sets it */
    uint32_t reserved; /**< zero */
    /**
     * Required. A page was touched that is not mapped, or not for writing. Maps it, having unmapped
     * another if need be. `access` is GN_ACCESS_READ or GN_ACCESS_WRITE. Called in a signal handler
     * with the window entered: only what is safe there, and nothing that touches the window.
     * @return 0: the access is repeated; else it is refused, and the process gets the signal
     */
    int (*fault)(void *ctx, uint64_t page, uint32_t access);
};

/** First initializer of a gn_linux_window_ops. */
#define GN_LINUX_WINDOW_OPS_INIT .size = sizeof(struct gn_linux_window_ops)

/** Parameters. */
struct gn_linux_window_params {
    uint32_t size;                         /**< GN_LINUX_WINDOW_PARAMS_INIT sets it */
    uint32_t flags;                        /**< GN_LINUX_MEMORY_INHERIT: a child inherits it */
    uint64_t pages;                        /**< of 4 KiB, 1 to 2^32 - 1 */
    void *base;                            /**< where, 4 KiB aligned and free; NULL: anywhere */
    const struct gn_linux_memory *memory;  /**< where frames lie; used until fini */
    const struct gn_linux_window_ops *ops; /**< copied */
    void *ops_ctx;                         /**< passed to ops */
};

/** First initializer of a gn_linux_window_params. */
#define GN_LINUX_WINDOW_PARAMS_INIT .size = sizeof(struct gn_linux_window_params)

/** What a window is, and its counters since init. */
struct gn_linux_window_state {
    uint32_t size;     /**< set by the caller; at most that many bytes are written */
    uint32_t way;      /**< GN_LINUX_FAULTS_... */
    uint32_t degraded; /**< GN_LINUX_DEGRADED_... that hold for it, beside the memory's */
    uint32_t reserved;
    void *base;
    uint64_t faults; /**< taken, and passed to ops */
    uint64_t again;  /**< taken, and found settled by another thread */
    uint64_t maps;
    uint64_t unmaps;
};

/** First initializer of a gn_linux_window_state. */
#define GN_LINUX_WINDOW_STATE_INIT .size = sizeof(struct gn_linux_window_state)

/** Alignment of a window's memory, in bytes. Context: any. Thread-safety: reentrant. */
GN_API size_t gn_linux_window_align(void);

/** Bytes that a window needs: 4 a page; 0: bad parameters. Context: any. Thread-safety: reentrant.
 */
GN_API size_t gn_linux_window_size(const struct gn_linux_window_params *params);

/**
 * Reserves addresses, none of which is mapped.
 *
 * @param mem, length  memory for the object; zeroed memory of the kernel's is not touched
 * @param params       see there; the way follows from the memory's kind
 * @param ret_window   [out] the window
 * @return
 *  - 0
 *  - -GN_ERR_INVAL, -GN_ERR_2BIG: parameters; mem misaligned or too short
 *  - -GN_ERR_EXIST: the addresses are in use
 *  - -GN_ERR_NOTSUP: the memory is LOCKED, a second mapping of which would wipe it; it is PRIVATE,
 * and userfaultfd cannot be had here; or the kernel has
 * no MADV_WIPEONFORK (before Linux 4.14)
 *  - -GN_ERR_NOMEM: the kernel has no such addresses
 *
 * Context: process; system calls. Thread-safety: reentrant. Ownership: mem is the caller's, and the
 * window's until fini.
 */
GN_API GN_NODISCARD int gn_linux_window_init(void *mem, size_t length,
                                             const struct gn_linux_window_params *params,
                                             struct gn_linux_window **ret_window);

/**
 * Gives the addresses back. NULL: nothing happens. Frames are not copied back: unmap first what is
 * to be kept.
 *
 * Context: process; a system call. Thread-safety: nobody uses the window, and it is not registered.
 */
GN_API void gn_linux_window_fini(struct gn_linux_window *window);

/**
 * Maps a page to a frame, or changes what may be done with it.
 *
 * @param page      number in the window
 * @param frame     in the window's memory, 4 KiB aligned; of a mapped page: the same as before
 * @param writable  0: writes fault
 * @return
 *  - 0; by USERFAULTFD the frame is wiped, and its content is the page's
 *  - -GN_ERR_RANGE: no such page, or no frame of the memory
 *  - -GN_ERR_BUSY: the page is mapped to another frame
 *  - -GN_ERR_NOMEM: the kernel refused; nothing has changed
 *
 * Context: window entered; system calls, safe in signal handlers.
 */
GN_API GN_NODISCARD int gn_linux_window_map(struct gn_linux_window *window, uint64_t page,
                                            void *frame, uint32_t writable);

/**
 * Unmaps a page; when it returns, no thread writes the frame any more and its content is what was
 * written last. A page that is not mapped: nothing happens.
 *
 * @return
 *  - 0
 *  - -GN_ERR_RANGE: no such page
 *  - -GN_ERR_NOMEM: the kernel refused, and the page is still mapped; possibly not for writing
 *
 * Context: window entered; system calls, safe in signal handlers.
 */
GN_API GN_NODISCARD int gn_linux_window_unmap(struct gn_linux_window *window, uint64_t page);

/**
 * Where a page is mapped, and whether for writing.
 *
 * @return 0: not mapped; 1: for reading; 2: for writing
 * Context: window entered.
 */
GN_API int gn_linux_window_mapped(const struct gn_linux_window *window, uint64_t page);

/**
 * Reserves the window's addresses again, and maps all that is mapped from the memory as it is now:
 * for a child that has no window, after gn_linux_memory_replace().
 *
 * @return
 *  - 0
 *  - -GN_ERR_NOTSUP: not a SIGSEGV window
 *  - -GN_ERR_NOMEM: the kernel refused; some pages are not there, and will fault
 * Context: window entered; O(pages).
 */
GN_API GN_NODISCARD int gn_linux_window_remap(struct gn_linux_window *window);

/**
 * Enters the window: nobody else maps, unmaps or takes faults until gn_linux_window_leave(), and
 * this thread takes no asynchronous signal, whose handler might touch the window.
 *
 * Context: process, not in a fault. Thread-safety: any thread; it waits.
 */
GN_API void gn_linux_window_enter(struct gn_linux_window *window);

/** Leaves it. Context: entered, in this thread or, after fork(), in its parent. */
GN_API void gn_linux_window_leave(struct gn_linux_window *window);

/**
 * Takes a fault, for programs with a handler of their own.
 *
 * @param address  what was touched
 * @param access   GN_ACCESS_...; GN_ACCESS_KINDS where the CPU does not say: then a write if the
 *                 page is mapped, else a read. EXEC is refused: a window holds data
 * @return 1: repeat the access; 0: not an address of this window, or ops->fault refused, or this is
 *         a child that has no window
 *
 * Context: signal handler of a synchronous fault with all signals blocked. Thread-safety: any
 * thread.
 */
GN_API int gn_linux_window_fault(struct gn_linux_window *window, const void *address,
                                 uint32_t access);

/** What the window is, and its counters. @return 0 or -GN_ERR_INVAL. Context: any. */
GN_API GN_NODISCARD int gn_linux_window_state(struct gn_linux_window *window,
                                              struct gn_linux_window_state *ret_state);

/* ---- The process's faults ------------------------------------------------------------------ */

/** Windows that a process can have registered. */
#define GN_LINUX_FAULTS_MAX 8

/**
 * From now on faults in the window are taken. The process's SIGSEGV and SIGBUS actions are set,
 * unless they are set already; what concerns no window goes to the actions that were there before.
 * Handlers run on the alternate stack where the thread has one.
 *
 * @return
 *  - 0
 *  - -GN_ERR_NOSPC: there are GN_LINUX_FAULTS_MAX windows already
 *  - -GN_ERR_IO: the kernel refused the actions
 *
 * Context: process. Thread-safety: one thread at a time, others may fault meanwhile. Ownership:
 * until gn_linux_faults_remove() the window may not end.
 */
GN_API GN_NODISCARD int gn_linux_faults_add(struct gn_linux_window *window);

/** The reverse; the handlers stay. A window that is not registered: nothing happens. */
GN_API void gn_linux_faults_remove(struct gn_linux_window *window);

#ifdef __cplusplus
}
#endif

#endif /* GN_LINUX_H */
