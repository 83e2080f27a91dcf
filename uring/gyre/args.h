/* gyre/args.h - a program's command line: its own options and the library's, from one call.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct gy_config cfg;
 *         gy_config_init(&cfg);
 *         cfg.handle_signals = true;  (SIGTERM and SIGINT drain)
 *         int err = gy_args(&cfg, &program, &argc, argv);
 *         if (err == 0)
 *             err = gy_run(&cfg, boot, NULL);
 *         return gy_exit_status(err);
 *     }
 *
 * These functions read the process' environment and write to its standard output and error: call
 * them before other threads change either. */
#ifndef GYRE_ARGS_H
#define GYRE_ARGS_H

#include "gyre/base.h"
#include "gyre/config.h"
#include "gyre/options.h"

GY_BEGIN_DECLS

/* What a program says about itself. Everything may be zero; all texts are borrowed for the call. */
struct gy_program {
    const char *name;                /* in messages; NULL: the last part of argv[0] */
    const char *version;             /* for --version; NULL: only the library's is shown */
    const char *about;               /* a line of --help */
    const char *arguments;           /* of the usage line, behind the options: "FILE..." */
    const struct gy_option *options; /* its own, which win over the library's of the same name */
    size_t options_n;
    void *fields; /* the struct that they fill; texts in it point into argv or the environment */
};

/* Read environment and command line into cfg and the program's own struct, and do what does not
 * need a run: --help, --version, --print-config, --print-topology, --doctor. Every argument that
 * begins with a dash must be known; argv keeps the others, and all behind "--", also for a program that
 * takes none (arguments NULL): it refuses them itself, if argc > 1. Shards and CPUs are
 * checked against this machine, so that a start cannot fail on them.
 * -> 0 go on; > 0 leave, with success: something was printed, or (GY_COMMAND_OWN and up) the
 * program's own command was asked for; < 0 leave: one line on standard error told why. */
GY_API GY_MUST_CHECK int gy_args(struct gy_config *cfg, const struct gy_program *program, int *argc,
                                 char **argv);

/* The same for programs that parse their options themselves, before or after: only the library's
 * options are taken out of argv, others are left, unless they are misspelt ones of the library. */
GY_API GY_MUST_CHECK int gy_config_args(struct gy_config *cfg, int *argc, char **argv);

/* The exit status for a result of gy_args(), gy_config_args() or gy_run(): 0 for >= 0; 2 for
 * -EINVAL (the command line or configuration is wrong); 69 for -ENOSYS (io_uring is refused here);
 * else 1. */
GY_API int gy_exit_status(int err);

GY_END_DECLS

#endif
