/* crew.c - a supervisor whose children come and go.
 *
 * A supervisor begins with one child, the clock. A boss hires two more while it runs, each with its own
 * arguments; one of them fails, and is started again by the supervisor; the other is let go. Then the
 * tree is printed. Shows: a child's stable address (struct gy_child), adding, removing and counting by
 * calls that a flow awaits, whose answer is a pid, and what is refused.
 *
 *     gyre-crew        logs what happens and ends with status 0 */
#include "gyre/args.h"
#include "gyre/flow.h"
#include "gyre/run.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <errno.h>

/* ---- who works ---- */

struct hand_args {
    char name[16]; /* copied with the child: it is started again with the same */
};
GY_ACTOR(hand);
struct hand_work_msg {
    uint32_t hard; /* too hard: it fails */
};
GY_CAST(hand, work);

struct hand {
    struct gy_actor actor;
    struct hand_args args;
};
GY_ACTOR_TYPE(hand, hand_start, hand_stop);
GY_VERB(hand, work);
GY_CHILD(hand);

static int hand_start(struct hand *self, const struct hand_args *args)
{
    self->args = *args;
    gy_log("%s begins", self->args.name);
    return 0;
}
static void hand_stop(struct hand *self, int why)
{
    gy_log("%s ends: %d", self->args.name, why);
}
void hand_on_work(struct hand *self, const struct hand_work_msg *msg)
{
    if (msg->hard)
        gy_fail(&self->actor, -EIO); /* ends this actor alone, when the handler returns */
    else
        gy_log("%s works", self->args.name);
}

/* ---- who hires and lets go ---- */

static int result; /* of the program: read when the runtime has ended */
/* Where they are now, on the one shard that uses them: written until the supervisor forgets them or
 * ends, so not a part of an actor that may end before. */
static struct gy_child ada, bob;

struct boss_args {
    gy_pid crew;
};
GY_ACTOR(boss);
struct boss {
    struct gy_actor actor;
    gy_pid crew; /* the supervisor */
};
GY_ACTOR_TYPE(boss, boss_start, boss_stop);

struct day {
    struct gy_flow flow;
    hand_spawn_fut hired;
    gy_fut counted;
};
GY_FLOW(boss, day);

static hand_spawn_fut hire(struct boss *self, const struct hand_args *args, struct gy_child *child)
{
    return hand_child_add(self->crew, args->name, args, GY_RESTART_ON_FAILURE, child);
}

static int tell(const struct gy_child *child, uint32_t hard)
{
    return hand_work((hand_pid){ child->pid }, (struct hand_work_msg){ hard });
}

GY_FLOW_BEGIN(boss, self, day, f)
    GY_AWAIT(f, hire(self, &(struct hand_args){ "ada" }, &ada).fut);
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    f->hired = hire(self, &(struct hand_args){ "bob" }, &bob);
    GY_AWAIT(f, f->hired.fut);
    struct hand_spawn_reply hired; /* where bob is, in this life */
    int began = hand_spawn_value(f->hired, &hired);
    if (began == 0)
        began = hand_work(hired.pid, (struct hand_work_msg){ 0 });
    if (began < 0)
        GY_LEAVE(f, began);
    GY_AWAIT(f, hire(self, &(struct hand_args){ "bob" }, NULL).fut);
    gy_log("a second bob: error %d", f->flow.res);

    int failed = tell(&ada, 1);
    if (failed < 0)
        GY_LEAVE(f, failed);
    GY_AWAIT(f, gy_supervisor_remove(self->crew, "bob"));
    GY_AWAIT(f, gy_after(GY_MS));
    int worked = tell(&ada, 0); /* another life, the same address */
    if (worked < 0)
        GY_LEAVE(f, worked);

    f->counted = gy_supervisor_count(self->crew);
    GY_AWAIT(f, f->counted);
    struct gy_supervisor_counts counts;
    int err = gy_value_raw(f->counted, &counts, sizeof(counts));
    if (err < 0)
        GY_LEAVE(f, err);
    gy_log("%u of %u run, %u restarts", counts.running, counts.children, (unsigned)counts.restarts);
    gy_supervisor_print(self->crew);
GY_CLEANUP(f)
    result = f->flow.why;
    gy_stop(gy_runtime_of_shard());
GY_FLOW_END(f)

static int boss_start(struct boss *self, const struct boss_args *args)
{
    self->crew = args->crew;
    gy_fut fut = day_start(self, &(struct day){ .counted = { 0 } });
    int err = gy_refused(fut);
    gy_forget(fut);
    return err;
}
static void boss_stop(struct boss *self, int why)
{
    (void)self, (void)why;
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    static const struct hand_args clock = { "clock" };
    static const struct gy_child_spec children[] = {
        { .id = "clock", .type = &hand_type, .args = &clock, .restart = GY_RESTART_ALWAYS },
    };
    const struct gy_supervisor_args crew = { .children = children, .count = 1,
                                             .strategy = GY_ONE_FOR_ONE, .restarts_max = 3,
                                             .within_ns = 5 * GY_S };
    boss_pid boss;
    gy_pid pid;
    (void)arg;
    if (shard > 0)
        return 0;
    int err = gy_supervisor_spawn(&pid, &crew);
    return err < 0 ? err : boss_spawn(&boss, &(struct boss_args){ pid });
}

int main(int argc, char **argv)
{
    static const struct gy_program program = { .about = "A supervisor whose children come and go." };
    struct gy_config config;
    gy_config_init(&config);
    config.handle_signals = true;
    int err = gy_args(&config, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&config, boot, NULL);
    return gy_exit_status(err < 0 ? err : result);
}
