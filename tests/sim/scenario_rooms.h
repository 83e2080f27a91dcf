/* The rooms of scenario_primitives.c: one of each primitive, and what must hold of them. */
#ifndef GYRE_TESTS_SIM_SCENARIO_ROOMS_H
#define GYRE_TESTS_SIM_SCENARIO_ROOMS_H

#include "tests/sim/scenario.h"
#include "gyre/broadcast.h"
#include "gyre/future.h"
#include "gyre/gate.h"
#include "gyre/latch.h"
#include "gyre/limiter.h"
#include "gyre/mutex.h"
#include "gyre/once.h"
#include "gyre/queue.h"
#include "gyre/rwlock.h"
#include "gyre/semaphore.h"
#include "gyre/sequence.h"
#include "gyre/sm.h"
#include "gyre/typed.h"

#define SHARDS_MAX 2
#define TICKETS_MAX 4096
#define PERMITS 7
#define CAPACITY 4
#define LATCH 3
#define RATE_NS (200 * GY_US)
#define BURST 3
#define STATES 3
#define SUBSCRIBERS 3

enum what { MUTEX, READ, WRITE, SOME, LIMIT, STEP, GET, PUT, LATCHED, DONE_ONCE, SHUT, STATE, WHATS };
#define WAITS_FOR_OTHERS (STEP + 1) /* kinds that end when nobody does anything new */
/* Wrapped in a chain that passes it on, in one that shields it, with a timer in gy_any, in gy_all, and
 * that passed on. */
enum how { PLAIN, PASSED, SHIELDED, RACED, JOINED, JOINED_PASSED, HOWS };
enum ticket_state { UNUSED, OPEN, ENDED };
/* Somebody waits for something. */
struct ticket {
    uint8_t what, how, state;
    bool leaving; /* its guest has given up */
    bool at_once; /* it did not wait: others may have been given something that they have not seen */
    uint32_t life, room;
    uint64_t n;   /* permits; an item; a state; which latch, once or gate */
    gy_fut input; /* what is wrapped */
};
extern struct ticket tickets[TICKETS_MAX];
extern uint32_t ticket_count, tickets_open, waiting_for_others;

enum item_state { OFFERED, IN, GOT, WITHDRAWN, UNCLEAR };
extern uint8_t items[TICKETS_MAX]; /* by the ticket that put them */

struct room_args {
    uint32_t unused;
};
GY_ACTOR(room);
struct room_renew_msg {
    uint32_t unused;
};
GY_CAST(room, renew);
struct room {
    struct gy_actor actor;
    struct gy_mutex mutex;
    struct gy_rwlock rwlock;
    struct gy_semaphore semaphore;
    struct gy_limiter limiter;
    struct gy_sequence sequence;
    struct gy_queue queue;
    struct gy_latch latch;
    struct gy_once once;
    struct gy_gate gate;
    struct gy_sm sm;
    struct gy_broadcast news;
    uint64_t words[CAPACITY];
    struct gy_subscriber subscribers[SUBSCRIBERS];
};
struct guest_news_msg {
    uint64_t room, number;
};

/* What is known of the room of each shard from outside. */
struct room_state {
    struct room *room; /* NULL: there is none */
    uint32_t life;
    uint32_t holders, readers, writers, out; /* of the mutex, the lock, permits */
    uint64_t begun_ns, let_through;          /* by the limiter */
    uint64_t step;                           /* the last that began */
    gy_promise step_promise;                 /* what ends it */
    bool step_over;
    uint32_t round;    /* of latch, once and gate: those of former rounds are gone */
    bool opened[64], done[64]; /* by round */
    bool doing;
    uint32_t inside;
    uint64_t visits[STATES];
    uint64_t news;
};
extern struct room_state rooms[SHARDS_MAX];
extern uint32_t room_count;
extern uint64_t casts_sent, casts_received;

/* What somebody has and will give back. */
struct held {
    bool used;
    uint8_t what;
    uint32_t room, round;
    uint64_t n;
};

void rooms_reset(void);
/* A ticket of this guest for the room of this shard; it ends, once. */
uint32_t ticket_new(uint32_t life, uint8_t what);
void ticket_ends(uint32_t id);
/* The future that it waits for. */
gy_fut room_ask(struct room *room, uint32_t id);
/* The room has given it that. -> whether it has to be given back. */
bool room_gave(uint32_t id, uint64_t word);
void room_takes(struct held *held);
/* A put has ended with res; somebody got an item. */
void item_ends(uint32_t id, int res);
void item_got(uint64_t word);
/* When nobody does anything: all is back, and what is in the queue are the items that are in. */
void room_check(unsigned shard);

#endif
