/* Rooms: each has one of each primitive, and rules.
 *
 * What guests ask of a room and get is written down outside of it, as tickets, items and counts; each
 * gift is held against them: who holds what, who has waited longer, what has happened before. A room
 * that has ended takes its counts along; `life` tells rooms apart, `round` what is used up and made
 * anew within one. */
#include "tests/sim/scenario_rooms.h"

#include <errno.h>
#include <string.h>

struct ticket tickets[TICKETS_MAX];
uint32_t ticket_count, tickets_open, waiting_for_others;
uint8_t items[TICKETS_MAX];
struct room_state rooms[SHARDS_MAX];
uint32_t room_count;
uint64_t casts_sent, casts_received;
static uint32_t first_open; /* no ticket before it is */

static const struct gy_sm_state states[STATES] = {
    {"red", GY_SM_TO(1)}, {"green", GY_SM_TO(2) | GY_SM_TO(0)}, {"amber", GY_SM_TO(0)}};

void rooms_reset(void)
{
    memset(tickets, 0, sizeof(tickets));
    memset(rooms, 0, sizeof(rooms));
    ticket_count = tickets_open = waiting_for_others = room_count = first_open = 0;
    casts_sent = casts_received = 0;
}

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}

/* ---- the actor ---- */

GY_ACTOR_TYPE(room, room_start, room_stop);
GY_VERB(room, renew);

static void round_begin(struct room *self)
{
    unsigned shard = gy_shard();

    rooms[shard].round++;
    rooms[shard].opened[rooms[shard].round % 64] = rooms[shard].done[rooms[shard].round % 64] =
        false;
    rooms[shard].doing = false;
    rooms[shard].inside = 0;
    gy_latch_init(&self->latch, &self->actor, LATCH);
    gy_once_init(&self->once, &self->actor);
    gy_gate_init(&self->gate, &self->actor);
}
static void round_end(struct room *self)
{
    gy_latch_fini(&self->latch);
    gy_once_fini(&self->once);
    gy_gate_fini(&self->gate);
}

static int room_start(struct room *self, const struct room_args *args)
{
    unsigned shard = gy_shard();

    (void)args;
    memset(&rooms[shard], 0, sizeof(rooms[shard]));
    rooms[shard].room = self;
    rooms[shard].life = ++room_count;
    rooms[shard].begun_ns = gy_now();
    rooms[shard].step_over = true;
    gy_mutex_init(&self->mutex, &self->actor);
    gy_rwlock_init(&self->rwlock, &self->actor);
    gy_semaphore_init(&self->semaphore, &self->actor, PERMITS);
    gy_sequence_init(&self->sequence, &self->actor);
    gy_queue_init(&self->queue, &self->actor, self->words, CAPACITY);
    gy_broadcast_init(&self->news, self->subscribers, SUBSCRIBERS, sizeof(struct guest_news_msg));
    round_begin(self);
    int err = gy_sm_init(&self->sm, &self->actor, states, STATES, 0);
    return err < 0 ? err : gy_limiter_init(&self->limiter, &self->actor, 1, RATE_NS, BURST);
}
static void room_stop(struct room *self, int why)
{
    (void)self, (void)why;
    rooms[gy_shard()].room = NULL;
}
void room_on_renew(struct room *self, const struct room_renew_msg *msg)
{
    (void)msg;
    casts_received++;
    round_end(self);
    round_begin(self);
}

/* ---- giving back ---- */

void room_takes(struct held *held)
{
    unsigned shard = gy_shard();
    struct room *room = rooms[shard].room;
    int err = 0;

    held->used = false;
    if (room == NULL || held->room != rooms[shard].life)
        return;
    if ((held->what == SHUT || held->what == DONE_ONCE) && held->round != rooms[shard].round)
        return;
    switch (held->what) {
    case MUTEX:
        rooms[shard].holders--;
        err = gy_mutex_unlock(&room->mutex);
        break;
    case READ:
        rooms[shard].readers--;
        err = gy_rwlock_read_unlock(&room->rwlock);
        break;
    case WRITE:
        rooms[shard].writers--;
        err = gy_rwlock_write_unlock(&room->rwlock);
        break;
    case SOME:
        rooms[shard].out -= (uint32_t)held->n;
        err = gy_semaphore_release(&room->semaphore, held->n);
        break;
    case SHUT: /* it is inside of the gate */
        rooms[shard].inside--;
        err = gy_gate_leave(&room->gate);
        break;
    default:
        rooms[shard].doing = false;
        rooms[shard].done[held->round % 64] = held->n != 0;
        err = gy_once_done(&room->once, held->n != 0 ? 0 : -EDOM);
        break;
    }
    scenario_check(err == 0, "giving back what was given says %d", err);
}

/* ---- being given ---- */

/* Nobody who waited before and waits still; mask: of these kinds, in the order in which they were
 * woken as far as that can be seen. */
static void fifo_check(uint32_t id, uint32_t mask, bool any_way)
{
    if (tickets[id].at_once)
        return;
    while (first_open < id && tickets[first_open].state != OPEN)
        first_open++;
    for (uint32_t i = first_open; i < id; i++) {
        const struct ticket *other = &tickets[i];
        scenario_check(other->state != OPEN || other->leaving ||
                           other->room != tickets[id].room || !(mask >> other->what & 1) ||
                           other->how >= (any_way ? RACED : PASSED),
                       "ticket %u of kind %u overtakes ticket %u of kind %u", id, tickets[id].what,
                       i, other->what);
    }
}

static void limit_check(unsigned shard)
{
    uint64_t passed_ns = gy_now() - rooms[shard].begun_ns;

    scenario_check(++rooms[shard].let_through <= BURST + passed_ns / RATE_NS,
                   "%llu permits in %llu ns", (unsigned long long)rooms[shard].let_through,
                   (unsigned long long)passed_ns);
}

void item_got(uint64_t word)
{
    scenario_check(word < ticket_count && tickets[word].what == PUT, "an item nobody has put");
    scenario_check(items[word] == OFFERED || items[word] == IN || items[word] == UNCLEAR,
                   "item %llu is got, and it was %s", (unsigned long long)word,
                   items[word] == GOT ? "got before" : "withdrawn");
    items[word] = GOT;
}

bool room_gave(uint32_t id, uint64_t word)
{
    const struct ticket *ticket = &tickets[id];
    unsigned shard = gy_shard();

    switch (ticket->what) {
    case MUTEX:
        scenario_check(rooms[shard].holders++ == 0, "two hold the mutex");
        fifo_check(id, 1u << MUTEX, true);
        break;
    case READ:
        scenario_check(rooms[shard].writers == 0, "somebody reads while somebody writes");
        rooms[shard].readers++;
        fifo_check(id, 1u << WRITE, true);
        break;
    case WRITE:
        scenario_check(rooms[shard].writers++ == 0 && rooms[shard].readers == 0,
                       "somebody writes, and is not alone");
        fifo_check(id, 1u << READ | 1u << WRITE, true);
        break;
    case SOME:
        rooms[shard].out += (uint32_t)ticket->n;
        scenario_check(rooms[shard].out <= PERMITS, "%u permits of %u are out", rooms[shard].out,
                       PERMITS);
        fifo_check(id, 1u << SOME, false);
        break;
    case LIMIT:
        limit_check(shard);
        fifo_check(id, 1u << LIMIT, false);
        return false;
    case GET:
        item_got(word);
        return false;
    case STEP:
        scenario_check(word == 3 * (uint64_t)id, "a step has the value of another");
        return false;
    case LATCHED:
        scenario_check(rooms[shard].opened[ticket->n % 64], "a latch lets somebody in early");
        return false;
    case DONE_ONCE:
        scenario_check(rooms[shard].done[ticket->n % 64], "it is done, and nobody has done it");
        return false;
    case SHUT:
        scenario_check(ticket->n != rooms[shard].round || rooms[shard].inside == 0,
                       "the gate is empty, and %u are inside", rooms[shard].inside);
        return false;
    case STATE:
        scenario_check(rooms[shard].visits[ticket->n % 8] >= ticket->n / 8,
                       "a state that it was not in");
        return false;
    default:
        return false;
    }
    return true;
}

/* ---- tickets and items ---- */

uint32_t ticket_new(uint32_t life, uint8_t what)
{
    struct ticket *ticket = &tickets[ticket_count];

    *ticket = (struct ticket){.what = what, .state = OPEN, .life = life,
                              .room = rooms[gy_shard()].life};
    tickets_open++;
    waiting_for_others += what < WAITS_FOR_OTHERS;
    return ticket_count++;
}

void ticket_ends(uint32_t id)
{
    scenario_check(tickets[id].state == OPEN, "ticket %u ends twice", id);
    tickets[id].state = ENDED;
    tickets_open--;
    waiting_for_others -= tickets[id].what < WAITS_FOR_OTHERS;
}

void item_ends(uint32_t id, int res)
{
    bool got = items[id] == GOT;

    if (got && (res == 0 || tickets[id].how == RACED))
        return;
    scenario_check(!got, "item %u is got, and its put ended with %d", id, res);
    /* A combinator that is discarded discards its inputs a little later. */
    items[id] = res == 0                                    ? IN :
                tickets[id].how == RACED && res != 1        ? UNCLEAR :
                                                              WITHDRAWN;
}

/* ---- steps of the sequence ---- */

static void step_end(uint64_t step)
{
    unsigned shard = gy_shard();
    uint64_t value = 3 * step;

    if (step != rooms[shard].step || rooms[shard].step_over)
        return; /* it was discarded, and others came */
    rooms[shard].step_over = true;
    if (step % 8 == 0)
        (void)gy_resolve_raw(rooms[shard].step_promise, -EDOM, NULL, 0, NULL);
    else
        (void)gy_resolve_raw(rooms[shard].step_promise, 0, &value, sizeof(value), NULL);
}
GY_THEN_RES(room, room_step_due)
{
    (void)self, (void)res;
    step_end(ctx);
}

static gy_fut step_begin(struct gy_actor *actor, uint64_t step)
{
    struct room *self = (struct room *)(void *)actor;
    unsigned shard = gy_shard();
    gy_promise promise;
    gy_fut fut, timer;

    scenario_check(rooms[shard].room == self, "a step of a room that is no more");
    scenario_check(rooms[shard].step_over || gy_discarded(rooms[shard].step_promise) == 1,
                   "step %llu begins before step %llu has ended", (unsigned long long)step,
                   (unsigned long long)rooms[shard].step);
    scenario_check(step >= rooms[shard].step, "step %llu begins after step %llu",
                   (unsigned long long)step, (unsigned long long)rooms[shard].step);
    rooms[shard].step = step;
    rooms[shard].step_over = true;
    fut = gy_pair(actor, &promise);
    if (gy_refused(fut) != 0)
        return fut;
    rooms[shard].step_over = false;
    rooms[shard].step_promise = promise;
    timer = pick(4) == 0 ? (gy_fut){EAGAIN} : gy_after(UINT64_C(1) << pick(19));
    if (gy_refused(timer) != 0 || gy_then(self, timer, room_step_due, step) < 0)
        step_end(step);
    return fut;
}

/* ---- asking ---- */

gy_fut room_ask(struct room *room, uint32_t id)
{
    struct ticket *ticket = &tickets[id];
    unsigned shard = gy_shard();

    switch (ticket->what) {
    case MUTEX:
        return gy_mutex_lock(&room->mutex);
    case READ:
        return gy_rwlock_read(&room->rwlock);
    case WRITE:
        return gy_rwlock_write(&room->rwlock);
    case SOME:
        ticket->n = 1 + pick(4);
        return gy_semaphore_acquire(&room->semaphore, ticket->n);
    case LIMIT:
        return gy_limiter_acquire(&room->limiter);
    case STEP:
        return gy_sequence_add(&room->sequence, step_begin, id);
    case GET:
        return gy_queue_get(&room->queue);
    case PUT:
        items[id] = OFFERED;
        return gy_queue_put_wait(&room->queue, id);
    case LATCHED:
        ticket->n = rooms[shard].round;
        return gy_latch_wait(&room->latch);
    case DONE_ONCE:
        ticket->n = rooms[shard].round;
        return gy_once_wait(&room->once);
    case SHUT:
        ticket->n = rooms[shard].round;
        return gy_gate_close(&room->gate);
    default:
        ticket->n = pick(STATES);
        ticket->n += 8 * (rooms[shard].visits[ticket->n] + (room->sm.state != ticket->n));
        return gy_sm_when(&room->sm, (uint32_t)ticket->n % 8);
    }
}

/* ---- when it is quiet ---- */

void room_check(unsigned shard)
{
    const struct room *room = rooms[shard].room;
    uint32_t in = 0, found = 0;

    if (room == NULL)
        return;
    scenario_check(!room->mutex.locked, "the mutex is locked for nobody");
    scenario_check(room->rwlock.readers == 0 && !room->rwlock.writer,
                   "the lock is held by nobody");
    scenario_check(room->semaphore.permits == PERMITS, "of %u permits %llu are back", PERMITS,
                   (unsigned long long)room->semaphore.permits);
    scenario_check(!room->sequence.busy, "the sequence waits for nobody");
    scenario_check(room->queue.count == 0 || gy_waits_count(&room->queue.getters) == 0,
                   "there are items, and somebody waits for one");
    scenario_check(gy_waits_count(&room->queue.putters) == 0 || room->queue.count == CAPACITY,
                   "there is room, and somebody waits for it");
    for (uint32_t i = 0; i < room->queue.count; i++) {
        uint64_t word = room->words[(room->queue.first + i) % CAPACITY];
        scenario_check(items[word] == IN || items[word] == UNCLEAR, "item %llu is in and out",
                       (unsigned long long)word);
        found += items[word] == IN;
    }
    for (uint32_t i = 0; i < ticket_count; i++)
        in += tickets[i].what == PUT && tickets[i].room == rooms[shard].life && items[i] == IN;
    scenario_check(in == found, "%u items are in, %u are found", in, found);
}
