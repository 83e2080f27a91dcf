/* gyre-perf's command line: its own options beside gyre's. */
#ifndef GYRE_PERF_OPTIONS_H
#define GYRE_PERF_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "gyre/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct perf_options {
    bool quick;
    uint32_t pairs; /* 0: 9, or 3 with quick */
    const char *filter;
    const char *json; /* NULL: none */
    const char *gate; /* a number above 0; NULL: none */
};

/* As gy_args(): -> 0 go on; > 0 leave with success; < 0 leave, a line was printed. argv keeps the
 * words that are no options. */
int perf_options_parse(struct perf_options *options, struct gy_config *config, int *argc,
                       char **argv);

#ifdef __cplusplus
}
#endif
#endif
