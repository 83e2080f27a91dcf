/* Memory that a shard has not needed for a while goes back to the system, on a timer of the shard's own.
 *
 * The timer runs only while there are records beyond those of the boot, so that a shard that never had
 * much to do sleeps undisturbed, and less and less often while nothing happens. What is given back in one
 * turn is bounded, so that nobody waits for it. */
#include "core/trim.h"

#include "core/kernel.h"
#include "core/stats.h"

/* Records looked at and pages given back in one turn: some 30 us. */
#define TURN_UNITS 256u
#define AGAIN_NS (UINT64_C(100) * 1000)

static void *on_memory(void *arg, size_t bytes)
{
    return gy__shard_memory(arg, bytes);
}

static void on_idle(void *arg, void *memory, size_t bytes)
{
    struct gy_shard *shard = arg;

    shard->driver->memory_idle(shard->ctx, memory, bytes);
    gy__count(&shard->trim.bytes, bytes);
}

static void arm(struct gy_shard *shard, uint64_t after_ns)
{
    shard->trim.period_ns = after_ns;
    gy__timer_arm(&shard->wheel, &shard->trim.timer, shard->now_ns + after_ns);
}

static void on_used(void *arg)
{
    struct gy_shard *shard = arg;

    if (shard->trim.period_ns != GY__TRIM_NS)
        arm(shard, GY__TRIM_NS);
}

void gy__trim_soon(struct gy_shard *shard)
{
    if (shard->trim.period_ns > GY__TRIM_NS)
        arm(shard, GY__TRIM_NS);
}

static const struct gy__slabs_host host = {on_memory, on_idle, on_used};

static void fire(struct gy__timer *timer)
{
    struct gy__trim *trim = GY__CONTAINER(timer, struct gy__trim, timer);
    struct gy_shard *shard = gy__self();
    uint32_t budget = TURN_UNITS;
    bool live = false;

    if (trim->at == NULL) {
        trim->at = trim->slabs;
        trim->stirred = false;
    }
    for (; trim->at != NULL; trim->at = trim->at->next) {
        trim->stirred |= trim->at->live > 0 && (trim->at->free != NULL || trim->at->aside != NULL);
        if (trim->at->live > 0 && gy__slabs_trim(trim->at, &budget)) {
            gy__timer_arm(&shard->wheel, timer, shard->now_ns + AGAIN_NS);
            return;
        }
    }
    for (const struct gy__slabs *slabs = trim->slabs; slabs != NULL; slabs = slabs->next)
        live |= slabs->live > 0;
    if (!live)
        trim->period_ns = 0;
    else if (trim->stirred)
        arm(shard, GY__TRIM_NS);
    else if (trim->period_ns < GY__TRIM_MAX_NS)
        arm(shard, 2 * trim->period_ns);
    else
        trim->period_ns = UINT64_MAX;
}

void gy__trim_adopt(struct gy_shard *shard, struct gy__slabs *slabs)
{
    slabs->host = &host;
    slabs->arg = shard;
    slabs->next = shard->trim.slabs;
    shard->trim.slabs = slabs;
    shard->trim.timer.fire = fire;
}

void gy__trim_forget(struct gy_shard *shard, struct gy__slabs *slabs)
{
    struct gy__slabs **at = &shard->trim.slabs;

    while (*at != NULL && *at != slabs)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = slabs->next;
    if (shard->trim.at == slabs)
        shard->trim.at = slabs->next;
}

void gy__trim_stats(const struct gy_shard *shard,
                    void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy__stat stat = {"gyre_memory_given_back_bytes_total", "Unused memory of pools given back",
                                  NULL, false, 1,
                                  atomic_load_explicit(&shard->trim.bytes, memory_order_relaxed)};

    each(arg, &stat);
}
