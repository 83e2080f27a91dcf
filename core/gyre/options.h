/* gyre/options.h - tables of options and their one parser.
 *
 * An option is a row that says where its value lives in a struct, how it is read and which values
 * are allowed. The library has one table, for struct gy_config; a program describes its own options
 * by the same rows, and both are read, explained and printed together. Flag beats environment beats
 * what the struct held before, which is therefore the default.
 *
 * Most programs call gy_args() (gyre/args.h), which takes the process' environment and prints; this
 * header is for their tables, and for those who have no process around them. Any thread; nothing
 * allocates and nothing is kept. */
#ifndef GYRE_OPTIONS_H
#define GYRE_OPTIONS_H

#include "gyre/base.h"
#include "gyre/config.h"

GY_BEGIN_DECLS

/* How a value is written on the command line, and the type of the field it fills. */
enum gy_option_kind {
    GY_OPTION_SWITCH, /* bool: --name alone is on; --name=on|off */
    GY_OPTION_BOOL,   /* bool: --name=on|off */
    GY_OPTION_U32,    /* uint32_t: a number, with k, M or G (powers of 1024) if one likes */
    GY_OPTION_U64,    /* uint64_t: the same */
    GY_OPTION_TIME,   /* uint64_t of nanoseconds: 20us, 25ms, 10s; 0 */
    GY_OPTION_CHOICE, /* an enum (of 4 bytes) that counts from 0: one of `words` */
    GY_OPTION_CPUS,   /* struct gy_cpuset: 0-3,8 or 0-14:2 */
    GY_OPTION_TEXT, /* const char *: borrowed from argv or the environment, as long as they live */
    GY_OPTION_ADDRESS, /* const char *, likewise: 127.0.0.1:8080, as gy_listen takes it */
    GY_OPTION_COMMAND /* no field: --name asks for something (`command`) instead of a run */
};

/* What a command asks for. A program's own commands count from GY_COMMAND_OWN. */
enum gy_command {
    GY_COMMAND_NONE,
    GY_COMMAND_HELP,
    GY_COMMAND_HELP_ALL,
    GY_COMMAND_VERSION,
    GY_COMMAND_PRINT_CONFIG,
    GY_COMMAND_PRINT_TOPOLOGY,
    GY_COMMAND_DOCTOR,
    GY_COMMAND_OWN = 32
};

enum gy_option_flags {
    GY_OPTION_ADVANCED = 1, /* only --help-all shows it */
    GY_OPTION_POWER_OF_2 = 2
};

/* Where a value came from. */
enum gy_origin { GY_ORIGIN_DEFAULT, GY_ORIGIN_ENVIRONMENT, GY_ORIGIN_FLAG };

/* One option. All texts are borrowed for as long as the table is used. */
struct gy_option {
    const char *name; /* without the dashes */
    const char *env;  /* the whole name of its environment variable; NULL: none */
    enum gy_option_kind kind;
    unsigned flags;    /* of enum gy_option_flags */
    size_t offset;     /* of its field in the struct that belongs to the table */
    uint64_t min, max; /* of numbers and times; both 0: the field's whole range */
    const char *
        zero; /* how 0, the empty set or no text is written, such as "auto"; NULL: no word for it */
    const char *words; /* of a choice, in order: "adaptive|always|never" */
    const char *value; /* what --help calls the value: "N|auto"; NULL: `words`, or a word for the kind */
    const char *help;  /* a few words, or NULL */
    const char *group; /* headline in --help; rows of one group stand together */
    unsigned command;  /* of a GY_OPTION_COMMAND */
};

/* A table and the struct its rows fill. */
struct gy_option_set {
    const struct gy_option *options; /* borrowed */
    size_t options_n;
    void *fields; /* borrowed: the struct that `offset` counts in */
    uint8_t
        *origin; /* borrowed: an enum gy_origin per row, written here; NULL: nobody wants to know */
};

/* The library's table for `cfg`. cfg: borrowed for as long as the set is used. */
GY_API struct gy_option_set gy_config_options(struct gy_config *cfg);

/* One command line to be read. */
struct gy_command_line {
    const char *program;   /* its name, for --help */
    const char *about;     /* one line for --help; NULL: none */
    const char *arguments; /* what usage shows behind the options: "FILE..."; NULL: nothing */
    const struct gy_option_set *sets; /* where two have the same name, the earlier set wins */
    size_t sets_n;
    const char *const *environment; /* "NAME=value" each, then NULL; NULL: there is none */
    bool strict; /* an unknown option is an error, and -h is --help; otherwise see below */
};

/* Read environment and arguments into the sets' structs. What was understood is removed from argv,
 * argv[argc] stays NULL.
 * --name=value and --name value are the same; from "--" on nothing is touched. Without `strict`, an
 * unknown option is left alone, unless it is so near to a long name of ours that it must be a slip.
 * An empty variable counts as none. text: borrowed; gets one line without newline that names the
 * option, the cause and what is allowed, when it fails.
 * -> 0 go on; > 0 the first command that was asked for; -EINVAL, with the structs filled in part.
 */
GY_API GY_MUST_CHECK int gy_options_parse(const struct gy_command_line *line, int *argc,
                                          char **argv, char *text, size_t text_size);

/* Write the help page: options in their groups, with defaults (what the structs hold now: ask
 * before parsing, or show what is in force) and environment variables. all: the advanced ones too.
 * -> 0; -ENOSPC, and the text is cut. */
GY_API GY_MUST_CHECK int gy_options_help(const struct gy_command_line *line, bool all, char *text,
                                         size_t text_size);

/* Write every option with its value and origin, one a line. -> 0; -ENOSPC, and the text is cut. */
GY_API GY_MUST_CHECK int gy_options_print(const struct gy_command_line *line, char *text,
                                          size_t text_size);

/* Are the numbers in `cfg` within what the options allow, also when a program wrote them? text: as
 * in gy_options_parse().
 * -> 0; -EINVAL. */
GY_API GY_MUST_CHECK int gy_config_check(const struct gy_config *cfg, char *text, size_t text_size);

GY_END_DECLS

#endif
