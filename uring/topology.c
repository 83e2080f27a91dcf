/* The machine's CPUs as this process may use them (see topology.h).
 *
 * The kernel already takes a cpuset into account in the affinity mask; reading it as well matters
 * only where the group's tree says less than the mask, and costs one file. */
#include "uring/topology.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "core/cpuset.h"
#include "uring/cgroup.h"
#include "uring/sysfile.h"

/* The kernel refuses a mask shorter than its own, so this is longer than any kernel's. */
#define MASK_BITS 8192

static int read_affinity(struct gy_cpuset *set)
{
    union {
        uint64_t words[MASK_BITS / 64];
        cpu_set_t set;
    } mask;
    memset(&mask, 0, sizeof(mask));
    if (sched_getaffinity(0, sizeof(mask), &mask.set) < 0)
        return -errno;
    memset(set, 0, sizeof(*set));
    for (unsigned cpu = 0; cpu < GY_CPUS_MAX; cpu++) {
        if (CPU_ISSET_S(cpu, sizeof(mask), &mask.set))
            gy_cpuset_add(set, cpu);
    }
    return 0;
}

static uint16_t read_id(const char *root, unsigned cpu, const char *name, uint16_t otherwise)
{
    char path[128];
    int64_t id;
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/%s", cpu, name);
    if (gy__sysfile_number(root, path, &id) < 0 || id < 0 || id > UINT16_MAX)
        return otherwise; /* -1 is what virtual machines without the information say */
    return (uint16_t)id;
}

static void read_siblings(const char *root, struct gy__cpu *c, const struct gy_cpuset *allowed)
{
    char path[128], list[4096];
    struct gy_cpuset siblings;
    c->sibling_of = c->cpu;
    c->rank = 0;
    (void)snprintf(path, sizeof(path),
                   "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", c->cpu);
    if (gy__sysfile_read(root, path, list, sizeof(list)) <= 0 ||
        gy_cpuset_parse(&siblings, list) < 0)
        return;
    gy__cpuset_and(&siblings, allowed);
    unsigned first = gy__cpuset_next(&siblings, 0);
    if (first < c->cpu)
        c->sibling_of = (uint16_t)first;
    for (unsigned cpu = first; cpu < c->cpu; cpu = gy__cpuset_next(&siblings, cpu + 1))
        c->rank++;
}

static void read_nodes(const char *root, struct gy__topology *t)
{
    char path[128], list[4096];
    struct gy_cpuset nodes, cpus;
    if (gy__sysfile_read(root, "/sys/devices/system/node/online", list, sizeof(list)) <= 0 ||
        gy_cpuset_parse(&nodes, list) < 0)
        return;
    for (unsigned n = gy__cpuset_next(&nodes, 0); n < GY_CPUS_MAX;
         n = gy__cpuset_next(&nodes, n + 1)) {
        (void)snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", n);
        if (gy__sysfile_read(root, path, list, sizeof(list)) <= 0 ||
            gy_cpuset_parse(&cpus, list) < 0)
            continue; /* a node of memory alone */
        for (unsigned i = 0; i < t->cpus_n; i++) {
            if (gy_cpuset_has(&cpus, t->cpus[i].cpu))
                t->cpus[i].node = (uint16_t)n;
        }
    }
}

/* By rank, then by number. Equal ranks are in order already, so one pass per rank will do. */
static void order(struct gy__topology *t)
{
    struct gy__cpu before[GY_CPUS_MAX];
    uint32_t placed = 0;
    memcpy(before, t->cpus, t->cpus_n * sizeof(before[0]));
    for (uint16_t rank = 0; placed < t->cpus_n; rank++) {
        for (uint32_t i = 0; i < t->cpus_n; i++) {
            if (before[i].rank == rank)
                t->cpus[placed++] = before[i];
        }
    }
}

int gy__topology_read(struct gy__topology *t, const char *root, const struct gy_cpuset *affinity)
{
    struct gy__cgroup group;
    memset(t, 0, sizeof(*t));
    int err = affinity == NULL ? read_affinity(&t->affinity) : 0;
    if (err < 0)
        return err;
    if (affinity != NULL)
        t->affinity = *affinity;
    if (gy__cpuset_is_empty(&t->affinity))
        return -EINVAL;
    t->allowed = t->affinity;
    gy__cgroup_read(&group, root);
    if (group.has_cpus)
        gy__cpuset_and(&t->allowed, &group.cpus);
    if (gy__cpuset_is_empty(&t->allowed))
        t->allowed = t->affinity; /* the group's file is of another time: the kernel's mask holds */
    t->quota_millicpus = group.quota_millicpus;
    for (unsigned cpu = gy__cpuset_next(&t->allowed, 0); cpu < GY_CPUS_MAX;
         cpu = gy__cpuset_next(&t->allowed, cpu + 1)) {
        struct gy__cpu *c = &t->cpus[t->cpus_n++];
        c->cpu = (uint16_t)cpu;
        c->core = read_id(root, cpu, "core_id", c->cpu);
        c->package = read_id(root, cpu, "physical_package_id", 0);
        read_siblings(root, c, &t->allowed);
    }
    read_nodes(root, t);
    order(t);
    return 0;
}

void gy__topology_describe(const struct gy__topology *t, struct gy__text *out)
{
    gy__cpuset_format(out, &t->allowed);
    if (memcmp(&t->allowed, &t->affinity, sizeof(t->allowed)) != 0) {
        gy__text_string(out, " (affinity ");
        gy__cpuset_format(out, &t->affinity);
        gy__text_string(out, ", the rest is outside the cgroup's cpuset)");
    }
    if (t->quota_millicpus != 0)
        gy__text_printf(out, ", cgroup quota %llu.%03llu CPUs",
                        (unsigned long long)(t->quota_millicpus / 1000),
                        (unsigned long long)(t->quota_millicpus % 1000));
}
