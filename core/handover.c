/* One shard accepts for all that listen at an address, and hands each connection to the one of
 * them that has fewest (the policy GY_LISTEN_ONE).
 *
 * Who listens at one address is a group, which all shards see: its members as bits, how many
 * connections each has, and which shard accepts: whoever comes first when the runtime starts.
 * The others have a listener without a socket. A connection travels as a control cell that
 * carries its handle, so that whoever receives the cell owns the handle: it becomes a stream
 * there, or is closed.
 *
 * Who has no room left, by streams_max of the listener or of the shard, is passed over. When nobody has,
 * accepting pauses, and is looked at again after a while: whose connection ends elsewhere says nothing.
 *
 * An accepting shard whose actor stops goes on for the others until one of them listens at the address, too
 * (SUCCEED; TAKEN, or DECLINED by who is not there any more); from then on that one accepts, and the old socket closes as
 * any does, what was queued at it being handed over. A drain has no successors.
 *
 * None is lost by an end in order. When the accepting shard's socket has closed it says so to
 * every member (END), by the same rings and so behind all that it handed over; only then a
 * member's listener is closed. A member that wants to leave asks for it (LEAVE), is taken out by who is asked,
 * and told so in any case (LEFT), behind what it was handed over; an END that comes in between changes nothing. Until
 * then its shard begins no other listener at the address, also if its actor is dead by now: no LEAVE is taken for
 * that one's. From the moment the accepting shard closes on it keeps what it accepts. A connection that comes to a shard that has no such listener any more goes on to another. All
 * words are owed until there is room for them in the ring.
 *
 * An END may be about a listener that is no more, whose address another one of that shard has by now. So it
 * counts only for who is no member, and a member that is ended and wants to go on joins anew; so does one that
 * accepts already, because it had joined between the last accepting shard's two steps of ending the group. */
#include "core/streams.h"

#include <errno.h>
#include <string.h>

#define OWED_RETRY_NS (UINT64_C(1) * 1000 * 1000)
#define BITS 64

enum word { LEAVE, LEFT, SUCCEED, TAKEN, DECLINED, END, HANDLE };
_Static_assert(END < GY__HANDOVER_DUE, "those before HANDLE may be owed");

static struct gy__accept_group *group_of(struct gy_shard *shard, const struct gy__listener *listener)
{
    return &shard->runtime->accept_groups[listener->group - 1];
}

static bool is_member(const struct gy__accept_group *group, unsigned member)
{
    /* acquire: pairs with the release in gy__handover_join(). */
    return atomic_load_explicit(&group->members[member / BITS], memory_order_acquire) >>
               member % BITS & 1;
}

static _Atomic uint32_t *load_of(struct gy_shard *shard, unsigned group, unsigned member)
{
    return &shard->runtime->accept_loads[(group - 1) * shard->runtime->shard_count + member];
}

static _Atomic uint32_t *open_of(struct gy_shard *shard, unsigned member)
{
    return &shard->runtime->accept_loads[GY__ACCEPT_GROUPS * shard->runtime->shard_count + member];
}

void gy__handover_open(struct gy_shard *shard, uint32_t open)
{
    /* relaxed: a number to choose by, as loads are. */
    atomic_store_explicit(open_of(shard, shard->index), open, memory_order_relaxed);
}

static bool accepts(struct gy_shard *shard, unsigned group)
{
    /* relaxed: compared with our own number, which only we write and take back. */
    return atomic_load_explicit(&shard->runtime->accept_groups[group - 1].acceptor,
                                memory_order_relaxed) == shard->index + 1;
}

/* ---- joining ---- */

static bool listens(const struct gy_shard *shard, unsigned group)
{
    const struct gy__streams *streams = shard->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++)
        if (streams->listeners[i].group == group && streams->listeners[i].state != GY__LISTENER_FREE &&
            streams->listeners[i].state != GY__LISTENER_CLOSED && !gy__listener_ends(&streams->listeners[i]))
            return true;
    return false;
}

int gy__handover_enter(struct gy_shard *shard, struct gy__listener *listener)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (const char *c = listener->addr; *c != 0; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(1099511628211);
    hash |= 1;
    for (unsigned i = 0; i < GY__ACCEPT_GROUPS; i++) {
        struct gy__accept_group *group = &shard->runtime->accept_groups[i];
        uint64_t key = 0;
        /* relaxed: the word is all that is told. */
        if (!atomic_compare_exchange_strong_explicit(&group->key, &key, hash, memory_order_relaxed,
                                                     memory_order_relaxed) &&
            key != hash)
            continue;
        if (listens(shard, i + 1))
            return -EADDRINUSE;
        listener->group = (uint8_t)(i + 1);
        return 0;
    }
    return -EAGAIN;
}

bool gy__handover_left(struct gy_shard *shard, const struct gy__listener *listener)
{
    return !is_member(group_of(shard, listener), shard->index);
}

void gy__handover_join(struct gy_shard *shard, struct gy__listener *listener)
{
    if (listener->group == 0 || listener->joined)
        return;
    listener->joined = true;
    /* From here on others look at how many streams this shard has. */
    shard->streams->watched = true;
    gy__handover_open(shard, shard->streams->open);
    /* release: pairs with the acquire in is_member(). acquire: pairs with the release in end_group(); who
     * joins behind it sees that nobody accepts. */
    atomic_fetch_or_explicit(&group_of(shard, listener)->members[shard->index / BITS],
                             UINT64_C(1) << shard->index % BITS, memory_order_acq_rel);
}

bool gy__handover_is_member(struct gy_shard *shard, struct gy__listener *listener)
{
    uint32_t nobody = 0;

    if (listener->group == 0)
        return false;
    /* relaxed: the word is all that is told. */
    atomic_compare_exchange_strong_explicit(&group_of(shard, listener)->acceptor, &nobody,
                                            shard->index + 1, memory_order_relaxed,
                                            memory_order_relaxed);
    return !accepts(shard, listener->group);
}

void gy__handover_port(struct gy_shard *shard, const struct gy__listener *listener)
{
    if (listener->group != 0)
        atomic_store_explicit(&group_of(shard, listener)->port, listener->port,
                              memory_order_relaxed);
}

unsigned gy__handover_port_of(struct gy_shard *shard, const struct gy__listener *listener)
{
    return listener->group == 0 ? 0 :
                                  atomic_load_explicit(&group_of(shard, listener)->port,
                                                       memory_order_relaxed);
}

/* ---- words ---- */

static bool say(struct gy_shard *shard, unsigned group, unsigned to, enum word what, int32_t handle)
{
    struct gy_cell *cell = gy__mesh_reserve(shard, to, shard->nobody.pid.bits);

    if (cell == NULL)
        return false;
    cell->verb = &gy__verb_handover;
    cell->from.sender = shard->nobody.pid.bits;
    cell->fut = 0;
    cell->payload.word[0] = what;
    cell->payload.word[1] = group;
    cell->payload.word[2] = (uint64_t)(int64_t)handle;
    cell->payload.word[3] = shard->index;
    gy__mesh_commit(shard, to, cell, (uint64_t)to << GY__SHARD_SHIFT | 1);
    return true;
}

static bool pay_one(struct gy_shard *shard, unsigned group, enum word what, unsigned word)
{
    uint64_t *due = &shard->streams->due[group - 1][what][word];

    for (uint64_t left = *due; left != 0; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(left);
        if (say(shard, group, word * BITS + bit, what, -1))
            *due &= ~(UINT64_C(1) << bit);
    }
    return *due == 0;
}

static void pay_in_a_while(struct gy_shard *shard)
{
    gy__timer_arm(&shard->wheel, &shard->streams->owed, shard->now_ns + OWED_RETRY_NS);
}

/* Say what is owed, as far as there is room. */
static void pay(struct gy_shard *shard)
{
    bool owes = false;

    if (shard->phase >= GY__PHASE_STOP)
        return; /* everybody ends by himself */
    for (unsigned group = 1; group <= GY__ACCEPT_GROUPS; group++)
        for (unsigned what = 0; what < GY__HANDOVER_DUE; what++)
            for (unsigned word = 0; word < GY__ACCEPT_WORDS; word++)
                owes |= !pay_one(shard, group, (enum word)what, word);
    if (owes)
        pay_in_a_while(shard);
}

static void due(struct gy_shard *shard, unsigned group, enum word what, unsigned to)
{
    shard->streams->due[group - 1][what][to / BITS] |= UINT64_C(1) << to % BITS;
}

static void owe(struct gy_shard *shard, unsigned group, enum word what, unsigned to)
{
    due(shard, group, what, to);
    pay(shard);
}

void gy__handover_owed(struct gy__timer *timer)
{
    (void)timer;
    pay(gy__self());
}

/* ---- handing over ---- */

/* The others are handed none, and asked nothing: or two that leave would wait for each other. */
static bool takes(const struct gy__accept_group *group, unsigned member)
{
    /* relaxed: a member that leaves says so before it asks anybody to succeed it. */
    return is_member(group, member) &&
           !(atomic_load_explicit(&group->leaving[member / BITS], memory_order_relaxed) >>
                 member % BITS & 1);
}

static bool has_room(struct gy_shard *shard, const struct gy__listener *listener, unsigned member,
                     uint32_t load)
{
    uint32_t most = shard->runtime->config.streams_max, max = listener->options.streams_max;

    /* `load` has also those that are on their way, the other number those of other listeners. */
    return load < (max != 0 && max < most ? max : most) &&
           atomic_load_explicit(open_of(shard, member), memory_order_relaxed) < most;
}

/* The member with fewest connections of those that have room, from the one behind the last choice on; of all, if
 * none has. */
static unsigned choose(struct gy_shard *shard, struct gy__listener *listener)
{
    struct gy__accept_group *group = group_of(shard, listener);
    uint32_t count = shard->runtime->shard_count, least = UINT32_MAX;
    unsigned chosen = shard->index;
    bool roomy = false;

    for (uint32_t i = 1; i <= count; i++) {
        unsigned member = (listener->chosen + i) % count;
        if (!takes(group, member))
            continue;
        uint32_t load = atomic_load_explicit(load_of(shard, listener->group, member),
                                             memory_order_relaxed);
        bool room = has_room(shard, listener, member, load);
        if (room > roomy || (room == roomy && load < least)) {
            roomy = room;
            least = load;
            chosen = member;
        }
    }
    listener->chosen = (uint16_t)chosen;
    return chosen;
}

bool gy__handover_has_room(struct gy_shard *shard, const struct gy__listener *listener)
{
    struct gy__accept_group *group = group_of(shard, listener);
    uint32_t count = shard->runtime->shard_count;

    for (uint32_t i = 0; i < count; i++) {
        unsigned member = (shard->index + i) % count; /* mostly it has room itself */
        if (takes(group, member) &&
            has_room(shard, listener, member,
                     atomic_load_explicit(load_of(shard, listener->group, member),
                                          memory_order_relaxed)))
            return true;
    }
    return false;
}

/* It goes to whoever has fewest. -> true: to another shard */
static __attribute__((noinline)) bool handed(struct gy_shard *shard, struct gy__listener *listener,
                                             int32_t handle)
{
    unsigned to = shard->index;

    if (listener->state == GY__LISTENER_OPEN ||
        (listener->leaves && shard->phase < GY__PHASE_DRAIN))
        to = choose(shard, listener);
    if (to != shard->index && !say(shard, listener->group, to, HANDLE, handle))
        to = shard->index; /* the ring is full, so it is less idle than it looks */
    /* relaxed: a number to choose by. */
    atomic_fetch_add_explicit(load_of(shard, listener->group, to), 1, memory_order_relaxed);
    if (to != shard->index)
        gy__stream_count(shard, GY__COUNT_HANDED, 1);
    return to != shard->index;
}

void gy__handover_accepted(struct gy_shard *shard, struct gy__listener *listener, int32_t handle)
{
    if (listener->group == 0 || !handed(shard, listener, handle))
        gy__listener_accepted(shard, listener, handle);
}

void gy__handover_ended(struct gy_shard *shard, const struct gy__listener *listener)
{
    if (listener->group != 0)
        atomic_fetch_sub_explicit(load_of(shard, listener->group, shard->index), 1,
                                  memory_order_relaxed);
}

/* ---- leaving ---- */

/* Another member than this shard that does not leave, the next one behind `after`. -> false: there is none. */
static bool another(struct gy_shard *shard, unsigned group, unsigned after, unsigned *out)
{
    uint32_t count = shard->runtime->shard_count;

    for (uint32_t i = 1; i <= count; i++) {
        *out = (after + i) % count;
        if (*out != shard->index && takes(&shard->runtime->accept_groups[group - 1], *out))
            return true;
    }
    return false;
}

bool gy__handover_succeed(struct gy_shard *shard, struct gy__listener *listener)
{
    unsigned to;

    if (listener->group == 0 || shard->phase >= GY__PHASE_DRAIN)
        return false;
    if (listener->leaves)
        return true;
    if (!accepts(shard, listener->group) || !another(shard, listener->group, shard->index, &to))
        return false;
    listener->leaves = true;
    atomic_fetch_or_explicit(&group_of(shard, listener)->leaving[shard->index / BITS],
                             UINT64_C(1) << shard->index % BITS, memory_order_relaxed);
    owe(shard, listener->group, SUCCEED, to);
    return true;
}

void gy__handover_taken(struct gy_shard *shard, struct gy__listener *listener)
{
    unsigned from = listener->succeeds;

    listener->succeeds = 0;
    if (from != 0)
        owe(shard, listener->group, TAKEN, from - 1);
}

/* Nobody accepts any more: all are told, behind what was handed over to them. */
static void end_group(struct gy_shard *shard, struct gy__listener *listener)
{
    struct gy__accept_group *group = group_of(shard, listener);
    uint64_t *ends = shard->streams->due[listener->group - 1][END];

    atomic_store_explicit(&group->acceptor, 0, memory_order_relaxed);
    for (unsigned word = 0; word < GY__ACCEPT_WORDS; word++)
        /* release: pairs with the acquire in gy__handover_join(). */
        ends[word] |= atomic_exchange_explicit(&group->members[word], 0, memory_order_acq_rel);
    ends[shard->index / BITS] &= ~(UINT64_C(1) << shard->index % BITS);
    pay(shard);
}

static bool take_out(struct gy_shard *shard, unsigned group, unsigned member)
{
    uint64_t bit = UINT64_C(1) << member % BITS;
    struct gy__accept_group *of = &shard->runtime->accept_groups[group - 1];

    return (atomic_fetch_and_explicit(&of->members[member / BITS], ~bit, memory_order_relaxed) &
            bit) != 0;
}

void gy__handover_closed(struct gy_shard *shard, struct gy__listener *listener)
{
    if (!listener->joined)
        return;
    listener->joined = false;
    gy__handover_taken(shard, listener); /* or not: who waits for it need not wait longer */
    if (accepts(shard, listener->group))
        end_group(shard, listener);
    else
        (void)take_out(shard, listener->group, shard->index);
    if (listener->leaves)
        atomic_fetch_and_explicit(&group_of(shard, listener)->leaving[shard->index / BITS],
                                  ~(UINT64_C(1) << shard->index % BITS), memory_order_relaxed);
}

void gy__handover_leave(struct gy_shard *shard, struct gy__listener *listener)
{
    uint32_t acceptor = atomic_load_explicit(&group_of(shard, listener)->acceptor,
                                             memory_order_relaxed);

    /* Without one it is at its end, and the word of that is on its way. */
    listener->asked = acceptor != 0;
    if (listener->asked)
        owe(shard, listener->group, LEAVE, acceptor - 1);
}

/* ---- arriving ---- */

/* The member; else the one that is to become it, or accepts; else one that ends, or waits for its last stream. */
static struct gy__listener *listener_of(struct gy_shard *shard, unsigned group)
{
    struct gy__streams *streams = shard->streams;
    struct gy__listener *other = NULL;

    for (uint32_t i = 0; i < streams->listeners_used; i++) {
        struct gy__listener *listener = &streams->listeners[i];
        if (listener->group != group || listener->state == GY__LISTENER_FREE)
            continue;
        if (listener->state == GY__LISTENER_MEMBER || listener->state == GY__LISTENER_LEAVES)
            return listener;
        if (other == NULL || listener->state < GY__LISTENER_MEMBER)
            other = listener;
    }
    return other;
}

/* The one that accepts, but is to go. */
static struct gy__listener *leaving_of(struct gy_shard *shard, unsigned group)
{
    struct gy__streams *streams = shard->streams;

    for (uint32_t i = 0; i < streams->listeners_used; i++)
        if (streams->listeners[i].group == group && streams->listeners[i].leaves &&
            streams->listeners[i].state < GY__LISTENER_UNLISTEN &&
            streams->listeners[i].state != GY__LISTENER_FREE)
            return &streams->listeners[i];
    return NULL;
}

static void handle_arrived(struct gy_shard *shard, struct gy__listener *listener, unsigned group,
                           int32_t handle)
{
    unsigned to;

    if (listener != NULL && listener->owner != NULL && shard->phase < GY__PHASE_STOP) {
        gy__listener_accepted(shard, listener, handle);
        return;
    }
    atomic_fetch_sub_explicit(load_of(shard, group, shard->index), 1, memory_order_relaxed);
    if (shard->phase < GY__PHASE_DRAIN && another(shard, group, shard->index, &to) &&
        say(shard, group, to, HANDLE, handle))
        atomic_fetch_add_explicit(load_of(shard, group, to), 1, memory_order_relaxed);
    else if (shard->phase < GY__PHASE_STOP)
        gy__streams_refuse(shard, handle);
    else
        shard->driver->drop_handle(shard->ctx, handle);
}

/* It is asked to accept for all. */
static void succeed_arrived(struct gy_shard *shard, struct gy__listener *listener, unsigned group,
                            unsigned from)
{
    if (listener == NULL || listener->state != GY__LISTENER_MEMBER ||
        shard->phase >= GY__PHASE_DRAIN) {
        owe(shard, group, DECLINED, from);
        return;
    }
    /* relaxed: the word is all that is told. */
    atomic_store_explicit(&group_of(shard, listener)->acceptor, shard->index + 1,
                          memory_order_relaxed);
    listener->succeeds = (uint16_t)(from + 1);
    gy__listener_take_over(shard, listener);
}

static void leave_arrived(struct gy_shard *shard, unsigned group, unsigned from)
{
    (void)take_out(shard, group, from); /* it may have been told already that all has ended */
    owe(shard, group, LEFT, from);
}

/* The next one is asked; not at once, for it may be one that is about to go as well. */
static void declined_arrived(struct gy_shard *shard, struct gy__listener *leaving, unsigned group,
                             unsigned from)
{
    unsigned to;

    if (leaving == NULL)
        return;
    if (another(shard, group, from, &to)) {
        due(shard, group, SUCCEED, to);
        pay_in_a_while(shard);
    } else {
        gy__listener_succeeded(shard, leaving);
    }
}

void gy__handover_arrived(struct gy_shard *shard, const struct gy_cell *cell)
{
    unsigned group = (unsigned)cell->payload.word[1];
    unsigned from = (unsigned)cell->payload.word[3];
    struct gy__listener *listener = listener_of(shard, group);

    switch ((enum word)cell->payload.word[0]) {
    case HANDLE:
        handle_arrived(shard, listener, group, (int32_t)(int64_t)cell->payload.word[2]);
        break;
    case LEAVE:
        leave_arrived(shard, group, from);
        break;
    case LEFT:
        if (listener != NULL)
            gy__listener_left(shard, listener);
        break;
    case SUCCEED:
        succeed_arrived(shard, listener, group, from);
        break;
    case TAKEN:
        listener = leaving_of(shard, group);
        if (listener != NULL)
            gy__listener_succeeded(shard, listener);
        break;
    case DECLINED:
        declined_arrived(shard, leaving_of(shard, group), group, from);
        break;
    case END:
        if (listener != NULL)
            gy__listener_ended(shard, listener);
        break;
    }
}
