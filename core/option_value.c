/* Values of options (see option_value.h): one reader and one writer per kind, and one rule for what
 * numbers are allowed.
 *
 * Fields are reached by offset and copied by memcpy, so that a row needs no more than its kind to
 * know the type. */
#include "core/option_value.h"

#include <errno.h>
#include <string.h>

#include "core/address.h"
#include "core/cpuset.h"
#include "core/parse.h"

GY_STATIC_ASSERT(sizeof(enum gy_poll) == sizeof(uint32_t), "a choice is stored in 4 bytes");

static bool is_number(const struct gy_option *option)
{
    return option->kind == GY_OPTION_U32 || option->kind == GY_OPTION_U64 ||
           option->kind == GY_OPTION_TIME;
}

bool gy__option_needs_value(const struct gy_option *option)
{
    return option->kind != GY_OPTION_SWITCH && option->kind != GY_OPTION_COMMAND;
}

static size_t field_size(const struct gy_option *option)
{
    switch (option->kind) {
    case GY_OPTION_SWITCH:
    case GY_OPTION_BOOL:
        return sizeof(bool);
    case GY_OPTION_U32:
    case GY_OPTION_CHOICE:
        return sizeof(uint32_t);
    case GY_OPTION_U64:
    case GY_OPTION_TIME:
        return sizeof(uint64_t);
    case GY_OPTION_CPUS:
        return sizeof(struct gy_cpuset);
    case GY_OPTION_TEXT:
    case GY_OPTION_ADDRESS:
        return sizeof(const char *);
    case GY_OPTION_COMMAND:
        break;
    }
    return 0;
}

static void get(const struct gy_option *option, const void *fields, void *value)
{
    memcpy(value, (const char *)fields + option->offset, field_size(option));
}

static void set(const struct gy_option *option, void *fields, const void *value)
{
    memcpy((char *)fields + option->offset, value, field_size(option));
}

static uint64_t get_number(const struct gy_option *option, const void *fields)
{
    uint32_t narrow;
    uint64_t wide;
    if (field_size(option) == sizeof(narrow)) {
        get(option, fields, &narrow);
        return narrow;
    }
    get(option, fields, &wide);
    return wide;
}

static void set_number(const struct gy_option *option, void *fields, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    set(option, fields,
        field_size(option) == sizeof(narrow) ? (const void *)&narrow : (const void *)&value);
}

/* ---- what is allowed ---- */

static uint64_t number_max(const struct gy_option *option)
{
    if (option->min != 0 || option->max != 0)
        return option->max;
    return field_size(option) == sizeof(uint32_t) ? UINT32_MAX : UINT64_MAX;
}

static bool number_is_allowed(const struct gy_option *option, uint64_t value)
{
    if (value == 0 && option->zero != NULL)
        return true;
    if ((option->flags & GY_OPTION_POWER_OF_2) != 0 && (value == 0 || (value & (value - 1)) != 0))
        return false;
    return value >= option->min && value <= number_max(option);
}

static void append_number(const struct gy_option *option, uint64_t value, struct gy__text *t)
{
    if (value == 0 && option->zero != NULL)
        gy__text_string(t, option->zero);
    else if (option->kind == GY_OPTION_TIME)
        gy__text_time(t, value);
    else
        gy__text_unsigned(t, value);
}

static int refuse_number(const struct gy_option *option, struct gy__text *why)
{
    gy__text_string(why, option->flags & GY_OPTION_POWER_OF_2 ? "allowed are powers of two from "
                                                              : "allowed is ");
    /* A zero that has a name is named at the end; the range itself is in digits. */
    struct gy_option digits = *option;
    digits.zero = NULL;
    append_number(&digits, option->min, why);
    gy__text_string(why, " to ");
    append_number(&digits, number_max(option), why);
    if (option->zero != NULL)
        gy__text_printf(why, ", or %s", option->zero);
    return -EINVAL;
}

int gy__option_check(const struct gy_option *option, const void *fields, struct gy__text *why)
{
    if (!is_number(option) || number_is_allowed(option, get_number(option, fields)))
        return 0;
    return refuse_number(option, why);
}

/* ---- words ---- */

/* The n-th of "a|b|c", or NULL behind the last; *len gets its length. */
static const char *word_at(const char *words, unsigned n, size_t *len)
{
    for (;;) {
        const char *bar = strchr(words, '|');
        *len = bar != NULL ? (size_t)(bar - words) : strlen(words);
        if (n-- == 0)
            return words;
        if (bar == NULL)
            return NULL;
        words = bar + 1;
    }
}

static int read_choice(const struct gy_option *option, void *fields, const char *value,
                       struct gy__text *why)
{
    size_t len;
    const char *word;
    for (uint32_t i = 0; (word = word_at(option->words, i, &len)) != NULL; i++) {
        if (strlen(value) == len && strncmp(value, word, len) == 0) {
            set(option, fields, &i);
            return 0;
        }
    }
    gy__text_string(why, "allowed is one of ");
    for (unsigned i = 0; (word = word_at(option->words, i, &len)) != NULL; i++)
        gy__text_printf(why, "%s%.*s", i == 0 ? "" : ", ", (int)len, word);
    return -EINVAL;
}

static void write_choice(const struct gy_option *option, const void *fields, struct gy__text *t)
{
    size_t len;
    uint32_t chosen = (uint32_t)get_number(option, fields);
    const char *word = word_at(option->words, chosen, &len);
    if (word != NULL)
        gy__text_bytes(t, word, len);
    else
        gy__text_unsigned(t, chosen);
}

/* ---- reading ---- */

static int read_number(const struct gy_option *option, void *fields, const char *value,
                       struct gy__text *why)
{
    uint64_t number;
    int err = option->kind == GY_OPTION_TIME ? gy__parse_time(value, &number)
                                             : gy__parse_size(value, &number);
    if (err == -EINVAL) {
        gy__text_string(why, option->kind == GY_OPTION_TIME
                                 ? "not a time; write a number and ns, us, ms, s, m or h; "
                                 : "not a number; ");
        return refuse_number(option, why);
    }
    if (err < 0 || !number_is_allowed(option, number) ||
        (number == 0 && option->zero != NULL && option->min > 0))
        return refuse_number(option, why);
    set_number(option, fields, number);
    return 0;
}

static int read_bool(const struct gy_option *option, void *fields, const char *value,
                     struct gy__text *why)
{
    bool truth;
    if (gy__parse_bool(value, &truth) < 0) {
        gy__text_string(why, "allowed is on or off");
        return -EINVAL;
    }
    set(option, fields, &truth);
    return 0;
}

static int read_cpus(const struct gy_option *option, void *fields, const char *value,
                     struct gy__text *why)
{
    struct gy_cpuset cpus;
    int err = gy_cpuset_parse(&cpus, value);
    if (err == -ERANGE)
        gy__text_printf(why, "CPU numbers end at %u", GY_CPUS_MAX - 1);
    else if (err < 0)
        gy__text_string(why, "not a list of CPUs; write it like 0-3,8 or 0-14:2");
    else
        set(option, fields, &cpus);
    return err < 0 ? -EINVAL : 0;
}

static int read_address(const struct gy_option *option, void *fields, const char *value,
                        struct gy__text *why)
{
    const char *wrong = gy__address_wrong_to_listen(value);
    if (wrong != NULL) {
        gy__text_string(why, wrong);
        return -EINVAL;
    }
    set(option, fields, &value);
    return 0;
}

int gy__option_read(const struct gy_option *option, void *fields, const char *value,
                    struct gy__text *why)
{
    if (*value == '\0' && option->kind != GY_OPTION_TEXT) {
        gy__text_string(why, "the value is empty");
        return -EINVAL;
    }
    if (option->zero != NULL && strcmp(value, option->zero) == 0) {
        memset((char *)fields + option->offset, 0, field_size(option));
        return 0;
    }
    switch (option->kind) {
    case GY_OPTION_SWITCH:
    case GY_OPTION_BOOL:
        return read_bool(option, fields, value, why);
    case GY_OPTION_U32:
    case GY_OPTION_U64:
    case GY_OPTION_TIME:
        return read_number(option, fields, value, why);
    case GY_OPTION_CHOICE:
        return read_choice(option, fields, value, why);
    case GY_OPTION_CPUS:
        return read_cpus(option, fields, value, why);
    case GY_OPTION_TEXT:
        set(option, fields, &value);
        return 0;
    case GY_OPTION_ADDRESS:
        return read_address(option, fields, value, why);
    case GY_OPTION_COMMAND:
        break;
    }
    gy__text_string(why, "takes no value");
    return -EINVAL;
}

/* ---- writing ---- */

static void write_cpus(const struct gy_option *option, const void *fields, struct gy__text *t)
{
    struct gy_cpuset cpus;
    get(option, fields, &cpus);
    if (gy__cpuset_is_empty(&cpus) && option->zero != NULL)
        gy__text_string(t, option->zero);
    else
        gy__cpuset_format(t, &cpus);
}

static void write_text(const struct gy_option *option, const void *fields, struct gy__text *t)
{
    const char *value;
    get(option, fields, &value);
    if (value == NULL)
        value = option->zero != NULL ? option->zero : "";
    gy__text_string(t, value);
}

void gy__option_write(const struct gy_option *option, const void *fields, struct gy__text *t)
{
    bool truth;
    switch (option->kind) {
    case GY_OPTION_SWITCH:
    case GY_OPTION_BOOL:
        get(option, fields, &truth);
        gy__text_string(t, truth ? "on" : "off");
        break;
    case GY_OPTION_U32:
    case GY_OPTION_U64:
    case GY_OPTION_TIME:
        append_number(option, get_number(option, fields), t);
        break;
    case GY_OPTION_CHOICE:
        write_choice(option, fields, t);
        break;
    case GY_OPTION_CPUS:
        write_cpus(option, fields, t);
        break;
    case GY_OPTION_TEXT:
    case GY_OPTION_ADDRESS:
        write_text(option, fields, t);
        break;
    case GY_OPTION_COMMAND:
        break;
    }
}

void gy__option_label(const struct gy_option *option, const void *fields, enum gy_origin origin,
                      struct gy__text *t)
{
    if (origin == GY_ORIGIN_ENVIRONMENT && option->env != NULL)
        gy__text_printf(t, "%s=", option->env);
    else
        gy__text_printf(t, "%s%s=", origin == GY_ORIGIN_FLAG ? "--" : "", option->name);
    gy__option_write(option, fields, t);
}
