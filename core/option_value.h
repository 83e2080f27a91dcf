/* One option's value: read from a text, written as a text, checked. Pure functions over a row of a
 * table and the struct that the table fills; any thread. */
#ifndef GYRE_CORE_OPTION_VALUE_H
#define GYRE_CORE_OPTION_VALUE_H

#include "gyre/options.h"
#include "core/text.h"

/* Does the option take a value at all? Switches may, but never from the next argument. */
bool gy__option_needs_value(const struct gy_option *option);

/* Read `value` into the option's field. -> 0; -EINVAL, and what is wrong and what is allowed is
 * appended to `why`. */
int gy__option_read(const struct gy_option *option, void *fields, const char *value,
                    struct gy__text *why);

/* Append the field's value as gy__option_read() would read it. */
void gy__option_write(const struct gy_option *option, const void *fields, struct gy__text *t);

/* Append the option as the user gave it, by where it came from: --shards=3, GYRE_SHARDS=3, or
 * shards=3 from a program. */
void gy__option_label(const struct gy_option *option, const void *fields, enum gy_origin origin,
                      struct gy__text *t);

/* Is the number in the option's field allowed? Values of other kinds always are. Result as of
 * gy__option_read(). */
int gy__option_check(const struct gy_option *option, const void *fields, struct gy__text *why);

#endif
