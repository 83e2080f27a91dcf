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
 * Its children are those it was started with. Actors that come and go are for gy_spawn_monitored_raw(). */
#ifndef GYRE_SUPERVISOR_H
#define GYRE_SUPERVISOR_H

#include "gyre/core.h"

GY_BEGIN_DECLS

enum gy_restart {
    GY_RESTART_ALWAYS,     /* however it ended */
    GY_RESTART_ON_FAILURE, /* only if it ended with why < 0 */
    GY_RESTART_NEVER
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

struct gy_child_spec {
    const char *id; /* for the log and the printed tree; borrowed while the supervisor lives */
    const struct gy_actor_type *type;
    const void *args; /* of its start function; borrowed while the supervisor lives */
    enum gy_restart restart;
    struct gy_child *child; /* kept up to date; borrowed while the supervisor lives; or NULL */
};

#define GY_CHILDREN_MAX 64
#define GY_RESTARTS_MAX 32

struct gy_supervisor_args {
    const struct gy_child_spec *children; /* borrowed while the supervisor lives */
    uint32_t count;                       /* 1 .. GY_CHILDREN_MAX */
    enum gy_strategy strategy;
    uint32_t restarts_max; /* 0 .. GY_RESTARTS_MAX, within */
    uint64_t within_ns;    /* more than 0, unless restarts_max is 0 */
};

GY_API extern const struct gy_actor_type gy_supervisor_type;

/* On this shard. -> 0; -EINVAL bad arguments; the error of a child's start; as gy_spawn_raw. */
GY_INLINE GY_MUST_CHECK int gy_supervisor_spawn(gy_pid *out, const struct gy_supervisor_args *args)
{
    return gy_spawn_raw(out, &gy_supervisor_type, args);
}

/* The tree below a supervisor of this shard, by gy_log, one line for each: supervisors with
 * their strategy and how many restarts count against the limit, children with id, type, state,
 * restarts ever. */
GY_API void gy_supervisor_print(gy_pid supervisor);

GY_END_DECLS

#endif
