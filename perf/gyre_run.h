/* How a row runs gyre: a runtime of its own, pinned to the sample's CPUs, that ends by itself.
 *
 * A row's boot function spawns its actors on each shard; one of them notices when all messages of
 * the sample have arrived, notes the times and calls perf_gyre_end(). Warm-up messages go through
 * the same actors before the clock starts. */
#ifndef GYRE_PERF_GYRE_RUN_H
#define GYRE_PERF_GYRE_RUN_H

#include <stdbool.h>

#include "gyre/config.h"
#include "gyre/core.h"
#include "gyre/run.h"
#include "perf.h"

/* What the actors of one sample share. Each field has one writer; the control thread reads them
 * after the shards have ended. */
struct perf_gyre {
    struct perf_sample *s;
    void (*tune)(struct gy_config *config); /* NULL: as the command line says */
    gy_boot_fn *boot;
    uint64_t start_ns, end_ns;
    gy_pid pids[2];     /* written in boot by the shard of that number, read by any after boot */
    uint64_t counts[2]; /* what arrived, by shard */
    int failed;         /* the first send that was refused: its error */
};

/* Run it on so many shards. Afterwards the value is (end - start) / ops, unless `value_kept`: then
 * an actor has set it. -> 0, or -errno with s->error. */
int perf_gyre_run(struct perf_gyre *run, unsigned shards, bool value_kept);

/* On a shard: the sample is over; no message is handled any more. */
void perf_gyre_end(struct perf_gyre *run);

/* On a shard: a send that must not be refused. Ends the sample if it was. */
static inline void perf_must(struct perf_gyre *run, int err)
{
    if (__builtin_expect(err < 0, 0) && run->failed == 0) {
        run->failed = err;
        perf_gyre_end(run);
    }
}

#endif
