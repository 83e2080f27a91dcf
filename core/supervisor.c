/* core/supervisor.c - supervision, built on what every actor has: monitors and an end.
 *
 * A supervisor stops its children by ending them in place (all are on its shard), in order, so
 * that a whole tree ends depth first and needs no room in any queue. Exits come later, by cells.
 * Of each child exactly one is awaited while `lives`; a child is started anew only when it has
 * come.
 *
 * Usually all children live but for those that are not to be started again. While `from` is
 * less than their number a group restarts: everything from there on was stopped, or was found
 * dead with its exit still on the way. Exits of stopped children decide nothing; those of
 * children found dead decide only whether they start again with the group, since its restart is
 * counted already. With the last of these exits the group is started. */
#include "core/bugs.h"
#include "core/kernel.h"
#include "core/text.h"

#include "gyre/link.h"
#include "gyre/supervisor.h"

#include <errno.h>

struct child {
    gy_pid pid; /* {0} when its exit has come */
    uint32_t restarts;
    bool lives;   /* its exit has not come */
    bool stopped; /* by us: its exit decides nothing */
    bool again;   /* to be started when the group has ended */
};

struct supervisor {
    struct gy_actor actor;
    struct gy_supervisor_args args;
    uint64_t told_ns; /* before it no further restart is logged */
    uint32_t from; /* first child of the group that restarts; args.count if none does */
    uint32_t restart_next, restart_count; /* of the ring below */
    uint64_t restarted_ns[GY_RESTARTS_MAX];
    struct child children[GY_CHILDREN_MAX];
};

static struct supervisor *of(struct gy_actor *actor)
{
    return (struct supervisor *)(void *)actor;
}

static void on_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx);

/* Tell where the child is to be found from now on. */
static void tell(struct supervisor *self, uint32_t i, gy_pid pid)
{
    if (self->args.children[i].child != NULL)
        self->args.children[i].child->pid = pid;
}

/* How something ended, in words. */
static const char *cause(int why, char out[80])
{
    struct gy__text text;
    gy__text_init(&text, out, 80);
    if (why < 0)
        gy__cause_write(&text, why);
    else
        gy__text_string(&text, "no failure");
    return out;
}

static int child_start(struct supervisor *self, uint32_t i)
{
    char words[80];
    const struct gy_child_spec *spec = &self->args.children[i];
    struct child *child = &self->children[i];
    int err = gy_spawn_monitored_raw(&self->actor, &child->pid, spec->type, spec->args, on_exited,
                                     i);
    if (err < 0) {
        gy__warn("%s does not start: %s", spec->id, cause(err, words));
        return err;
    }
    child->lives = true;
    child->stopped = false;
    tell(self, i, child->pid);
    return 0;
}

/* End children from `from` on, newest first. One that is found dead tells by its exit what it
 * was. */
static void children_stop(struct supervisor *self, uint32_t from)
{
    struct gy_shard *shard = gy__self();
    for (uint32_t i = self->args.count; i-- > from;) {
        struct child *child = &self->children[i];
        if (!child->lives || child->stopped)
            continue;
        tell(self, i, (gy_pid){ 0 });
        struct gy_actor *actor = gy__actor_find(shard, child->pid.bits);
        if (actor == NULL)
            continue;
        child->stopped = true;
        child->again = self->args.children[i].restart != GY_RESTART_NEVER;
        gy__actor_finish(shard, actor, -ECANCELED);
    }
}

/* Restarts that count against the limit now. */
static uint32_t restarts_counted(const struct supervisor *self)
{
    uint64_t now_ns = gy_now();
    uint32_t n = 0;
    for (uint32_t i = 0; i < self->restart_count; i++)
        n += now_ns - self->restarted_ns[i] < self->args.within_ns;
    return n;
}

/* One more restart: if that is beyond the limit, give up, and all ends when the handler returns. */
static bool restart_allowed(struct supervisor *self, uint32_t i, int why)
{
    uint32_t max = self->args.restarts_max;
    char words[80];
    if (restarts_counted(self) >= max) {
        gy__warn("%s ended too often: its supervisor gives up, after %u restarts in %llu ms; last: %s",
                 self->args.children[i].id, max,
                 (unsigned long long)(self->args.within_ns / GY_MS), cause(why, words));
        gy_fail(&self->actor, -EOWNERDEAD);
        return false;
    }
    /* A line a second at most: what fails all the time fails alike. */
    if (why < 0 && gy_now() >= self->told_ns) {
        self->told_ns = gy_now() + GY_S;
        gy__warn("%s failed, and is started again: %s", self->args.children[i].id,
                 cause(why, words));
    }
    /* The oldest of the ring, if it is full, counts no more. */
    self->restarted_ns[self->restart_next] = gy_now();
    self->restart_next = (self->restart_next + 1) % max;
    self->restart_count += self->restart_count < max;
    return true;
}

/* Start those that are to be. One that fails is tried again as long as the limit allows. */
static void children_start(struct supervisor *self, uint32_t from)
{
    for (uint32_t i = from; i < self->args.count; i++) {
        if (!self->children[i].again)
            continue;
        self->children[i].again = gy__bug(GY__BUG_RESTART_TWICE);
        self->children[i].restarts++;
        int err;
        while ((err = child_start(self, i)) < 0) {
            if (!restart_allowed(self, i, err))
                return;
            self->children[i].restarts++;
        }
    }
}

/* Has the whole group ended? */
static void settle(struct supervisor *self)
{
    uint32_t from = self->from;
    for (uint32_t i = from; i < self->args.count; i++)
        if (self->children[i].lives)
            return;
    self->from = self->args.count;
    children_start(self, from);
}

static void child_ended(struct supervisor *self, uint32_t i, int why)
{
    enum gy_restart restart = self->args.children[i].restart;
    bool again = restart == GY_RESTART_ALWAYS || (restart == GY_RESTART_ON_FAILURE && why < 0);
    self->children[i].again = again;
    if (i < self->from) {
        if (!again || !restart_allowed(self, i, why))
            return;
        if (self->args.strategy == GY_ONE_FOR_ONE) {
            children_start(self, i);
            return;
        }
        self->from = self->args.strategy == GY_ONE_FOR_ALL ? 0 : i;
        children_stop(self, self->from);
    }
    settle(self);
}

static void on_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    struct supervisor *self = of(actor);
    uint32_t i = (uint32_t)ctx;
    struct child *child = &self->children[i];
    GY_ASSERT(child->lives);
    GY_ASSERT(gy_pid_equal(child->pid, pid));
    child->lives = false;
    child->pid = (gy_pid){ 0 };
    tell(self, i, child->pid);
    if (child->stopped)
        settle(self);
    else
        child_ended(self, i, why);
}

static void on_link_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    (void)actor, (void)pid, (void)why, (void)ctx;
}

/* -> NULL, or what is wrong and what is allowed. */
static const char *args_wrong(const struct gy_supervisor_args *args)
{
    if (args == NULL || args->children == NULL || args->count < 1 || args->count > GY_CHILDREN_MAX)
        return "children: allowed are 1 to 64";
    if (args->restarts_max > GY_RESTARTS_MAX)
        return "restarts_max: allowed are 0 to 32";
    if (args->restarts_max > 0 && args->within_ns == 0)
        return "within_ns: more than 0, unless restarts_max is 0";
    if ((uint32_t)args->strategy > GY_REST_FOR_ONE)
        return "strategy: none of enum gy_strategy";
    for (uint32_t i = 0; i < args->count; i++)
        if (args->children[i].id == NULL || args->children[i].type == NULL ||
            (uint32_t)args->children[i].restart > GY_RESTART_NEVER)
            return "children: each needs an id, a type, and a policy of enum gy_restart";
    return NULL;
}
GY_STATIC_ASSERT(GY_CHILDREN_MAX == 64 && GY_RESTARTS_MAX == 32, "the messages above name them");

static int start(struct gy_actor *actor, const void *args)
{
    struct supervisor *self = of(actor);
    const char *wrong = args_wrong(args);
    if (wrong != NULL) {
        gy__warn("supervisor: %s", wrong);
        return -EINVAL;
    }
    self->args = *(const struct gy_supervisor_args *)args;
    self->from = self->args.count;
    int err = gy_trap_exits_raw(actor, on_link_exited, 0);
    for (uint32_t i = 0; i < self->args.count && err == 0; i++)
        err = child_start(self, i);
    if (err < 0)
        children_stop(self, 0);
    return err;
}

static void stop(struct gy_actor *actor, int why)
{
    (void)why;
    children_stop(of(actor), 0);
}

const struct gy_actor_type gy_supervisor_type = { "supervisor", sizeof(struct supervisor),
                                                  sizeof(struct gy_supervisor_args), start, stop };

/* ---- the printed tree ---- */

static const char *const strategies[] = { "one for one", "one for all", "rest for one" };

/* Deeper trees are cut: a line has an end. */
#define DEPTH_MAX 16

static void print(const struct supervisor *self, unsigned depth)
{
    static const char indent[2 * DEPTH_MAX + 1] = "                                ";
    int width = (int)(2 * depth);
    gy_log("%.*ssupervisor, %s, %u of %u restarts", width, indent,
           strategies[self->args.strategy], restarts_counted(self), self->args.restarts_max);
    for (uint32_t i = 0; i < self->args.count; i++) {
        const struct gy_child_spec *spec = &self->args.children[i];
        const struct child *child = &self->children[i];
        struct gy_actor *actor = gy__actor_find(gy__self(), child->pid.bits);
        gy_log("%.*s- %s (%s) %s, restarted %u times", width, indent, spec->id, spec->type->name,
               actor != NULL ? "runs" : "ended", child->restarts);
        if (actor != NULL && spec->type == &gy_supervisor_type && depth < DEPTH_MAX)
            print(of(actor), depth + 1);
    }
}

void gy_supervisor_print(gy_pid supervisor)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_actor *actor = NULL;
    if (gy_pid_shard(supervisor) == shard->index)
        actor = gy__actor_find(shard, supervisor.bits);
    if (actor != NULL && gy__stats_of(actor)->type == &gy_supervisor_type)
        print(of(actor), 0);
}
