/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef RV64_BOARD_H
#define RV64_BOARD_H

/* Addresses and interrupt numbers: those of QEMU's riscv virt board. */

#define RV64_BOARD_ROM           UINT64_C(0x1000)
#define RV64_BOARD_ROM_SIZE      UINT64_C(0x1000)
#define RV64_BOARD_SYSCON        UINT64_C(0x100000)
#define RV64_BOARD_CLINT         UINT64_C(0x2000000)
#define RV64_BOARD_PLIC          UINT64_C(0xc000000)
#define RV64_BOARD_UART          UINT64_C(0x10000000)
#define RV64_BOARD_UART_IRQ      10
#define RV64_BOARD_UART_CLOCK    3686400
#define RV64_BOARD_VIRTIO        UINT64_C(0x10001000)
#define RV64_BOARD_VIRTIO_STRIDE UINT64_C(0x1000)
#define RV64_BOARD_VIRTIO_IRQ    1
#define RV64_BOARD_VIRTIO_SLOTS  8
#define RV64_BOARD_RAM           UINT64_C(0x80000000)

#endif /* RV64_BOARD_H */
