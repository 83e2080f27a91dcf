/* The parser of command lines (see gyre/options.h).
 *
 * Three passes, so that precedence needs no bookkeeping: requests for help or the version, which
 * are answered whatever else the line says and while the structs still hold the defaults; then the
 * environment; then the arguments, which overwrite. Cost: O(arguments x options); nothing is kept.
 */
#include "gyre/options.h"

#include <errno.h>
#include <string.h>

#include "core/option_value.h"
#include "core/text.h"

struct found {
    const struct gy_option_set *set;
    const struct gy_option *option; /* NULL: there is none of that name */
};

struct parsing {
    const struct gy_command_line *line;
    struct gy__text why;
    int command; /* the first that was asked for */
};

static struct found find(const struct gy_command_line *line, const char *name, size_t len)
{
    for (size_t s = 0; s < line->sets_n; s++) {
        const struct gy_option_set *set = &line->sets[s];
        for (size_t i = 0; i < set->options_n; i++) {
            const char *known = set->options[i].name;
            if (strlen(known) == len && strncmp(known, name, len) == 0)
                return (struct found){set, &set->options[i]};
        }
    }
    return (struct found){NULL, NULL};
}

static int apply(struct parsing *p, struct found f, const char *value, enum gy_origin origin)
{
    char cause[160];
    struct gy__text why;
    gy__text_init(&why, cause, sizeof(cause));
    int err = gy__option_read(f.option, f.set->fields, value, &why);
    if (err < 0) {
        bool flag = origin == GY_ORIGIN_FLAG;
        gy__text_printf(&p->why, "%s%s=%s: %s", flag ? "--" : "",
                        flag ? f.option->name : f.option->env, value, cause);
        return err;
    }
    if (f.set->origin != NULL)
        f.set->origin[f.option - f.set->options] = (uint8_t)origin;
    return 0;
}

/* ---- environment ---- */

/* The value of variable `name`; NULL when it is not there or empty. */
static const char *look_up(const char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        if (strncmp(entry, name, len) == 0 && entry[len] == '=')
            return entry[len + 1] != '\0' ? entry + len + 1 : NULL;
    }
    return NULL;
}

static int read_environment(struct parsing *p)
{
    if (p->line->environment == NULL)
        return 0;
    for (size_t s = 0; s < p->line->sets_n; s++) {
        const struct gy_option_set *set = &p->line->sets[s];
        for (size_t i = 0; i < set->options_n; i++) {
            const struct gy_option *option = &set->options[i];
            if (option->env == NULL)
                continue;
            const char *value = look_up(p->line->environment, option->env);
            if (value == NULL)
                continue;
            int err = apply(p, (struct found){set, option}, value, GY_ORIGIN_ENVIRONMENT);
            if (err < 0)
                return err;
        }
    }
    return 0;
}

/* ---- unknown options ---- */

#define NAME_MAX_COMPARED 40u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* How many characters must be inserted, removed, replaced or swapped with their neighbour to get
 * from a to b. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NAME_MAX_COMPARED + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    if (a_len > NAME_MAX_COMPARED || b_len > NAME_MAX_COMPARED)
        return NAME_MAX_COMPARED;
    for (unsigned j = 0; j <= b_len; j++) {
        before[j] = 0;
        last[j] = j;
    }
    for (unsigned i = 1; i <= a_len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            row[j] = least(last[j] + 1, row[j - 1] + 1);
            row[j] = least(row[j], last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[b_len];
}

/* Typed by hand, what is likely to mean an option? Generous when the name cannot mean anything
 * else. When it may be the program's own, only names so long that two programs hardly have
 * neighbours there: --mailbux, but not --port for --poll. */
static bool is_near(const char *typed, size_t len, const char *known, bool strict)
{
    size_t known_len = strlen(known);
    unsigned apart = distance(typed, len, known, known_len);
    if (!strict)
        return known_len >= 6 && apart <= (known_len < 10 ? 1 : 2);
    return apart <= 2 || apart <= known_len / 3 || (len >= 3 && strncmp(known, typed, len) == 0);
}

/* The nearest option that is near at all, or NULL. */
static const struct gy_option *suggestion(const struct gy_command_line *line, const char *typed,
                                          size_t len)
{
    const struct gy_option *best = NULL;
    unsigned best_apart = NAME_MAX_COMPARED;
    for (size_t s = 0; s < line->sets_n; s++) {
        for (size_t i = 0; i < line->sets[s].options_n; i++) {
            const struct gy_option *option = &line->sets[s].options[i];
            unsigned apart = distance(typed, len, option->name, strlen(option->name));
            if (apart < best_apart && is_near(typed, len, option->name, line->strict)) {
                best = option;
                best_apart = apart;
            }
        }
    }
    return best;
}

/* arg: the whole argument. -> 0 it is none of our business; -EINVAL. */
static int meet_unknown(struct parsing *p, const char *arg, const char *name, size_t len)
{
    const struct gy_option *near = suggestion(p->line, name, len);
    if (near == NULL && !p->line->strict)
        return 0;
    gy__text_printf(&p->why, "%.*s: unknown option; ", (int)((size_t)(name - arg) + len), arg);
    if (near != NULL)
        gy__text_printf(&p->why, "did you mean --%s?", near->name);
    else
        gy__text_string(&p->why, "--help lists them");
    return -EINVAL;
}

/* ---- arguments ---- */

static int missing_value(struct parsing *p, const struct gy_option *option)
{
    const char *value = option->value != NULL ? option->value : option->words;
    gy__text_printf(&p->why, "--%s: needs a value", option->name);
    if (value != NULL)
        gy__text_printf(&p->why, ": --%s=%s", option->name, value);
    return -EINVAL;
}

/* An option of ours. value: behind its '=', or NULL. next: the argument that follows, or NULL; -> 1
 * when it was the value. */
static int take_option(struct parsing *p, struct found f, const char *value, const char *next)
{
    int used_next = 0;
    if (f.option->kind == GY_OPTION_COMMAND && value == NULL) {
        if (p->command == 0)
            p->command = (int)f.option->command;
        return 0;
    }
    if (value == NULL && gy__option_needs_value(f.option)) {
        if (next == NULL || strncmp(next, "--", 2) == 0)
            return missing_value(p, f.option);
        value = next;
        used_next = 1;
    }
    int err = apply(p, f, value != NULL ? value : "on", GY_ORIGIN_FLAG);
    return err < 0 ? err : used_next;
}

/* -> how many arguments were ours, 0 to 2; -EINVAL. */
static int take_argument(struct parsing *p, const char *arg, const char *next)
{
    if (strncmp(arg, "--", 2) != 0) {
        bool option = p->line->strict && arg[0] == '-' && arg[1] != '\0';
        return option ? meet_unknown(p, arg, arg + 1, strlen(arg + 1)) : 0;
    }
    const char *name = arg + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    struct found f = find(p->line, name, len);
    if (f.option == NULL)
        return meet_unknown(p, arg, name, len);
    int used_next = take_option(p, f, equals != NULL ? equals + 1 : NULL, next);
    return used_next < 0 ? used_next : 1 + used_next;
}

static int read_arguments(struct parsing *p, int *argc, char **argv)
{
    int err = 0, kept = 1, i = 1;
    while (i < *argc && err == 0 && strcmp(argv[i], "--") != 0) {
        int taken = take_argument(p, argv[i], i + 1 < *argc ? argv[i + 1] : NULL);
        if (taken < 0)
            err = taken;
        else if (taken == 0)
            argv[kept++] = argv[i++];
        else
            i += taken;
    }
    while (i < *argc)
        argv[kept++] = argv[i++];
    argv[kept] = NULL;
    *argc = kept;
    return err;
}

static int find_help(const struct gy_command_line *line, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (line->strict && strcmp(argv[i], "-h") == 0)
            return GY_COMMAND_HELP;
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        struct found f = find(line, argv[i] + 2, strlen(argv[i] + 2));
        if (f.option == NULL || f.option->kind != GY_OPTION_COMMAND)
            continue;
        unsigned command = f.option->command;
        if (command == GY_COMMAND_HELP || command == GY_COMMAND_HELP_ALL ||
            command == GY_COMMAND_VERSION)
            return (int)command;
    }
    return 0;
}

int gy_options_parse(const struct gy_command_line *line, int *argc, char **argv, char *text,
                     size_t text_size)
{
    struct parsing p = {.line = line};
    gy__text_init(&p.why, text, text_size);
    if (*argc < 1)
        return read_environment(&p);
    int help = find_help(line, *argc, argv);
    if (help > 0)
        return help;
    int err = read_environment(&p);
    if (err == 0)
        err = read_arguments(&p, argc, argv);
    return err < 0 ? err : p.command;
}
