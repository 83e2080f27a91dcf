/* Text in a bounded buffer (see text.h).
 *
 * Invariants: len < size, and start[len] is NUL after every call. Each append is O(bytes appended).
 */
#include "core/text.h"

#include <limits.h>
#include <string.h>

void gy__text_init(struct gy__text *t, char *buffer, size_t size)
{
    t->start = buffer;
    t->size = size;
    t->len = 0;
    t->cut = false;
    buffer[0] = '\0';
}

void gy__text_bytes(struct gy__text *t, const char *s, size_t len)
{
    size_t room = t->size - t->len - 1;
    if (len > room) {
        len = room;
        t->cut = true;
    }
    memcpy(t->start + t->len, s, len);
    t->len += len;
    t->start[t->len] = '\0';
}

void gy__text_char(struct gy__text *t, char c)
{
    gy__text_bytes(t, &c, 1);
}

void gy__text_string(struct gy__text *t, const char *s)
{
    gy__text_bytes(t, s, strlen(s));
}

static void append_repeated(struct gy__text *t, char c, size_t n)
{
    while (n-- > 0 && !t->cut)
        gy__text_char(t, c);
}

#define DIGITS_MAX 22 /* of UINT64_MAX in octal */

/* Writes the digits so that they end at `end`; returns where they start. */
static char *digits_before(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    return end;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

void gy__text_unsigned(struct gy__text *t, uint64_t value)
{
    char digits[DIGITS_MAX];
    char *end = digits + DIGITS_MAX;
    char *first = digits_before(end, value, 10);
    gy__text_bytes(t, first, (size_t)(end - first));
}

void gy__text_signed(struct gy__text *t, int64_t value)
{
    if (value < 0)
        gy__text_char(t, '-');
    gy__text_unsigned(t, magnitude(value));
}

void gy__text_hex(struct gy__text *t, uint64_t value)
{
    char digits[DIGITS_MAX];
    char *end = digits + DIGITS_MAX;
    char *first = digits_before(end, value, 16);
    gy__text_bytes(t, first, (size_t)(end - first));
}

void gy__text_pad(struct gy__text *t, size_t column)
{
    size_t line = t->len;
    while (line > 0 && t->start[line - 1] != '\n')
        line--;
    size_t at = t->len - line;
    if (at < column)
        append_repeated(t, ' ', column - at);
}

/* One conversion of a format: %[-0][width][.precision][length]letter. */
struct conversion {
    bool left, zeros;
    int width;
    int precision; /* -1: none given */
    char length;   /* 'H' for hh, 'h', 'l', 'q' for ll, 'j', 'z', 't', or 0 */
    char letter;
};

/* The arguments live behind a pointer to a struct, because a va_list that was handed to a function
 * by value may not be used again by its caller. */
struct arguments {
    va_list list;
};

static const char *parse_number(const char *f, int *out, struct arguments *args)
{
    if (*f == '*') {
        *out = va_arg(args->list, int);
        return f + 1;
    }
    int n = 0;
    for (; *f >= '0' && *f <= '9'; f++)
        n = n > INT_MAX / 10 - 9 ? n : n * 10 + (*f - '0');
    *out = n;
    return f;
}

/* f stands behind the '%'; returns what follows the conversion's letter. */
static const char *parse_conversion(const char *f, struct conversion *c, struct arguments *args)
{
    *c = (struct conversion){.precision = -1};
    for (; *f == '-' || *f == '0'; f++) {
        c->left = c->left || *f == '-';
        c->zeros = c->zeros || *f == '0';
    }
    f = parse_number(f, &c->width, args);
    if (c->width < 0) {
        c->left = true;
        c->width = c->width == INT_MIN ? INT_MAX : -c->width;
    }
    if (*f == '.')
        f = parse_number(f + 1, &c->precision, args);
    if (*f != '\0' && strchr("hljzt", *f) != NULL) {
        c->length = *f++;
        if (c->length == *f && (*f == 'h' || *f == 'l')) {
            c->length = *f == 'h' ? 'H' : 'q';
            f++;
        }
    }
    c->letter = *f;
    return *f == '\0' ? f : f + 1;
}

static int64_t signed_argument(char length, struct arguments *args)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(args->list, int);
    case 'h':
        return (short)va_arg(args->list, int);
    case 'l':
        return va_arg(args->list, long);
    case 'q':
        return va_arg(args->list, long long);
    case 'j':
        return va_arg(args->list, intmax_t);
    case 'z':
    case 't':
        return va_arg(args->list, ptrdiff_t);
    default:
        return va_arg(args->list, int);
    }
}

static uint64_t unsigned_argument(char length, struct arguments *args)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(args->list, unsigned);
    case 'h':
        return (unsigned short)va_arg(args->list, unsigned);
    case 'l':
        return va_arg(args->list, unsigned long);
    case 'q':
        return va_arg(args->list, unsigned long long);
    case 'j':
        return va_arg(args->list, uintmax_t);
    case 'z':
    case 't':
        return va_arg(args->list, size_t);
    default:
        return va_arg(args->list, unsigned);
    }
}

/* Appends sign and body, filled up to the width. Zeros go between the two, spaces before or behind
 * both. */
static void append_filled(struct gy__text *t, const struct conversion *c, const char *sign,
                          const char *body, size_t len)
{
    size_t used = len + strlen(sign);
    size_t fill = (size_t)c->width > used ? (size_t)c->width - used : 0;
    bool zeros = c->zeros && !c->left;
    if (!c->left && !zeros)
        append_repeated(t, ' ', fill);
    gy__text_string(t, sign);
    if (zeros)
        append_repeated(t, '0', fill);
    gy__text_bytes(t, body, len);
    if (c->left)
        append_repeated(t, ' ', fill);
}

static void append_string(struct gy__text *t, struct conversion *c, const char *s)
{
    if (s == NULL)
        s = "(null)";
    size_t len = 0;
    while ((c->precision < 0 || len < (size_t)c->precision) && s[len] != '\0')
        len++;
    c->zeros = false;
    append_filled(t, c, "", s, len);
}

static void append_number(struct gy__text *t, const struct conversion *c, const char *sign,
                          uint64_t value)
{
    char digits[DIGITS_MAX];
    char *end = digits + DIGITS_MAX;
    unsigned base = c->letter == 'x' || c->letter == 'X' ? 16 : c->letter == 'o' ? 8 : 10;
    char *first = digits_before(end, value, base);
    for (char *at = first; c->letter == 'X' && at < end; at++)
        if (*at >= 'a')
            *at = (char)(*at - 'a' + 'A');
    append_filled(t, c, sign, first, (size_t)(end - first));
}

#define DECIMALS_MAX 9

/* As %f writes it, with at most nine decimals; from 1e19 on with an exponent. Without the library
 * the last digit may differ from what it would have rounded to. */
static void append_double(struct gy__text *t, struct conversion *c, double value)
{
    const char *sign = value < 0 ? "-" : "";
    unsigned decimals = c->precision < 0 ? 6 : (unsigned)c->precision, exponent = 0;
    char body[2 * DIGITS_MAX + DECIMALS_MAX];
    struct gy__text text;
    uint64_t scale = 1;
    gy__text_init(&text, body, sizeof(body));
    value = value < 0 ? -value : value;
    if (value != value || value > 1.7976931348623157e308) {
        c->zeros = false;
        gy__text_string(&text, value != value ? "nan" : "inf");
        append_filled(t, c, sign, body, text.len);
        return;
    }
    if (decimals > DECIMALS_MAX)
        decimals = DECIMALS_MAX;
    for (unsigned i = 0; i < decimals; i++)
        scale *= 10;
    for (; value >= 1e19; exponent++)
        value /= 10;
    uint64_t whole = (uint64_t)value;
    double scaled = (value - (double)whole) * (double)scale;
    uint64_t part = (uint64_t)scaled;
    bool odd = (decimals > 0 ? part : whole) & 1;
    scaled -= (double)part;
    part += scaled > 0.5 || (scaled == 0.5 && odd);
    if (part >= scale) {
        whole++;
        part -= scale;
    }
    gy__text_unsigned(&text, whole);
    if (decimals > 0) {
        char digits[DIGITS_MAX];
        char *end = digits + DIGITS_MAX, *first = digits_before(end, part, 10);
        gy__text_char(&text, '.');
        append_repeated(&text, '0', decimals - (size_t)(end - first));
        gy__text_bytes(&text, first, (size_t)(end - first));
    }
    if (exponent > 0)
        gy__text_printf(&text, "e+%02u", exponent);
    append_filled(t, c, sign, body, text.len);
}

/* False for a conversion that is not known; then no argument was read. */
static bool append_conversion(struct gy__text *t, struct conversion *c, struct arguments *args)
{
    char byte;
    int64_t value;
    switch (c->letter) {
    case 's':
        append_string(t, c, va_arg(args->list, const char *));
        return true;
    case 'p':
        (void)va_arg(args->list, void *);
        append_string(t, c, "(pointer)");
        return true;
    case 'c':
        byte = (char)va_arg(args->list, int);
        append_filled(t, c, "", &byte, 1);
        return true;
    case 'd':
    case 'i':
        value = signed_argument(c->length, args);
        append_number(t, c, value < 0 ? "-" : "", magnitude(value));
        return true;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        append_double(t, c, va_arg(args->list, double));
        return true;
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        append_number(t, c, "", unsigned_argument(c->length, args));
        return true;
    case '%':
        gy__text_char(t, '%');
        return true;
    default:
        return false;
    }
}

void gy__text_vprintf(struct gy__text *t, const char *format, va_list list)
{
    struct arguments args;
    va_copy(args.list, list);
    while (*format != '\0') {
        const char *plain = format;
        while (*format != '\0' && *format != '%')
            format++;
        gy__text_bytes(t, plain, (size_t)(format - plain));
        if (*format == '\0')
            break;
        struct conversion c;
        const char *next = parse_conversion(format + 1, &c, &args);
        if (!append_conversion(t, &c, &args)) {
            gy__text_string(t, format);
            break;
        }
        format = next;
    }
    va_end(args.list);
}

void gy__text_printf(struct gy__text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gy__text_vprintf(t, format, args);
    va_end(args);
}

void gy__text_size(struct gy__text *t, uint64_t bytes)
{
    static const char units[] = "kMGT";
    unsigned unit = 0;
    while (bytes != 0 && bytes % 1024 == 0 && unit < sizeof(units) - 1) {
        bytes /= 1024;
        unit++;
    }
    gy__text_unsigned(t, bytes);
    if (unit > 0)
        gy__text_char(t, units[unit - 1]);
}

void gy__text_time(struct gy__text *t, uint64_t time_ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    unsigned unit = 0;
    while (time_ns != 0 && time_ns % 1000 == 0 && unit < 3) {
        time_ns /= 1000;
        unit++;
    }
    gy__text_unsigned(t, time_ns);
    if (time_ns != 0)
        gy__text_string(t, units[unit]);
}
