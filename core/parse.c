/* Reading numbers (see parse.h). No function keeps state; each is O(length of the text). */
#include "core/parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -EINVAL: no digit at *text; -ERANGE: too many of them. */
static int parse_decimal(const char **text, uint64_t *value)
{
    const char *s = *text;
    uint64_t n = 0;
    if (!is_digit(*s))
        return -EINVAL;
    for (; is_digit(*s); s++) {
        unsigned digit = (unsigned)(*s - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        n = n * 10 + digit;
    }
    *text = s;
    *value = n;
    return 0;
}

bool gy__parse_digits(const char **text, uint64_t *value)
{
    return parse_decimal(text, value) == 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"k", UINT64_C(1) << 10},
    {"K", UINT64_C(1) << 10},
    {"m", UINT64_C(1) << 20},
    {"M", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"G", UINT64_C(1) << 30},
    {"t", UINT64_C(1) << 40},
    {"T", UINT64_C(1) << 40},
};

static const struct unit time_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
};

static int parse_with_unit(const char *text, const struct unit *units, size_t n, uint64_t *value)
{
    uint64_t number;
    int err = parse_decimal(&text, &number);
    if (err < 0)
        return err;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        if (number > UINT64_MAX / units[i].factor)
            return -ERANGE;
        *value = number * units[i].factor;
        return 0;
    }
    return -EINVAL;
}

int gy__parse_size(const char *text, uint64_t *value)
{
    return parse_with_unit(text, size_units, sizeof(size_units) / sizeof(size_units[0]), value);
}

int gy__parse_time(const char *text, uint64_t *time_ns)
{
    if (strcmp(text, "0") == 0) {
        *time_ns = 0;
        return 0;
    }
    return parse_with_unit(text, time_units, sizeof(time_units) / sizeof(time_units[0]), time_ns);
}

int gy__parse_bool(const char *text, bool *value)
{
    static const char *const words[2][4] = {{"off", "false", "no", "0"},
                                            {"on", "true", "yes", "1"}};
    for (unsigned truth = 0; truth < 2; truth++) {
        for (unsigned i = 0; i < 4; i++) {
            if (strcmp(text, words[truth][i]) == 0) {
                *value = truth == 1;
                return 0;
            }
        }
    }
    return -EINVAL;
}
