/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * Differential test of the interpreter: random user programs are executed by it and by
 * qemu-riscv64, and every register they leave must be the same. Memory accesses go through the
 * probe in one run and never in another.
 *
 *      diff_qemu [--seed N] [--seconds N]
 *
 * Exit status 77, skipped, if there is no qemu-riscv64.
 */

#define _POSIX_C_SOURCE 200809L /* mkdtemp, fork */

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "diff_gen.h"
#include "fake_mmu.h"

#define SKIP 77

#define MSTATUS_FS_INITIAL (UINT64_C(1) << 13)

static struct diff_program program;
static uint8_t expected[DIFF_OUTPUT];

static bool find_qemu(char *ret_path, size_t size)
{
    const char *path = getenv("PATH");

    while (path && *path) {
        size_t length = strcspn(path, ":");

        if (snprintf(ret_path, size, "%.*s/qemu-riscv64", (int)length, path) < (int)size &&
            access(ret_path, X_OK) == 0)
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

/* A static executable of one segment, readable, writable and executable. */
static void write_headers(uint8_t *image)
{
    Elf64_Ehdr header = {.e_type = ET_EXEC,
                         .e_machine = EM_RISCV,
                         .e_version = EV_CURRENT,
                         .e_entry = DIFF_ENTRY,
                         .e_phoff = sizeof header,
                         .e_flags = EF_RISCV_RVC | EF_RISCV_FLOAT_ABI_DOUBLE,
                         .e_ehsize = sizeof header,
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = 1};
    Elf64_Phdr segment = {.p_type = PT_LOAD,
                          .p_flags = PF_R | PF_W | PF_X,
                          .p_vaddr = DIFF_BASE,
                          .p_paddr = DIFF_BASE,
                          .p_filesz = DIFF_SIZE,
                          .p_memsz = DIFF_SIZE,
                          .p_align = 0x1000};

    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    memcpy(image, &header, sizeof header);
    memcpy(image + sizeof header, &segment, sizeof segment);
}

static bool write_file(const char *path)
{
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(program.image, DIFF_SIZE, 1, file) == 1;

    if (file && fclose(file) != 0)
        good = false;
    return good && chmod(path, 0700) == 0;
}

/* Runs the file under QEMU, its output being collected in `expected`. */
static bool run_qemu(const char *qemu, const char *path, FILE *output)
{
    int status = -1;
    pid_t child;

    rewind(output);
    child = fork();
    if (child == 0) {
        if (dup2(fileno(output), 1) < 0)
            _exit(126);
        execl(qemu, qemu, path, (char *)NULL);
        _exit(126);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "qemu-riscv64: wait status %d\n", status);
        return false;
    }
    rewind(output);
    return fread(expected, sizeof expected, 1, output) == 1;
}

static void system_call(void *machine, struct rv64_cpu *cpu)
{
    (void)machine;
    if (cpu->x[17] == DIFF_SYS_EXIT)
        cpu->stop = true;
}

static bool run_interpreter(struct fake_mmu *m)
{
    static const struct rv64_cpu_ops ops = {.sbi_call = system_call};
    struct rv64_cpu cpu;
    int status;

    memcpy(m->memory, program.image, DIFF_SIZE);
    if (rv64_cpu_init(&cpu, &m->mmu, &ops, NULL))
        return false;
    rv64_cpu_start_supervisor(&cpu, DIFF_ENTRY, 0);
    cpu.mstatus |= MSTATUS_FS_INITIAL;
    status = rv64_cpu_run(&cpu, 1000000);
    if (status != RV64_RUN_STOP)
        fprintf(stderr, "stopped by %d at pc %#llx, scause %#llx, sepc %#llx, stval %#llx\n",
                status, (unsigned long long)cpu.pc, (unsigned long long)cpu.scause,
                (unsigned long long)cpu.sepc, (unsigned long long)cpu.stval);
    rv64_cpu_fini(&cpu);
    return status == RV64_RUN_STOP;
}

static uint64_t word_at(const uint8_t *bytes, uint32_t index)
{
    uint64_t value;

    memcpy(&value, bytes + index * sizeof value, sizeof value);
    return value;
}

static void print_block(uint32_t number)
{
    uint32_t at = program.block_start[number];

    while (at < program.block_start[number + 1]) {
        uint32_t low = program.image[at] | (uint32_t)program.image[at + 1] << 8;
        uint32_t high = program.image[at + 2] | (uint32_t)program.image[at + 3] << 8;

        if ((low & 3) == 3)
            fprintf(stderr, "    .4byte 0x%08x\n", (unsigned)(high << 16 | low));
        else
            fprintf(stderr, "    .2byte 0x%04x\n", (unsigned)low);
        at += (low & 3) == 3 ? 4 : 2;
    }
}

/* Names the first block that went wrong, and what differs there. */
static bool compare(const uint8_t *got)
{
    const uint8_t *table = program.image + DIFF_TABLES;
    uint32_t block;
    uint32_t i;

    for (block = 0; block < DIFF_BLOCKS; block++)
        if (memcmp(got + block * DIFF_WORDS * 8, expected + block * DIFF_WORDS * 8, DIFF_WORDS * 8))
            break;
    if (block == DIFF_BLOCKS) {
        if (memcmp(got, expected, DIFF_OUTPUT) == 0)
            return true;
        fprintf(stderr, "scratch memory differs\n");
        return false;
    }
    fprintf(stderr, "block %u:\n", (unsigned)block);
    print_block(block);
    for (i = 0; i < DIFF_WORDS; i++) {
        uint32_t word = block * DIFF_WORDS + i;

        if (word_at(got, word) != word_at(expected, word))
            fprintf(stderr, "%s%u: got %016llx, expected %016llx\n",
                    i < 32 ? i ? "x" : "fcsr" : "f", (unsigned)(i % 32),
                    (unsigned long long)word_at(got, word),
                    (unsigned long long)word_at(expected, word));
    }
    for (i = 0; i < DIFF_WORDS; i++)
        fprintf(stderr, "%s%u was %016llx%c", i < 32 ? i ? "x" : "fcsr" : "f", (unsigned)(i % 32),
                (unsigned long long)word_at(table, block * DIFF_WORDS + i),
                i % 4 == 3 ? '\n' : ' ');
    return false;
}

static bool one_seed(const char *qemu, const char *path, FILE *output, struct fake_mmu *mmus,
                     uint64_t seed)
{
    uint32_t i;

    diff_generate(&program, seed);
    write_headers(program.image);
    if (!write_file(path) || !run_qemu(qemu, path, output)) {
        fprintf(stderr, "seed %llu: no result from qemu-riscv64\n", (unsigned long long)seed);
        return false;
    }
    for (i = 0; i < 2; i++) {
        if (run_interpreter(&mmus[i]) && compare(mmus[i].memory + DIFF_RECORDS))
            continue;
        fprintf(stderr, "seed %llu, probe %s\n", (unsigned long long)seed, i ? "hits" : "misses");
        return false;
    }
    return true;
}

static uint64_t option(int argc, char **argv, const char *name, uint64_t otherwise)
{
    int i;

    for (i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return strtoull(argv[i + 1], NULL, 0);
    return otherwise;
}

static bool run_for(const char *qemu, const char *path, FILE *output, uint64_t seed,
                    uint64_t seconds)
{
    uint64_t image = (DIFF_SIZE + GN_PAGE_MASK) & ~GN_PAGE_MASK;
    struct fake_mmu mmus[2];
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t programs = 0;
    bool good;

    good = fake_mmu_init(&mmus[0], DIFF_BASE, image, false) &&
           fake_mmu_init(&mmus[1], DIFF_BASE, image, true);
    while (good && (programs == 0 || time(NULL) < end))
        good = one_seed(qemu, path, output, mmus, seed + programs++);
    printf("first seed %llu, %llu programs of %u blocks\n", (unsigned long long)seed,
           (unsigned long long)programs, DIFF_BLOCKS);
    fake_mmu_fini(&mmus[0]);
    fake_mmu_fini(&mmus[1]);
    return good;
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/rv64-diff-XXXXXX";
    char path[sizeof directory + 16];
    char qemu[4096];
    uint64_t seed = option(argc, argv, "--seed", (uint64_t)time(NULL));
    FILE *output = tmpfile();
    bool good;

    if (!find_qemu(qemu, sizeof qemu)) {
        printf("skipped: no qemu-riscv64 in PATH\n");
        return SKIP;
    }
    if (!output || !mkdtemp(directory)) {
        perror("temporary files");
        return EXIT_FAILURE;
    }
    snprintf(path, sizeof path, "%s/program", directory);
    good = run_for(qemu, path, output, seed, option(argc, argv, "--seconds", 3));
    unlink(path);
    rmdir(directory);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
