/* gyre/supervisor.h - actors that start others again when these end.
 *
 * A supervisor is an actor: spawn it like any other, also as the child of another. It starts
 * its children in order, on its own shard, inside its start function; if one fails to start,
 * those before it are stopped, newest first, and its own start fails with that error. It
 * monitors each child, from before the child's first message.
 *
 * When a child ends, its restart policy and the supervisor's strategy decide. Children that
 * the strategy stops with it end at once, newest first, with -ECANCELED, what they had not
 * handled dropped; when all of them have ended they are started again, in order, but for those
 * that are never to be restarted and those that had ended before and were not to be. A child
 * that fails to start again counts as one more restart. More than restarts_max restarts within
 * within_ns end the supervisor: it stops its children, newest first, and fails with -EOWNERDEAD,
 * which its own supervisor, if any, then deals with (escalation). Above one that was spawned in boot
 * there is nobody: it is gone with its children, and the program goes on without them. Who wants it to
 * end then monitors the supervisor (gyre/link.h) and calls gy_stop(). Restarts after a failure, starts that
 * fail and giving up are logged with the cause, restarts once a second at most. Stopping it stops its
 * children, newest first, and theirs before them. It traps exits: a link with it takes the other
 * along, never the supervisor.
 *
 * A restarted child has a new pid. Its stable address is a struct gy_child, kept up to date by
 * the supervisor: one load before a send, on the same shard. Calls that were waiting at the old
 * one got -EOWNERDEAD. Names and HTTP routes end with the old one: the start function asks for them again.
 *
 * One on each shard, with its children there, is one supervised actor per shard: each supervisor is spawned in boot,
 * and each child asks in its start function for a name that says its shard, by which all shards find whoever lives
 * there now (gyre/name.h). Between two lives the name is nobody's; a caller tries again, or says no. The new one asks
 * again while it gets -EEXIST or -EAGAIN, since news of the end of the old may still be on the way.
 *
 * Its children are those it was started with, in that order, and behind them those added while it
 * runs. When it is itself started again it has the former only.
 *
 * The limit is the supervisor's, not each child's: one child that fails too often ends all of them. Where
 * children have nothing to do with each other, as jobs of a gateway, give each a supervisor of its own: add a
 * child of gy_supervisor_type without children, GY_RESTART_NEVER, to the one for all, and the worker to that.
 * When it gives up it is forgotten, and the others go on; removing it stops its worker. */
#ifndef GYRE_SUPERVISOR_H
#define GYRE_SUPERVISOR_H

#include "gyre/core.h"

GY_BEGIN_DECLS

enum gy_restart {
    GY_RESTART_ALWAYS,     /* however it ended */
    GY_RESTART_ON_FAILURE, /* only if it ended with why < 0 */
    GY_RESTART_NEVER       /* and it is forgotten when it has ended */
};

enum gy_strategy {
    GY_ONE_FOR_ONE, /* the one that ended is started again */
    GY_ONE_FOR_ALL, /* all others are stopped, then all are started */
    GY_REST_FOR_ONE /* the same with those started after it */
};

/* Where a child is now: {0} while it is not running. */
struct gy_child {
    gy_pid pid;
};

/* id and args: of those it is started with borrowed while the supervisor lives; of those added
 * later copied (type->args_size bytes; what these point to is borrowed until it is removed). */
struct gy_child_spec {
    const char *id; /* its name among the children: no two have the same; 1 to 31 bytes */
    const struct gy_actor_type *type;
    const void *args; /* of its start function: NULL only if that takes none (type->args_size is 0) */
    enum gy_restart restart;
    /* Kept up to date, or NULL. On the supervisor's shard; borrowed until the child is forgotten. */
    struct gy_child *child;
};

#define GY_CHILD_ID_SIZE 32 /* the NUL included */
#define GY_CHILDREN_MAX 256 /* of one supervisor at a time, those added included */
#define GY_RESTARTS_MAX 32

struct gy_supervisor_args {
    const struct gy_child_spec *children; /* borrowed while the supervisor lives */
    uint32_t count;                       /* 0 .. GY_CHILDREN_MAX */
    enum gy_strategy strategy;
    uint32_t restarts_max; /* 0 .. GY_RESTARTS_MAX, within */
    uint64_t within_ns;    /* more than 0, unless restarts_max is 0 */
};

GY_API extern const struct gy_actor_type gy_supervisor_type;

/* On this shard. -> 0; -EINVAL bad arguments; -EEXIST two ids are the same; -EAGAIN no buffer for a
 * child's record; the error of a child's start; as gy_spawn_raw. */
GY_INLINE GY_MUST_CHECK int gy_supervisor_spawn(gy_pid *out, const struct gy_supervisor_args *args)
{
    return gy_spawn_raw(out, &gy_supervisor_type, args);
}

/* ---- children that come and go ----
 *
 * Calls: from any actor, to a supervisor of any shard. What comes while a group restarts waits for
 * nothing but the ends that the group waits for, a turn or two. Each future can also end with what any call ends with:
 * -EAGAIN a mailbox, queue or table is full, -EOWNERDEAD the supervisor has ended or gives up, -ESRCH it had
 * ended before, on this shard, or is {0}, as a struct gy_child between two lives; the
 * handle carries -EINVAL for bad arguments, and so does the future for a pid that is no supervisor's.
 * Discarding the future does not take the request back. Nothing asked for here counts as a restart
 * against the limit; a start that was asked for and fails is told to who asked, and not tried again. */

/* Start one more child, last in order: a group that restarts starts it with its others. spec: borrowed
 * for the call, what it holds as said there. Ready: the child's pid (gy_pid); GY_CHILD below has it typed. -EEXIST there is one of
 * that id, running or not; -EAGAIN also if there are GY_CHILDREN_MAX (counted with refused sends), or
 * no buffer; the error of its start: it is forgotten; -ECANCELED it was removed before it had started.
 * Cost: a call, a look at each id, a spawn; one buffer of this shard while the child is known. */
GY_API GY_MUST_CHECK gy_fut gy_supervisor_add(gy_pid supervisor, const struct gy_child_spec *spec);
/* Stop a child with -ECANCELED, whatever its policy, and forget it; an end of its own that was not
 * dealt with yet decides nothing any more. Others go on. id: copied. Ready (0): it has ended, and its
 * struct gy_child is not touched again. -ENOENT no such child. Cost: a call, a look at each id. */
GY_API GY_MUST_CHECK gy_fut gy_supervisor_remove(gy_pid supervisor, const char *id);
/* Stop a child with -ECANCELED if it runs, and start it again, alone, whatever the strategy; also one
 * that had ended. One whose start fails does not run, and stays known unless its policy is never. id: copied. Ready: its new pid
 * (gy_pid). -ENOENT; -EBUSY it waits to be started for another who asked; -ECANCELED removed before it
 * had started; the error of its start. Cost: as add. */
GY_API GY_MUST_CHECK gy_fut gy_supervisor_restart(gy_pid supervisor, const char *id);

struct gy_supervisor_counts {
    uint32_t children; /* known, running or not */
    uint32_t running;
    uint32_t restarts_counted; /* against the limit now */
    uint32_t unused;
    uint64_t restarts; /* of those known, ever */
};
/* Ready: struct gy_supervisor_counts. Cost: a call, a look at each child. */
GY_API GY_MUST_CHECK gy_fut gy_supervisor_count(gy_pid supervisor);

struct gy_child_info {
    const char *id; /* borrowed for the call of each */
    const struct gy_actor_type *type;
    gy_pid pid; /* {0}: it does not run */
    enum gy_restart restart;
    uint32_t restarts; /* ever */
};
/* Call each for the children of a supervisor of this shard, in order; it returns false to end that.
 * Nothing to do if pid is no supervisor's here. info: borrowed for the call. At once, without a message. */
GY_API void gy_supervisor_each(gy_pid supervisor,
                               bool (*each)(void *arg, const struct gy_child_info *info), void *arg);

/* The tree below a supervisor of this shard, by gy_log, one line for each: supervisors with
 * their strategy and how many restarts count against the limit, children with id, type, state,
 * restarts ever. */
GY_API void gy_supervisor_print(gy_pid supervisor);

GY_END_DECLS

/* In the .c that has children of actor A: GY_CHILD(A) makes A_child(id, args, restart, child), which is a spec
 * whose args are A's; A_child_add(supervisor, id, args, restart, child) and A_child_restart(supervisor, id), whose
 * answer is the pid as an A_pid, as that of A_spawn_on() is: for GY_THEN(C, F, A, spawn) and A_spawn_value(). */
#define GY_CHILD(A)                                                                                \
    GY_INLINE struct gy_child_spec A##_child(const char *id_, const struct A##_args *args_,        \
                                             enum gy_restart restart_, struct gy_child *child_)    \
    {                                                                                              \
        struct gy_child_spec spec_ = { id_, &A##_type, args_, restart_, child_ };                  \
        return spec_;                                                                              \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE A##_spawn_fut A##_child_add(gy_pid supervisor_, const char *id_,       \
                                                        const struct A##_args *args_,              \
                                                        enum gy_restart restart_,                  \
                                                        struct gy_child *child_)                   \
    {                                                                                              \
        A##_spawn_fut f_;                                                                          \
        struct gy_child_spec spec_ = A##_child(id_, args_, restart_, child_);                      \
        f_.fut = gy_supervisor_add(supervisor_, &spec_);                                           \
        return f_;                                                                                 \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE A##_spawn_fut A##_child_restart(gy_pid supervisor_, const char *id_)   \
    {                                                                                              \
        A##_spawn_fut f_;                                                                          \
        f_.fut = gy_supervisor_restart(supervisor_, id_);                                          \
        return f_;                                                                                 \
    }                                                                                              \
    GY_EXTERN const struct gy_actor_type A##_type

#endif
