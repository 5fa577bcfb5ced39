/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef GN_BASE_H
#define GN_BASE_H

/*
 * gnomon/base.h - what every Gnomon library shares, and nothing else.
 *
 * Four kinds of address take part in memory virtualization, and mixing two of them up is the
 * classical bug of the field. Here each is a structure of one member: it travels in the same
 * register as a uint64_t, and passing one for another does not compile.
 *
 *      guest program            guest kernel's             the machine
 *                               page tables
 *      gn_gva_t  ------------->  gn_gpa_t  ------------->  gn_hpa_t
 *         |        (GPT)                    memory slots      ^
 *         |                                                   |
 *         +---------------------------------------------------+
 *                  shadow page table (SPT): the only table the MMU walks
 *
 * Rules that hold for every library, and are not repeated at every function:
 *
 *  - No allocation, no global variable, no logging, no libc beyond memcpy, memmove, memset and
 *    memcmp. Memory belongs to the embedder: x_size() says how much an object needs, x_init()
 *    builds it there, x_fini() (which accepts NULL) forgets it.
 *  - Structures that cross the interface begin with their own size, set by X_INIT. Zero in any
 *    other member means the default. A shorter structure (an older header) is completed with
 *    zeros; a longer one is accepted while its unknown tail is zero, else -GN_ERR_2BIG.
 *  - Functions that can fail return int: 0, or a negative GN_ERR_* whose value is Linux's errno.
 *    Results come through ret_... parameters, which a failing function leaves untouched.
 *  - A miss is a value and no error.
 *
 * This header is freestanding, C11 and C++11. It has no library behind it.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this header; it has no soname. */
#define GN_BASE_VERSION_MAJOR 0
#define GN_BASE_VERSION_MINOR 1

/** Marks a symbol as exported by its library. */
#define GN_API __attribute__((visibility("default")))

/** The result says whether the call did anything: it must be looked at. */
#define GN_NODISCARD __attribute__((warn_unused_result))

/* Status codes: functions return 0 or one of these, negated. Values are Linux's errno. */
#define GN_ERR_PERM     1  /**< the object's state forbids the call */
#define GN_ERR_NOENT    2  /**< no such thing: an unknown key, an address outside every slot */
#define GN_ERR_IO       5  /**< the embedder's op failed without saying how */
#define GN_ERR_2BIG     7  /**< a structure is longer than known and its tail is not zero */
#define GN_ERR_AGAIN    11 /**< the step budget ran out; call again, work done is kept */
#define GN_ERR_NOMEM    12 /**< the memory given at init, or an op that gives frames, ran out */
#define GN_ERR_FAULT    14 /**< no memory at this guest address (ops say this, libraries pass it) */
#define GN_ERR_BUSY     16 /**< in use: a loaded root, a pinned page */
#define GN_ERR_EXIST    17 /**< it is there already, or overlaps what is there */
#define GN_ERR_INVAL    22 /**< an argument is out of its documented range */
#define GN_ERR_NOSPC    28 /**< a table of fixed size is full */
#define GN_ERR_RANGE    34 /**< an address does not fit the format or the object */
#define GN_ERR_BADMSG   74 /**< what was read back is not what was written there last */
#define GN_ERR_OVERFLOW 75 /**< records were lost into overflow state, which must be handled */
#define GN_ERR_NOTSUP   95 /**< the platform or the format cannot do this */

/** Guest virtual address, in bytes. */
typedef struct {
    uint64_t v;
} gn_gva_t;

/** Guest physical address, in bytes. */
typedef struct {
    uint64_t v;
} gn_gpa_t;

/** Host physical (machine) address, in bytes: what a shadow entry holds. */
typedef struct {
    uint64_t v;
} gn_hpa_t;

/** Host virtual address, in bytes: what the embedder's code dereferences. */
typedef struct {
    uint64_t v;
} gn_hva_t;

/** Makes a guest virtual address of a number. */
static inline gn_gva_t gn_gva(uint64_t v)
{
    gn_gva_t a;
    a.v = v;
    return a;
}

/** Makes a guest physical address of a number. */
static inline gn_gpa_t gn_gpa(uint64_t v)
{
    gn_gpa_t a;
    a.v = v;
    return a;
}

/** Makes a host physical address of a number. */
static inline gn_hpa_t gn_hpa(uint64_t v)
{
    gn_hpa_t a;
    a.v = v;
    return a;
}

/** Makes a host virtual address of a number. */
static inline gn_hva_t gn_hva(uint64_t v)
{
    gn_hva_t a;
    a.v = v;
    return a;
}

/** The page that guest entries and logs are counted in: 4 KiB in every format we know. */
#define GN_PAGE_SHIFT 12
#define GN_PAGE_SIZE  ((uint64_t)1 << GN_PAGE_SHIFT)
#define GN_PAGE_MASK  (GN_PAGE_SIZE - 1)

/** Access kinds. They index small tables, so the values are part of the ABI. */
#define GN_ACCESS_READ  0 /**< data read */
#define GN_ACCESS_WRITE 1 /**< data write, or a read-modify-write */
#define GN_ACCESS_EXEC  2 /**< instruction fetch */
#define GN_ACCESS_KINDS 3

/**
 * Copies a size-prefixed structure from a caller that may have been built against another version
 * of its header.
 *
 * @param dst       where the library keeps its copy; filled whole, missing members become zero
 * @param dst_size  sizeof the structure as this library knows it
 * @param src       the caller's structure, which begins with its uint32_t size
 * @param min_size  the smallest size that is meaningful (that of the first released version)
 * @return
 *  - 0
 *  - -GN_ERR_INVAL: src is NULL, or shorter than min_size
 *  - -GN_ERR_2BIG: src is longer than dst_size and a byte beyond it is not zero
 *
 * Context: any; O(size). Thread-safety: reentrant. Ownership: src is only read.
 */
GN_NODISCARD static inline int gn_base_params_copy(void *dst, size_t dst_size, const void *src,
                                                   size_t min_size)
{
    const uint8_t *from = (const uint8_t *)src;
    uint8_t *to = (uint8_t *)dst;
    uint32_t size = 0;
    size_t i;

    if (!src)
        return -GN_ERR_INVAL;
    for (i = 0; i < sizeof size; i++)
        ((uint8_t *)&size)[i] = from[i];
    /* What is read soon after as it was written here must not have been written byte by byte. */
    if (size == dst_size && size >= min_size) {
        __builtin_memcpy(dst, src, dst_size);
        return 0;
    }
    if (size < min_size)
        return -GN_ERR_INVAL;
    for (i = dst_size; i < size; i++)
        if (from[i])
            return -GN_ERR_2BIG;
    for (i = 0; i < dst_size; i++)
        to[i] = i < size ? from[i] : 0;
    return 0;
}

/**
 * The name of a status code, for messages.
 *
 * @param status  what a function returned: 0, or a negative GN_ERR_*
 * @return a string constant, "OK" for 0 and "unknown" for what is no status code; never NULL
 *
 * Context: any; O(1). Thread-safety: reentrant.
 */
static inline const char *gn_base_status_name(int status)
{
    switch (-status) {
    case 0: return "OK";
    case GN_ERR_PERM: return "GN_ERR_PERM";
    case GN_ERR_NOENT: return "GN_ERR_NOENT";
    case GN_ERR_IO: return "GN_ERR_IO";
    case GN_ERR_2BIG: return "GN_ERR_2BIG";
    case GN_ERR_AGAIN: return "GN_ERR_AGAIN";
    case GN_ERR_NOMEM: return "GN_ERR_NOMEM";
    case GN_ERR_FAULT: return "GN_ERR_FAULT";
    case GN_ERR_BUSY: return "GN_ERR_BUSY";
    case GN_ERR_EXIST: return "GN_ERR_EXIST";
    case GN_ERR_INVAL: return "GN_ERR_INVAL";
    case GN_ERR_NOSPC: return "GN_ERR_NOSPC";
    case GN_ERR_RANGE: return "GN_ERR_RANGE";
    case GN_ERR_BADMSG: return "GN_ERR_BADMSG";
    case GN_ERR_OVERFLOW: return "GN_ERR_OVERFLOW";
    case GN_ERR_NOTSUP: return "GN_ERR_NOTSUP";
    default: return "unknown";
    }
}

#ifdef __cplusplus
}
#endif

#endif /* GN_BASE_H */
