/* The configuration: its defaults, and the library's table of options for it. A default stands here
 * and nowhere else; a limit stands in the table and holds for flags, environment and programs
 * alike. */
#include "core/config.h"

#include <errno.h>
#include <string.h>

#include "gyre/options.h"
#include "core/option_value.h"

#define SECOND UINT64_C(1000000000)
#define FIELD(name) .offset = offsetof(struct gy_config, name)

#define NUMBER(field, least, most) FIELD(field), .value = "N", .min = (least), .max = (most)
#define TIME(field, most) FIELD(field), .value = "TIME", .max = (most)
#define COMMAND(asks, text)                                                                        \
    .command = GY_COMMAND_##asks, .help = text, .group = "Instead of running"
#define ADVANCED GY_OPTION_ADVANCED
#define POWER_OF_2 (GY_OPTION_ADVANCED | GY_OPTION_POWER_OF_2)

static const struct gy_option options[] = {
    {"shards", "GYRE_SHARDS", GY_OPTION_U32, FIELD(shards), .min = 1, .max = GY_SHARDS_MAX,
     .zero = "auto", .value = "N|auto", .help = "auto: one per allowed CPU", .group = "Shards"},
    {"cpuset", "GYRE_CPUSET", GY_OPTION_CPUS, FIELD(cpuset), .zero = "allowed", .value = "LIST",
     .help = "CPUs: 0-3,8 or 0-14:2", .group = "Shards"},
    {"pin", "GYRE_PIN", GY_OPTION_BOOL, FIELD(pin), .help = "a shard stays on its CPU",
     .group = "Shards"},
    {"overprovisioned", "GYRE_OVERPROVISIONED", GY_OPTION_SWITCH, FIELD(overprovisioned),
     .help = "share CPUs, no spin", .group = "Shards"},

    {"poll", "GYRE_POLL", GY_OPTION_CHOICE, FIELD(poll), .words = "adaptive|always|never",
     .help = "how an idle shard waits", .group = "Waiting"},
    {"idle-spin", "GYRE_IDLE_SPIN", GY_OPTION_TIME, TIME(idle_spin_ns, SECOND),
     .help = "adaptive: the most spin", .group = "Waiting"},
    {"turn", "GYRE_TURN", GY_OPTION_TIME, ADVANCED, TIME(turn_ns, SECOND),
     .help = "until it looks round again", .group = "Waiting"},

    {"accept", "GYRE_ACCEPT", GY_OPTION_CHOICE, ADVANCED, FIELD(accept), .words = "shared|one",
     .help = "who accepts connections", .group = "Limits"},
    {"mailbox", "GYRE_MAILBOX", GY_OPTION_U32, NUMBER(mailbox, 1, 1u << 20),
     .help = "messages waiting per actor", .group = "Limits"},
    {"drain-timeout", "GYRE_DRAIN_TIMEOUT", GY_OPTION_TIME, TIME(drain_timeout_ns, 86400 * SECOND),
     .help = "to end in order", .group = "Limits"},

    {"ring-cells", "GYRE_RING_CELLS", GY_OPTION_U32, POWER_OF_2, NUMBER(ring_cells, 16, 1u << 16),
     .help = "messages to another shard", .group = "Sizes per shard"},
    {"fifo-cells", "GYRE_FIFO_CELLS", GY_OPTION_U32, ADVANCED, NUMBER(fifo_cells, 1024, 1u << 26),
     .help = "messages waiting", .group = "Sizes per shard"},
    {"futures", "GYRE_FUTURES", GY_OPTION_U32, ADVANCED, NUMBER(futures, 64, (1u << 20) - 1),
     .help = "calls under way", .group = "Sizes per shard"},
    {"flows", "GYRE_FLOWS", GY_OPTION_U32, ADVANCED, NUMBER(flows, 1, 1u << 20),
     .help = "flows under way", .group = "Sizes per shard"},
    {"operations", "GYRE_OPERATIONS", GY_OPTION_U32, ADVANCED, NUMBER(operations, 1, (1u << 20) - 1),
     .help = "operations under way", .group = "Sizes per shard"},
    {"actors", "GYRE_ACTORS", GY_OPTION_U32, ADVANCED, NUMBER(actors_max, 1024, 1u << 22),
     .help = "granules of actors", .group = "Sizes per shard"},
    {"files", "GYRE_FILES", GY_OPTION_U32, ADVANCED, NUMBER(files, 1, (1u << 20) - 1),
     .help = "open files", .group = "Sizes per shard"},
    {"streams", "GYRE_STREAMS", GY_OPTION_U32, ADVANCED, NUMBER(streams_max, 1, 1u << 20),
     .help = "connections", .group = "Sizes per shard"},
    {"names", "GYRE_NAMES", GY_OPTION_U32, ADVANCED, NUMBER(names, 16, 1u << 20),
     .help = "ids of all actors", .group = "Sizes per shard"},
    {"sq-entries", "GYRE_SQ_ENTRIES", GY_OPTION_U32, POWER_OF_2, NUMBER(sq_entries, 8, 1u << 15),
     .help = "submission queue", .group = "Sizes per shard"},
    {"cq-entries", "GYRE_CQ_ENTRIES", GY_OPTION_U32, POWER_OF_2, NUMBER(cq_entries, 16, 1u << 16),
     .help = "completion queue", .group = "Sizes per shard"},
    {"recv-buffers", "GYRE_RECV_BUFFERS", GY_OPTION_U32, POWER_OF_2,
     NUMBER(recv_buffers, 8, 1u << 15), .help = "receive buffers", .group = "Sizes per shard"},
    {"recv-buffer-size", "GYRE_RECV_BUFFER_SIZE", GY_OPTION_U32, ADVANCED,
     NUMBER(recv_buffer_size, 256, 1u << 20), .help = "bytes each", .group = "Sizes per shard"},

    {"resolve-cache", "GYRE_RESOLVE_CACHE", GY_OPTION_U32, ADVANCED, NUMBER(resolve_cache, 8, 4096),
     .help = "names looked up", .group = "Sizes per shard"},
    {"resolve-ttl", "GYRE_RESOLVE_TTL", GY_OPTION_TIME, ADVANCED,
     TIME(resolve_ttl_ns, 86400 * SECOND), .help = "they are remembered",
     .group = "Sizes per shard"},

    {"name-servers", "GYRE_NAME_SERVERS", GY_OPTION_TEXT, ADVANCED, FIELD(name_servers),
     .zero = "the system's", .value = "LIST", .help = "asked for names",
     .group = "Sizes of all shards together"},
    {"blocking-threads", "GYRE_BLOCKING_THREADS", GY_OPTION_U32, ADVANCED,
     NUMBER(blocking_threads, 1, 1024), .help = "threads for work that blocks",
     .group = "Sizes of all shards together"},
    {"blocking-queue", "GYRE_BLOCKING_QUEUE", GY_OPTION_U32, ADVANCED,
     NUMBER(blocking_queue, 1, 65536), .help = "such work waiting",
     .group = "Sizes of all shards together"},

    {"no-multishot", "GYRE_NO_MULTISHOT", GY_OPTION_SWITCH, ADVANCED, FIELD(no_multishot),
     .help = "re-arm each time", .group = "For comparison"},
    {"seed", "GYRE_SEED", GY_OPTION_U64, ADVANCED, FIELD(seed), .zero = "any", .value = "N",
     .help = "of random numbers", .group = "For comparison"},

    {"print-topology", NULL, GY_OPTION_COMMAND,
     COMMAND(PRINT_TOPOLOGY, "which shard runs on which CPU")},
    {"print-config", NULL, GY_OPTION_COMMAND,
     COMMAND(PRINT_CONFIG, "every option's value and origin")},
    {"doctor", NULL, GY_OPTION_COMMAND, COMMAND(DOCTOR, "what this machine lacks or slows down")},
    {"version", NULL, GY_OPTION_COMMAND, COMMAND(VERSION, "program and library")},
    {"help", NULL, GY_OPTION_COMMAND, COMMAND(HELP, "this page")},
    {"help-all", NULL, GY_OPTION_COMMAND, COMMAND(HELP_ALL, "this page and the sizes")},
};

#define OPTIONS_N (sizeof(options) / sizeof(options[0]))

GY_STATIC_ASSERT(OPTIONS_N <= GY_CONFIG_ORIGINS, "each option has room for its origin");

void gy_config_init_sized(struct gy_config *cfg, size_t size)
{
    const struct gy_config defaults = {
        .size = size,
        .pin = true,
        .poll = GY_POLL_ADAPTIVE,
        .idle_spin_ns = 20000,
        .turn_ns = 10000,
        .mailbox = 4096,
        .ring_cells = 2048,
        .fifo_cells = 65536,
        .futures = 16384,
        .flows = 4096,
        .operations = 16384,
        .actors_max = 1u << 22,
        .files = 1024,
        .streams_max = 16384,
        .names = 16384,
        .drain_timeout_ns = 10 * SECOND,
        .sq_entries = 256,
        .cq_entries = 4096,
        .recv_buffers = 512,
        .recv_buffer_size = 4096,
        .blocking_threads = 4,
        .blocking_queue = 256,
        .resolve_cache = 256,
        .resolve_ttl_ns = 30 * SECOND,
    };
    memcpy(cfg, &defaults, size < sizeof(defaults) ? size : sizeof(defaults));
}

struct gy_option_set gy_config_options(struct gy_config *cfg)
{
    return (struct gy_option_set){options, OPTIONS_N, cfg, cfg->origin};
}

static size_t index_of(const char *name)
{
    size_t i = 0;
    while (i < OPTIONS_N && strcmp(options[i].name, name) != 0)
        i++;
    return i;
}

void gy__config_label(const struct gy_config *cfg, const char *name, struct gy__text *t)
{
    size_t i = index_of(name);
    if (i < OPTIONS_N)
        gy__option_label(&options[i], cfg, (enum gy_origin)cfg->origin[i], t);
}

int gy_config_check(const struct gy_config *cfg, char *text, size_t text_size)
{
    char cause[160];
    struct gy__text t, why;
    gy__text_init(&t, text, text_size);
    if (cfg->size != sizeof(*cfg)) {
        gy__text_printf(
            &t,
            "the configuration has %zu bytes, this library's has %zu: call gy_config_init() first",
            cfg->size, sizeof(*cfg));
        return -EINVAL;
    }
    for (size_t i = 0; i < OPTIONS_N; i++) {
        gy__text_init(&why, cause, sizeof(cause));
        if (gy__option_check(&options[i], cfg, &why) == 0)
            continue;
        gy__option_label(&options[i], cfg, (enum gy_origin)cfg->origin[i], &t);
        gy__text_printf(&t, ": %s", cause);
        return -EINVAL;
    }
    if (cfg->cq_entries < cfg->sq_entries) {
        gy__config_label(cfg, "cq-entries", &t);
        gy__text_printf(&t, ": allowed is sq-entries (%u) or more", cfg->sq_entries);
        return -EINVAL;
    }
    return 0;
}

uint64_t gy__config_spin_ns(const struct gy_config *cfg, bool crowded)
{
    if (cfg->poll == GY_POLL_ALWAYS)
        return UINT64_MAX;
    if (cfg->poll == GY_POLL_NEVER || cfg->overprovisioned || crowded)
        return 0;
    return cfg->idle_spin_ns;
}
