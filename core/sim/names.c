/* Names of hosts: a table that the test writes, in the place of name servers.
 *
 * A look-up reads the table when its time has passed, so that an entry changed meanwhile counts. A
 * cancel is as with a thread in getaddrinfo(3): by seed it comes in time or changes nothing. */
#include "core/sim/sim.h"
#include "core/addr.h"

#include <errno.h>
#include <string.h>

#define UNKNOWN_NS 1000000 /* how long it takes to hear that there is no such name */

struct gy__sim_name {
    struct gy__sim_name *next;
    char name[GY__NAME_MAX];
    struct gy_addr addrs[GY_SIM_NAME_ADDRS];
    uint64_t latency_ns;
    uint32_t count, ttl_s;
    int32_t err; /* 0: addrs */
};

static struct gy__sim_name *find(const struct gy_sim *sim, const char *text)
{
    struct gy__sim_name *name = sim->names;

    while (name != NULL && strcmp(name->name, text) != 0)
        name = name->next;
    return name;
}

static struct gy__sim_name *put(struct gy_sim *sim, const char *text, uint64_t latency_ns)
{
    struct gy__sim_name *name = find(sim, text), *next = NULL;

    GY__SIM_CHECK(sim, gy__name_valid(text, strlen(text)), "a name of the test's is none");
    if (name == NULL) {
        name = gy__sim_take(sim, sizeof(*name));
        next = sim->names;
        sim->names = name;
    } else {
        next = name->next;
    }
    *name = (struct gy__sim_name){.next = next, .latency_ns = latency_ns};
    memcpy(name->name, text, strlen(text) + 1);
    return name;
}

void gy_sim_name(struct gy_sim *sim, const char *text, const char *const *addrs, unsigned count,
                 uint32_t ttl_s, uint64_t latency_ns)
{
    struct gy__sim_name *name = put(sim, text, latency_ns);

    GY__SIM_CHECK(sim, count <= GY_SIM_NAME_ADDRS, "a name of the test's has too many addresses");
    for (unsigned i = 0; i < count; i++)
        GY__SIM_CHECK(sim, gy__addr_numeric(&name->addrs[i], addrs[i], strlen(addrs[i])),
                      "an address of a name of the test's is none");
    name->count = count;
    name->ttl_s = ttl_s;
}

void gy_sim_name_fails(struct gy_sim *sim, const char *text, int err, uint64_t latency_ns)
{
    put(sim, text, latency_ns)->err = err;
}

static int32_t look_up(struct gy_sim *sim, struct gy_op *op)
{
    const struct gy__sim_name *name = find(sim, op->u.resolve.name);
    uint32_t n = 0;

    if (gy__random_chance(gy__rng(sim, GY__RANDOM_NAMES), sim->config.faults.name_fail_ppm))
        return -EAGAIN;
    if (name == NULL || name->err < 0)
        return name == NULL ? -ENOENT : name->err;
    for (uint32_t i = 0; i < name->count && n < op->u.resolve.max; i++)
        if (op->u.resolve.family == GY_ADDR_NONE || op->u.resolve.family == name->addrs[i].family)
            op->u.resolve.addrs[n++] = name->addrs[i];
    op->u.resolve.ttl_s = name->ttl_s;
    return n > 0 ? (int32_t)n : -ENOENT;
}

static void fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy__flight *flight = GY__CONTAINER(event, struct gy__flight, work);
    int32_t res = look_up(sim, flight->op);

    gy__trace(sim, flight->place, GY__TRACE_WORK, flight->number, (uint64_t)(int64_t)res, 0);
    gy__flight_tell(flight, res, false);
}

void gy__names_start(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    struct gy__random *random = gy__rng(sim, GY__RANDOM_NAMES);
    const struct gy__sim_name *name = find(sim, flight->op->u.resolve.name);
    uint64_t takes_ns = name == NULL ? UNKNOWN_NS : name->latency_ns;

    takes_ns += 1 + gy__random_below(random, takes_ns / 8 + 1000);
    if (gy__random_chance(random, sim->config.faults.name_slow_ppm))
        takes_ns += gy__random_spread(random, sim->config.faults.name_slow_ns);
    flight->work.fire = fire;
    gy__event_plan(sim, &flight->work, sim->now_ns + takes_ns, true);
}

void gy__names_cancel(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;

    if (gy__random_below(gy__rng(sim, GY__RANDOM_NAMES), 2) == 0)
        return;
    gy__event_drop(sim, &flight->work);
    gy__flight_tell(flight, -ECANCELED, false);
}
