/* library.c - one at a time, many at a time, once for all: mutex, readers and writers, once.
 *
 * Visitors of a library are flows of one actor, and all come at the same moment. The catalogue is fetched by the first,
 * once for all who wait; the first time that fails, and whoever asks next tries again. Then many may read at a time,
 * one who changes something is alone, and each change goes into the book, one after the other. Handlers of one actor
 * never overlap, but what stands on both sides of an await does: that is what these are for.
 *
 *     gyre-library       logs what happened and ends with status 0 if it was as it should be */
#include "gyre/args.h"
#include "gyre/flow.h"
#include "gyre/mutex.h"
#include "gyre/once.h"
#include "gyre/run.h"
#include "gyre/rwlock.h"
#include "gyre/typed.h"

#include <errno.h>

#define VISITORS 12u

struct library_args {
    int *failures; /* borrowed until the runtime has ended */
};
GY_ACTOR(library);
struct library {
    struct gy_actor actor;
    int *failures;
    struct gy_once catalogue;
    struct gy_rwlock shelves;
    struct gy_mutex book;
    struct gy_timer fetching;
    unsigned visitors, fetched, refused, together, changes, writing, entries;
};
GY_ACTOR_TYPE(library, library_start, library_stop);
GY_TIMER(library, library_on_fetched);

static void expect(struct library *self, bool right, const char *what)
{
    if (!right)
        gy_log("wrong: %s", what);
    *self->failures += !right;
}

static void library_on_fetched(struct library *self, struct gy_timer *timer)
{
    (void)timer;
    (void)gy_once_done(&self->catalogue, ++self->fetched == 1 ? -EIO : 0);
}

/* ---- a visit ---- */

struct visit {
    struct gy_flow flow;
    bool changes;
    enum { NOTHING, READS, WRITES, BOOK } holds; /* what it has to give back, however it ends */
};
GY_FLOW(library, visit);

static void give_back(struct library *self, struct visit *f)
{
    if (f->holds == READS)
        (void)gy_rwlock_read_unlock(&self->shelves);
    if (f->holds == WRITES)
        (void)gy_rwlock_write_unlock(&self->shelves);
    if (f->holds == BOOK)
        (void)gy_mutex_unlock(&self->book);
    f->holds = NOTHING;
}

GY_FLOW_BEGIN(library, self, visit, f)
    GY_WHILE(self->catalogue.state != GY_ONCE_DONE)
        if (gy_once_first(&self->catalogue))
            gy_timer_arm(self, &self->fetching, library_on_fetched, 2 * GY_MS);
        GY_AWAIT(f, gy_once_wait(&self->catalogue)); /* with an error: ask again */
        self->refused += f->flow.res < 0;
    GY_END

    GY_AWAIT(f, f->changes ? gy_rwlock_write(&self->shelves) : gy_rwlock_read(&self->shelves));
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    f->holds = f->changes ? WRITES : READS;
    GY_AWAIT(f, gy_after(GY_MS)); /* others are served meanwhile */
    expect(self, !f->changes || self->shelves.readers == 0, "somebody read amid a change");
    if (self->shelves.readers > self->together)
        self->together = self->shelves.readers;
    self->changes += f->changes;
    give_back(self, f);

    GY_IF(f->changes)
        GY_AWAIT(f, gy_mutex_lock(&self->book));
        if (f->flow.res < 0)
            GY_LEAVE(f, f->flow.res);
        f->holds = BOOK;
        gy_log("entry %u is being written", self->entries);
        expect(self, ++self->writing == 1, "two write in the book");
        GY_AWAIT(f, gy_after(3 * GY_MS));
        self->writing--;
        self->entries++;
        give_back(self, f);
    GY_END
GY_CLEANUP(f)
    give_back(self, f);
    if (--self->visitors == 0 && gy_actor_stop(self->actor.pid, 0) < 0)
        gy_fail(&self->actor, -EAGAIN);
GY_FLOW_END(f)

/* ---- the library ---- */

static int library_start(struct library *self, const struct library_args *args)
{
    self->failures = args->failures;
    gy_once_init(&self->catalogue, &self->actor);
    gy_rwlock_init(&self->shelves, &self->actor);
    gy_mutex_init(&self->book, &self->actor);
    self->visitors = VISITORS;
    for (unsigned i = 0; i < VISITORS; i++) {
        gy_fut fut = visit_start(self, &(struct visit){ .changes = i % 4 == 3 });
        int err = gy_refused(fut);
        if (err < 0)
            return err;
        gy_forget(fut);
    }
    return 0;
}

static void library_stop(struct library *self, int why)
{
    expect(self, why == 0, "it was closed early");
    expect(self, self->fetched == 2 && self->refused == VISITORS, "fetched too often, or too seldom");
    expect(self, self->together > 1 && !self->shelves.writer, "nobody read at the same time");
    expect(self, self->changes == VISITORS / 4 && self->entries == self->changes, "a change is lost");
    gy_log("fetched %u times, %u read at a time, %u changes, %u in the book", self->fetched,
           self->together, self->changes, self->entries);
    gy_stop(gy_runtime_of_shard());
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    library_pid pid;
    return shard == 0 ? library_spawn(&pid, &(struct library_args){ arg }) : 0;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = { .about = "Visitors of a library, all at the same moment." };
    int failures = 0;
    struct gy_config config;
    gy_config_init(&config);
    config.handle_signals = true;
    int err = gy_args(&config, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    err = gy_run(&config, boot, &failures);
    return err < 0 ? gy_exit_status(err) : failures != 0;
}
