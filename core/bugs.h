/* core/bugs.h - planted bugs, for tests that must find them. They exist only in objects compiled with
 * GY_BUGS, which no library that is installed is; elsewhere gy__bug() is 0 and leaves no code. */
#ifndef GYRE_CORE_BUGS_H
#define GYRE_CORE_BUGS_H

enum gy__bug {
    GY__BUG_LOST_WAKE_UP,  /* no second look before sleeping */
    GY__BUG_RING_WRAP,     /* where a ring wraps, two messages change places */
    GY__BUG_TWICE,         /* a cancelled call ends again when its answer comes */
    GY__BUG_BUFFER_EARLY,  /* an aborted stream releases what is still being sent */
    GY__BUG_TIMER_CASCADE, /* some timers are lost when a slot of the wheel is spread */
    GY__BUG_SLOT_EARLY,    /* a future's slot is reused while its answer is on its way */
    GY__BUG_MAILBOX,       /* a mailbox takes one too many */
    GY__BUG_PIPELINE,      /* HTTP: an answer that is ready overtakes the one before it */
    GY__BUG_DRAIN,         /* HTTP: a drain forgets requests whose body is still coming */
    GY__BUG_LOST_EXITED,   /* an end that finds no room in a ring is never told */
    GY__BUG_RESTART_TWICE, /* a supervisor does not remember whom it has started again */
    GY__BUG_LEAKED_WAITER, /* what a waiter was given and never saw is not taken back */
    GY__BUG_LATE_HANDLE,   /* a connect that succeeds after it was cancelled is taken for a failed one */
    GY__BUG_FLOW_AFTER_DEATH, /* a flow that was cancelled goes on when its actor has ended */
    GY__BUG_WS_PONG,  /* WebSocket: a pong is put into the frame that waits instead of behind it */
    GY__BUG_WS_CLOSE, /* WebSocket: the peer's close is answered also if ours was sent before */
    GY__BUG_WS_PING,  /* WebSocket: a control frame between two fragments becomes a part of their message */
    GY__BUG_CLIENT_ORDER, /* HTTP: a client's pipelined requests change places where answers are expected */
    GY__BUG_CLIENT_RETRY, /* HTTP: a client sends again what is not safe */
    GY__BUG_REMOVED_RESTARTS, /* a supervisor forgets to forget a child whose end is still on the way */
    GY__BUG_RESTART_ASKED, /* the end before a restart that was asked for makes another */
    GY__BUG_ADDED_EARLY, /* a child added while its group restarts does not wait for it */
    GY__BUGS
};

#ifdef GY_BUGS
extern unsigned gy__bugs_on; /* bits; set before a runtime is opened */
#define gy__bug(which) ((gy__bugs_on >> (which) & 1u) != 0)
#else
#define gy__bug(which) 0
#endif

#endif
