/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what is meant by it, and what is said when nothing can be meant. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compose.h"
#include "options.h"

#define ARGUMENTS_MAX 16

static struct rv64_options options;
static struct rv64_error error;
static char copy[512];

/* Parses a command line whose arguments are separated by spaces. */
static enum rv64_options_result parse(const char *line)
{
    char *argv[ARGUMENTS_MAX + 1];
    int argc = 0;
    char *word;

    snprintf(copy, sizeof copy, "rv64 %s", line);
    for (word = strtok(copy, " "); word && argc < ARGUMENTS_MAX; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return rv64_options_parse(&options, argc, argv, &error);
}

static void accepted(const char *line)
{
    if (parse(line) != RV64_OPTIONS_RUN)
        fail_msg("%s: %s", line, error.text);
}

static void refused(const char *line, const char *why)
{
    assert_int_equal(parse(line), RV64_OPTIONS_BAD);
    if (!strstr(error.text, why))
        fail_msg("%s: '%s' does not say '%s'", line, error.text, why);
}

static void defaults_are_those_of_the_help_text(void **state)
{
    (void)state;
    accepted("--kernel k");
    assert_string_equal(options.kernel, "k");
    assert_int_equal(options.memory, 256 << 20);
    assert_string_equal(options.mmu, "softmmu");
    assert_int_equal(options.without, 0);
    assert_int_equal(options.stats, RV64_STATS_NONE);
    assert_int_equal(options.console, RV64_CONSOLE_UART);
    assert_false(options.audit || options.svade || options.icount || options.check);
    assert_int_equal(options.translate, rv64_translator_built());
}

static void the_cpu_is_what_is_named(void **state)
{
    (void)state;
    accepted("--kernel k --cpu interpret");
    assert_false(options.translate);
    if (rv64_translator_built()) {
        accepted("--kernel k --cpu translate");
        assert_true(options.translate);
    } else {
        refused("--kernel k --cpu translate", "not in this build");
    }
    refused("--kernel k --cpu dream", "known are");
}

static void the_spellings_of_qemu_work(void **state)
{
    (void)state;
    accepted("-kernel k -initrd i -append a -bios b -dtb d -m 64 -drive file=f,format=raw");
    assert_string_equal(options.initrd, "i");
    assert_string_equal(options.append, "a");
    assert_string_equal(options.bios, "b");
    assert_string_equal(options.dtb, "d");
    assert_string_equal(options.drives[0].path, "f");
    assert_int_equal(options.memory, 64 << 20);
}

static void the_pool_of_encrypted_ram_has_limits(void **state)
{
    (void)state;
    accepted("-kernel k");
    assert_int_equal(options.encrypt_ram, 0);
    accepted("-kernel k --encrypt-ram 16M");
    assert_int_equal(options.encrypt_ram, 16 << 20);
    assert_null(options.encrypt_how);
    accepted("-kernel k --encrypt-ram 2M,huge,guest-addresses");
    assert_int_equal(options.encrypt_ram, 2 << 20);
    assert_string_equal(options.encrypt_how, "huge,guest-addresses");
    refused("-kernel k --encrypt-ram ,huge", "not a size");
    refused("-kernel k --encrypt-ram 512K", "from 1M to 96M");
    refused("-kernel k --encrypt-ram 97", "from 1M to 96M");
    refused("-kernel k --encrypt-ram much", "not a size");
}

static void memory_takes_suffixes_and_has_limits(void **state)
{
    (void)state;
    accepted("-kernel k --memory 1G");
    assert_int_equal(options.memory, 1 << 30);
    accepted("-kernel k --memory=32768k");
    assert_int_equal(options.memory, 32 << 20);
    accepted("-kernel k -m 128m");
    assert_int_equal(options.memory, 128 << 20);
    refused("-kernel k -m 1", "minimum is 16M");
    refused("-kernel k -m 0", "minimum");
    refused("-kernel k -m 17179869184G", "too large");
    refused("-kernel k -m 18446744073709551617", "not a size");
    refused("-kernel k -m 1025G", "too large");
    refused("-kernel k -m -5", "not a size");
    refused("-kernel k -m +64", "not a size");
    refused("-kernel k -m 64MB", "not a size");
    refused("-kernel k -m 64X", "not a size");
    refused("-kernel k -m M", "not a size");
    refused("-kernel k -m 0x40", "not a size");
    refused("-kernel k -m 16385K", "multiple");
}

static void drives_have_properties(void **state)
{
    (void)state;
    accepted("-kernel k --drive a --drive b,readonly=on --drive readonly=on,file=c "
             "--drive dir=x/d,readonly=off");
    assert_int_equal(options.drive_count, 4);
    assert_false(options.drives[0].readonly);
    assert_true(options.drives[1].readonly);
    assert_true(options.drives[2].readonly);
    assert_string_equal(options.drives[2].path, "c");
    assert_string_equal(options.drives[3].path, "dir=x/d");
    refused("-kernel k --drive a --drive b --drive c --drive d --drive e", "more than 4");
    refused("-kernel k --drive a,readonly=maybe", "on or off");
    refused("-kernel k --drive a,readonly", "on or off");
    refused("-kernel k --drive a,colour=red", "unknown property");
    refused("-kernel k --drive a,file=b", "more than one");
    refused("-kernel k --drive readonly=on", "no file");
    refused("-kernel k --drive file=", "no file");
    refused("-kernel k --drive a,format=qcow2", "raw");
}

static void libraries_are_left_out_by_name(void **state)
{
    (void)state;
    accepted("-kernel k --without tracelog,asid --without nonpresent");
    assert_int_equal(options.without,
                     RV64_WITHOUT_TRACELOG | RV64_WITHOUT_NONPRESENT | RV64_WITHOUT_ASID);
    assert_false(options.translator.unchained);
    accepted("-kernel k --without asid,chain");
    assert_true(options.translator.unchained);
    assert_false(options.translator.eager);
    accepted("-kernel k --without regstate");
    assert_true(options.translator.eager);
    accepted("-kernel k --without returns");
    assert_int_equal(options.translator.without, RV64_TR_WITHOUT_RETURNS);
    accepted("-kernel k --without sites,returns");
    assert_int_equal(options.translator.without, RV64_TR_WITHOUT_RETURNS | RV64_TR_WITHOUT_SITES);
    accepted("-kernel k --without windows");
    assert_int_equal(options.without, RV64_WITHOUT_WINDOWS);
    assert_int_equal(options.translator.without, RV64_TR_WITHOUT_WINDOWS);
    refused("-kernel k --without sun", "unknown library 'sun'");
    refused("-kernel k --without asid,sun", "unknown library 'sun'");
    refused("-kernel k --without asid=no", "unknown library");
    refused("-kernel k --without base", "base cannot be left out");
    refused("-kernel k --without paging", "paging cannot be left out");
    refused("-kernel k --without asid,shadow", "shadow cannot be left out");
}

static void choices_are_checked(void **state)
{
    (void)state;
    accepted("-kernel k --stats --console virtio --audit --svade --timeout 5");
    assert_int_equal(options.stats, RV64_STATS_TEXT);
    assert_int_equal(options.console, RV64_CONSOLE_VIRTIO);
    assert_int_equal(options.timeout, 5);
    assert_true(options.audit && options.svade);
    accepted("-kernel k --stats=json");
    assert_int_equal(options.stats, RV64_STATS_JSON);
    refused("-kernel k --stats=xml", "known are text and json");
    refused("-kernel k --mmu abacus", "known is softmmu");
    refused("-kernel k --console tape", "known are");
    refused("-kernel k --timeout 0", "seconds");
    refused("-kernel k --timeout 1.5", "seconds");
    refused("-kernel k --timeout 4294967296", "seconds");
    refused("-bios b --console sbi", "firmware");
}

static void what_makes_no_sense_together_is_refused(void **state)
{
    (void)state;
    refused("", "nothing to boot");
    refused("--bios b --initrd i", "needs --kernel");
    refused("--kernel a --kernel b", "twice");
    refused("--kernel a -m 64 --memory 64", "twice");
    refused("--kernel a b", "unexpected argument 'b'");
    accepted("--bios b");
}

static void check_counts_instructions_for_time(void **state)
{
    (void)state;
    accepted("--kernel k --icount");
    assert_int_equal(options.icount, 10);
    accepted("--kernel k --icount=32");
    assert_int_equal(options.icount, 32);
    accepted("--kernel k --check=7");
    assert_int_equal(options.check, 7);
    assert_int_equal(options.icount, 10);
    accepted("--kernel k --check");
    assert_int_not_equal(options.check, 0);
    refused("--kernel k --icount=0", "--icount=0");
    refused("--kernel k --check=x", "--check=x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_counts_instructions_for_time),
        cmocka_unit_test(defaults_are_those_of_the_help_text),
        cmocka_unit_test(the_cpu_is_what_is_named),
        cmocka_unit_test(the_spellings_of_qemu_work),
        cmocka_unit_test(memory_takes_suffixes_and_has_limits),
        cmocka_unit_test(the_pool_of_encrypted_ram_has_limits),
        cmocka_unit_test(drives_have_properties),
        cmocka_unit_test(libraries_are_left_out_by_name),
        cmocka_unit_test(choices_are_checked),
        cmocka_unit_test(what_makes_no_sense_together_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
