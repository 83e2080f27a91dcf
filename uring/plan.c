/* Shards over CPUs (see plan.h).
 *
 * Without a word from the user there is one shard per allowed CPU, but no more than the control
 * group's quota can keep busy: a shard that is throttled in the middle of a turn stalls all who
 * wait for it. CPUs are taken in the topology's order, so that threads of one core are doubled
 * last. */
#include "uring/plan.h"

#include <errno.h>
#include <string.h>

#include "core/config.h"
#include "core/cpuset.h"

/* The first CPU that was asked for and is not allowed, or GY_CPUS_MAX. */
static unsigned forbidden(const struct gy_config *cfg, const struct gy__topology *t)
{
    unsigned cpu = gy__cpuset_next(&cfg->cpuset, 0);
    while (cpu < GY_CPUS_MAX && gy_cpuset_has(&t->allowed, cpu))
        cpu = gy__cpuset_next(&cfg->cpuset, cpu + 1);
    return cpu;
}

static int refuse_cpu(const struct gy_config *cfg, const struct gy__topology *t, unsigned cpu,
                      struct gy__text *why)
{
    gy__config_label(cfg, "cpuset", why);
    gy__text_printf(why, ": CPU %u is not allowed here (allowed: ", cpu);
    gy__cpuset_format(why, &t->allowed);
    gy__text_char(why, ')');
    return -EINVAL;
}

static int refuse_shards(const struct gy_config *cfg, const struct gy__plan *plan, unsigned cpus,
                         struct gy__text *why)
{
    gy__config_label(cfg, "shards", why);
    gy__text_printf(why, ": more than the CPUs here (%u: ", cpus);
    gy__cpuset_format(why, &plan->cpus);
    gy__text_string(why, "); --overprovisioned or --pin=off lets shards share CPUs");
    return -EINVAL;
}

static uint32_t default_shards(const struct gy_config *cfg, const struct gy__topology *t,
                               uint32_t cpus)
{
    uint64_t quota = (t->quota_millicpus + 999) / 1000;
    if (!gy__cpuset_is_empty(&cfg->cpuset) || quota == 0 || quota > cpus)
        return cpus;
    return (uint32_t)quota;
}

/* Shard i gets the i-th CPU that it may use; more shards than CPUs go round. */
static void place(struct gy__plan *plan, const struct gy__topology *t)
{
    uint32_t shard = 0;
    while (shard < plan->shards) {
        for (uint32_t i = 0; i < t->cpus_n && shard < plan->shards; i++) {
            if (gy_cpuset_has(&plan->cpus, t->cpus[i].cpu))
                plan->at[shard++] = t->cpus[i];
        }
    }
}

int gy__plan_make(struct gy__plan *plan, const struct gy_config *cfg, const struct gy__topology *t,
                  struct gy__text *why)
{
    memset(plan, 0, sizeof(*plan));
    unsigned cpu = forbidden(cfg, t);
    if (cpu < GY_CPUS_MAX)
        return refuse_cpu(cfg, t, cpu, why);
    plan->cpus = gy__cpuset_is_empty(&cfg->cpuset) ? t->allowed : cfg->cpuset;
    plan->pinned = cfg->pin;
    unsigned cpus = gy_cpuset_count(&plan->cpus);
    plan->shards = cfg->shards != 0 ? cfg->shards : default_shards(cfg, t, cpus);
    if (plan->shards > cpus && cfg->pin && !cfg->overprovisioned)
        return refuse_shards(cfg, plan, cpus, why);
    plan->crowded = plan->shards > cpus ||
                    (t->quota_millicpus != 0 && t->quota_millicpus < 1000 * (uint64_t)plan->shards);
    if (plan->pinned)
        place(plan, t);
    return 0;
}

void gy__plan_print(const struct gy__plan *plan, const struct gy__topology *t, struct gy__text *out)
{
    gy__text_string(out, "allowed CPUs: ");
    gy__topology_describe(t, out);
    gy__text_char(out, '\n');
    for (uint32_t shard = 0; shard < plan->shards; shard++) {
        const struct gy__cpu *at = &plan->at[shard];
        gy__text_printf(out, "shard %u: ", shard);
        if (plan->pinned) {
            gy__text_printf(out, "cpu %u core %u package %u node %u", at->cpu, at->core,
                            at->package, at->node);
            if (at->sibling_of != at->cpu)
                gy__text_printf(out, " sibling of cpu %u", at->sibling_of);
        } else {
            gy__text_string(out, "any of cpus ");
            gy__cpuset_format(out, &plan->cpus);
        }
        gy__text_char(out, '\n');
    }
}
