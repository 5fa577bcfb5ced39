/* SPDX-License-Identifier: BSD-3-Clause */

#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "terminal.h"

/* Instructions between two looks at the world outside: well below a millisecond. */
#define SLICE 20000

/* How often standard input is looked at while the hart is busy, in ticks: 1 ms. */
#define POLL_TICKS (RV64_TIMEBASE_HZ / 1000)

#define NS_PER_TICK (UINT64_C(1000000000) / RV64_TIMEBASE_HZ)

/* The console takes the last slot, disks the first. */
#define CONSOLE_SLOT (RV64_BOARD_VIRTIO_SLOTS - 1)

/* The first reason to end is the one that counts. */
static void end(struct rv64_machine *machine, int status, const char *notice)
{
    machine->cpu.stop = true;
    if (machine->ended)
        return;
    machine->ended = true;
    machine->status = status;
    machine->notice = notice;
}

/* An exit status has 8 bits, and failure is not to look like success. */
static int failure_status(uint32_t code)
{
    return code & 0xff ? (int)(code & 0xff) : RV64_EXIT_FAILURE;
}

static void on_finish(void *ctx, uint32_t what, uint32_t code)
{
    if (what == RV64_SYSCON_PASS)
        end(ctx, RV64_EXIT_OK, NULL);
    else if (what == RV64_SYSCON_RESET)
        end(ctx, RV64_EXIT_OK, "guest asked for a reboot: end");
    else
        end(ctx, failure_status(code), "guest reports failure");
}

static void on_sbi_reset(void *ctx, uint32_t what, bool failed)
{
    if (failed)
        end(ctx, RV64_EXIT_FAILURE, "guest reports failure");
    else
        on_finish(ctx, what == RV64_SBI_REBOOT ? RV64_SYSCON_RESET : RV64_SYSCON_PASS, 0);
}

static void on_console_byte(void *ctx, uint8_t byte)
{
    struct rv64_machine *machine = ctx;

    machine->console_bytes++;
    if (!machine->mute)
        rv64_terminal_put(byte);
}

static int on_sbi_getchar(void *ctx)
{
    struct rv64_machine *machine = ctx;
    size_t length;
    const uint8_t *typed = rv64_terminal_peek(&length);
    int byte;

    if (machine->console_input != RV64_CONSOLE_SBI || !length || machine->deaf)
        return -1;
    byte = typed[0];
    rv64_terminal_consume(1);
    return byte;
}

static void update_timers(struct rv64_machine *machine)
{
    if (machine->firmware)
        rv64_clint_update(&machine->clint);
    else
        rv64_cpu_irq_set(&machine->cpu, RV64_IRQ_STI,
                         rv64_clint_time(&machine->clint) >= machine->sbi_timer);
}

static void on_sbi_timer(void *ctx, uint64_t when)
{
    struct rv64_machine *machine = ctx;

    machine->sbi_timer = when;
    update_timers(machine);
}

/* A driver rang a doorbell: end the slice, so that it is heard soon. */
static void on_kick(void *ctx)
{
    struct rv64_machine *machine = ctx;

    machine->cpu.stop = true;
}

static void on_cpu_line(void *ctx, uint32_t number, bool level)
{
    struct rv64_machine *machine = ctx;

    rv64_cpu_irq_set(&machine->cpu, number, level);
}

/* Time as instructions make it. */
static uint64_t icount_clock(void *ctx)
{
    const struct rv64_machine *machine = ctx;

    return machine->cpu.stats.instructions / machine->icount + machine->skipped;
}

static void on_sbi_call(void *ctx, struct rv64_cpu *cpu)
{
    struct rv64_machine *machine = ctx;

    rv64_sbi_call(&machine->sbi, cpu);
}

static uint64_t on_time(void *ctx)
{
    struct rv64_machine *machine = ctx;

    return rv64_clint_time(&machine->clint);
}

static const struct rv64_cpu_ops ops_supervisor = {.sbi_call = on_sbi_call, .time = on_time};
static const struct rv64_cpu_ops ops_firmware = {.time = on_time};

static int rom_read(void *state, uint64_t offset, uint32_t size, uint64_t *ret_value)
{
    const struct rv64_machine *machine = state;

    *ret_value = 0;
    if (offset + size <= sizeof machine->rom)
        memcpy(ret_value, (const uint8_t *)machine->rom + offset, size);
    return 0;
}

static int rom_write(void *state, uint64_t offset, uint32_t size, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)size;
    (void)value;
    return -1;
}

static int attach_rom(struct rv64_machine *machine)
{
    const struct rv64_device device = {.name = "rom",
                                       .base = RV64_BOARD_ROM,
                                       .length = RV64_BOARD_ROM_SIZE,
                                       .state = machine,
                                       .read = rom_read,
                                       .write = rom_write};

    return rv64_bus_add(&machine->bus, &device);
}

static struct rv64_line cpu_line(struct rv64_machine *machine, uint32_t number)
{
    const struct rv64_line line = {.set = on_cpu_line, .ctx = machine, .number = number};

    return line;
}

/* With SBI built in nobody is in M-mode, so the lines of M-mode's interrupts lead nowhere. */
static void init_controllers(struct rv64_machine *machine)
{
    const struct rv64_line none = {0};
    bool firmware = machine->firmware;
    struct rv64_line software = firmware ? cpu_line(machine, RV64_IRQ_MSI) : none;
    struct rv64_line timer = firmware ? cpu_line(machine, RV64_IRQ_MTI) : none;
    struct rv64_line external[RV64_PLIC_CONTEXTS] = {
        firmware ? cpu_line(machine, RV64_IRQ_MEI) : none, cpu_line(machine, RV64_IRQ_SEI)};

    rv64_clint_init(&machine->clint, &software, &timer, machine->icount ? icount_clock : NULL,
                    machine);
    rv64_plic_init(&machine->plic, external);
}

static int attach_virtio(struct rv64_machine *machine, uint32_t slot)
{
    struct rv64_line irq = rv64_plic_line(&machine->plic, RV64_BOARD_VIRTIO_IRQ + slot);
    struct rv64_virtio *virtio = &machine->virtio[slot];

    if (slot < machine->disk_count)
        rv64_virtio_init(virtio, &machine->disks[slot].class, &machine->disks[slot], &machine->bus,
                         &irq);
    else if (slot == CONSOLE_SLOT && machine->console_input == RV64_CONSOLE_VIRTIO)
        rv64_virtio_init(virtio, &rv64_virtio_console_class, &machine->console, &machine->bus,
                         &irq);
    else
        rv64_virtio_init(virtio, NULL, NULL, &machine->bus, &irq);
    virtio->kick = on_kick;
    virtio->kick_ctx = machine;
    return rv64_virtio_attach(virtio, RV64_BOARD_VIRTIO + slot * RV64_BOARD_VIRTIO_STRIDE);
}

static int attach_devices(struct rv64_machine *machine)
{
    struct rv64_line uart_irq = rv64_plic_line(&machine->plic, RV64_BOARD_UART_IRQ);
    uint32_t slot;

    init_controllers(machine);
    rv64_uart_init(&machine->uart, &uart_irq, on_console_byte, machine);
    machine->syscon.finish = on_finish;
    machine->syscon.ctx = machine;
    machine->console.transmit = on_console_byte;
    machine->console.transmit_ctx = machine;
    if (machine->console_input == RV64_CONSOLE_VIRTIO)
        machine->console_virtio = &machine->virtio[CONSOLE_SLOT];
    for (slot = 0; slot < RV64_BOARD_VIRTIO_SLOTS; slot++)
        if (attach_virtio(machine, slot))
            return -1;
    return attach_rom(machine) ||
                   rv64_syscon_attach(&machine->syscon, &machine->bus, RV64_BOARD_SYSCON) ||
                   rv64_clint_attach(&machine->clint, &machine->bus, RV64_BOARD_CLINT) ||
                   rv64_plic_attach(&machine->plic, &machine->bus, RV64_BOARD_PLIC) ||
                   rv64_uart_attach(&machine->uart, &machine->bus, RV64_BOARD_UART)
               ? -1
               : 0;
}

static void init_sbi(struct rv64_machine *machine)
{
    machine->sbi_timer = UINT64_MAX;
    machine->sbi.bus = &machine->bus;
    machine->sbi.timer_set = on_sbi_timer;
    machine->sbi.console_put = on_console_byte;
    machine->sbi.console_get = on_sbi_getchar;
    machine->sbi.reset = on_sbi_reset;
    machine->sbi.ctx = machine;
}

static int open_disks(struct rv64_machine *machine, const struct rv64_options *options,
                      struct rv64_error *error)
{
    for (; machine->disk_count < options->drive_count; machine->disk_count++) {
        const struct rv64_drive *drive = &options->drives[machine->disk_count];

        if (rv64_virtio_blk_open(&machine->disks[machine->disk_count], drive->path, drive->readonly,
                                 error))
            return -1;
    }
    return 0;
}

/* A host that permits no code to be made is no reason to end, unless it is asked for. */
static int attach_translator(struct rv64_machine *machine, const struct rv64_options *options,
                             struct rv64_error *error)
{
    const char *why;

    if (!rv64_translator_attach(&machine->cpu, &options->translator, &why))
        return 0;
    if (options->translator.dump)
        return rv64_error_set(error, "--dump: %s", why);
    if (options->cpu_named)
        return rv64_error_set(error, "--cpu translate: %s", why);
    fprintf(stderr, "rv64: instructions are interpreted: %s\n", why);
    return 0;
}

static int create_hart(struct rv64_machine *machine, const struct rv64_options *options,
                       struct rv64_error *error)
{
    const struct rv64_compose_params params = {.ram_size = options->memory,
                                               .encrypt_ram = options->encrypt_ram,
                                               .encrypt_how = options->encrypt_how,
                                               .mmu = options->mmu,
                                               .without = options->without,
                                               .audit = options->audit,
                                               .asid_trace = options->asid_trace,
                                               .bus = &machine->bus,
                                               .cpu = &machine->cpu};
    const char *why = "cannot be built";

    if (rv64_compose_create(&params, &machine->compose, &why))
        return rv64_error_set(error, "memory: %s", why);
    if (rv64_cpu_init(&machine->cpu, rv64_compose_mmu(machine->compose),
                      machine->firmware ? &ops_firmware : &ops_supervisor, machine))
        return rv64_error_set(error, "no memory for the hart");
    machine->cpu_ready = true;
    machine->cpu.svade = options->svade;
    return options->translate ? attach_translator(machine, options, error) : 0;
}

int rv64_machine_create(struct rv64_machine *machine, const struct rv64_options *options,
                        struct rv64_error *error)
{
    memset(machine, 0, sizeof *machine);
    machine->firmware = options->bios;
    machine->console_input = options->console;
    machine->timeout = UINT64_MAX;
    machine->icount = options->icount;
    if (open_disks(machine, options, error) || create_hart(machine, options, error))
        return -1;
    init_sbi(machine);
    if (attach_devices(machine))
        return rv64_error_set(error, "devices overlap");
    if (rv64_machine_boot(machine, options, error))
        return -1;
    machine->started = machine->stopped = rv64_clint_host_clock(NULL);
    if (options->timeout)
        machine->timeout = machine->started + options->timeout * (uint64_t)RV64_TIMEBASE_HZ;
    return 0;
}

void rv64_machine_destroy(struct rv64_machine *machine)
{
    while (machine->disk_count)
        rv64_virtio_blk_close(&machine->disks[--machine->disk_count]);
    rv64_translator_detach(&machine->cpu);
    if (machine->cpu_ready)
        rv64_cpu_fini(&machine->cpu);
    if (machine->compose)
        rv64_compose_destroy(machine->compose);
    machine->cpu_ready = false;
    machine->compose = NULL;
}

/* Gives the guest what was typed, as far as its console takes it. */
static void feed(struct rv64_machine *machine)
{
    size_t length, i = 0;
    const uint8_t *typed = rv64_terminal_peek(&length);

    if (machine->deaf)
        return;
    if (machine->console_input == RV64_CONSOLE_UART)
        for (; i < length && rv64_uart_room(&machine->uart); i++)
            rv64_uart_receive(&machine->uart, typed[i]);
    else if (machine->console_input == RV64_CONSOLE_VIRTIO)
        i = rv64_virtio_console_receive(machine->console_virtio, typed, length);
    if (i)
        rv64_terminal_consume(i);
}

/* Serves drivers' queues. @return whether there is more to do. */
static bool serve_queues(struct rv64_machine *machine)
{
    bool more = false;
    uint32_t slot;

    for (slot = 0; slot < RV64_BOARD_VIRTIO_SLOTS; slot++)
        if (machine->virtio[slot].notified && rv64_virtio_run(&machine->virtio[slot]))
            more = true;
    return more;
}

/* What may end the machine from outside. */
static void look_around(struct rv64_machine *machine, uint64_t now)
{
    rv64_terminal_job_control();
    if (rv64_terminal_signal())
        end(machine, 128 + rv64_terminal_signal(), NULL);
    else if (rv64_terminal_quit())
        end(machine, RV64_EXIT_QUIT, NULL);
    else if (now >= machine->timeout)
        end(machine, RV64_EXIT_TIMEOUT, "time is over: end");
}

bool rv64_machine_between(struct rv64_machine *machine)
{
    uint64_t now = rv64_clint_host_clock(NULL);
    bool more;

    if (now - machine->polled >= POLL_TICKS) {
        machine->polled = now;
        rv64_terminal_poll();
    }
    feed(machine);
    more = serve_queues(machine);
    update_timers(machine);
    look_around(machine, now);
    if (rv64_terminal_flush())
        end(machine, RV64_EXIT_FAILURE, "standard output is broken: end");
    return more;
}

/* Ticks until the timer's interrupt is due. */
static uint64_t ticks_left(const struct rv64_machine *machine)
{
    uint64_t now = rv64_clint_time(&machine->clint);
    uint64_t when = machine->firmware ? machine->clint.mtimecmp : machine->sbi_timer;

    return when > now ? when - now : 0;
}

uint64_t rv64_machine_slice(const struct rv64_machine *machine)
{
    uint64_t ticks;

    if (!machine->icount)
        return SLICE;
    ticks = ticks_left(machine);
    if (!ticks || ticks > SLICE / machine->icount)
        return SLICE;
    return ticks * machine->icount;
}

/*
 * Sleeps until an interrupt can come: a timer's, or one of typing. It is called where none is both
 * pending and enabled in mie; so a timer that is due is disabled there, and wakes nobody
 * (Privileged Architecture, 3.3.3: WFI looks at mie, but not at mstatus.MIE and SIE).
 */
void rv64_machine_wait(struct rv64_machine *machine)
{
    uint64_t when = machine->firmware ? machine->clint.mtimecmp : machine->sbi_timer;
    uint64_t ticks = ticks_left(machine);
    uint64_t host = rv64_clint_host_clock(NULL);
    uint64_t left = machine->timeout > host ? machine->timeout - host : 0;

    machine->waits++;
    if (machine->icount && ticks && when != UINT64_MAX) {
        machine->skipped += ticks;
        return;
    }
    if (!ticks)
        ticks = UINT64_MAX;
    if (machine->timeout != UINT64_MAX && left < ticks)
        ticks = left;
    rv64_terminal_wait(ticks > UINT64_MAX / NS_PER_TICK ? UINT64_MAX : ticks * NS_PER_TICK);
    machine->polled = 0; /* we may have been woken by input: look now */
}

void rv64_machine_run(struct rv64_machine *machine)
{
    struct rv64_cpu *cpu = &machine->cpu;
    bool more = rv64_machine_between(machine);
    int why;

    while (!machine->ended) {
        cpu->stop = false;
        why = rv64_cpu_run(cpu, rv64_machine_slice(machine));
        machine->slices++;
        more = rv64_machine_between(machine);
        if (why == RV64_RUN_WFI && !more && !machine->ended && !(cpu->mip & cpu->mie))
            rv64_machine_wait(machine);
    }
    rv64_terminal_flush();
    machine->stopped = rv64_clint_host_clock(NULL);
}
