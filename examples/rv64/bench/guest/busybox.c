/* SPDX-License-Identifier: BSD-3-Clause */

/* Programs as they come: busybox, run by its shell. The checksum is that of what they print. */

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static uint64_t shell(const char *command)
{
    static char sh[] = "sh", c[] = "-c";
    static char path[] = "PATH=/sbin:/bin:/usr/sbin:/usr/bin";
    char *argv[] = {sh, c, (char *)(uintptr_t)command, NULL};
    char *envp[] = {path, NULL};
    unsigned char text[512];
    uint64_t sum = 1;
    int out[2], status = -1;
    ssize_t length;
    pid_t child;

    if (pipe(out))
        bench_die("pipe");
    child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        execve("/bin/sh", argv, envp);
        _exit(126);
    }
    close(out[1]);
    while ((length = read(out[0], text, sizeof text)) > 0)
        for (ssize_t i = 0; i < length; i++)
            sum = bench_fold(sum, text[i]);
    close(out[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        bench_die(command);
    return sum;
}

static uint64_t shell_loop(void)
{
    return shell("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); s=$((s+i*i)); done; echo $s");
}

static uint64_t spawn(void)
{
    return shell("i=0; while [ $i -lt 20 ]; do /bin/true; i=$((i+1)); done; echo $i");
}

static uint64_t gzip(void)
{
    return shell("seq 1 60000 | gzip -c | gzip -dc | md5sum");
}

static uint64_t find(void)
{
    return shell(
        "find /sys | wc -l >/dev/null; find /sys/module -name version >/dev/null; echo ok");
}

static uint64_t awk(void)
{
    return shell("seq 1 5000 | awk '{ n[$1 % 97] += $1 * 3; l = l + length($0) }"
                 " END { for (i = 0; i < 97; i++) s = s \" \" n[i]; print s, l }'");
}

static uint64_t pipeline(void)
{
    return shell(
        "seq 1 2000 | grep -v 7 | sort -r | sed s/1/2/ | tr 2 3 | cut -c1-3 | uniq | wc -l");
}

static const struct bench entries[] = {
    {"bb_shloop", shell_loop, 1, UINT64_C(0xa38cbc823c06ebd1), NULL, NULL},
    {"bb_spawn", spawn, 1, UINT64_C(0xbe6edc1b36fae0c5), NULL, NULL},
    {"bb_gzip", gzip, 1, UINT64_C(0x8531c33b3f13c410), NULL, NULL},
    {"bb_find", find, 1, UINT64_C(0x406742949f92af03), NULL, NULL},
    {"bb_awk", awk, 1, UINT64_C(0xfdf5519d2c4a8f3c), NULL, NULL},
    {"bb_pipeline", pipeline, 1, UINT64_C(0xf304cf945917c1f3), NULL, NULL},
};

const struct bench_group bench_busybox = {entries, COUNT(entries)};
