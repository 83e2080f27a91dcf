/* The timer wheel. Who owns what: timers belong to their users and are linked in place; the wheel
 * owns only its lists.
 *
 * A tick is a number of nine 6-bit digits. A timer stands at the level of the highest digit in
 * which its tick differs from the wheel's, in the slot of that digit. So everything at a lower
 * level is due before anything at a higher one, and within a level slots are due in the order of
 * their bits: the next event is found in a few words however far away it is, and a jump of hours
 * visits only slots that hold something. When the wheel's tick enters a slot above level 0, the
 * slot is spread over the lower levels (a cascade).
 *
 * Invariants:
 * - a list's bit in occupied[] says whether it holds a timer;
 * - every slot that holds a timer begins after wheel->tick, except the slot being cascaded and the
 *   level-0 slot of wheel->tick itself, in both of which an advance left some because of its bound;
 * - a timer armed with a deadline that is already past is in one of two lists: it must fire at the
 *   next advance, and must not in the one that is going on, or a timer that arms itself for "now"
 *   would never let an advance end.
 *
 * Cascades are bounded too: 100,000 timers in one slot must not stop a shard for a millisecond. */
#include "core/wheel.h"
#include "core/bugs.h"

#include <stddef.h>

#define DIGIT_MASK (GY__WHEEL_SLOTS - 1)
#define PAST (GY__WHEEL_LEVELS * GY__WHEEL_SLOTS) /* the first of the two lists of past deadlines  \
                                                   */
#define NEVER_TICK (UINT64_C(1) << (64 - GY__WHEEL_TICK_SHIFT))
#define MOVES_PER_FIRE 4 /* a timer moved in a cascade costs about a quarter of one fired */

void gy__wheel_init(struct gy__wheel *wheel, uint64_t now_ns)
{
    *wheel = (struct gy__wheel){.now_ns = now_ns, .tick = now_ns >> GY__WHEEL_TICK_SHIFT};
    for (unsigned i = 0; i < PAST + 2; i++)
        wheel->lists[i].last = &wheel->lists[i].first;
}

static void append(struct gy__wheel *wheel, struct gy__timer *timer, unsigned index)
{
    struct gy__timer_list *list = &wheel->lists[index];

    timer->next = NULL;
    timer->prevp = list->last;
    timer->gy__list = index;
    *list->last = timer;
    list->last = &timer->next;
    wheel->occupied[index / GY__WHEEL_SLOTS] |= UINT64_C(1) << (index & DIGIT_MASK);
}

static void unlink_timer(struct gy__wheel *wheel, struct gy__timer *timer)
{
    struct gy__timer_list *list = &wheel->lists[timer->gy__list];

    *timer->prevp = timer->next;
    if (timer->next != NULL) {
        timer->next->prevp = timer->prevp;
    } else {
        list->last = timer->prevp;
        if (list->first == NULL)
            wheel->occupied[timer->gy__list / GY__WHEEL_SLOTS] &=
                ~(UINT64_C(1) << (timer->gy__list & DIGIT_MASK));
    }
    timer->prevp = NULL;
}

/* The slot of a deadline that is not before the wheel's tick. *begin: the tick at which it begins. */
static unsigned slot_of(const struct gy__wheel *wheel, uint64_t deadline_ns, uint64_t *begin)
{
    const uint64_t mask = (UINT64_C(1) << GY__WHEEL_TICK_SHIFT) - 1;
    uint64_t tick = (deadline_ns >> GY__WHEEL_TICK_SHIFT) + ((deadline_ns & mask) != 0);
    uint64_t differ = (tick ^ wheel->tick) | 1;
    unsigned level = (63 - (unsigned)__builtin_clzll(differ)) / GY__WHEEL_BITS;
    unsigned shift = level * GY__WHEEL_BITS;

    *begin = tick >> shift << shift;
    return level * GY__WHEEL_SLOTS + (unsigned)((tick >> shift) & DIGIT_MASK);
}

void gy__timer_arm(struct gy__wheel *wheel, struct gy__timer *timer, uint64_t deadline_ns)
{
    if (timer->prevp != NULL)
        unlink_timer(wheel, timer);
    else
        wheel->armed++;
    timer->deadline_ns = deadline_ns;
    uint64_t begin = 0;
    if (deadline_ns <= wheel->now_ns)
        append(wheel, timer, PAST + wheel->past_next);
    else
        append(wheel, timer, slot_of(wheel, deadline_ns, &begin));
    if (begin < wheel->next_tick)
        wheel->next_tick = begin;
}

void gy__timer_cancel(struct gy__wheel *wheel, struct gy__timer *timer)
{
    if (timer->prevp == NULL)
        return;
    unlink_timer(wheel, timer);
    wheel->armed--;
}

/* The tick at which the first occupied slot begins; *index is that slot. NEVER_TICK: there is none.
 * Only while nothing is being cascaded. */
static uint64_t first_slot(const struct gy__wheel *wheel, unsigned *index)
{
    for (unsigned level = 0; level < GY__WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] == 0)
            continue;
        unsigned digit = (unsigned)__builtin_ctzll(wheel->occupied[level]);
        unsigned shift = level * GY__WHEEL_BITS;
        uint64_t above = wheel->tick >> shift >> GY__WHEEL_BITS << GY__WHEEL_BITS;
        *index = level * GY__WHEEL_SLOTS + digit;
        return (above | digit) << shift;
    }
    return NEVER_TICK;
}

/* Spread the current slot of the level being cascaded over lower levels; -> moves left. */
static uint64_t cascade(struct gy__wheel *wheel, uint64_t moves)
{
    unsigned shift = wheel->cascading * GY__WHEEL_BITS;
    unsigned digit = (unsigned)(wheel->tick >> shift) & DIGIT_MASK;
    struct gy__timer_list *list = &wheel->lists[wheel->cascading * GY__WHEEL_SLOTS + digit];
    uint64_t begin; /* the advance that cascades finds the first one itself */

    for (; list->first != NULL && moves > 0; moves--) {
        struct gy__timer *timer = list->first;
        unlink_timer(wheel, timer);
        if (gy__bug(GY__BUG_TIMER_CASCADE) && timer->deadline_ns % 8 == 0)
            continue;
        append(wheel, timer, slot_of(wheel, timer->deadline_ns, &begin));
    }
    if (list->first == NULL)
        wheel->cascading = 0;
    return moves;
}

/* The list that fires next, or NULL when nothing is due up to target or the moves are used up. */
static struct gy__timer_list *next_due(struct gy__wheel *wheel, uint64_t target, uint64_t *moves)
{
    struct gy__timer_list *past = &wheel->lists[PAST + (wheel->past_next ^ 1)];

    for (;;) {
        unsigned index = 0;
        uint64_t begin;

        if (wheel->cascading != 0) {
            *moves = cascade(wheel, *moves);
            if (wheel->cascading != 0)
                return NULL;
        }
        begin = first_slot(wheel, &index);
        if (past->first != NULL && wheel->past_tick < begin)
            return past;
        if (begin > target) {
            wheel->tick = target;
            return NULL;
        }
        wheel->tick = begin;
        if (index < GY__WHEEL_SLOTS)
            return &wheel->lists[index];
        wheel->cascading = index / GY__WHEEL_SLOTS;
    }
}

unsigned gy__wheel_advance(struct gy__wheel *wheel, uint64_t now_ns, unsigned max)
{
    uint64_t moves = (uint64_t)max * MOVES_PER_FIRE;
    unsigned fired = 0;

    /* What was armed too late since the last advance began becomes due, after what was due before.
     */
    if (wheel->lists[PAST + (wheel->past_next ^ 1)].first == NULL) {
        wheel->past_next ^= 1;
        wheel->past_tick = wheel->now_ns >> GY__WHEEL_TICK_SHIFT;
    }
    if (wheel->now_ns < now_ns)
        wheel->now_ns = now_ns;

    while (fired < max) {
        struct gy__timer_list *list =
            next_due(wheel, wheel->now_ns >> GY__WHEEL_TICK_SHIFT, &moves);
        if (list == NULL)
            break;
        /* Nobody can join this list now: what is armed from here on is later, or past. */
        while (list->first != NULL && fired < max) {
            struct gy__timer *timer = list->first;
            unlink_timer(wheel, timer);
            wheel->armed--;
            fired++;
            timer->fire(timer);
        }
    }
    unsigned index;
    bool left = wheel->occupied[GY__WHEEL_LEVELS] != 0 || wheel->cascading != 0;
    wheel->next_tick = left ? 0 : first_slot(wheel, &index);
    return fired;
}

uint64_t gy__wheel_next_ns(const struct gy__wheel *wheel)
{
    unsigned index;
    uint64_t begin;

    if (wheel->occupied[GY__WHEEL_LEVELS] != 0 || wheel->cascading != 0)
        return wheel->now_ns;
    begin = first_slot(wheel, &index);
    return begin >= NEVER_TICK ? UINT64_MAX : begin << GY__WHEEL_TICK_SHIFT;
}
