/* SPDX-License-Identifier: BSD-3-Clause */

/* Integer computation: straight loops, and mixtures in the manner of Dhrystone and CoreMark. */

#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define NOINLINE __attribute__((noinline))

static uint64_t loop(void)
{
    uint64_t x = 1;

    for (uint64_t i = 0; i < 100000; i++)
        x += x >> 1 ^ i;
    return x;
}

/* ---- SHA-256 (FIPS 180-4 §6.2) ------------------------------------------------------------- */

static uint32_t sha_k[64];
static uint8_t sha_input[4096];

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (§4.2.2). */
static uint32_t cube_root_fraction(uint32_t prime)
{
    unsigned __int128 target = (unsigned __int128)prime << 96;
    uint64_t root = 0;

    for (int bit = 34; bit >= 0; bit--) {
        uint64_t next = root | UINT64_C(1) << bit;

        if ((unsigned __int128)next * next * next <= target)
            root = next;
    }
    return (uint32_t)root;
}

static void sha_begin(void)
{
    uint64_t random = 1;
    uint32_t prime = 2;

    for (size_t i = 0; i < COUNT(sha_k); prime++) {
        uint32_t d = 2;

        while (d * d <= prime && prime % d)
            d++;
        if (d * d > prime)
            sha_k[i++] = cube_root_fraction(prime);
    }
    for (size_t i = 0; i < sizeof sha_input; i++)
        sha_input[i] = (uint8_t)bench_random(&random);
}

static uint32_t ror(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void sha_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64], v[8];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ a >> 3) + w[i - 7] +
               (ror(b, 17) ^ ror(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha_k[i] + w[i];
        uint32_t s0 = ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

static uint64_t sha256(void)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    for (size_t i = 0; i < sizeof sha_input; i += 64)
        sha_block(h, sha_input + i);
    return (uint64_t)h[0] << 32 | h[7];
}

/* ---- In the manner of Dhrystone: records, strings, small functions ------------------------- */

struct record {
    struct record *next;
    int kind, choice, number;
    char text[31];
};

static struct record records[2];
static char dhry_text[2][31];
static int dhry_array[50], dhry_square[50][50];

static NOINLINE int dhry_compare(const char *a, const char *b)
{
    int i = 2;

    while (i <= 2)
        if (a[i] == b[i + 1])
            i += 3;
        else
            i++;
    return strcmp(a, b) > 0 ? i + 7 : i;
}

static NOINLINE void dhry_choose(int choice, int *ret_choice)
{
    switch (choice) {
    case 0: *ret_choice = 1; break;
    case 1: *ret_choice = records[0].number > 100 ? 0 : 3; break;
    case 2: *ret_choice = 1; break;
    default: *ret_choice = 2; break;
    }
}

static NOINLINE void dhry_arrays(int *one, int (*two)[50], int at, int value)
{
    int i = at + 5;

    one[i] = value;
    one[i + 1] = one[i];
    one[i + 30 - 20] = i;
    for (int j = i; j <= i + 1; j++)
        two[i][j] = i;
    two[i][i - 1] += 1;
    two[i + 20][i] = one[i];
}

static NOINLINE void dhry_records(struct record *r)
{
    struct record *next = r->next;

    *next = *r;
    r->number = 5;
    next->number = r->number;
    next->next = r->next;
    if (next->kind == 0) {
        next->number = 6;
        dhry_choose(r->choice, &next->choice);
    } else {
        *r = *next;
    }
}

static NOINLINE uint64_t dhry_turn(uint64_t sum, int turn)
{
    int a = 2, b = 3, c;

    strcpy(dhry_text[1], "DHRYSTONE PROGRAM, 2'ND STRING");
    c = dhry_compare(dhry_text[0], dhry_text[1]);
    while (a < b) {
        c = 5 * a - b;
        a++;
    }
    dhry_arrays(dhry_array, dhry_square, a, c);
    dhry_records(&records[0]);
    b = b * a;
    a = b / (c | 1);
    b = 7 * (b - c) - a + turn;
    return bench_fold(sum, (uint64_t)(unsigned)(a + b + c + records[1].choice + records[1].number));
}

static void dhry_begin(void)
{
    records[0] = (struct record){.next = &records[1], .choice = 2, .number = 40};
    strcpy(records[0].text, "DHRYSTONE PROGRAM, SOME STRING");
    strcpy(dhry_text[0], "DHRYSTONE PROGRAM, 1'ST STRING");
}

static uint64_t dhry(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < 1000; i++)
        sum = dhry_turn(sum, i);
    return sum;
}

/* ---- In the manner of CoreMark: list sort, matrix, state machine, CRC ---------------------- */

struct node {
    struct node *next;
    int16_t key, value;
};

static struct node nodes[200];
static int32_t matrix_a[10][10], matrix_b[10][10], matrix_c[10][10];

static NOINLINE uint16_t crc16(uint16_t crc, uint32_t data)
{
    for (int i = 0; i < 32; i++) {
        uint32_t carry = (crc ^ data) & 1;

        data >>= 1;
        crc = (uint16_t)(crc >> 1);
        if (carry)
            crc ^= 0xa001;
    }
    return crc;
}

static int by_key(const struct node *a, const struct node *b)
{
    return a->key - b->key;
}

static int by_value(const struct node *a, const struct node *b)
{
    return a->value - b->value;
}

static NOINLINE struct node *merge(struct node *a, struct node *b,
                                   int (*compare)(const struct node *, const struct node *))
{
    struct node head, *tail = &head;

    while (a && b) {
        struct node **from = compare(a, b) <= 0 ? &a : &b;

        tail->next = *from;
        tail = *from;
        *from = tail->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static NOINLINE struct node *sort(struct node *list, unsigned length,
                                  int (*compare)(const struct node *, const struct node *))
{
    struct node *last = list, *second;

    if (length < 2)
        return list;
    for (unsigned i = 1; i < length / 2; i++)
        last = last->next;
    second = last->next;
    last->next = NULL;
    return merge(sort(list, length / 2, compare), sort(second, length - length / 2, compare),
                 compare);
}

static NOINLINE uint16_t lists(uint16_t crc)
{
    struct node *list = nodes;

    for (size_t i = 0; i < COUNT(nodes); i++) {
        nodes[i].next = i + 1 < COUNT(nodes) ? &nodes[i + 1] : NULL;
        nodes[i].key = (int16_t)(i * 7919 % 1009);
        nodes[i].value = (int16_t)(i * 104729 % 499);
    }
    list = sort(list, COUNT(nodes), by_key);
    for (const struct node *n = list; n; n = n->next)
        crc = (uint16_t)(crc ^ (uint16_t)n->value << 1);
    list = sort(list, COUNT(nodes), by_value);
    return crc16(crc, (uint32_t)(list->key * 31 + list->next->key));
}

static NOINLINE uint16_t matrices(uint16_t crc)
{
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            matrix_a[i][j] = (int16_t)(i * 37 + j * 11 + crc % 7);
            matrix_b[i][j] = (int16_t)(j * 41 - i * 5);
        }
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < 10; j++) {
            int32_t sum = 0;

            for (int k = 0; k < 10; k++)
                sum += matrix_a[i][k] * matrix_b[k][j];
            matrix_c[i][j] = (sum >> 2 & 0xf) * (sum >> 5 & 0x7f);
        }
    return crc16(crc, (uint32_t)(matrix_c[3][7] + matrix_c[9][9]));
}

/* Which of a few kinds of numbers stand in a text. */
static NOINLINE uint16_t states(uint16_t crc)
{
    static const char text[] = "5012,1234.5,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,"
                               "-.123e-2,-87e+832,+0.6e-12,T0.3e-1F,-T.T++Tq,1T3.4e4z,34.0e-T^";
    uint32_t seen[6] = {0};
    unsigned state = 0;

    for (const char *p = text; *p; p++) {
        switch (state) {
        case 0: state = *p == '+' || *p == '-' ? 1 : *p == '.' ? 3 : *p <= '9' ? 2 : 5; break;
        case 1: state = *p == '.' ? 3 : *p <= '9' ? 2 : 5; break;
        case 2: state = *p == '.' ? 3 : *p == 'e' ? 4 : *p == ',' ? 0 : *p <= '9' ? 2 : 5; break;
        case 3: state = *p == 'e' ? 4 : *p == ',' ? 0 : *p <= '9' ? 3 : 5; break;
        case 4: state = *p == ',' ? 0 : *p <= '9' ? 4 : 5; break;
        default: state = *p == ',' ? 0 : 5; break;
        }
        seen[state]++;
    }
    for (size_t i = 0; i < COUNT(seen); i++)
        crc = crc16(crc, seen[i]);
    return crc;
}

static uint64_t coremk(void)
{
    uint16_t crc = 0xffff;

    for (int i = 0; i < 4; i++)
        crc = states(matrices(lists(crc)));
    return crc;
}

/* ---- A few more ---------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t quicksort(void)
{
    static uint32_t numbers[1000];
    uint64_t random = 3, sum = 0;

    for (size_t i = 0; i < COUNT(numbers); i++)
        numbers[i] = (uint32_t)bench_random(&random);
    qsort(numbers, COUNT(numbers), sizeof *numbers, by_number);
    for (size_t i = 0; i < COUNT(numbers); i++)
        sum = bench_fold(sum, numbers[i]);
    return sum;
}

static uint64_t divide(void)
{
    uint64_t random = 5, sum = 0;

    for (int i = 0; i < 2000; i++) {
        uint64_t a = bench_random(&random), b = a >> (i & 63) | 1;

        sum += a / b + a % (b + 2) + (uint64_t)((int64_t)a / (int32_t)(b | 1));
        sum ^= (uint64_t)((unsigned __int128)a * sum >> 64);
    }
    return sum;
}

static uint64_t atomics(void)
{
    static uint64_t cell[4];
    static uint32_t narrow;

    memset(cell, 0, sizeof cell);
    narrow = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t old = i;

        __atomic_fetch_add(&cell[i & 3], i, __ATOMIC_SEQ_CST);
        __atomic_fetch_xor(&narrow, (uint32_t)i, __ATOMIC_RELAXED);
        __atomic_exchange_n(&cell[3], i, __ATOMIC_ACQ_REL);
        __atomic_compare_exchange_n(&cell[3], &old, i + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    return bench_fold(bench_fold(cell[0], cell[1] ^ cell[2]), cell[3] + narrow);
}

/* Byte by byte, as programs that were not written for speed do. */
static uint64_t text(void)
{
    static const char line[] = "the quick brown fox jumps over the lazy dog; 0123456789\n";
    static char buffer[4096];
    uint64_t words = 0, sum = 0;
    size_t length = 0;

    while (length + sizeof line < sizeof buffer)
        for (const char *p = line; *p; p++)
            buffer[length++] = *p;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)buffer[i];

        if (c >= 'a' && c <= 'z')
            buffer[i] = (char)(c - 'a' + 'A');
        words += c == ' ' || c == '\n';
        sum = sum * 31 + (unsigned char)buffer[i];
    }
    return sum + words;
}

static const struct bench entries[] = {
    {"loop", loop, 100000, UINT64_C(0x27db4d8ed3e28029), NULL, NULL},
    {"sha256", sha256, sizeof sha_input, UINT64_C(0x5f570f0f7bf3bb43), sha_begin, NULL},
    {"dhry", dhry, 1000, UINT64_C(0xdc0f567fa7deb509), dhry_begin, NULL},
    {"coremk", coremk, 4, UINT64_C(0x4799), NULL, NULL},
    {"qsort", quicksort, 1000, UINT64_C(0x224ee992864ad31c), NULL, NULL},
    {"divide", divide, 2000, UINT64_C(0x1400cac09ffa5f), NULL, NULL},
    {"atomics", atomics, 2000, UINT64_C(0x72a2baec0a5c52cf), NULL, NULL},
    {"text", text, 4032, UINT64_C(0x74243238ba54b0cf), NULL, NULL},
};

const struct bench_group bench_compute = {entries, COUNT(entries)};
