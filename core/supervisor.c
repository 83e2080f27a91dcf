/* core/supervisor.c - supervision, built on what every actor has: monitors and an end.
 *
 * A supervisor stops its children by ending them in place (all are on its shard), in order, so
 * that a whole tree ends depth first and needs no room in any queue. Exits come later, by cells.
 * Of each child exactly one is awaited while `lives`; a child is started anew only when it has
 * come.
 *
 * Usually all children live but for those that are not to be started again. While `restarts` a
 * group does: those with `grouped`, the last ones of the list, were stopped, or were found dead with
 * the exit still on the way. Exits of stopped children decide nothing; those of children found dead
 * decide only whether they start again with the group, since its restart is counted already. With the
 * last of these exits the group is started. Who is added meanwhile waits for that.
 *
 * A child's record is a buffer's memory: of this shard, or, with id and args behind it, of the shard
 * whose actor asked for the child. It is in the list from when the child is known until it is
 * forgotten, which is also when its monitor is taken back: no exit finds a record that is gone. */
#include "core/bugs.h"
#include "core/kernel.h"
#include "core/links.h"
#include "core/text.h"

#include "gyre/buf.h"
#include "gyre/future.h"
#include "gyre/link.h"
#include "gyre/supervisor.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

struct child {
    struct child *next, *prev; /* in order of their starts */
    struct gy_buf *memory;     /* this record's */
    struct gy_child_spec spec;
    gy_pid pid;         /* {0} when its exit has come */
    gy_promise promise; /* who waits for its start, {0}: nobody, and its policy asks for it */
    uint32_t restarts;
    bool added;   /* and has not been started yet */
    bool lives;   /* its exit has not come */
    bool stopped; /* by us: its exit decides nothing */
    bool grouped; /* of the group that restarts */
    bool again;   /* to be started when the group has ended */
};

/* Where in that memory args are, if it has any. */
#define ARGS_AT ((sizeof(struct child) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1))

struct supervisor {
    struct gy_actor actor;
    struct gy_supervisor_args args;
    struct child *first, *last;
    uint32_t count;
    bool restarts;    /* a group does */
    uint64_t told_ns; /* before it no further restart is logged */
    uint32_t restart_next, restart_count; /* of the ring below */
    uint64_t restarted_ns[GY_RESTARTS_MAX];
};

static struct supervisor *of(struct gy_actor *actor)
{
    return (struct supervisor *)(void *)actor;
}

static void on_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx);

/* Tell where the child is to be found from now on. */
static void tell(struct child *child, gy_pid pid)
{
    if (child->spec.child != NULL)
        child->spec.child->pid = pid;
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

/* ---- records ---- */

/* Bytes of an id, 0: it is none. */
static size_t id_length(const char *id)
{
    const char *end = id != NULL ? memchr(id, '\0', GY_CHILD_ID_SIZE) : NULL;
    return end != NULL ? (size_t)(end - id) : 0;
}

static bool spec_right(const struct gy_child_spec *spec)
{
    return spec != NULL && id_length(spec->id) > 0 && spec->type != NULL &&
           (spec->args != NULL || spec->type->args_size == 0) &&
           (uint32_t)spec->restart <= GY_RESTART_NEVER;
}

/* A record with room behind it. NULL: there is no buffer. */
static struct child *child_new(const struct gy_child_spec *spec, size_t bytes)
{
    struct gy_buf *buf = gy_buf_take(sizeof(struct child) + bytes);
    if (buf == NULL)
        return NULL;
    struct child *child = (struct child *)(void *)buf->base;
    *child = (struct child){ .memory = buf, .spec = *spec };
    return child;
}

static struct child *child_find(const struct supervisor *self, const char *id)
{
    struct child *child = self->first;
    while (child != NULL && strcmp(child->spec.id, id) != 0)
        child = child->next;
    return child;
}

static void child_append(struct supervisor *self, struct child *child)
{
    child->prev = self->last;
    child->next = NULL;
    *(self->last != NULL ? &self->last->next : &self->first) = child;
    self->last = child;
    self->count++;
}

/* Its exit has come, or is not waited for any more. */
static void child_forget(struct supervisor *self, struct child *child)
{
    *(child->prev != NULL ? &child->prev->next : &self->first) = child->next;
    *(child->next != NULL ? &child->next->prev : &self->last) = child->prev;
    self->count--;
    gy_buf_release(child->memory);
}

/* ---- starts and ends ---- */

static int child_start(struct supervisor *self, struct child *child)
{
    char words[80];
    const struct gy_child_spec *spec = &child->spec;
    int err = gy_spawn_monitored_raw(&self->actor, &child->pid, spec->type, spec->args, on_exited,
                                     (uint64_t)(uintptr_t)child);
    if (err < 0) {
        gy__warn("%s does not start: %s", spec->id, cause(err, words));
        return err;
    }
    child->lives = true;
    child->stopped = false;
    tell(child, child->pid);
    return 0;
}

/* End it in place. false: it was found dead, and tells by its exit what it was. */
static bool child_stop(struct child *child)
{
    struct gy_shard *shard = gy__self();
    tell(child, (gy_pid){ 0 });
    struct gy_actor *actor = gy__actor_find(shard, child->pid.bits);
    if (actor == NULL)
        return false;
    child->stopped = true;
    gy__actor_finish(shard, actor, -ECANCELED);
    return true;
}

/* End children, newest first, back to `first`. */
static void children_stop(struct supervisor *self, const struct child *first)
{
    struct child *child = first != NULL ? self->last : NULL;
    for (; child != NULL; child = child != first ? child->prev : NULL)
        if (child->lives && !child->stopped && child_stop(child))
            child->again = child->spec.restart != GY_RESTART_NEVER;
}

/* The supervisor ends: so do all, and nothing is known any more. */
static void children_end(struct supervisor *self)
{
    children_stop(self, self->first);
    while (self->first != NULL)
        child_forget(self, self->first);
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
static bool restart_allowed(struct supervisor *self, const struct child *child, int why)
{
    uint32_t max = self->args.restarts_max;
    char words[80];
    if (restarts_counted(self) >= max) {
        gy__warn("%s ended too often: its supervisor gives up, after %u restarts in %llu ms; last: %s",
                 child->spec.id, max, (unsigned long long)(self->args.within_ns / GY_MS),
                 cause(why, words));
        gy_fail(&self->actor, -EOWNERDEAD);
        return false;
    }
    /* A line a second at most: what fails all the time fails alike. */
    if (why < 0 && gy_now() >= self->told_ns) {
        self->told_ns = gy_now() + GY_S;
        gy__warn("%s failed, and is started again: %s", child->spec.id, cause(why, words));
    }
    /* The oldest of the ring, if it is full, counts no more. */
    self->restarted_ns[self->restart_next] = gy_now();
    self->restart_next = (self->restart_next + 1) % max;
    self->restart_count += self->restart_count < max;
    return true;
}

/* A start that somebody asked for. It is his to hear that it failed, and not tried again. */
static void child_start_asked(struct supervisor *self, struct child *child, gy_promise promise)
{
    int err = child_start(self, child);
    child->promise = (gy_promise){ 0 };
    (void)gy_resolve_raw(promise, err, err == 0 ? &child->pid : NULL,
                         err == 0 ? sizeof(child->pid) : 0, NULL);
    if (err == 0)
        child->added = false;
    else if (child->added || child->spec.restart == GY_RESTART_NEVER)
        child_forget(self, child);
}

/* Start what is to be started. One that fails is tried again as long as the limit allows. */
static bool child_start_again(struct supervisor *self, struct child *child)
{
    child->again = gy__bug(GY__BUG_RESTART_TWICE);
    child->restarts += !child->added;
    if (child->promise.bits != 0) {
        child_start_asked(self, child, child->promise);
        return true;
    }
    int err;
    while ((err = child_start(self, child)) < 0) {
        if (!restart_allowed(self, child, err))
            return false;
        child->restarts++;
    }
    return true;
}

/* Has the whole group ended? Then start it, in order, and forget who is never to start again. */
static void settle(struct supervisor *self)
{
    struct child *child, *next;
    if (!self->restarts)
        return;
    for (child = self->last; child != NULL && child->grouped; child = child->prev)
        if (child->lives)
            return;
    self->restarts = false;
    for (child = self->first; child != NULL; child = next) {
        next = child->next;
        if (!child->grouped)
            continue;
        child->grouped = false;
        if (child->again) {
            if (!child_start_again(self, child))
                return;
        } else if (!child->lives && child->spec.restart == GY_RESTART_NEVER) {
            child_forget(self, child);
        }
    }
}

static void group_restart(struct supervisor *self, struct child *first)
{
    self->restarts = true;
    for (struct child *child = first; child != NULL; child = child->next)
        child->grouped = true;
    children_stop(self, first);
    settle(self);
}

static void child_ended(struct supervisor *self, struct child *child, int why)
{
    enum gy_restart restart = child->spec.restart;
    /* Who asked for its start is owed that, however it ended. */
    child->again = child->promise.bits != 0 || restart == GY_RESTART_ALWAYS ||
                   (restart == GY_RESTART_ON_FAILURE && why < 0);
    if (child->grouped)
        settle(self);
    else if (!child->again && restart == GY_RESTART_NEVER)
        child_forget(self, child);
    else if (child->again && restart_allowed(self, child, why)) {
        if (self->args.strategy == GY_ONE_FOR_ONE)
            (void)child_start_again(self, child);
        else
            group_restart(self, self->args.strategy == GY_ONE_FOR_ALL ? self->first : child);
    }
}

static void on_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    struct supervisor *self = of(actor);
    struct child *child = (struct child *)(uintptr_t)ctx;
    GY_ASSERT(child->lives || gy__bug(GY__BUG_RESTART_ASKED));
    GY_ASSERT(gy_pid_equal(child->pid, pid) || gy__bug(GY__BUG_RESTART_ASKED));
    child->lives = false;
    child->pid = (gy_pid){ 0 };
    tell(child, child->pid);
    if (child->stopped)
        settle(self);
    else
        child_ended(self, child, why);
}

/* ---- what others ask for ---- */

/* Nobody is told of its end, which may be on the way. */
static void child_unwatch(struct supervisor *self, const struct child *child)
{
    if (child->lives)
        gy__links_unwatch(gy__self(), self->actor.pid, child->pid);
}
static void child_end(struct child *child)
{
    if (child->lives)
        (void)child_stop(child);
    child->lives = false;
    child->pid = (gy_pid){ 0 };
}

/* Who waits for the start of this child hears that it will not come. */
static void child_unasked(struct child *child)
{
    if (child->promise.bits != 0)
        (void)gy_reject(child->promise, -ECANCELED);
    child->promise = (gy_promise){ 0 };
}

/* With the group, when it has ended. */
static int child_start_later(struct child *child, gy_promise promise)
{
    int err = gy_keep(promise);
    if (err < 0)
        return err;
    child->promise = promise;
    child->again = true;
    return 0;
}

static int add(struct supervisor *self, struct child *child, gy_promise promise)
{
    if (child_find(self, child->spec.id) != NULL)
        return -EEXIST;
    if (self->count == GY_CHILDREN_MAX) {
        gy__count(&gy__self()->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    child->added = true;
    child->grouped = self->restarts && !gy__bug(GY__BUG_ADDED_EARLY);
    if (child->grouped) {
        int err = child_start_later(child, promise);
        if (err < 0)
            return err;
    }
    child_append(self, child);
    if (child->promise.bits == 0)
        child_start_asked(self, child, promise);
    return 0;
}

static int forget(struct supervisor *self, const char *id, gy_promise promise)
{
    struct child *child = child_find(self, id);
    if (child == NULL)
        return -ENOENT;
    if (!gy__bug(GY__BUG_REMOVED_RESTARTS) || !child->lives ||
        gy__actor_find(gy__self(), child->pid.bits) != NULL) {
        child_unasked(child);
        child_unwatch(self, child);
        child_end(child);
        child_forget(self, child);
    }
    (void)gy_resolve_raw(promise, 0, NULL, 0, NULL);
    /* It may be the last that the group waited for. */
    settle(self);
    return 0;
}

static int restart(struct supervisor *self, const char *id, gy_promise promise)
{
    struct child *child = child_find(self, id);
    if (child == NULL)
        return -ENOENT;
    if (child->promise.bits != 0)
        return -EBUSY;
    if (child->grouped)
        return child_start_later(child, promise);
    if (!gy__bug(GY__BUG_RESTART_ASKED))
        child_unwatch(self, child);
    child_end(child);
    child->restarts++;
    child_start_asked(self, child, promise);
    return 0;
}

static int count(struct supervisor *self, gy_promise promise)
{
    struct gy_supervisor_counts counts = { .children = self->count,
                                           .restarts_counted = restarts_counted(self) };
    for (const struct child *child = self->first; child != NULL; child = child->next) {
        counts.running += gy__actor_find(gy__self(), child->pid.bits) != NULL;
        counts.restarts += child->restarts;
    }
    return gy_resolve_raw(promise, 0, &counts, sizeof(counts), NULL);
}

/* The name's address says that it is one, also of a type that wraps these functions. */
static const char type_name[] = "supervisor";
static bool is_supervisor(const struct gy_actor *actor)
{
    return gy__stats_of(actor)->type->name == type_name;
}

static void add_run(struct gy_actor *actor, const void *payload, struct gy_buf *buf,
                    gy_promise promise)
{
    struct child *child = (struct child *)(void *)buf->base;
    (void)payload;
    int err = is_supervisor(actor) ? add(of(actor), child, promise) : -EINVAL;
    if (err == 0)
        return;
    gy_buf_release(buf);
    (void)gy_reject(promise, err);
}
static void answer(struct gy_actor *actor, const void *id, gy_promise promise,
                   int (*run)(struct supervisor *self, const char *id, gy_promise promise))
{
    int err = is_supervisor(actor) ? run(of(actor), id, promise) : -EINVAL;
    if (err < 0)
        (void)gy_reject(promise, err);
}
static void remove_run(struct gy_actor *actor, const void *id, struct gy_buf *buf, gy_promise promise)
{
    (void)buf;
    answer(actor, id, promise, forget);
}
static void restart_run(struct gy_actor *actor, const void *id, struct gy_buf *buf,
                        gy_promise promise)
{
    (void)buf;
    answer(actor, id, promise, restart);
}
static void count_run(struct gy_actor *actor, const void *payload, struct gy_buf *buf,
                      gy_promise promise)
{
    (void)payload, (void)buf;
    int err = is_supervisor(actor) ? count(of(actor), promise) : -EINVAL;
    if (err < 0)
        (void)gy_reject(promise, err);
}

static const struct gy_verb add_verb = { "supervisor.add", &gy_supervisor_type, add_run, 0,
                                         GY_VERB_CALL | GY_VERB_BUF };
static const struct gy_verb remove_verb = { "supervisor.remove", &gy_supervisor_type, remove_run,
                                            GY_CHILD_ID_SIZE, GY_VERB_CALL };
static const struct gy_verb restart_verb = { "supervisor.restart", &gy_supervisor_type, restart_run,
                                             GY_CHILD_ID_SIZE, GY_VERB_CALL };
static const struct gy_verb count_verb = { "supervisor.count", &gy_supervisor_type, count_run, 0,
                                           GY_VERB_CALL };
GY_STATIC_ASSERT(GY_CHILD_ID_SIZE <= GY_MSG_INLINE, "an id is a message");
GY_STATIC_ASSERT(sizeof(struct gy_supervisor_counts) <= GY_MSG_INLINE, "and counts an answer");

/* The record is made where it is asked for, and travels: id and args behind it, args aligned. */
gy_fut gy_supervisor_add(gy_pid supervisor, const struct gy_child_spec *spec)
{
    if (!spec_right(spec))
        return gy__fut_refused(-EINVAL);
    size_t bytes = spec->type->args_size;
    struct child *child = child_new(spec, ARGS_AT - sizeof(*child) + bytes + GY_CHILD_ID_SIZE);
    if (child == NULL) {
        gy__count(&gy__self()->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    uint8_t *args = child->memory->base + ARGS_AT;
    char *id = (char *)args + bytes;
    memcpy(id, spec->id, id_length(spec->id) + 1);
    child->spec.id = id;
    if (bytes > 0)
        memcpy(args, spec->args, bytes);
    if (spec->args != NULL)
        child->spec.args = args;
    return gy_call_words(supervisor, &add_verb, 0, 0, 0, (uint64_t)(uintptr_t)child->memory);
}

static gy_fut call_with_id(gy_pid supervisor, const struct gy_verb *verb, const char *id)
{
    uint64_t words[GY_CHILD_ID_SIZE / 8] = { 0 };
    size_t length = id_length(id);
    if (length == 0)
        return gy__fut_refused(-EINVAL);
    memcpy(words, id, length);
    return gy_call_words(supervisor, verb, words[0], words[1], words[2], words[3]);
}
gy_fut gy_supervisor_remove(gy_pid supervisor, const char *id)
{
    return call_with_id(supervisor, &remove_verb, id);
}
gy_fut gy_supervisor_restart(gy_pid supervisor, const char *id)
{
    return call_with_id(supervisor, &restart_verb, id);
}
gy_fut gy_supervisor_count(gy_pid supervisor)
{
    return gy_call_words(supervisor, &count_verb, 0, 0, 0, 0);
}

/* ---- the actor ---- */

static void on_link_exited(struct gy_actor *actor, gy_pid pid, int why, uint64_t ctx)
{
    (void)actor, (void)pid, (void)why, (void)ctx;
}

/* -> NULL, or what is wrong and what is allowed. */
static const char *args_wrong(const struct gy_supervisor_args *args)
{
    if (args == NULL || (args->children == NULL && args->count > 0) || args->count > GY_CHILDREN_MAX)
        return "children: allowed are 0 to 256";
    if (args->restarts_max > GY_RESTARTS_MAX)
        return "restarts_max: allowed are 0 to 32";
    if (args->restarts_max > 0 && args->within_ns == 0)
        return "within_ns: more than 0, unless restarts_max is 0";
    if ((uint32_t)args->strategy > GY_REST_FOR_ONE)
        return "strategy: none of enum gy_strategy";
    for (uint32_t i = 0; i < args->count; i++)
        if (!spec_right(&args->children[i]))
            return "children: each needs an id of 1 to 31 bytes, a type, the args that its type takes, "
                   "and a policy of enum gy_restart";
    return NULL;
}
GY_STATIC_ASSERT(GY_CHILDREN_MAX == 256 && GY_RESTARTS_MAX == 32 && GY_CHILD_ID_SIZE == 32,
                 "the messages above name them");

static int first_start(struct supervisor *self, const struct gy_child_spec *spec)
{
    if (child_find(self, spec->id) != NULL) {
        gy__warn("supervisor: children: two have the id %s", spec->id);
        return -EEXIST;
    }
    struct child *child = child_new(spec, 0);
    if (child == NULL)
        return -EAGAIN;
    child_append(self, child);
    return child_start(self, child);
}

static int start(struct gy_actor *actor, const void *args)
{
    struct supervisor *self = of(actor);
    const char *wrong = args_wrong(args);
    if (wrong != NULL) {
        gy__warn("supervisor: %s", wrong);
        return -EINVAL;
    }
    self->args = *(const struct gy_supervisor_args *)args;
    int err = gy_trap_exits_raw(actor, on_link_exited, 0);
    for (uint32_t i = 0; i < self->args.count && err == 0; i++)
        err = first_start(self, &self->args.children[i]);
    if (err < 0)
        children_end(self);
    return err;
}

static void stop(struct gy_actor *actor, int why)
{
    (void)why;
    children_end(of(actor));
}

const struct gy_actor_type gy_supervisor_type = { type_name, sizeof(struct supervisor),
                                                  sizeof(struct gy_supervisor_args), start, stop };

/* ---- to look at ---- */

static struct supervisor *supervisor_here(const struct gy_shard *shard, gy_pid pid)
{
    struct gy_actor *actor = NULL;
    if (gy_pid_shard(pid) == shard->index)
        actor = gy__actor_find(shard, pid.bits);
    return actor != NULL && is_supervisor(actor) ? of(actor) : NULL;
}

void gy_supervisor_each(gy_pid supervisor,
                        bool (*each)(void *arg, const struct gy_child_info *info), void *arg)
{
    struct gy_shard *shard = gy__here(__func__);
    const struct supervisor *self = supervisor_here(shard, supervisor);
    const struct child *child = self != NULL ? self->first : NULL;
    for (; child != NULL; child = child->next) {
        struct gy_child_info info = { child->spec.id, child->spec.type, child->pid,
                                      child->spec.restart, child->restarts };
        if (gy__actor_find(shard, child->pid.bits) == NULL)
            info.pid = (gy_pid){ 0 };
        if (!each(arg, &info))
            return;
    }
}

static const char *const strategies[] = { "one for one", "one for all", "rest for one" };

/* Deeper trees are cut: a line has an end. */
#define DEPTH_MAX 16

static void print(const struct supervisor *self, unsigned depth)
{
    static const char indent[2 * DEPTH_MAX + 1] = "                                ";
    int width = (int)(2 * depth);
    gy_log("%.*ssupervisor, %s, %u of %u restarts", width, indent,
           strategies[self->args.strategy], restarts_counted(self), self->args.restarts_max);
    for (const struct child *child = self->first; child != NULL; child = child->next) {
        struct gy_actor *actor = gy__actor_find(gy__self(), child->pid.bits);
        gy_log("%.*s- %s (%s) %s, restarted %u times", width, indent, child->spec.id,
               child->spec.type->name, actor != NULL ? "runs" : "ended", child->restarts);
        if (actor != NULL && is_supervisor(actor) && depth < DEPTH_MAX)
            print(of(actor), depth + 1);
    }
}

void gy_supervisor_print(gy_pid supervisor)
{
    const struct supervisor *self = supervisor_here(gy__here(__func__), supervisor);
    if (self != NULL)
        print(self, 0);
}
