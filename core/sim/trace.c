/* The log of events: a hash that runs over all of them, the last ones as records, lines on request.
 *
 * What is logged are numbers and times of the simulated world, never an address and never the bytes
 * of a struct: so the hash is the same whatever compiled the program and wherever it was loaded. */
#include "core/sim/sim.h"

#include <string.h>

#define LINE 512

static uint64_t mixed(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

uint64_t gy__digest(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;

    for (; len >= 8; len -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        hash = mixed(hash, word);
    }
    uint64_t rest = len;
    for (size_t i = 0; i < len; i++)
        rest = rest << 8 | byte[i];
    return mixed(hash, rest);
}

/* ---- lines ---- */

void gy__print(struct gy_sim *sim, const char *format, ...)
{
    char line[LINE];
    struct gy__text text;
    va_list args;

    gy__text_init(&text, line, sizeof(line));
    va_start(args, format);
    gy__text_vprintf(&text, format, args);
    va_end(args);
    sim->config.puts_fn(line);
}

static const char *const step_names[GY__STEPS] = {
    "start", "run", "publish", "poll", "spin", "announce sleep", "look again", "sleep", "awake",
    "told", "ended",
};

/* What the three numbers of a record mean: a letter each of a, b, c, in order. */
static const struct {
    const char *name;
    const char *a, *b, *c;
} kinds[GY__TRACES] = {
    [GY__TRACE_STEP] = {"step", NULL, "state", NULL},
    [GY__TRACE_PAUSE] = {"stands still", "ns", NULL, NULL},
    [GY__TRACE_SUBMIT] = {"submit", "op", NULL, "handle"},
    [GY__TRACE_CANCEL] = {"cancel", "op", NULL, NULL},
    [GY__TRACE_COMPLETE] = {"complete", "op", "result", "flags"},
    [GY__TRACE_GIVE_BACK] = {"give back", "buffer", NULL, NULL},
    [GY__TRACE_WAKE] = {"wake", "shard", "after-ns", NULL},
    [GY__TRACE_WOKEN] = {"woken", NULL, NULL, NULL},
    [GY__TRACE_MEMORY] = {"memory", "refused", NULL, NULL},
    [GY__TRACE_IDLE] = {"idle memory", "bytes", NULL, NULL},
    [GY__TRACE_LOG] = {"log", "hash", NULL, NULL},
    [GY__TRACE_WALL] = {"wall clock jumps", "ns", NULL, NULL},
    [GY__TRACE_CONNECT] = {"connect", "client", "port", "try"},
    [GY__TRACE_ARRIVE] = {"arrive", "connection", "bytes", "from-end"},
    [GY__TRACE_FIN] = {"fin", "connection", NULL, "from-end"},
    [GY__TRACE_RESET] = {"reset", "connection", NULL, "from-end"},
    [GY__TRACE_SENT] = {"write", "connection", "bytes", "from-end"},
    [GY__TRACE_CLIENT] = {"client", "client", NULL, NULL},
    [GY__TRACE_SCRIPT] = {"script", "number", NULL, NULL},
    [GY__TRACE_HOST] = {"host", "host", "state", "cut"},
    [GY__TRACE_REQUEST] = {"request", "bits", NULL, NULL},
    [GY__TRACE_HEAL] = {"heal", NULL, NULL, NULL},
    [GY__TRACE_DISK] = {"disk left", "inode", "digest", "host"},
    [GY__TRACE_DATAGRAM] = {"datagram", "sender", "bytes", "host"},
    [GY__TRACE_WORK] = {"work ran", "op", "result", NULL},
    [GY__TRACE_DIAL] = {"dials", "op", "host", "tries"},
    [GY__TRACE_PROCESS] = {"process", "number", "code", "end"},
    [GY__TRACE_SIGNAL] = {"signal", "host", "number", NULL},
    [GY__TRACE_PIPE] = {"pipe", "number", "position", "written"},
};
static const char *const client_events[] = {"connected", "refused", "data",
                                            "sent",      "ended",   "reset"};

static void line_of(struct gy__text *text, const struct gy__record *record, uint64_t number)
{
    gy__text_printf(text, "%8llu %14lluns ", (unsigned long long)number,
                    (unsigned long long)record->at_ns);
    if (record->place > 0)
        gy__text_printf(text, "shard %-2u ", record->place - 1u);
    else
        gy__text_string(text, "         ");
    gy__text_string(text, kinds[record->kind].name);
    if (record->kind == GY__TRACE_STEP)
        gy__text_printf(text, " %s", step_names[record->a]);
    if (record->kind == GY__TRACE_SUBMIT)
        gy__text_printf(text, " %s", gy__flight_name((unsigned)record->b));
    if (record->kind == GY__TRACE_CLIENT)
        gy__text_printf(text, " %s", client_events[record->b]);
    if (kinds[record->kind].a != NULL)
        gy__text_printf(text, " %s=%lld", kinds[record->kind].a, (long long)record->a);
    if (kinds[record->kind].b != NULL)
        gy__text_printf(text, " %s=%lld", kinds[record->kind].b, (long long)record->b);
    if (kinds[record->kind].c != NULL)
        gy__text_printf(text, " %s=%d", kinds[record->kind].c, (int)record->c);
}

/* ---- recording ---- */

static void stop_here(struct gy_sim *sim)
{
    sim->failing = true;
    gy__print(sim, "stopped at event %llu of seed %llu, hash %016llx",
              (unsigned long long)sim->event_count, (unsigned long long)sim->config.seed,
              (unsigned long long)sim->hash);
    gy_sim_print_events(sim, 64);
    gy_sim_dump(sim);
    gy__shard_leave();
    sim->config.abort_fn();
    __builtin_trap();
}

void gy__trace(struct gy_sim *sim, const struct gy__place *place, enum gy__trace kind, uint64_t a,
               uint64_t b, uint32_t c)
{
    struct gy__record *record = &sim->records[sim->event_count % GY__RECORDS];
    uint32_t who = place != NULL && place->shard != NULL ? place->number + 1 : 0;
    uint64_t hash = sim->hash;

    if (sim->failing)
        return;
    *record = (struct gy__record){sim->now_ns, a, b, c, (uint16_t)who, (uint8_t)kind};
    hash = mixed(hash, sim->now_ns);
    hash = mixed(hash, (uint64_t)kind | (uint64_t)who << 8 | (uint64_t)c << 32);
    hash = mixed(hash, a);
    sim->hash = mixed(hash, b);
    sim->event_count++;
    if (__builtin_expect(sim->config.trace, 0)) {
        char line[LINE];
        struct gy__text text;
        gy__text_init(&text, line, sizeof(line));
        line_of(&text, record, sim->event_count);
        sim->config.puts_fn(line);
    }
    if (__builtin_expect(sim->event_count == sim->config.stop_at_event, 0))
        stop_here(sim);
}

void gy__trace_said(struct gy_sim *sim, const char *line, size_t len)
{
    const size_t rows = sizeof(sim->said) / sizeof(sim->said[0]);
    char *row = sim->said[sim->said_count++ % rows];

    if (len > sizeof(sim->said[0]) - 1)
        len = sizeof(sim->said[0]) - 1;
    memcpy(row, line, len);
    row[len] = 0;
}

/* ---- looking ---- */

uint64_t gy_sim_hash(const struct gy_sim *sim)
{
    return sim->hash;
}

uint64_t gy_sim_events(const struct gy_sim *sim)
{
    return sim->event_count;
}

void gy_sim_print_events(struct gy_sim *sim, uint32_t max)
{
    const size_t rows = sizeof(sim->said) / sizeof(sim->said[0]);
    uint64_t from = sim->event_count;

    if (max > GY__RECORDS)
        max = GY__RECORDS;
    from = from > max ? from - max : 0;
    for (; from < sim->event_count; from++) {
        char line[LINE];
        struct gy__text text;
        gy__text_init(&text, line, sizeof(line));
        line_of(&text, &sim->records[from % GY__RECORDS], from + 1);
        sim->config.puts_fn(line);
    }
    uint32_t first = sim->said_count > rows ? sim->said_count - (uint32_t)rows : 0;
    for (; first < sim->said_count; first++)
        gy__print(sim, "log: %s", sim->said[first % rows]);
}
