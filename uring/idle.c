/* The policy of idle.h. It knows no clock: who waits tells it what happened. */
#include "uring/idle.h"

#include <string.h>

/* Time that passed counts as half as much CPU time: somebody may have waited for us, or nobody. And
 * spinning must be a tenth cheaper, since what is the same for the shard is not for its CPU. */
#define WALL_SHARE 4
#define PREMIUM(price) ((price) + (price) / 8)

void gy__idle_init(struct gy__idle *idle, uint64_t spin_ns)
{
    memset(idle, 0, sizeof(*idle));
    idle->spin_ns = spin_ns;
    idle->learns = spin_ns > 0 && spin_ns != UINT64_MAX;
    idle->spins = true;
    idle->left = idle->interval = GY__IDLE_SOON;
}

static void enter(struct gy__idle *idle, enum gy__idle_stage stage, uint32_t waits)
{
    idle->stage = stage;
    idle->left = waits;
    idle->missed = idle->spun = 0;
}

static void settle(struct gy__idle *idle, bool spins)
{
    if (spins != idle->spins)
        idle->interval = GY__IDLE_SOON;
    else if (idle->interval < GY__IDLE_SELDOM)
        idle->interval *= 2;
    idle->spins = spins;
    enter(idle, GY__IDLE_STEADY, idle->interval);
}

/* Of one piece of work, in 256ths of a ns. */
static uint64_t price(const struct gy__idle_meter *from, const struct gy__idle_meter *to)
{
    uint64_t work = to->work - from->work;
    uint64_t ns = to->cpu_ns - from->cpu_ns + (to->wall_ns - from->wall_ns) / WALL_SHARE;
    return (ns << 8) / (work > 0 ? work : 1);
}

/* Of the two stretches that were waited as usual the cheaper one counts: what else happens on the
 * CPU only ever makes one dearer, and a mind is not changed by it. */
static void decide(struct gy__idle *idle, uint64_t after)
{
    uint64_t before = idle->price[GY__IDLE_BEFORE], other = idle->price[GY__IDLE_TRIAL];
    uint64_t usual = before < after ? before : after;
    if (idle->spins)
        settle(idle, PREMIUM(usual) < other);
    else
        settle(idle, PREMIUM(other) < usual);
}

void gy__idle_measure(struct gy__idle *idle, const struct gy__idle_meter *now)
{
    uint64_t paid = idle->stage == GY__IDLE_STEADY ? 0 : price(&idle->begun, now);
    idle->begun = *now;
    if (idle->stage == GY__IDLE_AFTER) {
        decide(idle, paid);
        return;
    }
    idle->price[idle->stage] = paid;
    enter(idle, idle->stage + 1, GY__IDLE_STRETCH);
}

/* Where most spins find nothing no trial is needed to know what they are worth. */
void gy__idle_learn(struct gy__idle *idle, bool found)
{
    idle->left--;
    if (gy__idle_spin_ns(idle) == 0)
        return;
    idle->missed += !found;
    if (idle->missed > GY__IDLE_STRETCH / 2)
        settle(idle, false);
    else if (++idle->spun == GY__IDLE_STRETCH)
        idle->spun = idle->missed = 0;
}
