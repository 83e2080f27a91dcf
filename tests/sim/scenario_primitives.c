/* What actors wait with: guests of a room take its locks, permits, items and turns, keep them for a
 * while and give them back; they wrap what they wait for in chains, shields and combinators, set
 * deadlines, discard, and die, and so does the room. Whatever happens: one holds a mutex, nobody reads
 * while somebody writes, no more permits are out than there are, no item is lost, doubled or invented,
 * the rate is kept, steps of a sequence do not overlap; nobody overtakes who waited before, so no
 * writer starves; who waits is told once. When the turmoil ends all who wait for others get their
 * turn, in bounded time, and everything is back. */
#include "tests/sim/scenario_rooms.h"
#include "core/kernel.h"

#include <errno.h>
#include <string.h>

#define GUESTS 5
#define HELD_MAX 6
#define OPEN_MAX 4

static uint32_t life_count, actions_left;
static bool calm, finishing;

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}
static void try(int err)
{
    (void)err;
}

/* ---- guests ---- */

struct guest_args {
    uint32_t unused;
};
GY_ACTOR(guest);
GY_CAST(guest, news);
GY_SUBSCRIBE(guest, news);
struct guest {
    struct gy_actor actor;
    uint32_t life;
    struct held held[HELD_MAX];
    struct {
        gy_fut fut;
        uint32_t ticket;
    } open[OPEN_MAX];
    uint64_t news_room, news_number;
};
GY_ACTOR_TYPE(guest, guest_start, guest_stop);
GY_VERB(guest, news);

void guest_on_news(struct guest *self, const struct guest_news_msg *msg)
{
    casts_received++;
    scenario_check(msg->room != self->news_room || msg->number > self->news_number,
                   "news %llu after news %llu", (unsigned long long)msg->number,
                   (unsigned long long)self->news_number);
    self->news_room = msg->room;
    self->news_number = msg->number;
}

/* ---- giving back ---- */

GY_THEN_RES(guest, guest_gives_back)
{
    (void)res;
    if (self->held[ctx].used)
        room_takes(&self->held[ctx]);
}

/* What it has now it gives back soon. */
static void keep(struct guest *self, uint8_t what, uint64_t n)
{
    struct held held = {true, what, rooms[gy_shard()].life, rooms[gy_shard()].round, n};
    unsigned i = 0;
    gy_fut timer;

    while (i < HELD_MAX && self->held[i].used)
        i++;
    if (i == HELD_MAX || pick(4) == 0) {
        room_takes(&held);
        return;
    }
    self->held[i] = held;
    timer = gy_after(UINT64_C(1) << pick(20));
    if (gy_refused(timer) != 0 || gy_then(self, timer, guest_gives_back, i) < 0)
        room_takes(&self->held[i]);
}

/* ---- tickets ---- */

static void on_ticket(struct gy_actor *actor, const struct gy_done *done)
{
    struct guest *self = (struct guest *)(void *)actor;
    uint32_t id = (uint32_t)done->ctx;
    struct ticket *ticket = &tickets[id];
    uint64_t word = 0;
    int res = done->res;

    scenario_check(ticket->life == self->life, "ticket %u ends at a stranger's", id);
    ticket_ends(id);
    scenario_check(res >= 0 || res == -ECANCELED || res == -ETIMEDOUT || res == -EOWNERDEAD ||
                       res == -EAGAIN || (res == -EDOM && (ticket->what == STEP ||
                                                           ticket->what == DONE_ONCE)),
                   "ticket %u of kind %u ended with %d", id, ticket->what, res);
    if (done->value != NULL)
        memcpy(&word, done->value, sizeof(word));
    if (res >= 0 && ticket->how >= RACED && res == 0 && gy_value_raw(ticket->input, NULL, 0) == 0)
        try(gy_value_raw(ticket->input, &word, sizeof(word)));
    if (ticket->what == PUT)
        item_ends(id, res);
    if (res != 0 || ticket->room != rooms[gy_shard()].life || rooms[gy_shard()].room == NULL) {
        if (res == 0 && ticket->what == GET)
            item_got(word);
        return;
    }
    if (room_gave(id, word))
        keep(self, ticket->what, ticket->n);
}

static void passes_on(struct gy_actor *actor, const struct gy_done *done, gy_promise out)
{
    (void)actor;
    (void)gy_resolve_raw(out, done->res, NULL, 0, NULL);
}

static gy_fut wrap(struct guest *self, struct ticket *ticket, gy_fut fut)
{
    gy_fut both[2] = {fut, {0}};
    uint64_t after_ns = UINT64_C(1) << pick(22);

    switch (ticket->how) {
    case PASSED:
        return gy_chain_raw(&self->actor, fut, GY_WHEN_FAILED, passes_on, 0);
    case SHIELDED:
        return gy_undiscardable(&self->actor, fut);
    case RACED:
        both[1] = gy_after(after_ns);
        return gy_any(both, 2);
    case JOINED:
    case JOINED_PASSED:
        both[1] = gy_after(after_ns);
        fut = gy_all(both, 2);
        if (ticket->how == JOINED)
            return fut;
        return gy_chain_raw(&self->actor, fut, GY_WHEN_FAILED, passes_on, 0);
    default:
        return fut;
    }
}

/* ---- what guests do ---- */

static void act_wait(struct guest *self, struct room *room)
{
    uint32_t id = ticket_new(self->life, (uint8_t)pick(WHATS));
    struct ticket *ticket = &tickets[id];
    unsigned place = (unsigned)pick(OPEN_MAX);
    gy_fut fut;

    ticket->how = (uint8_t)pick(HOWS);
    if (ticket->what == PUT && ticket->how != PLAIN)
        ticket->how = RACED; /* otherwise an end does not say whether the item is in */
    ticket->input = room_ask(room, id);
    fut = wrap(self, ticket, ticket->input);
    if (gy_then_raw(&self->actor, fut, on_ticket, id) < 0) {
        ticket_ends(id);
        if (ticket->what == PUT)
            items[id] = WITHDRAWN;
        return;
    }
    if (pick(4) == 0)
        (void)gy_deadline(fut, UINT64_C(1) << pick(22));
    self->open[place].fut = fut;
    self->open[place].ticket = id;
}

static void act_discard(struct guest *self)
{
    unsigned place = (unsigned)pick(OPEN_MAX);
    struct ticket *ticket = &tickets[self->open[place].ticket];

    if (self->open[place].fut.bits == 0 || ticket->state != OPEN)
        return;
    ticket->leaving = true;
    gy_discard(self->open[place].fut);
}

static void act_queue_now(struct guest *self, struct room *room)
{
    uint64_t word;
    uint32_t id;

    if (pick(2)) {
        if (gy_queue_try_get(&room->queue, &word) == 0)
            item_got(word);
        return;
    }
    id = ticket_new(self->life, PUT);
    items[id] = OFFERED;
    item_ends(id, gy_queue_put(&room->queue, id) == 0 ? 0 : -EAGAIN);
    ticket_ends(id);
}

static void act_round(struct guest *self, struct room *room)
{
    unsigned shard = gy_shard();
    int err;

    switch (pick(4)) {
    case 0:
        if (gy_once_first(&room->once)) {
            scenario_check(!rooms[shard].doing, "two do what is to be done once");
            rooms[shard].doing = true;
            keep(self, DONE_ONCE, pick(3));
        }
        break;
    case 1:
        err = gy_gate_enter(&room->gate);
        scenario_check(err == 0 || err == -ESHUTDOWN, "entering says %d", err);
        if (err == 0) {
            rooms[shard].inside++;
            keep(self, SHUT, 0);
        }
        break;
    case 2:
        if (gy_latch_count_down(&room->latch) == 0)
            rooms[shard].opened[rooms[shard].round % 64] = true;
        break;
    default:
        if (pick(4) == 0)
            casts_sent += room_renew((room_pid){room->actor.pid}, (struct room_renew_msg){0}) == 0;
        break;
    }
}

static void act_news(struct guest *self, struct room *room)
{
    struct guest_news_msg msg = {rooms[gy_shard()].life, 0};
    int n;

    if (pick(8) == 0) {
        try(gy_broadcast_unsubscribe(&room->news, self->actor.pid));
    } else if (pick(3) == 0) {
        try(gy_broadcast_subscribe(&room->news, guest, news, (guest_pid){self->actor.pid}));
    } else {
        for (uint64_t left = 1 + pick(6); left > 0; left--) {
            msg.number = ++rooms[gy_shard()].news;
            n = gy_broadcast_publish(&room->news, &msg, sizeof(msg));
            scenario_check(n >= 0 && n <= SUBSCRIBERS, "%d get the news", n);
            casts_sent += (uint64_t)n;
        }
    }
}

/* What is to be had at once, and not before those who wait. */
static void act_try(struct guest *self, struct room *room)
{
    uint8_t what = (uint8_t)(pick(3) == 0 ? MUTEX : pick(2) ? SOME : LIMIT);
    uint32_t id = ticket_new(self->life, what);
    unsigned waiting = gy_waits_count(what == MUTEX ? &room->mutex.waits :
                                      what == LIMIT ? &room->limiter.waits :
                                                      &room->semaphore.waits);
    int err;

    tickets[id].n = 1 + pick(4);
    tickets[id].at_once = true;
    err = what == MUTEX ? gy_mutex_try_lock(&room->mutex) :
          what == LIMIT ? gy_limiter_try_acquire(&room->limiter) :
                          gy_semaphore_try_acquire(&room->semaphore, tickets[id].n);
    scenario_check(err == 0 || err == -EBUSY || err == -EAGAIN, "trying says %d", err);
    scenario_check(err < 0 || waiting == 0, "what %u wait for is given to one who comes", waiting);
    ticket_ends(id);
    if (err == 0 && room_gave(id, 0))
        keep(self, what, tickets[id].n);
}

static void act(struct guest *self, struct room *room)
{
    uint64_t what = pick(32);
    uint32_t state;

    if (what < 16) {
        act_wait(self, room);
    } else if (what < 19) {
        act_discard(self);
    } else if (what < 22) {
        act_queue_now(self, room);
    } else if (what < 26) {
        act_round(self, room);
    } else if (what < 28) {
        act_news(self, room);
    } else if (what < 29) {
        act_try(self, room);
    } else if (what < 31) {
        state = (uint32_t)pick(STATES);
        if (gy_sm_move(&room->sm, state) == 0)
            rooms[gy_shard()].visits[state]++;
    } else if (pick(4) == 0) {
        try(gy_actor_stop(self->actor.pid, pick(2) ? -EIO : 0));
    }
}

static void guest_rest(struct guest *self);
GY_THEN_RES(guest, guest_acts)
{
    (void)ctx, (void)res;
    for (uint64_t n = 1 + pick(8); n > 0 && actions_left > 0; n--) {
        struct room *room = rooms[gy_shard()].room;
        actions_left--;
        if (room != NULL && ticket_count < TICKETS_MAX)
            act(self, room);
    }
    if (!calm)
        guest_rest(self);
}
static void guest_rest(struct guest *self)
{
    gy_fut timer = gy_after(UINT64_C(1) << pick(20));

    if (gy_refused(timer) != 0 || gy_then(self, timer, guest_acts, 0) < 0)
        try(gy_actor_stop(self->actor.pid, -EIO)); /* another will begin */
}
static int guest_start(struct guest *self, const struct guest_args *args)
{
    (void)args;
    self->life = ++life_count;
    guest_rest(self);
    return 0;
}
static void guest_stop(struct guest *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < ticket_count; i++)
        if (tickets[i].state == OPEN && tickets[i].life == self->life) {
            ticket_ends(i);
            if (tickets[i].what == PUT && items[i] == OFFERED)
                items[i] = UNCLEAR;
        }
    for (unsigned i = 0; i < HELD_MAX; i++)
        if (self->held[i].used)
            room_takes(&self->held[i]);
}

/* ---- one porter per shard keeps them alive, and ends them ---- */

struct porter_args {
    uint32_t unused;
};
GY_ACTOR(porter);
struct porter {
    struct gy_actor actor;
    struct gy_timer timer; /* needs no future */
    room_pid room;
    guest_pid guests[GUESTS];
};
GY_ACTOR_TYPE(porter, porter_start, porter_stop);

static bool lives(gy_pid pid)
{
    return gy__actor_find(gy__self(), pid.bits) != NULL;
}

static void porter_looks(struct gy_actor *actor, struct gy_timer *timer)
{
    struct porter *self = (struct porter *)(void *)actor;

    if (!calm && !lives(self->room.pid))
        try(room_spawn(&self->room, &(struct room_args){0}));
    else if (finishing || (!calm && pick(40) == 0))
        try(gy_actor_stop(self->room.pid, 0));
    for (unsigned i = 0; i < GUESTS; i++) {
        if (!calm && !lives(self->guests[i].pid))
            try(guest_spawn(&self->guests[i], &(struct guest_args){0}));
        else if (finishing || (!calm && pick(64) == 0))
            try(gy_actor_stop_now(self->guests[i].pid, -EIO));
    }
    gy_timer_arm_raw(actor, timer, porter_looks, GY_MS);
}
static int porter_start(struct porter *self, const struct porter_args *args)
{
    (void)args;
    gy_timer_arm_raw(&self->actor, &self->timer, porter_looks, 0);
    return 0;
}
static void porter_stop(struct porter *self, int why)
{
    (void)self, (void)why;
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    porter_pid pid;

    (void)shard, (void)arg;
    return porter_spawn(&pid, &(struct porter_args){0});
}
static bool is_spent(void *arg)
{
    (void)arg;
    return actions_left == 0 || ticket_count == TICKETS_MAX;
}
static bool has_had_its_turn(void *arg)
{
    (void)arg;
    return waiting_for_others == 0;
}
static bool is_over(void *arg)
{
    unsigned shards = *(unsigned *)arg, left = 0;

    for (unsigned i = 0; i < shards; i++)
        left += rooms[i].room != NULL;
    return tickets_open == 0 && left == 0;
}

static void nothing_left(unsigned shards)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t lost = 0;

    for (unsigned i = 0; i < shards; i++) {
        struct gy_shard *shard = runtime->shards[i];
        scenario_check(shard->futures_live == 0, "%u futures of nobody's", shard->futures_live);
        scenario_check(shard->kept_live == 0, "%u promises of nobody's", shard->kept_live);
        lost += shard->core_counters[GY__COUNT_DEAD_LETTERS] +
                shard->core_counters[GY__COUNT_DROPPED];
    }
    scenario_check(casts_sent == casts_received + lost, "%llu casts, %llu handled, %llu lost",
                   (unsigned long long)casts_sent, (unsigned long long)casts_received,
                   (unsigned long long)lost);
}

static uint64_t run(struct gy_sim_config *config)
{
    unsigned shards = 1 + (unsigned)(config->seed % SHARDS_MAX);

    rooms_reset();
    life_count = 0;
    actions_left = 1500;
    calm = finishing = false;
    config->shards = shards;
    if (config->seed % 5 == 0)
        config->faults.memory_fail_ppm = 200000;
    if (!scenario_open(config, boot, NULL))
        return 0;
    scenario_check(gy_sim_until(scenario_sim, is_spent, NULL, 1000 * GY_S), "nobody acts");
    actions_left = 0;
    calm = true;
    scenario_live(has_had_its_turn, NULL, GY_S, "somebody waits for a turn that does not come");
    gy_sim_advance(scenario_sim, 10 * GY_MS);
    gy_sim_settle(scenario_sim);
    for (unsigned shard = 0; shard < shards; shard++)
        room_check(shard);
    finishing = true;
    scenario_live(is_over, &shards, GY_S, "somebody waits for what is no more");
    gy_sim_advance(scenario_sim, 10 * GY_MS);
    gy_sim_settle(scenario_sim);
    nothing_left(shards);
    scenario_add("tickets", ticket_count);
    scenario_add("rooms", room_count);
    return scenario_close();
}

const struct scenario scenario_primitives = {"primitives", "locks, queues and the like, fought for",
                                             run};
