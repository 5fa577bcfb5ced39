/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* printf as the tests use it: d u x s c p f and %, with width, precision, 0, - and lengths. */

struct out {
    char *to;
    size_t room, bytes;
};

struct conversion {
    int left, zero, longs;
    int width, precision;
};

static void put(struct out *o, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++, o->bytes++)
        if (o->bytes + 1 < o->room)
            o->to[o->bytes] = text[i];
}

static void put_padded(struct out *o, const struct conversion *c, const char *text, size_t n)
{
    const size_t width = c->width > 0 ? (size_t)c->width : 0;
    const size_t pad = width > n ? width - n : 0;

    if (!c->left)
        for (size_t i = 0; i < pad; i++)
            put(o, c->zero ? "0" : " ", 1);
    put(o, text, n);
    if (c->left)
        for (size_t i = 0; i < pad; i++)
            put(o, " ", 1);
}

static size_t digits(char *end, uint64_t value, uint32_t base)
{
    size_t n = 0;

    do {
        *--end = "0123456789abcdef"[value % base];
        n++;
    } while (value /= base);
    return n;
}

static void put_number(struct out *o, const struct conversion *c, uint64_t value, uint32_t base,
                       int negative)
{
    char text[32];
    size_t n = digits(text + sizeof text, value, base);

    if (negative)
        text[sizeof text - ++n] = '-';
    put_padded(o, c, text + sizeof text - n, n);
}

static void put_float(struct out *o, const struct conversion *c, double value)
{
    char text[64];
    const int places = c->precision < 0 ? 6 : c->precision > 9 ? 9 : c->precision;
    uint64_t scale = 1, whole;
    size_t n = 0;

    for (int i = 0; i < places; i++)
        scale *= 10;
    whole = (uint64_t)((value < 0 ? -value : value) * (double)scale + 0.5);
    for (int i = 0; i < places; i++, whole /= 10)
        text[sizeof text - ++n] = (char)('0' + whole % 10);
    if (places)
        text[sizeof text - ++n] = '.';
    n += digits(text + sizeof text - n, whole, 10);
    if (value < 0)
        text[sizeof text - ++n] = '-';
    put_padded(o, c, text + sizeof text - n, n);
}

static void put_string(struct out *o, const struct conversion *c, const char *text)
{
    size_t n = 0;

    text = text ? text : "(null)";
    while (text[n] && (c->precision < 0 || n < (size_t)c->precision))
        n++;
    put_padded(o, c, text, n);
}

/* By pointer: a va_list that is passed on cannot be used afterwards. */
struct args {
    va_list list;
};

static int number_or_star(const char **at, struct args *args)
{
    int n = 0;

    if (**at == '*') {
        ++*at;
        return va_arg(args->list, int);
    }
    for (; **at >= '0' && **at <= '9'; ++*at)
        n = n * 10 + **at - '0';
    return n;
}

static const char *parse(const char *at, struct conversion *c, struct args *args)
{
    *c = (struct conversion){.precision = -1};
    for (; *at == '-' || *at == '0'; at++) {
        c->left |= *at == '-';
        c->zero |= *at == '0';
    }
    c->width = number_or_star(&at, args);
    if (*at == '.') {
        at++;
        c->precision = number_or_star(&at, args);
    }
    for (; *at == 'l' || *at == 'z' || *at == 'h'; at++)
        c->longs += *at != 'h';
    return at;
}

static void convert(struct out *o, char kind, const struct conversion *c, struct args *args)
{
    int64_t i;
    char letter;

    switch (kind) {
    case 'd':
        i = c->longs ? va_arg(args->list, int64_t) : va_arg(args->list, int);
        put_number(o, c, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, 10, i < 0);
        break;
    case 'u':
    case 'x':
        put_number(o, c, c->longs ? va_arg(args->list, uint64_t) : va_arg(args->list, unsigned),
                   kind == 'x' ? 16 : 10, 0);
        break;
    case 'p': put_number(o, c, (uint64_t)(uintptr_t)va_arg(args->list, void *), 16, 0); break;
    case 's': put_string(o, c, va_arg(args->list, const char *)); break;
    case 'f': put_float(o, c, va_arg(args->list, double)); break;
    case 'c':
        letter = (char)va_arg(args->list, int);
        put_padded(o, c, &letter, 1);
        break;
    default: put(o, &kind, 1); break;
    }
}

int vsnprintf(char *to, size_t n, const char *format, va_list args)
{
    struct out o = {to, n, 0};
    struct args copy;
    struct conversion c;

    va_copy(copy.list, args);
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            put(&o, at, 1);
            continue;
        }
        at = parse(at + 1, &c, &copy);
        convert(&o, *at, &c, &copy);
    }
    va_end(copy.list);
    if (n)
        to[o.bytes < n ? o.bytes : n - 1] = 0;
    return (int)o.bytes;
}

int vprintf(const char *format, va_list args)
{
    char text[1024];
    const int n = vsnprintf(text, sizeof text, format, args);
    const uint64_t flags = metal_guard();

    gn_x86_64_serial_write(text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
    metal_unguard(flags);
    return n;
}

int vfprintf(FILE *file, const char *format, va_list args)
{
    (void)file;
    return vprintf(format, args);
}

int printf(const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vprintf(format, args);
    va_end(args);
    return n;
}

int fprintf(FILE *file, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vfprintf(file, format, args);
    va_end(args);
    return n;
}

int snprintf(char *to, size_t n, const char *format, ...)
{
    va_list args;
    int bytes;

    va_start(args, format);
    bytes = vsnprintf(to, n, format, args);
    va_end(args);
    return bytes;
}

int puts(const char *text)
{
    return printf("%s\n", text);
}

int fflush(FILE *file)
{
    (void)file;
    return 0;
}
