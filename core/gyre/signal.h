/* gyre/signal.h - signals of the operating system as messages to actors.
 *
 *     struct server_hup_msg { struct gy_signal signal; };      in the actor's header
 *     GY_CAST(server, hup);
 *     GY_SIGNAL(server, hup)                                    in its .c
 *     err = server_hup_signal(self, SIGHUP);                    in its start function
 *     void server_on_hup(struct server *self, const struct server_hup_msg *msg) { ... }
 *
 * Any number of actors, on any shards, may subscribe to a signal; each gets a message per arrival, or
 * one that counts several. None is lost on the way from the kernel to the actor: what finds its
 * mailbox full waits, is added up and is sent when there is room. The kernel itself keeps of each
 * signal below SIGRTMIN one until it is taken (signal(7)): arrivals in quick succession may be one.
 *
 * A signal once subscribed to is the runtime's until it ends, also when nobody subscribes any more:
 * then it has no effect. It is blocked on the shards' threads and on the one that called gy_run(), or
 * gy_start() and gy_wait(). A program with other threads blocks it there, before they start
 * (pthread_sigmask(3)); otherwise the kernel may give it to them. Of several runtimes in one process
 * one takes a signal. */
#ifndef GYRE_SIGNAL_H
#define GYRE_SIGNAL_H

#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_signal {
    int32_t number;
    uint32_t count; /* how often it was taken since the last message; at least 1 */
};

/* Subscribe to a signal until the actor ends. verb: a cast of the actor's whose message is a struct
 * gy_signal. In a boot or start function at the start nothing that arrives later is missed; later, what arrives
 * within the first ms may still act as it did before.
 * -> 0; -EINVAL no such signal, or one that cannot be subscribed to (SIGKILL, SIGSTOP, and those a
 * thread brings upon itself: SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS; SIGPROF;
 * SIGPIPE, which gyre keeps away), or another verb; -EBUSY the runtime's own (SIGTERM and SIGINT, with
 * config.handle_signals), or this actor has it already; -EAGAIN 256 subscriptions on this shard. A
 * line of the log says which. */
GY_API GY_MUST_CHECK int gy_signal_raw(struct gy_actor *self, int number,
                                       const struct gy_verb *verb);
/* No more messages of it; one that was sent may still come. -> 0; -ESRCH not subscribed to. */
GY_API int gy_signal_stop(struct gy_actor *self, int number);

GY_END_DECLS

/* In the actor's .c, for a cast V whose message has one member, struct gy_signal signal: declares
 * A_V_signal(self, number), which subscribes. */
#define GY_SIGNAL(A, V)                                                                            \
    GY_STATIC_ASSERT(sizeof(struct A##_##V##_msg) == sizeof(struct gy_signal),                     \
                     "the message of a signal is { struct gy_signal signal; }");                   \
    GY_MUST_CHECK GY_INLINE int A##_##V##_signal(struct A *self, int number)                       \
    {                                                                                              \
        const struct A##_##V##_msg *msg = NULL;                                                    \
        const struct gy_signal *signal = msg == NULL ? NULL : &msg->signal;                        \
        (void)signal;                                                                              \
        return gy_signal_raw(&self->actor, number, &A##_##V##_verb);                               \
    }

#endif
