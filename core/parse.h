/* Numbers, sizes and times as people write them in options, read without libc. Pure functions; any
 * thread. */
#ifndef GYRE_CORE_PARSE_H
#define GYRE_CORE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* Read the decimal digits at *text, at least one, and advance *text behind them. False, and nothing
 * changed, when there is none or when they do not fit 64 bits. */
bool gy__parse_digits(const char **text, uint64_t *value);

/* A whole text that is a number with an optional unit k, M, G or T (or in the other case), each
 * 1024 of the one before.
 * -> 0; -EINVAL not such a number; -ERANGE more than 64 bits. */
int gy__parse_size(const char *text, uint64_t *value);

/* A whole text that is a time: a number and one of ns, us, ms, s, m, h; a plain 0 needs no unit.
 * Results in nanoseconds; errors as above. */
int gy__parse_time(const char *text, uint64_t *time_ns);

/* on, true, yes, 1 or off, false, no, 0. -> 0; -EINVAL. */
int gy__parse_bool(const char *text, bool *value);

#endif
