/* Starts and ends the runtimes of gyre's side of the rows. */
#include <errno.h>

#include "gyre_run.h"

/* What the command line and the environment say; main() fills it before any row runs. */
static struct gy_config base;

struct gy_config *perf_config(void)
{
    return &base;
}

void perf_gyre_end(struct perf_gyre *run)
{
    run->end_ns = perf_now_ns();
    gy_stop(gy_runtime_of_shard());
}

int perf_gyre_run(struct perf_gyre *run, unsigned shards, bool value_kept)
{
    struct perf_sample *s = run->s;
    struct gy_config config = base;
    config.shards = shards;
    config.cpuset = (struct gy_cpuset){{0}};
    for (unsigned i = 0; i < shards; i++)
        gy_cpuset_add(&config.cpuset, (unsigned)s->cpu[i]);
    config.handle_signals = false;
    if (run->tune)
        run->tune(&config);
    int err = gy_run(&config, run->boot, run);
    if (err < 0)
        s->error = "the runtime does not start";
    if (err == 0 && run->failed < 0) {
        err = run->failed;
        s->error = "a send was refused";
    }
    if (!value_kept)
        s->value = (double)(run->end_ns - run->start_ns) / (double)s->ops;
    return err < 0 ? err : 0;
}
