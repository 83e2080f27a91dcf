/* gyre/config.h - what a runtime is started with.
 *
 * A program fills one struct gy_config: gy_config_init() gives every field its default, the program
 * sets what it wants, and gy_args() (gyre/args.h) lets the environment and the command line have
 * the last word. The struct is plain data, copied by whoever starts a runtime; nothing in it is
 * owned. Any thread may call the functions here; they allocate nothing. */
#ifndef GYRE_CONFIG_H
#define GYRE_CONFIG_H

#include "gyre/base.h"

GY_BEGIN_DECLS

/* Most CPUs a set can name. CPUs with higher numbers are never used. */
#define GY_CPUS_MAX 1024u
/* Most shards of one runtime: what a pid's shard field can tell apart, less one for threads
 * outside. */
#define GY_SHARDS_MAX 1023u

/* A set of CPUs by the kernel's numbers. All zeros is the empty set. */
struct gy_cpuset {
    uint64_t bits[GY_CPUS_MAX / 64];
};

/* Put `cpu` into the set. cpu: below GY_CPUS_MAX, otherwise nothing happens. */
GY_API void gy_cpuset_add(struct gy_cpuset *set, unsigned cpu);
/* Is `cpu` in the set? */
GY_API bool gy_cpuset_has(const struct gy_cpuset *set, unsigned cpu);
/* How many CPUs are in the set. O(GY_CPUS_MAX / 64). */
GY_API unsigned gy_cpuset_count(const struct gy_cpuset *set);

/* Read a list as taskset writes it: "0-3,8", with a stride "0-14:2" (0, 2, ... 14).
 * text: borrowed, ends with a NUL. -> 0; -EINVAL not such a list; -ERANGE a CPU of GY_CPUS_MAX or
 * more. *set is written on success only. */
GY_API GY_MUST_CHECK int gy_cpuset_parse(struct gy_cpuset *set, const char *text);

/* What a shard with nothing to do does. */
enum gy_poll {
    GY_POLL_ADAPTIVE, /* spins for idle_spin_ns, then sleeps; at once where it has found, by trying
                       * both now and then, that spinning costs more than it brings */
    GY_POLL_ALWAYS,   /* never sleeps: lowest latency, a whole CPU per shard */
    GY_POLL_NEVER     /* sleeps at once */
};

/* Who accepts the connections to an address at which several shards listen. */
enum gy_accept {
    GY_ACCEPT_SHARED, /* each its own, as the system spreads them: cheapest */
    GY_ACCEPT_ONE     /* one shard, which hands each to the shard with fewest: even also when they
                       * are few and live long */
};

/* Room for one origin per option of the library (below). */
#define GY_CONFIG_ORIGINS 64

struct gy_config {
    size_t size; /* of the struct as the program knows it; set by gy_config_init() */

    /* Shards and CPUs. */
    uint32_t shards;         /* how many; 0: one per CPU of cpuset, or per CPU allowed */
    struct gy_cpuset cpuset; /* where; empty: wherever affinity mask and cgroup allow */
    bool pin;                /* each shard's thread stays on its CPU */
    bool overprovisioned;    /* others want these CPUs too: more shards than CPUs are fine, nobody
                                spins */

    /* Waiting. */
    enum gy_poll poll;
    uint64_t idle_spin_ns; /* with GY_POLL_ADAPTIVE: how long a shard that spins looks for work
                            * before it sleeps */
    uint64_t turn_ns;      /* how long handlers run, 8 messages at least, before the shard looks
                            * again at what others sent and at the kernel */

    enum gy_accept accept; /* of listeners that do not choose it themselves (gyre/stream.h) */

    /* Bounds; each is per shard unless it says otherwise. */
    uint32_t mailbox;          /* messages waiting for one actor */
    uint32_t ring_cells;       /* messages under way from one shard to another; a power of two */
    uint32_t fifo_cells;       /* messages waiting for all actors */
    uint32_t futures;          /* calls under way */
    uint32_t flows;            /* flows under way */
    uint32_t operations;       /* of files, processes, look-ups, ... under way; each has a future */
    uint32_t actors_max;       /* granules of memory for actors */
    uint32_t files;            /* opened by gy_file_open() */
    uint32_t streams_max;      /* connections, accepted and made */
    uint32_t names;            /* ids of actors, of all shards together */
    uint64_t drain_timeout_ns; /* how long gy_drain() waits for work under way */

    /* The ring. */
    uint32_t sq_entries;       /* submission queue; a power of two */
    uint32_t cq_entries;       /* completion queue; a power of two, at least sq_entries */
    uint32_t recv_buffers;     /* how many buffers the kernel receives into; a power of two */
    uint32_t recv_buffer_size; /* of each, in bytes */
    bool no_multishot;         /* one operation per accept and receive, for comparison */

    /* Work that blocks (gyre/work.h), of the runtime as a whole. */
    uint32_t blocking_threads; /* threads, started when they are first needed */
    uint32_t blocking_queue;   /* work waiting for one of them */

    /* Names of hosts (gyre/resolve.h). */
    uint32_t resolve_cache;   /* names that a shard remembers, or asks for */
    uint64_t resolve_ttl_ns;  /* how long, where the resolver does not say it */
    const char *name_servers; /* asked instead of the system's, "127.0.0.1:5353,::1"; NULL: those. Needs
                               * c-ares. Borrowed while the runtime lives */

    bool handle_signals; /* SIGTERM and SIGINT drain; only the program sets this, no option does */
    uint64_t seed;       /* of the runtime's random numbers; 0: the driver chooses one */

    /* Where each option's value came from: an enum gy_origin (gyre/options.h) per row of the
     * library's option table. Written by the option parser, read for messages. */
    uint8_t origin[GY_CONFIG_ORIGINS];
};

/* Give every field its default. cfg: borrowed, overwritten whole. */
#define gy_config_init(cfg) gy_config_init_sized((cfg), sizeof(struct gy_config))

/* As gy_config_init(), for a program compiled against a struct of `size` bytes: nothing beyond them
 * is written. */
GY_API void gy_config_init_sized(struct gy_config *cfg, size_t size);

GY_END_DECLS

#endif
