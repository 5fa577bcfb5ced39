/* SPDX-License-Identifier: BSD-3-Clause */

#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compose.h"

/* As many as a machine of 100 million instructions a second executes in 100 ns. */
#define ICOUNT_DEFAULT 10

#ifndef RV64_VERSION
#define RV64_VERSION "0.1.0"
#endif

enum {
    OPTION_KERNEL = 256,
    OPTION_INITRD,
    OPTION_APPEND,
    OPTION_MEMORY,
    OPTION_ENCRYPT_RAM,
    OPTION_DRIVE,
    OPTION_BIOS,
    OPTION_DTB,
    OPTION_DUMP_DTB,
    OPTION_CONSOLE,
    OPTION_MMU,
    OPTION_WITHOUT,
    OPTION_AUDIT,
    OPTION_ASID_TRACE,
    OPTION_CHECK,
    OPTION_CPU,
    OPTION_CODE_CACHE,
    OPTION_PERF_MAP,
    OPTION_DUMP,
    OPTION_TRANSLATE_AFTER,
    OPTION_ICOUNT,
    OPTION_SVADE,
    OPTION_STATS,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_END
};

static const struct option long_options[] = {
    {"kernel", required_argument, NULL, OPTION_KERNEL},
    {"initrd", required_argument, NULL, OPTION_INITRD},
    {"append", required_argument, NULL, OPTION_APPEND},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"encrypt-ram", required_argument, NULL, OPTION_ENCRYPT_RAM},
    {"drive", required_argument, NULL, OPTION_DRIVE},
    {"bios", required_argument, NULL, OPTION_BIOS},
    {"dtb", required_argument, NULL, OPTION_DTB},
    {"dump-dtb", required_argument, NULL, OPTION_DUMP_DTB},
    {"console", required_argument, NULL, OPTION_CONSOLE},
    {"mmu", required_argument, NULL, OPTION_MMU},
    {"without", required_argument, NULL, OPTION_WITHOUT},
    {"audit", no_argument, NULL, OPTION_AUDIT},
    {"asid-trace", required_argument, NULL, OPTION_ASID_TRACE},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"code-cache", required_argument, NULL, OPTION_CODE_CACHE},
    {"perf-map", no_argument, NULL, OPTION_PERF_MAP},
    {"dump", optional_argument, NULL, OPTION_DUMP},
    {"translate-after", required_argument, NULL, OPTION_TRANSLATE_AFTER},
    {"check", optional_argument, NULL, OPTION_CHECK},
    {"icount", optional_argument, NULL, OPTION_ICOUNT},
    {"svade", no_argument, NULL, OPTION_SVADE},
    {"stats", optional_argument, NULL, OPTION_STATS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help_text[] =
    "Usage: rv64 --kernel FILE [OPTION]...\n"
    "       rv64 --bios FILE [--kernel FILE] [OPTION]...\n"
    "\n"
    "A RISC-V machine (RV64GC, Sv39) with the devices of QEMU's virt board, whose memory is\n"
    "virtualized with shadow page tables. One dash does as well as two.\n"
    "\n"
    "  --kernel FILE       Linux Image or ELF executable\n"
    "  --initrd FILE       initial RAM disk\n"
    "  --append TEXT       kernel command line\n"
    "  --memory SIZE, -m   RAM, with K, M (default) or G; 256M unless given\n"
    "  --encrypt-ram SIZE[,huge|physical][,guest-addresses]\n"
    "                      RAM is ciphertext, but for so much of it at a time: 1M to 96M, in huge\n"
    "                      pages, or in pages chosen by their address, so that it does not "
    "displace\n"
    "                      itself from the cache; a virtual machine's addresses count if told to\n"
    "  --drive FILE[,readonly=on|off]\n"
    "                      raw disk image as virtio disk; up to 4 times. Also file=FILE,...\n"
    "  --bios FILE         M-mode firmware, ELF or raw; without it SBI is built in\n"
    "  --dtb FILE          device tree in place of the machine's own\n"
    "  --dump-dtb FILE     write the device tree and end\n"
    "  --console WHICH     where typing goes: uart (default), sbi, or virtio\n"
    "  --cpu HOW           what executes instructions: translate (default on x86-64 hosts) or\n"
    "                      interpret\n"
    "  --code-cache SIZE   translated code: 1M to 1G, 32M unless given\n"
    "  --translate-after N a place is translated when it is reached after N visits (8)\n"
    "  --dump[=PC]         print guest and host code of blocks on standard error as they are\n"
    "                      translated: of all, or of those with an instruction at this address\n"
    "  --perf-map          tell perf(1) about translated code, in /tmp/perf-PID.map\n"
    "  --mmu NAME          what executes guest accesses: softmmu (default)\n"
    "  --without LIST      leave libraries out: tracelog, nonpresent, asid, regstate (with\n"
    "                      commas); or what translated code has: chain (blocks jump to one\n"
    "                      another), returns and sites (returns and indirect jumps predicted),\n"
    "                      windows (loads of loaded addresses by the host's own MMU)\n"
    "  --audit             check every translation against the guest's tables: slow\n"
    "  --asid-trace FILE   record the address spaces that the guest activates, for bench_asid\n"
    "  --check[=SEED]      run a second machine, interpreted one instruction after the other, and\n"
    "                      compare them every few instructions: slow; implies --icount, no typing\n"
    "  --icount[=N]        time is instructions: N (10) make 100 ns, so that runs are alike\n"
    "  --svade             a clear A or D bit faults, instead of being set by the MMU\n"
    "  --stats[=json]      print counters on standard error at the end\n"
    "  --timeout SECONDS   end after this time\n"
    "  --help, --version\n"
    "\n"
    "On a terminal, Ctrl-A x ends the machine and Ctrl-A h lists the other keys.\n"
    "\n"
    "Exit status: 0 when the guest powers off or asks for a reboot; the code with which it says\n"
    "that it failed; 1 when the machine cannot be built; 2 for a wrong command line; 3 when\n"
    "--audit or --check finds a difference; 124 after --timeout; 130 after Ctrl-A x; 128 and the "
    "number of\n"
    "a signal.\n";

/* A decimal number that ends at *ret_end. @return 0, or -1: none, or too large. */
static int number(const char *text, uint64_t *ret, char **ret_end)
{
    /* strtoull() would accept a sign and leading space. */
    if (!isdigit((unsigned char)*text))
        return -1;
    errno = 0;
    *ret = strtoull(text, ret_end, 10);
    return errno ? -1 : 0;
}

static int suffix_shift(const char *suffix)
{
    static const char letters[] = "KMG";
    const char *found;

    if (!*suffix)
        return 20;
    found = suffix[1] ? NULL : strchr(letters, toupper((unsigned char)*suffix));
    return found ? 10 * (int)(found - letters + 1) : -1;
}

static int parse_size(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret,
                      struct rv64_error *error)
{
    uint64_t value;
    char *end;
    int shift;

    if (number(text, &value, &end) || (shift = suffix_shift(end)) < 0)
        return rv64_error_set(error, "--%s %s: not a size; say for example 32M", name, text);
    if (value > max >> shift || value << shift < min)
        return rv64_error_set(error, "--%s %s: from %luM to %luM", name, text,
                              (unsigned long)(min >> 20), (unsigned long)(max >> 20));
    *ret = value << shift;
    return 0;
}

static int parse_memory(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    uint64_t value;
    char *end;
    int shift;

    if (number(text, &value, &end) || (shift = suffix_shift(end)) < 0)
        return rv64_error_set(error, "--memory %s: not a size; say for example 256M", text);
    if (value > RV64_MEMORY_MAX >> shift)
        return rv64_error_set(error, "--memory %s: too large; the maximum is 1024G", text);
    value <<= shift;
    if (value < RV64_MEMORY_MIN)
        return rv64_error_set(error, "--memory %s: too small; the minimum is 16M", text);
    if (value % 4096)
        return rv64_error_set(error, "--memory %s: not a multiple of 4K", text);
    options->memory = value;
    return 0;
}

static int parse_timeout(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    uint64_t value;
    char *end;

    if (number(text, &value, &end) || *end || !value || value > UINT32_MAX)
        return rv64_error_set(error, "--timeout %s: not a number of seconds", text);
    options->timeout = (uint32_t)value;
    return 0;
}

/* A number that may be left out. */
static int parse_count(const char *name, const char *text, uint64_t otherwise, uint64_t max,
                       uint64_t *ret, struct rv64_error *error)
{
    char *end;

    *ret = otherwise;
    if (text && (number(text, ret, &end) || *end || !*ret || *ret > max))
        return rv64_error_set(error, "--%s=%s: not a number above 0", name, text);
    return 0;
}

static int parse_icount(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    uint64_t value;

    if (parse_count("icount", text, ICOUNT_DEFAULT, UINT32_MAX, &value, error))
        return -1;
    options->icount = (uint32_t)value;
    return 0;
}

static int parse_switch(const char *key, const char *value, bool *ret, struct rv64_error *error)
{
    if (value && !strcmp(value, "on"))
        *ret = true;
    else if (value && !strcmp(value, "off"))
        *ret = false;
    else
        return rv64_error_set(error, "--drive: %s must be on or off", key);
    return 0;
}

static int parse_drive_item(struct rv64_drive *drive, char **rest, bool first,
                            struct rv64_error *error)
{
    enum { FILE_KEY, READONLY, FORMAT };
    static char *const keys[] = {"file", "readonly", "format", NULL};
    char *value;
    int key = getsubopt(rest, keys, &value);

    if (key < 0 && first) { /* the file without its key */
        drive->path = value;
        return 0;
    }
    switch (key) {
    case FILE_KEY:
        if (drive->path)
            return rv64_error_set(error, "--drive: more than one file");
        drive->path = value;
        return 0;
    case READONLY: return parse_switch("readonly", value, &drive->readonly, error);
    case FORMAT:
        if (value && !strcmp(value, "raw"))
            return 0;
        return rv64_error_set(error, "--drive: the only format is raw");
    default: return rv64_error_set(error, "--drive: unknown property '%s'", value);
    }
}

static int parse_drive(struct rv64_options *options, char *text, struct rv64_error *error)
{
    struct rv64_drive drive = {0};
    bool first = true;

    if (options->drive_count == RV64_DRIVES_MAX)
        return rv64_error_set(error, "--drive: more than %d drives", RV64_DRIVES_MAX);
    for (; *text; first = false)
        if (parse_drive_item(&drive, &text, first, error))
            return -1;
    if (!drive.path || !*drive.path)
        return rv64_error_set(error, "--drive: no file");
    options->drives[options->drive_count++] = drive;
    return 0;
}

static int parse_without(struct rv64_options *options, char *text, struct rv64_error *error)
{
    static char *const names[] = {"tracelog", "nonpresent", "asid", "chain",  "regstate", "returns",
                                  "sites",    "windows",    "base", "paging", "shadow",   NULL};
    static const uint32_t bits[] = {
        RV64_WITHOUT_TRACELOG, RV64_WITHOUT_NONPRESENT, RV64_WITHOUT_ASID,  RV64_WITHOUT_CHAIN,
        RV64_WITHOUT_REGSTATE, RV64_WITHOUT_RETURNS,    RV64_WITHOUT_SITES, RV64_WITHOUT_WINDOWS};
    char *value;

    if (!*text)
        return rv64_error_set(error, "--without: no library");
    while (*text) {
        char *name = text;
        int which = getsubopt(&text, names, &value);

        if (which < 0 || value)
            return rv64_error_set(error,
                                  "--without: unknown library '%s'; known are tracelog, "
                                  "nonpresent, asid, chain, regstate, returns, sites and "
                                  "windows",
                                  name);
        if ((size_t)which >= sizeof bits / sizeof bits[0])
            return rv64_error_set(error, "--without: %s cannot be left out", names[which]);
        options->without |= bits[which];
        options->translator.unchained = options->without & RV64_WITHOUT_CHAIN;
        options->translator.eager = options->without & RV64_WITHOUT_REGSTATE;
        options->translator.without =
            (options->without & RV64_WITHOUT_RETURNS ? RV64_TR_WITHOUT_RETURNS : 0) |
            (options->without & RV64_WITHOUT_SITES ? RV64_TR_WITHOUT_SITES : 0) |
            (options->without & RV64_WITHOUT_WINDOWS ? RV64_TR_WITHOUT_WINDOWS : 0);
    }
    return 0;
}

static int parse_stats(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    options->translator.counts = true;
    if (!text || !strcmp(text, "text"))
        options->stats = RV64_STATS_TEXT;
    else if (!strcmp(text, "json"))
        options->stats = RV64_STATS_JSON;
    else
        return rv64_error_set(error, "--stats=%s: unknown; known are text and json", text);
    return 0;
}

static int parse_console(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    if (!strcmp(text, "uart"))
        options->console = RV64_CONSOLE_UART;
    else if (!strcmp(text, "sbi"))
        options->console = RV64_CONSOLE_SBI;
    else if (!strcmp(text, "virtio"))
        options->console = RV64_CONSOLE_VIRTIO;
    else
        return rv64_error_set(error, "--console %s: unknown; known are uart, sbi and virtio", text);
    return 0;
}

static int parse_cpu(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    if (strcmp(text, "interpret") && strcmp(text, "translate"))
        return rv64_error_set(error, "--cpu %s: unknown; known are interpret and translate", text);
    options->translate = !strcmp(text, "translate");
    options->cpu_named = true;
    if (options->translate && !rv64_translator_built())
        return rv64_error_set(
            error, "--cpu translate: not in this build, which lacks tcache or regstate, or "
                   "is not for x86-64");
    return 0;
}

static int parse_code_cache(struct rv64_options *options, const char *text,
                            struct rv64_error *error)
{
    uint64_t size = 0;

    if (parse_size("code-cache", text, RV64_TR_CODE_MIN, RV64_TR_CODE_MAX, &size, error))
        return -1;
    options->translator.code_size = (uint32_t)(size & ~UINT64_C(4095));
    return 0;
}

static int parse_visits(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    uint64_t value;
    char *end;

    if (number(text, &value, &end) || *end || value > RV64_TR_VISITS_MAX)
        return rv64_error_set(error, "--translate-after %s: not a number from 0 to %u", text,
                              RV64_TR_VISITS_MAX);
    options->translator.visits = (uint32_t)value;
    return 0;
}

/* Addresses are usually written in hexadecimal, with or without 0x. */
static int parse_dump(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    char *end;

    options->translator.dump = true;
    options->translator.dump_all = !text;
    if (!text)
        return 0;
    errno = 0;
    options->translator.dump_pc = isxdigit((unsigned char)*text) ? strtoull(text, &end, 16) : 0;
    if (!isxdigit((unsigned char)*text) || *end || errno)
        return rv64_error_set(error, "--dump=%s: not an address; say for example 80200000", text);
    return 0;
}

static int parse_encrypt_ram(struct rv64_options *options, const char *text,
                             struct rv64_error *error)
{
    size_t length = strcspn(text, ",");
    char size[32];

    snprintf(size, sizeof size, "%.*s", (int)(length < sizeof size ? length : sizeof size - 1),
             text);
    options->encrypt_how = text[length] ? text + length + 1 : NULL;
    return parse_size("encrypt-ram", size, RV64_ENCRYPT_MIN, RV64_ENCRYPT_MAX,
                      &options->encrypt_ram, error);
}

static int parse_mmu(struct rv64_options *options, const char *text, struct rv64_error *error)
{
    if (strcmp(text, "softmmu"))
        return rv64_error_set(error, "--mmu %s: unknown; known is softmmu", text);
    options->mmu = text;
    return 0;
}

static int parse_option(struct rv64_options *options, int option, struct rv64_error *error)
{
    switch (option) {
    case OPTION_KERNEL: options->kernel = optarg; return 0;
    case OPTION_INITRD: options->initrd = optarg; return 0;
    case OPTION_APPEND: options->append = optarg; return 0;
    case OPTION_BIOS: options->bios = optarg; return 0;
    case OPTION_DTB: options->dtb = optarg; return 0;
    case OPTION_DUMP_DTB: options->dump_dtb = optarg; return 0;
    case OPTION_CPU: return parse_cpu(options, optarg, error);
    case OPTION_CODE_CACHE: return parse_code_cache(options, optarg, error);
    case OPTION_PERF_MAP: options->translator.perf_map = true; return 0;
    case OPTION_DUMP: return parse_dump(options, optarg, error);
    case OPTION_TRANSLATE_AFTER: return parse_visits(options, optarg, error);
    case OPTION_AUDIT: options->audit = true; return 0;
    case OPTION_ASID_TRACE: options->asid_trace = optarg; return 0;
    case OPTION_CHECK:
        return parse_count("check", optarg, (uint64_t)time(NULL), UINT64_MAX, &options->check,
                           error);
    case OPTION_ICOUNT: return parse_icount(options, optarg, error);
    case OPTION_SVADE: options->svade = true; return 0;
    case OPTION_MMU: return parse_mmu(options, optarg, error);
    case OPTION_MEMORY: return parse_memory(options, optarg, error);
    case OPTION_ENCRYPT_RAM: return parse_encrypt_ram(options, optarg, error);
    case OPTION_DRIVE: return parse_drive(options, optarg, error);
    case OPTION_CONSOLE: return parse_console(options, optarg, error);
    case OPTION_WITHOUT: return parse_without(options, optarg, error);
    case OPTION_STATS: return parse_stats(options, optarg, error);
    case OPTION_TIMEOUT: return parse_timeout(options, optarg, error);
    default: return -1; /* getopt_long_only() has told the user */
    }
}

/* What is wrong with the options together. */
static int check_together(const struct rv64_options *options, struct rv64_error *error)
{
    if (!options->kernel && !options->bios && !options->dump_dtb)
        return rv64_error_set(error, "nothing to boot: give --kernel FILE or --bios FILE; "
                                     "--help tells more");
    if (options->initrd && !options->kernel)
        return rv64_error_set(error, "--initrd needs --kernel");
    if (options->translator.dump && !options->translate)
        return rv64_error_set(error, "--dump: nothing is translated");
    if (options->translator.dump && !rv64_translator_dumps())
        return rv64_error_set(error, "--dump: this build has no disassembler: install llvm-dev, "
                                     "and have Meson configure it with -Ddisassembler=enabled");
    if (options->bios && options->console == RV64_CONSOLE_SBI)
        return rv64_error_set(error, "--console sbi: with --bios the firmware has SBI's console");
    return 0;
}

static bool repeatable(int option)
{
    return option == OPTION_DRIVE || option == OPTION_WITHOUT;
}

static const char *option_name(int option)
{
    return long_options[option - OPTION_KERNEL].name;
}

enum rv64_options_result rv64_options_parse(struct rv64_options *options, int argc, char **argv,
                                            struct rv64_error *error)
{
    bool seen[OPTION_END - OPTION_KERNEL] = {false};
    int option;

    memset(options, 0, sizeof *options);
    memset(error, 0, sizeof *error);
    options->memory = RV64_MEMORY_DEFAULT;
    options->mmu = "softmmu";
    options->translate = rv64_translator_built();
    options->translator.visits = RV64_TR_VISITS_DEFAULT;
    optind = 0; /* glibc: begin anew, also for a second command line */
    while ((option = getopt_long_only(argc, argv, "hm:", long_options, NULL)) != -1) {
        if (option == 'm')
            option = OPTION_MEMORY;
        if (option == 'h' || option == OPTION_HELP) {
            fputs(help_text, stdout);
            return RV64_OPTIONS_DONE;
        }
        if (option == OPTION_VERSION) {
            puts("rv64 (Gnomon) " RV64_VERSION);
            return RV64_OPTIONS_DONE;
        }
        if (option >= OPTION_KERNEL && seen[option - OPTION_KERNEL] && !repeatable(option)) {
            rv64_error_set(error, "--%s is given twice", option_name(option));
            return RV64_OPTIONS_BAD;
        }
        if (parse_option(options, option, error))
            return RV64_OPTIONS_BAD;
        seen[option - OPTION_KERNEL] = true;
    }
    if (optind < argc) {
        rv64_error_set(error, "unexpected argument '%s'", argv[optind]);
        return RV64_OPTIONS_BAD;
    }
    if (options->check && !options->icount)
        options->icount = ICOUNT_DEFAULT;
    return check_together(options, error) ? RV64_OPTIONS_BAD : RV64_OPTIONS_RUN;
}
