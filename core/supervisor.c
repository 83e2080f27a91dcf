/* core/supervisor.c - supervision, built on what every actor has: links, trapped exits, stops.
 *
 * A supervisor is in one of two states. RUNNING: all children run, but for those that ended and are not to be started
 * again. STOPPING: some children were told to stop, and when the last of them has ended, those from
 * `from` on are started again in order (or, if it gives up, it fails). Exits of children that were told to stop are expected and
 * decide nothing. A child that fails to start again counts as a restart that ended at once. */
#include "core/kernel.h"

#include "gyre/link.h"
#include "gyre/supervisor.h"

#include <errno.h>

struct child {
    gy_pid pid;
    uint32_t restarts;
    bool stops; /* told to; its exit is expected */
};

struct supervisor {
    struct gy_actor actor;
    struct gy_supervisor_args args;
    uint32_t from;     /* first child to start again when all that stop have stopped */
    uint32_t stopping; /* children whose expected exit has not come */
    bool gives_up;
    uint32_t restart_next, restart_count; /* of the ring below */
    uint64_t restarted_ns[GY_RESTARTS_MAX];
    struct child children[GY_CHILDREN_MAX];
};

static struct supervisor *of(struct gy_actor *actor)
{
    return (struct supervisor *)(void *)actor;
}

static void child_at(struct supervisor *self, uint32_t i, gy_pid pid)
{
    self->children[i].pid = pid;
    if (self->args.children[i].child != NULL)
        self->args.children[i].child->pid = pid;
}

static int child_start(struct supervisor *self, uint32_t i)
{
    const struct gy_child_spec *spec = &self->args.children[i];
    gy_pid pid;
    int err = gy_spawn_raw(&pid, spec->type, spec->args);
    if (err < 0)
        return err;
    err = gy_link(&self->actor, pid);
    if (err < 0) {
        /* Unwatched it could end unseen. */
        if (gy_actor_stop_now(pid, err) < 0)
            gy_log("%s runs without a supervisor", spec->id);
        return err;
    }
    child_at(self, i, pid);
    self->children[i].stops = false;
    return 0;
}

/* Tell children [from, count) to stop, newest first; their exits come later. */
static void children_stop(struct supervisor *self, uint32_t from)
{
    for (uint32_t i = self->args.count; i-- > from;) {
        struct child *child = &self->children[i];
        if (child->pid.bits == 0 || child->stops)
            continue;
        child->stops = true;
        self->stopping++;
        /* Without room to say so it ends with us, by its link, when we fail. */
        if (gy_actor_stop_now(child->pid, -ECANCELED) < 0)
            gy_fail(&self->actor, -EAGAIN);
    }
}

/* One more restart: is that still within the limit? */
static bool restart_allowed(struct supervisor *self)
{
    uint64_t now_ns = gy_now();
    uint32_t max = self->args.restarts_max;
    if (max == 0)
        return false;
    uint64_t *oldest = &self->restarted_ns[self->restart_next];
    if (self->restart_count == max && now_ns - *oldest < self->args.within_ns)
        return false;
    *oldest = now_ns;
    self->restart_next = (self->restart_next + 1) % max;
    self->restart_count += self->restart_count < max;
    return true;
}

static void give_up(struct supervisor *self, uint32_t i)
{
    gy_log("%s ended too often: its supervisor gives up", self->args.children[i].id);
    self->gives_up = true;
    children_stop(self, 0);
}

static void settle(struct supervisor *self);

/* Start children from `from` on that are not running; one that fails is dealt with like one that ended. */
static void children_start(struct supervisor *self, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        if (self->children[i].pid.bits != 0)
            continue;
        self->children[i].restarts++;
        while (child_start(self, i) < 0) {
            if (!restart_allowed(self)) {
                give_up(self, i);
                settle(self);
                return;
            }
        }
    }
}

/* Nothing is left to wait for? */
static void settle(struct supervisor *self)
{
    if (self->stopping > 0)
        return;
    if (self->gives_up) {
        gy_fail(&self->actor, -EOWNERDEAD);
        return;
    }
    uint32_t from = self->from;
    self->from = self->args.count;
    children_start(self, from, self->args.count);
}

static void child_ended(struct supervisor *self, uint32_t i, int why)
{
    enum gy_restart restart = self->args.children[i].restart;
    if (restart == GY_RESTART_NEVER || (restart == GY_RESTART_ON_FAILURE && why >= 0))
        return;
    if (self->gives_up)
        return;
    if (!restart_allowed(self)) {
        give_up(self, i);
        settle(self);
        return;
    }
    switch (self->args.strategy) {
    case GY_ONE_FOR_ONE:
        if (self->stopping == 0)
            children_start(self, i, i + 1);
        else if (i < self->from)
            self->from = i;
        break;
    case GY_ONE_FOR_ALL:
        self->from = 0;
        children_stop(self, 0);
        settle(self);
        break;
    case GY_REST_FOR_ONE:
        if (i < self->from)
            self->from = i;
        children_stop(self, i);
        settle(self);
        break;
    }
}

static void on_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    struct supervisor *self = of(actor);
    (void)ctx;
    for (uint32_t i = 0; i < self->args.count; i++) {
        struct child *child = &self->children[i];
        if (!gy_pid_equal(child->pid, pid))
            continue;
        bool expected = child->stops;
        child->stops = false;
        child_at(self, i, (gy_pid){ 0 });
        if (expected) {
            self->stopping--;
            settle(self);
        } else {
            child_ended(self, i, why);
        }
        return;
    }
}

static bool args_valid(const struct gy_supervisor_args *args)
{
    return args != NULL && args->children != NULL && args->count >= 1 &&
           args->count <= GY_CHILDREN_MAX && args->restarts_max <= GY_RESTARTS_MAX;
}

static int start(struct gy_actor *actor, const void *args)
{
    struct supervisor *self = of(actor);
    if (!args_valid(args))
        return -EINVAL;
    self->args = *(const struct gy_supervisor_args *)args;
    self->from = self->args.count;
    int err = gy_trap_exits_raw(actor, on_exited, 0);
    for (uint32_t i = 0; i < self->args.count && err == 0; i++) {
        err = child_start(self, i);
        if (err < 0) {
            gy_log("%s does not start: error %d", self->args.children[i].id, -err);
            children_stop(self, 0);
        }
    }
    return err;
}

static void stop(struct gy_actor *actor, int why)
{
    struct supervisor *self = of(actor);
    (void)why;
    children_stop(self, 0);
    for (uint32_t i = 0; i < self->args.count; i++)
        child_at(self, i, (gy_pid){ 0 });
}

const struct gy_actor_type gy_supervisor_type = { "supervisor", sizeof(struct supervisor),
                                                  sizeof(struct gy_supervisor_args), start, stop };

#define DEPTH_MAX 16
static void print(struct gy_shard *shard, gy_pid pid, unsigned depth)
{
    static const char indent[] = "                                ";
    struct gy_actor *actor = gy__actor_find(shard, pid.bits);
    if (actor == NULL || gy__stats_of(actor)->type != &gy_supervisor_type)
        return;
    const struct supervisor *self = of(actor);
    for (uint32_t i = 0; i < self->args.count; i++) {
        const struct gy_child_spec *spec = &self->args.children[i];
        const struct child *child = &self->children[i];
        gy_log("%.*s%s (%s) %s, %u restarts", (int)(2 * depth), indent, spec->id, spec->type->name,
               child->pid.bits == 0 ? "ended" : "runs", child->restarts);
        if (child->pid.bits != 0 && depth < DEPTH_MAX)
            print(shard, child->pid, depth + 1);
    }
}

void gy_supervisor_print(gy_pid supervisor)
{
    struct gy_shard *shard = gy__self();
    if (gy_pid_shard(supervisor) == shard->index)
        print(shard, supervisor, 0);
}
