#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The command line as a user meets it: whatever is wrong with it gives one line on standard error
# and a status that is not 0, before the guest starts. Needs no guest.
#
# usage: test_cli.sh PATH-OF-RV64

rv64=${1:?usage: test_cli.sh PATH-OF-RV64}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
count=0

# A test has failed, and this is why.
complain() {
    printf 'not ok: %s\n' "$*"
    failed=$((failed + 1))
}

# refused STATUS TEXT ARGUMENT...: the status, one line that contains the text, and no output.
refused() {
    status=$1
    text=$2
    shift 2
    count=$((count + 1))
    # What is accepted by mistake runs for ever.
    timeout 20 "$rv64" "$@" </dev/null >"$dir/out" 2>"$dir/err"
    got=$?
    [ "$got" -eq "$status" ] || complain "rv64 $*: status $got, not $status: $(cat "$dir/err")"
    [ "$(wc -l <"$dir/err")" -eq 1 ] || complain "rv64 $*: not one line: $(cat "$dir/err")"
    grep -q '^rv64: ' "$dir/err" || complain "rv64 $*: does not begin with rv64: $(cat "$dir/err")"
    grep -qF -- "$text" "$dir/err" || complain "rv64 $*: does not say '$text': $(cat "$dir/err")"
    [ ! -s "$dir/out" ] || complain "rv64 $*: output on standard output"
}

# accepted TEXT ARGUMENT...: status 0 and the text on standard output.
accepted() {
    text=$1
    shift
    count=$((count + 1))
    "$rv64" "$@" </dev/null >"$dir/out" 2>"$dir/err" || complain "rv64 $*: status $?"
    grep -qF -- "$text" "$dir/out" || complain "rv64 $*: does not print '$text'"
}

# zeros COUNT: that many bytes of zero.
zeros() {
    dd if=/dev/zero bs="$1" count=1 2>/dev/null
}

# le64 NUMBER: a number below 2^32 as eight bytes.
le64() {
    number=$1
    for shift in 0 8 16 24; do
        # shellcheck disable=SC2059 # the format is the byte
        printf "\\$(printf %03o $((number >> shift & 255)))"
    done
    printf '\0\0\0\0'
}

# image OFFSET SIZE: the header of a Linux Image, and 4032 bytes more.
image() {
    printf '\0\0\0\0\0\0\0\0'
    le64 "$1"
    le64 "$2"
    zeros 32
    printf 'RSC\005\0\0\0\0'
    zeros 4032
}

# elf CLASS MACHINE: the header of an ELF file without program headers.
elf() {
    # shellcheck disable=SC2059 # the format is the bytes
    printf "\\177ELF\\00$1\\001\\001"
    zeros 9
    # shellcheck disable=SC2059
    printf "\\002\\000$2\\001\\000\\000\\000"
    zeros 40
}

image $((2 << 20)) 5000 >"$dir/Image"
image $((2 << 20)) 1000000 >"$dir/truncated"
image $((512 << 20)) 5000 >"$dir/far"
dd if="$dir/Image" of="$dir/short" bs=50 count=1 2>/dev/null
elf 2 '\076\000' >"$dir/elf-x86"
elf 1 '\363\000' >"$dir/elf-32"
elf 2 '\363\000' >"$dir/elf-empty"
printf '\037\213\010\000' >"$dir/Image.gz"
zeros 100000 >"$dir/zeros"
zeros $((20 << 20)) >"$dir/large"
printf 'hello' >"$dir/tiny"
: >"$dir/empty"
mkdir "$dir/folder"
mkfifo "$dir/fifo"
newline=$(printf 'two\nlines')

accepted 'Usage: rv64' --help
accepted 'Usage: rv64' -h
accepted 'rv64' --version

refused 2 'nothing to boot'
refused 2 'frobnicate' --frobnicate
refused 2 'frobnicate' -frobnicate
refused 2 'requires an argument' --kernel
refused 2 'audit' --kernel "$dir/Image" --audit=yes
refused 2 'ambiguous' --kernel "$dir/Image" --d x
refused 2 'unexpected' --kernel "$dir/Image" more
refused 2 'twice' --kernel "$dir/Image" --kernel "$dir/Image"
refused 2 'minimum is 16M' --kernel "$dir/Image" --memory 1
refused 2 'too large' --kernel "$dir/Image" --memory 99999999999G
refused 2 'not a size' --kernel "$dir/Image" --memory 99999999999999999999
refused 2 'not a size' --kernel "$dir/Image" --memory -64M
refused 2 'not a size' --kernel "$dir/Image" --memory lots
refused 2 'known is' --kernel "$dir/Image" --mmu abacus
refused 2 'unknown library' --kernel "$dir/Image" --without sundial
refused 2 'cannot be left out' --kernel "$dir/Image" --without shadow
refused 2 'known are' --kernel "$dir/Image" --stats=xml
refused 2 'known are' --kernel "$dir/Image" --console tape
refused 2 'seconds' --kernel "$dir/Image" --timeout soon
refused 2 'needs --kernel' --bios "$dir/zeros" --initrd "$dir/zeros"
refused 2 'on or off' --kernel "$dir/Image" --drive "$dir/zeros,readonly=perhaps"
refused 2 'unknown property' --kernel "$dir/Image" --drive "$dir/zeros,if=ide"

refused 1 'encrypt-ram' --kernel "$dir/Image" --encrypt-ram 2M,here
refused 1 'No such file' --kernel "$dir/nowhere"
refused 1 'No such file' --kernel "$dir/$newline"
refused 1 'directory' --kernel "$dir/folder"
refused 1 'empty' --kernel "$dir/empty"
refused 1 'too short' --kernel "$dir/short"
refused 1 'truncated' --kernel "$dir/truncated"
refused 1 'neither' --kernel "$dir/zeros"
refused 1 'gzip' --kernel "$dir/Image.gz"
refused 1 'not RISC-V' --kernel "$dir/elf-x86"
refused 1 '64-bit' --kernel "$dir/elf-32"
refused 1 'program headers' --kernel "$dir/elf-empty"
refused 1 'not in RAM' --kernel "$dir/far"
refused 1 'larger than' --kernel "$dir/large" --memory 16M
refused 1 'No such file' --kernel "$dir/Image" --initrd "$dir/nowhere"
refused 1 'directory' --kernel "$dir/Image" --initrd "$dir/folder"
refused 1 'larger than' --kernel "$dir/Image" --initrd "$dir/large" --memory 16M
refused 1 'larger than' --kernel "$dir/Image" --initrd /dev/zero --memory 16M
refused 1 'overlaps' --kernel "$dir/Image" --initrd "$dir/large" --memory 21M
refused 1 'No such file' --bios "$dir/nowhere"
refused 1 'directory' --bios "$dir/folder"
refused 1 'overlaps' --bios "$dir/large" --kernel "$dir/Image"
refused 1 'No such file' --kernel "$dir/Image" --dtb "$dir/nowhere"
refused 1 'device tree' --kernel "$dir/Image" --dtb "$dir/zeros"
refused 1 'device tree' --kernel "$dir/Image" --dtb "$dir/tiny"
refused 1 'No such file' --kernel "$dir/Image" --drive "$dir/nowhere"
refused 1 'asid-trace' --kernel "$dir/Image" --asid-trace "$dir/nowhere/trace"
refused 1 'directory' --kernel "$dir/Image" --drive "$dir/folder"
refused 1 'smaller than one sector' --kernel "$dir/Image" --drive "$dir/tiny"
refused 1 'not a file' --kernel "$dir/Image" --drive "$dir/fifo"
refused 1 'No such file' --kernel "$dir/Image" --dump-dtb "$dir/nowhere/tree"

# The tree that the machine makes is one that it takes.
count=$((count + 1))
"$rv64" --dump-dtb "$dir/tree" --append 'one two' || complain '--dump-dtb'
"$rv64" --dtb "$dir/tree" --dump-dtb "$dir/again" || complain '--dtb of its own tree'
grep -q 'one two' "$dir/again" || complain '--append is not in the tree'

# A kernel of nothing but zeros traps for ever: the time limit ends it, and the statistics come.
count=$((count + 1))
"$rv64" --kernel "$dir/Image" --timeout 1 --stats=json </dev/null >"$dir/out" 2>"$dir/err"
got=$?
[ "$got" -eq 124 ] || complain "--timeout: status $got, not 124"
grep -q '"instructions"' "$dir/err" || complain '--stats=json prints no instructions'

# SIGTERM ends it with 128 and its number.
count=$((count + 1))
"$rv64" --kernel "$dir/Image" --timeout 60 </dev/null >"$dir/out" 2>"$dir/err" &
child=$!
sleep 1
kill -TERM "$child"
wait "$child"
got=$?
[ "$got" -eq 143 ] || complain "SIGTERM: status $got, not 143"

# A guest that cannot be is not run even with statistics: nothing but the message.
refused 1 'neither' --kernel "$dir/zeros" --stats --audit

printf '%d checks, %d failures\n' "$count" "$failed"
[ "$failed" -eq 0 ]
