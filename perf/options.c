/* The table of gyre-perf's options. */
#include <stddef.h>

#include "gyre/args.h"
#include "options.h"

#define FIELD(name) .offset = offsetof(struct perf_options, name), .group = "Measuring"

static const struct gy_option table[] = {
    {"quick", NULL, GY_OPTION_SWITCH, FIELD(quick), .help = "3 short pairs of roof and gyre"},
    {"pairs", NULL, GY_OPTION_U32, FIELD(pairs), .min = 1, .max = 1000, .zero = "auto",
     .value = "N|auto", .help = "so many pairs; auto: 9"},
    {"filter", NULL, GY_OPTION_TEXT, FIELD(filter), .zero = "all", .value = "RE",
     .help = "only rows that match"},
    {"json", NULL, GY_OPTION_TEXT, FIELD(json), .zero = "none", .value = "FILE",
     .help = "write google-benchmark's JSON"},
    {"gate", NULL, GY_OPTION_TEXT, FIELD(gate), .zero = "none", .value = "X",
     .help = "status 1 if X times a goal is missed"},
};

int perf_options_parse(struct perf_options *options, struct gy_config *config, int *argc,
                       char **argv)
{
    const struct gy_program program = {
        .name = "gyre-perf",
        .about = "what gyre's messages cost, each row beside the least it can cost",
        .arguments = "list | run [-- --benchmark_...] | once ROW OPS",
        .options = table,
        .options_n = sizeof(table) / sizeof(table[0]),
        .fields = options,
    };
    return gy_args(config, &program, argc, argv);
}
