/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef METAL_ERRNO_H
#define METAL_ERRNO_H

/* Linux's numbers, as its asm-generic/errno-base.h and errno.h have them. */
#define EPERM      1
#define ENOENT     2
#define EIO        5
#define E2BIG      7
#define EAGAIN     11
#define ENOMEM     12
#define EFAULT     14
#define EBUSY      16
#define EEXIST     17
#define EINVAL     22
#define ENOSPC     28
#define ERANGE     34
#define EBADMSG    74
#define EOVERFLOW  75
#define EOPNOTSUPP 95

#endif /* METAL_ERRNO_H */
