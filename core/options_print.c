/* Tables of options as pages for people: the help page, and the list of what is in force (see
 * gyre/options.h). */
#include "gyre/options.h"

#include <errno.h>
#include <string.h>

#include "core/option_value.h"
#include "core/text.h"

/* Where the explanations begin: the longest option of the library's first page fits before it, and
 * a line keeps to 80. */
#define HELP_COLUMN 31
#define ORIGIN_COLUMN 40

/* Where the table has no word for a value its kind has: without any the option would look like a
 * switch. */
static const char *const values[] = {
    [GY_OPTION_BOOL] = "on|off", [GY_OPTION_U32] = "N",       [GY_OPTION_U64] = "N",
    [GY_OPTION_TIME] = "TIME",   [GY_OPTION_CPUS] = "LIST",   [GY_OPTION_TEXT] = "TEXT",
    [GY_OPTION_ADDRESS] = "ADDR", [GY_OPTION_COMMAND] = NULL,
};

static void print_synopsis(const struct gy_option *option, struct gy__text *t)
{
    const char *value = option->value != NULL ? option->value : option->words;
    if (value == NULL && option->kind <= GY_OPTION_COMMAND)
        value = values[option->kind];
    gy__text_printf(t, "  --%s", option->name);
    if (value != NULL)
        gy__text_printf(t, "=%s", value);
    gy__text_char(t, ' ');
    gy__text_pad(t, HELP_COLUMN);
}

/* [default, VARIABLE] */
static void print_default(const struct gy_option *option, const void *fields, struct gy__text *t)
{
    if (option->kind == GY_OPTION_COMMAND)
        return;
    gy__text_string(t, " [");
    size_t before = t->len;
    gy__option_write(option, fields, t);
    if (option->env != NULL)
        gy__text_printf(t, "%s%s", t->len > before ? ", " : "", option->env);
    gy__text_char(t, ']');
}

static void print_set(const struct gy_option_set *set, bool all, struct gy__text *t)
{
    const char *group = "";
    for (size_t i = 0; i < set->options_n; i++) {
        const struct gy_option *option = &set->options[i];
        if ((option->flags & GY_OPTION_ADVANCED) != 0 && !all)
            continue;
        if (option->group != NULL && strcmp(group, option->group) != 0) {
            group = option->group;
            gy__text_printf(t, "%s:\n", group);
        }
        print_synopsis(option, t);
        if (option->help != NULL)
            gy__text_string(t, option->help);
        print_default(option, set->fields, t);
        gy__text_char(t, '\n');
    }
}

int gy_options_help(const struct gy_command_line *line, bool all, char *text, size_t text_size)
{
    struct gy__text t;
    gy__text_init(&t, text, text_size);
    gy__text_printf(&t, "usage: %s [OPTION]...", line->program);
    if (line->arguments != NULL)
        gy__text_printf(&t, " %s", line->arguments);
    gy__text_char(&t, '\n');
    if (line->about != NULL)
        gy__text_printf(&t, "%s\n", line->about);
    for (size_t s = 0; s < line->sets_n; s++)
        print_set(&line->sets[s], all, &t);
    gy__text_string(
        &t, "Flag beats environment beats default. TIME: 20us, 25ms, 10s. N: 1000, 64k, 1M.\n");
    return t.cut ? -ENOSPC : 0;
}

static void print_origin(const struct gy_option_set *set, size_t i, struct gy__text *t)
{
    unsigned origin = set->origin != NULL ? set->origin[i] : GY_ORIGIN_DEFAULT;
    if (origin == GY_ORIGIN_FLAG)
        gy__text_string(t, "flag");
    else if (origin == GY_ORIGIN_ENVIRONMENT)
        gy__text_printf(t, "environment %s", set->options[i].env);
    else
        gy__text_string(t, "default");
}

int gy_options_print(const struct gy_command_line *line, char *text, size_t text_size)
{
    struct gy__text t;
    gy__text_init(&t, text, text_size);
    for (size_t s = 0; s < line->sets_n; s++) {
        const struct gy_option_set *set = &line->sets[s];
        for (size_t i = 0; i < set->options_n; i++) {
            if (set->options[i].kind == GY_OPTION_COMMAND)
                continue;
            gy__text_printf(&t, "%s=", set->options[i].name);
            gy__option_write(&set->options[i], set->fields, &t);
            gy__text_char(&t, ' ');
            gy__text_pad(&t, ORIGIN_COLUMN);
            print_origin(set, i, &t);
            gy__text_char(&t, '\n');
        }
    }
    return t.cut ? -ENOSPC : 0;
}
