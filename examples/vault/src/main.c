/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "runnable.h"
#include "sealed.h"

#define PRELOAD "libvault-preload.so"

static const char help_text[] =
    "Usage: vault run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
    "       vault demo [OPTION]...\n"
    "\n"
    "run keeps large heap blocks of a program as ciphertext, but for a pool of pages:\n"
    "  --pool SIZE       plaintext at a time; from 64K on; 2M unless given\n"
    "  --size SIZE       of all sealed blocks together, up to 4G; 1G unless given\n"
    "  --threshold SIZE  blocks from this size on are sealed; 64K unless given\n"
    "  --memory KIND     of the pool: secret, shared or private; the best there is unless given\n"
    "  --faults WAY      segv (over secret or shared memory) or uffd (over private memory)\n"
    "  --place PLACE     of the pool, as for demo; locked is not for run\n"
    "  --ways N, --guest-addresses\n"
    "  --stats           counters on standard error when the program ends\n"
    "  --quiet           say nothing of what this machine does not protect\n"
    "\n"
    "demo plants a secret, dumps its own memory but for the pool, and counts the secret in it;\n"
    "then without Gnomon.\n"
    "  --dump WITH WITHOUT  keeps the two dumps in files\n"
    "  --place PLACE        huge: in huge pages, not memfd_secret; physical: pages chosen by "
    "their\n"
    "                       address, takes CAP_SYS_ADMIN; locked: pseudo-locked in the cache, "
    "takes\n"
    "                       root and resctrl; any: wherever (unless given)\n"
    "  --ways N             take N ways of the last cache from all others (resctrl, root)\n"
    "  --guest-addresses    take a virtual machine's physical addresses for the machine's\n"
    "\n"
    "Exit status: the program's; 125 when it cannot be protected, and so is not run.\n";

static void usage(const char *what)
{
    fprintf(stderr, "vault: %s; see --help\n", what);
    exit(2);
}

/* A size into the environment, where the program's side of this reads it. */
static void set_size(const char *name, const char *text)
{
    static const char letters[] = "KMG";
    char number[32];
    char *end;
    unsigned long long value = isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
    const char *letter = value && *end ? strchr(letters, toupper((unsigned char)*end)) : NULL;
    int shift = letter ? 10 * (int)(letter - letters + 1) : 0;

    if (!value || (*end && (!letter || end[1])) || value > ULLONG_MAX >> 1 >> shift)
        usage("not a size; say for example 2M");
    snprintf(number, sizeof number, "%llu", value << shift);
    setenv(name, number, 1);
}

static void set_memory(const char *text)
{
    static const struct {
        const char *name;
        const char *kind;
    } kinds[] = {{"secret", "1"}, {"shared", "2"}, {"private", "4"}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(text, kinds[i].name))
            return (void)setenv("VAULT_MEMORY", kinds[i].kind, 1);
    usage("unknown memory");
}

static uint32_t ways(const char *text)
{
    char *end;
    unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;

    if (!n || n > 31 || *end)
        usage("ways are 1 to 31");
    return (uint32_t)n;
}

static void set_faults(const char *text)
{
    static const struct {
        const char *name;
        const char *kinds;
    } ways[] = {{"segv", "3"}, {"uffd", "4"}};

    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!strcmp(text, ways[i].name))
            return (void)setenv("VAULT_MEMORY", ways[i].kinds, 1);
    usage("faults are segv or uffd");
}

static void set_place(const char *text)
{
    if (sealed_place_parse(text) < 0)
        usage("unknown place");
    setenv("VAULT_PLACE", text, 1);
}

/* The library lies beside this program, or where it was installed. */
static int set_preload(void)
{
    static char value[2 * PATH_MAX + 64];
    char here[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    const char *before = getenv("LD_PRELOAD");
    char *slash;

    if (length <= 0)
        return -1;
    here[length] = 0;
    slash = strrchr(here, '/');
    *slash = 0;
    snprintf(value, sizeof value, "%s/" PRELOAD, here);
    if (access(value, R_OK))
        snprintf(value, sizeof value, "%s", VAULT_LIBDIR "/" PRELOAD);
    if (access(value, R_OK))
        return -1;
    if (before && *before)
        snprintf(value + strlen(value), sizeof value - strlen(value), ":%s", before);
    return setenv("LD_PRELOAD", value, 1);
}

enum { POOL = 256, SIZE, THRESHOLD, MEMORY, FAULTS, PLACE, WAYS, GUEST, STATS, QUIET, HELP };

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        {"pool", required_argument, NULL, POOL},
        {"size", required_argument, NULL, SIZE},
        {"threshold", required_argument, NULL, THRESHOLD},
        {"memory", required_argument, NULL, MEMORY},
        {"faults", required_argument, NULL, FAULTS},
        {"place", required_argument, NULL, PLACE},
        {"ways", required_argument, NULL, WAYS},
        {"guest-addresses", no_argument, NULL, GUEST},
        {"stats", no_argument, NULL, STATS},
        {"help", no_argument, NULL, HELP},
        {"quiet", no_argument, NULL, QUIET},
        {NULL, 0, NULL, 0},
    };
    static char name[] = "vault";
    const char *refusal;
    char self[24];
    int option;

    argv[0] = name; /* which getopt_long() begins its messages with */

    /* The program has this number, too: by it, it knows that it is the one that was asked for. */
    snprintf(self, sizeof self, "%ld", (long)getpid());
    setenv("VAULT_RUN", self, 1);
    setenv("VAULT_REPORT", "1", 1);
    while ((option = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
        switch (option) {
        case POOL: set_size("VAULT_POOL", optarg); break;
        case SIZE: set_size("VAULT_SIZE", optarg); break;
        case THRESHOLD: set_size("VAULT_THRESHOLD", optarg); break;
        case MEMORY: set_memory(optarg); break;
        case FAULTS: set_faults(optarg); break;
        case PLACE: set_place(optarg); break;
        case WAYS:
            (void)ways(optarg);
            setenv("VAULT_WAYS", optarg, 1);
            break;
        case GUEST: setenv("VAULT_GUEST", "1", 1); break;
        case STATS: setenv("VAULT_STATS", "1", 1); break;
        case QUIET: unsetenv("VAULT_REPORT"); break;
        case HELP: fputs(help_text, stdout); return 0;
        default: return 2;
        }
    }
    if (optind == argc)
        usage("no program");
    refusal = runnable_refusal(argv[optind]);
    if (refusal) {
        fprintf(stderr, "vault: %s is %s; it is not run\n", argv[optind], refusal);
        return 125;
    }
    if (set_preload()) {
        fprintf(stderr, "vault: no " PRELOAD "\n");
        return 125;
    }
    execvp(argv[optind], argv + optind);
    fprintf(stderr, "vault: %s: %s\n", argv[optind], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

static int demo(int argc, char **argv)
{
    struct vault_params params = {.bytes = 0};
    char *const *dump = NULL;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--dump") && i + 2 < argc) {
            dump = argv + i + 1;
            i += 2;
        } else if (!strcmp(argv[i], "--place") && i + 1 < argc &&
                   sealed_place_parse(argv[i + 1]) >= 0) {
            params.place = argv[++i];
        } else if (!strcmp(argv[i], "--ways") && i + 1 < argc) {
            params.ways = ways(argv[++i]);
        } else if (!strcmp(argv[i], "--guest-addresses")) {
            params.guest_addresses = 1;
        } else if (!strcmp(argv[i], "--help")) {
            fputs(help_text, stdout);
            return 0;
        } else {
            usage("not an option of demo");
        }
    }
    return vault_demo(&params, dump);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "run"))
        return run(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "demo"))
        return demo(argc - 1, argv + 1);
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
        fputs(help_text, stdout);
        return 0;
    }
    usage("run or demo?");
    return 2;
}
