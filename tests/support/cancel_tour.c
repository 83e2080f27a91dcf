#include "tests/support/cancel_tour.h"

#include "gyre/config.h"
#include "gyre/file.h"
#include "gyre/pipe.h"
#include "gyre/process.h"
#include "gyre/timer.h"
#include "gyre/watch.h"

#include <errno.h>
#include <string.h>

struct cancel_tour_actor {
    struct gy_actor actor;
    struct cancel_tour *tour;
    gy_file watch;
};

void cancel_tour_config(struct gy_config *config)
{
    config->shards = 1;
    config->futures = 16384;
    config->operations = 12000;
    config->fifo_cells = 32768;
}

static gy_fut process(struct cancel_tour_actor *self)
{
    const char *const argv[] = {"program", "60", NULL};
    struct gy_process_spec spec;
    if (self->tour->program == NULL)
        return gy_after(3600 * GY_S);
    gy_process_spec_init(&spec, self->tour->program);
    spec.argv = argv;
    return gy_process_start(self, &spec).fut;
}

/* A pipe through which nothing comes. -> the end that reads, -1: refused. */
static int32_t quiet(struct cancel_tour *tour)
{
    int32_t *ends = tour->pipes[tour->pipes_count];
    int err = gy_pipe(ends);
    if (err < 0) {
        tour->refused = err;
        return -1;
    }
    tour->pipes_count++;
    return ends[0];
}

static gy_fut redirect(struct cancel_tour_actor *self)
{
    int32_t from = quiet(self->tour);
    (void)quiet(self->tour);
    return gy_redirect(self, from, self->tour->pipes[self->tour->pipes_count - 1][1], 0);
}

/* Few of those that take descriptors, or a process; most only wait. */
static gy_fut one_of(struct cancel_tour_actor *self, unsigned i)
{
    if (i % 1000 == 999)
        return process(self);
    if (i % 100 == 50)
        return redirect(self);
    switch (i % 20) {
    case 0:
        return gy_fd_poll(self, quiet(self->tour), GY_FD_READS);
    case 1:
        return gy_fd_peek(self, quiet(self->tour), 16);
    case 2:
    case 3:
    case 4:
        return gy_after(3600 * GY_S);
    default:
        return gy_watch_next(self->watch);
    }
}

static void close_pipes(struct cancel_tour *tour)
{
    while (tour->pipes_count > 0) {
        tour->pipes_count--;
        gy_fd_close(tour->pipes[tour->pipes_count][0]);
        gy_fd_close(tour->pipes[tour->pipes_count][1]);
    }
}

GY_THEN_RES(cancel_tour_actor, on_closed)
{
    (void)ctx, (void)res;
    self->tour->ended = 1;
}

GY_THEN_RES(cancel_tour_actor, on_end)
{
    struct cancel_tour *tour = self->tour;
    (void)ctx;
    if (res != -ECANCELED)
        tour->wrong = res != 0 ? res : 1;
    if (++tour->canceled < tour->count)
        return;
    close_pipes(tour);
    (void)gy_then(self, gy_file_close(self->watch), on_closed, 0);
}

GY_THEN_RES(cancel_tour_actor, on_time)
{
    struct cancel_tour *tour = self->tour;
    (void)ctx, (void)res;
    for (unsigned i = 0; tour->how == CANCEL_TOUR_DISCARD && i < tour->count; i++)
        gy_discard(tour->futs[i]);
    if (tour->how == CANCEL_TOUR_ACTOR_ENDS)
        gy_fail(&self->actor, -EPIPE);
}

GY_THEN_RES(cancel_tour_actor, on_open)
{
    struct cancel_tour *tour = self->tour;
    (void)ctx;
    self->watch = gy_file_of(res);
    if (res < 0) {
        tour->refused = res;
        return;
    }
    for (unsigned i = 0; i < tour->count; i++) {
        tour->futs[i] = one_of(self, i);
        if (gy_refused(tour->futs[i]) < 0)
            tour->refused = gy_refused(tour->futs[i]);
        (void)gy_then(self, tour->futs[i], on_end, 0);
    }
    tour->asked = tour->count;
    if (tour->how != CANCEL_TOUR_STOP)
        (void)gy_then(self, gy_after(tour->after_ns), on_time, 0);
}

static int tour_start(struct cancel_tour_actor *self, const struct cancel_tour_actor_args *args)
{
    self->tour = args->tour;
    return gy_then(self, gy_watch_open(args->tour->dir, GY_WATCH_ALL), on_open, 0);
}
static void tour_stop(struct cancel_tour_actor *self, int why)
{
    (void)why;
    /* Nobody else would: the descriptors are the program's. */
    close_pipes(self->tour);
    self->tour->ended = 1;
}
GY_ACTOR_TYPE(cancel_tour_actor, tour_start, tour_stop);
