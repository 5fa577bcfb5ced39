/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio over MMIO: virtio 1.2 §4.2.2, table "MMIO Device Register Layout". */

#include "virtio_mmio.h"

#include <endian.h>
#include <string.h>

#define MAGIC   0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR  0x4e4d4e47 /* "GNMN" */

#define REG_MAGIC               0x000
#define REG_VERSION             0x004
#define REG_DEVICE_ID           0x008
#define REG_VENDOR_ID           0x00c
#define REG_DEVICE_FEATURES     0x010
#define REG_DEVICE_FEATURES_SEL 0x014
#define REG_DRIVER_FEATURES     0x020
#define REG_DRIVER_FEATURES_SEL 0x024
#define REG_QUEUE_SEL           0x030
#define REG_QUEUE_NUM_MAX       0x034
#define REG_QUEUE_NUM           0x038
#define REG_QUEUE_READY         0x044
#define REG_QUEUE_NOTIFY        0x050
#define REG_INTERRUPT_STATUS    0x060
#define REG_INTERRUPT_ACK       0x064
#define REG_STATUS              0x070
#define REG_QUEUE_DESC_LOW      0x080
#define REG_QUEUE_DESC_HIGH     0x084
#define REG_QUEUE_DRIVER_LOW    0x090
#define REG_QUEUE_DRIVER_HIGH   0x094
#define REG_QUEUE_DEVICE_LOW    0x0a0
#define REG_QUEUE_DEVICE_HIGH   0x0a4
#define REG_SHM_LEN_LOW         0x0b0
#define REG_SHM_BASE_HIGH       0x0bc
#define REG_CONFIG_GENERATION   0x0fc
#define REG_CONFIG              0x100

#define INTERRUPT_USED   1
#define INTERRUPT_CONFIG 2

#define F_INDIRECT_DESC (UINT64_C(1) << 28)
#define F_VERSION_1     (UINT64_C(1) << 32)

static uint64_t offered(const struct rv64_virtio *virtio)
{
    return virtio->class->features | F_INDIRECT_DESC | F_VERSION_1;
}

/* The selected queue, or NULL. */
static struct rv64_virtqueue *selected(struct rv64_virtio *virtio)
{
    return virtio->queue_sel < virtio->class->queue_count ? &virtio->queues[virtio->queue_sel]
                                                          : NULL;
}

static void interrupt(struct rv64_virtio *virtio, uint32_t why)
{
    virtio->interrupt_status |= why;
    rv64_line_set(&virtio->irq, true);
}

static void reset(struct rv64_virtio *virtio)
{
    virtio->status = virtio->interrupt_status = 0;
    virtio->device_features_sel = virtio->driver_features_sel = virtio->queue_sel = 0;
    virtio->driver_features = 0;
    virtio->notified = 0;
    memset(virtio->queues, 0, sizeof virtio->queues);
    rv64_line_set(&virtio->irq, false);
}

void rv64_virtio_break(struct rv64_virtio *virtio)
{
    virtio->notified = 0;
    virtio->broken++;
    virtio->status |= RV64_VIRTIO_STATUS_NEEDS_RESET;
    if (virtio->status & RV64_VIRTIO_STATUS_DRIVER_OK)
        interrupt(virtio, INTERRUPT_CONFIG);
}

bool rv64_virtio_live(const struct rv64_virtio *virtio, uint32_t queue)
{
    return virtio->status & RV64_VIRTIO_STATUS_DRIVER_OK &&
           !(virtio->status & (RV64_VIRTIO_STATUS_NEEDS_RESET | RV64_VIRTIO_STATUS_FAILED)) &&
           virtio->queues[queue].ready;
}

int rv64_virtio_complete(struct rv64_virtio *virtio, uint32_t queue,
                         const struct rv64_virtio_chain *chain, uint32_t written)
{
    if (rv64_virtqueue_push(&virtio->queues[queue], virtio->bus, chain, written))
        return -1;
    if (rv64_virtqueue_wants_interrupt(&virtio->queues[queue], virtio->bus))
        interrupt(virtio, INTERRUPT_USED);
    return 0;
}

bool rv64_virtio_run(struct rv64_virtio *virtio)
{
    uint32_t queue;

    for (queue = 0; virtio->notified && queue < virtio->class->queue_count; queue++) {
        uint32_t bit = UINT32_C(1) << queue;
        int more;

        if (!(virtio->notified & bit))
            continue;
        more = rv64_virtio_live(virtio, queue) ? virtio->class->run(virtio, queue) : 0;
        if (more < 0)
            rv64_virtio_break(virtio);
        else if (!more)
            virtio->notified &= ~bit;
    }
    return virtio->notified;
}

static void notify(struct rv64_virtio *virtio, uint64_t queue)
{
    if (queue >= virtio->class->queue_count || !rv64_virtio_live(virtio, (uint32_t)queue))
        return;
    virtio->notifications++;
    virtio->notified |= UINT32_C(1) << queue;
    if (virtio->kick)
        virtio->kick(virtio->kick_ctx);
}

static uint64_t read_register(struct rv64_virtio *virtio, uint64_t offset)
{
    const struct rv64_virtqueue *queue = selected(virtio);

    switch (offset) {
    case REG_DEVICE_FEATURES:
        return virtio->device_features_sel < 2
                   ? (uint32_t)(offered(virtio) >> 32 * virtio->device_features_sel)
                   : 0;
    case REG_QUEUE_NUM_MAX: return queue ? RV64_VIRTQUEUE_MAX : 0;
    case REG_QUEUE_READY: return queue && queue->ready;
    case REG_INTERRUPT_STATUS: return virtio->interrupt_status;
    case REG_STATUS: return virtio->status;
    default:
        /* No shared memory region exists: its length and base read as all ones (§4.2.2). */
        return offset >= REG_SHM_LEN_LOW && offset <= REG_SHM_BASE_HIGH ? UINT32_MAX : 0;
    }
}

static int mmio_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    struct rv64_virtio *virtio = state;
    uint64_t value = 0;

    *ret_value = 0;
    if (offset >= REG_CONFIG) {
        if (virtio->class && virtio->class->config_read)
            virtio->class->config_read(virtio->device, offset - REG_CONFIG, &value, size);
        *ret_value = le64toh(value);
        return 0;
    }
    if (size != 4) /* §4.2.2.2: control registers are 32 bits */
        return 0;
    switch (offset) {
    case REG_MAGIC: *ret_value = MAGIC; break;
    case REG_VERSION: *ret_value = VERSION; break;
    case REG_VENDOR_ID: *ret_value = VENDOR; break;
    case REG_DEVICE_ID: *ret_value = virtio->class ? virtio->class->device_id : 0; break;
    default: *ret_value = virtio->class ? read_register(virtio, offset) : 0; break;
    }
    return 0;
}

/* §3.1.1: FEATURES_OK stays set only if the device can live with what the driver chose. */
static void write_status(struct rv64_virtio *virtio, uint32_t value)
{
    uint32_t kept = virtio->status & RV64_VIRTIO_STATUS_NEEDS_RESET;
    uint32_t i;

    if (!value) {
        reset(virtio);
        return;
    }
    if (value & RV64_VIRTIO_STATUS_FEATURES_OK &&
        !(virtio->status & RV64_VIRTIO_STATUS_FEATURES_OK) &&
        (virtio->driver_features & ~offered(virtio) || !(virtio->driver_features & F_VERSION_1)))
        value &= ~(uint32_t)RV64_VIRTIO_STATUS_FEATURES_OK;
    virtio->status = (value & 0xff & ~(uint32_t)RV64_VIRTIO_STATUS_NEEDS_RESET) | kept;
    for (i = 0; i < virtio->class->queue_count; i++)
        virtio->queues[i].indirect = virtio->driver_features & F_INDIRECT_DESC;
}

static void write_features(struct rv64_virtio *virtio, uint64_t value)
{
    uint32_t shift = 32 * virtio->driver_features_sel;

    if (virtio->driver_features_sel > 1 || virtio->status & RV64_VIRTIO_STATUS_FEATURES_OK)
        return;
    virtio->driver_features &= ~((uint64_t)UINT32_MAX << shift);
    virtio->driver_features |= (value & UINT32_MAX) << shift;
}

static void write_ready(struct rv64_virtio *virtio, struct rv64_virtqueue *queue, bool ready)
{
    if (ready && !queue->ready && !rv64_virtqueue_valid(queue, virtio->bus)) {
        rv64_virtio_break(virtio);
        return;
    }
    if (!ready)
        queue->last_avail = queue->used = 0;
    queue->ready = ready;
}

static void set_half(uint64_t *whole, bool high, uint64_t value)
{
    *whole = high ? (*whole & UINT32_MAX) | value << 32 : (*whole & ~(uint64_t)UINT32_MAX) | value;
}

/* A queue's registers; its geometry is fixed while it is ready (§4.2.2.2). */
static void write_queue(struct rv64_virtio *virtio, uint64_t offset, uint64_t value)
{
    struct rv64_virtqueue *queue = selected(virtio);

    if (!queue)
        return;
    if (offset == REG_QUEUE_READY) {
        write_ready(virtio, queue, value & 1);
        return;
    }
    if (queue->ready)
        return;
    switch (offset) {
    case REG_QUEUE_NUM: queue->num = (uint32_t)value; break;
    case REG_QUEUE_DESC_LOW: set_half(&queue->desc, false, value); break;
    case REG_QUEUE_DESC_HIGH: set_half(&queue->desc, true, value); break;
    case REG_QUEUE_DRIVER_LOW: set_half(&queue->driver, false, value); break;
    case REG_QUEUE_DRIVER_HIGH: set_half(&queue->driver, true, value); break;
    case REG_QUEUE_DEVICE_LOW: set_half(&queue->device, false, value); break;
    case REG_QUEUE_DEVICE_HIGH: set_half(&queue->device, true, value); break;
    default: break;
    }
}

static int mmio_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    struct rv64_virtio *virtio = state;

    /* No device here has a configuration field that the driver may write. */
    if (!virtio->class || size != 4 || offset >= REG_CONFIG)
        return 0;
    value &= UINT32_MAX;
    switch (offset) {
    case REG_DEVICE_FEATURES_SEL: virtio->device_features_sel = (uint32_t)value; break;
    case REG_DRIVER_FEATURES_SEL: virtio->driver_features_sel = (uint32_t)value; break;
    case REG_DRIVER_FEATURES: write_features(virtio, value); break;
    case REG_QUEUE_SEL: virtio->queue_sel = (uint32_t)value; break;
    case REG_QUEUE_NOTIFY: notify(virtio, value); break;
    case REG_INTERRUPT_ACK:
        virtio->interrupt_status &= ~(uint32_t)value;
        rv64_line_set(&virtio->irq, virtio->interrupt_status);
        break;
    case REG_STATUS: write_status(virtio, (uint32_t)value); break;
    default: write_queue(virtio, offset, value); break;
    }
    return 0;
}

void rv64_virtio_init(struct rv64_virtio *virtio, const struct rv64_virtio_class *class,
                      void *device, struct rv64_bus *bus, const struct rv64_line *irq)
{
    memset(virtio, 0, sizeof *virtio);
    virtio->class = class;
    virtio->device = device;
    virtio->bus = bus;
    virtio->irq = *irq;
}

int rv64_virtio_attach(struct rv64_virtio *virtio, uint64_t base)
{
    const struct rv64_device device = {.name = "virtio",
                                       .base = base,
                                       .length = RV64_VIRTIO_WINDOW,
                                       .state = virtio,
                                       .read = mmio_read,
                                       .write = mmio_write};

    return rv64_bus_add(virtio->bus, &device);
}
