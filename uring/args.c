/* Command lines of programs (see gyre/args.h): core's parser, given the process' environment, and
 * the pages that end a program before it runs. Prints here, and nowhere else in the library but for
 * the log. */
#include "gyre/args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gyre/version.h"
#include "uring/doctor.h"
#include "uring/plan.h"
#include "uring/sysfile.h"
#include "uring/topology.h"

#define PAGE_SIZE_MAX 16384 /* of a printed page: the help of more options than a person reads */
#define TOPOLOGY_SIZE_MAX (GY_SHARDS_MAX * 96)
#define OWN_OPTIONS_MAX 256 /* whose origin is remembered */

static const char *name_of(const struct gy_program *program, int argc, char **argv)
{
    if (program->name != NULL)
        return program->name;
    if (argc < 1 || argv[0] == NULL)
        return "gyre";
    const char *slash = strrchr(argv[0], '/');
    return slash != NULL ? slash + 1 : argv[0];
}

static int fail(const char *name, const char *text, int err)
{
    (void)fprintf(stderr, "%s: %s\n", name, text);
    return err;
}

/* -> 1, the "something was printed" of gy_args(). */
static int print(const char *text)
{
    (void)fputs(text, stdout);
    return fflush(stdout) == 0 ? 1 : -EIO;
}

static int print_version(const struct gy_program *program, const char *name)
{
    char text[256];
    if (program->version != NULL)
        (void)snprintf(text, sizeof(text), "%s %s (gyre %s)\n", name, program->version,
                       gy_version());
    else
        (void)snprintf(text, sizeof(text), "%s (gyre %s)\n", name, gy_version());
    return print(text);
}

static int print_help(const struct gy_command_line *line, bool all)
{
    char page[PAGE_SIZE_MAX];
    int err = gy_options_help(line, all, page, sizeof(page));
    return err < 0 ? fail(line->program, "the help page is too long", err) : print(page);
}

static int print_config(const struct gy_command_line *line)
{
    char page[PAGE_SIZE_MAX];
    int err = gy_options_print(line, page, sizeof(page));
    return err < 0 ? fail(line->program, "the list of options is too long", err) : print(page);
}

static int print_doctor(const struct gy_config *cfg)
{
    char page[PAGE_SIZE_MAX];
    struct gy__text text;
    gy__text_init(&text, page, sizeof(page));
    int err = gy__doctor(cfg, GY__ROOT, &text);
    int printed = print(page);
    return err < 0 ? err : printed;
}

/* What the table cannot know: whether this machine has the CPUs. */
static int plan(const struct gy_config *cfg, const char *name, struct gy__topology *topology,
                struct gy__plan *out)
{
    char cause[512];
    struct gy__text why;
    int err = gy_config_check(cfg, cause, sizeof(cause));
    if (err < 0)
        return fail(name, cause, err);
    err = gy__topology_read(topology, GY__ROOT, NULL);
    if (err < 0)
        return fail(name, "the affinity mask cannot be read", err);
    gy__text_init(&why, cause, sizeof(cause));
    err = gy__plan_make(out, cfg, topology, &why);
    return err < 0 ? fail(name, cause, err) : 0;
}

static int check(const struct gy_config *cfg, const char *name, bool show)
{
    char page[TOPOLOGY_SIZE_MAX];
    struct gy__topology topology;
    struct gy__plan planned;
    struct gy__text text;
    int err = plan(cfg, name, &topology, &planned);
    if (err < 0 || !show)
        return err;
    gy__text_init(&text, page, sizeof(page));
    gy__plan_print(&planned, &topology, &text);
    return print(page);
}

static int obey(const struct gy_command_line *line, const struct gy_program *program,
                const struct gy_config *cfg, int command)
{
    switch (command) {
    case GY_COMMAND_NONE:
        return check(cfg, line->program, false);
    case GY_COMMAND_HELP:
    case GY_COMMAND_HELP_ALL:
        return print_help(line, command == GY_COMMAND_HELP_ALL);
    case GY_COMMAND_VERSION:
        return print_version(program, line->program);
    case GY_COMMAND_PRINT_CONFIG:
        return print_config(line);
    case GY_COMMAND_PRINT_TOPOLOGY:
        return check(cfg, line->program, true);
    case GY_COMMAND_DOCTOR:
        return print_doctor(cfg);
    default:
        return command; /* the program's own */
    }
}

static int read_line(struct gy_config *cfg, const struct gy_program *program, bool strict,
                     int *argc, char **argv)
{
    char why[512];
    uint8_t origin[OWN_OPTIONS_MAX] = {0};
    const struct gy_option_set sets[] = {
        {program->options, program->options_n, program->fields,
         program->options_n <= OWN_OPTIONS_MAX ? origin : NULL},
        gy_config_options(cfg),
    };
    const struct gy_command_line line = {
        .program = name_of(program, *argc, argv),
        .about = program->about,
        .arguments = program->arguments,
        .sets = sets,
        .sets_n = 2,
        .environment = (const char *const *)environ,
        .strict = strict,
    };
    int command = gy_options_parse(&line, argc, argv, why, sizeof(why));
    if (command < 0)
        return fail(line.program, why, command);
    return obey(&line, program, cfg, command);
}

int gy_args(struct gy_config *cfg, const struct gy_program *program, int *argc, char **argv)
{
    return read_line(cfg, program, true, argc, argv);
}

int gy_config_args(struct gy_config *cfg, int *argc, char **argv)
{
    static const struct gy_program unnamed;
    return read_line(cfg, &unnamed, false, argc, argv);
}

int gy_exit_status(int err)
{
    if (err >= 0)
        return 0;
    if (err == -EINVAL)
        return 2;
    return err == -ENOSYS ? 69 : 1;
}
