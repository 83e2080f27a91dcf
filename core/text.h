/* Text built in a bounded buffer, without libc: messages, logs, help pages, metrics.
 *
 * A struct gy__text borrows its buffer until the last call on it. The text in it is always
 * terminated by a NUL; what does not fit is dropped and `cut` stays set, so a caller that cares
 * looks once, at the end. Any thread, one at a time; nothing allocates. */
#ifndef GYRE_CORE_TEXT_H
#define GYRE_CORE_TEXT_H

#include <stdarg.h>

#include "gyre/base.h"

struct gy__text {
    char *start;
    size_t size; /* of the buffer, the NUL included; at least 1 */
    size_t len;  /* without the NUL */
    bool cut;    /* something did not fit */
};

void gy__text_init(struct gy__text *t, char *buffer, size_t size);

void gy__text_char(struct gy__text *t, char c);
void gy__text_string(struct gy__text *t, const char *s);
void gy__text_bytes(struct gy__text *t, const char *s, size_t len);
void gy__text_unsigned(struct gy__text *t, uint64_t value);
void gy__text_signed(struct gy__text *t, int64_t value);
void gy__text_hex(struct gy__text *t, uint64_t value);

/* Append spaces until the last line is `column` characters long (none when it already is). */
void gy__text_pad(struct gy__text *t, size_t column);

/* printf's %s %d %i %u %o %x %X %c %p %f %% with hh, h, l, ll, j, z, t, and with '-', '0', a width and (for
 * %s and %f) a precision, which may be '*'. %f has at most 9 decimals; %e and %g are written like it. A NULL string prints as "(null)". %p prints
 * "(pointer)": addresses differ from run to run, and logs must not. From the first other conversion
 * on, the format is appended as it stands and no argument is read. */
GY_PRINTF(2, 3) void gy__text_printf(struct gy__text *t, const char *format, ...);
GY_PRINTF(2, 0) void gy__text_vprintf(struct gy__text *t, const char *format, va_list args);

/* The bytes of a size as people write them, 0, 4096 -> 4k, 5 << 20 -> 5M: the largest unit that
 * divides it. */
void gy__text_size(struct gy__text *t, uint64_t bytes);

/* A time as people write it: 0, 20us, 1500ms, 10s; the largest unit up to seconds that divides it.
 */
void gy__text_time(struct gy__text *t, uint64_t time_ns);

#endif
