/* gyre/sim.h - whole services in one thread, under virtual time, with a network that misbehaves, and
 * one seed that decides everything.
 *
 * A simulation is a world: a clock, a network, and one or more hosts. Each host is a machine with a
 * runtime of its own; its shards take turns in the order, and for the time, that the seed says. Only
 * the functions here move the clock, so a test may look at anything between two calls. The same seed
 * gives the same run, event by event, whatever the compiler and the addresses; its hash tells.
 *
 *     struct gy_sim_config config;
 *     gy_sim_config_init(&config, seed, calloc, free, puts, abort);
 *     config.shards = 2;
 *     gy_sim_open(&sim, &config, boot, NULL);       the same boot function as for gy_run()
 *     struct gy_sim_conn *client = gy_sim_connect(sim, 0, 8080);
 *     gy_sim_send(client, "hello\n", 6);
 *     gy_sim_settle(sim);                           until the world is quiet
 *     ... gy_sim_received(client, &len) ...
 *     gy_sim_close(sim);                            stops the hosts, checks for leaks
 *
 * Checks run all the time: see core/sim/README.md. What they find ends the run: seed, event number,
 * the last events and the state of everything are printed, then abort is called.
 *
 * All functions: on the one thread of the simulation; while none of them is running, unless they say
 * that code of the simulated program or a callback may call them. Pointers are borrowed for the call
 * unless it says otherwise. */
#ifndef GYRE_SIM_H
#define GYRE_SIM_H

#include "gyre/base.h"
#include "gyre/config.h"
#include "gyre/core.h"

#include <stddef.h>
#include <stdint.h>

GY_BEGIN_DECLS

struct gy_sim;
struct gy_sim_conn;
struct gy_sim_process;

/* ---- faults ------------------------------------------------------------------------------ */

/* How often things go wrong, in parts per million of the occasions named, and how badly. All zero:
 * never; times and orders still vary with the seed, within what always happens on real machines. */
struct gy_sim_faults {
    uint32_t pause_ppm;            /* of steps: the shard stands still, up to pause_ns */
    uint32_t slow_ppm;             /* of looks at the clock: handlers took up to slow_ns */
    uint32_t wake_delay_ppm;       /* of wakes: up to wake_delay_ns late */
    uint32_t completion_delay_ppm; /* of completions: up to completion_delay_ns late */
    uint32_t reorder_ppm;          /* of completions: before one of another operation */
    uint32_t cancel_late_ppm;      /* of cancels: heard only after completion_delay_ns */
    uint32_t short_read_ppm;       /* of receives: fewer bytes than have arrived */
    uint32_t no_buffer_ppm;        /* of receives: -ENOBUFS, whatever there is */
    uint32_t multishot_end_ppm;    /* of completions with MORE: the operation ends with this one */
    uint32_t accept_fail_ppm;      /* of accepts: -EMFILE, -ENOMEM or -ECONNABORTED */
    uint32_t connect_lost_ppm;     /* of connects: tried again a second later */
    uint32_t connect_fail_ppm;     /* of connects of programs: refused, reset, timed out, no handle, ... */
    uint32_t tiny_segment_ppm;     /* of segments: 1 to 16 bytes */
    uint32_t lost_segment_ppm;     /* of segments: sent again up to segment_delay_ns later */
    uint32_t reset_ppm;            /* of segments: the connection is reset instead */
    uint32_t memory_fail_ppm;      /* of requests for memory after the start */
    uint32_t wall_jump_ppm;        /* of looks at the wall clock: it jumps up to wall_jump_ns */
    uint32_t process_fail_ppm;     /* of processes: -EAGAIN, -ENOMEM, -ENOENT or -EMFILE instead */
    uint32_t process_slow_ppm;     /* of processes: born up to process_slow_ns later */
    uint32_t process_pieces_ppm;   /* of reads and writes of pipes: fewer bytes than could be */
    uint32_t memory_fail_at;       /* the n-th request for memory of the run fails, from 1; 0: none */
    uint32_t disk_error_ppm;       /* of reads, writes and syncs of files: -EIO; of a write some may arrive */
    uint32_t disk_full_ppm;        /* of writes, new names and allocations: -ENOSPC */
    uint32_t disk_short_ppm;       /* of reads and writes of files: fewer bytes than asked for */
    uint32_t disk_slow_ppm;        /* of operations on files: up to disk_slow_ns late */
    uint64_t disk_slow_ns;
    uint32_t descriptor_lost_ppm;  /* of descriptors received: as if the host could have no more */
    uint32_t name_fail_ppm;        /* of look-ups of names: -EAGAIN */
    uint32_t name_slow_ppm;        /* of them: up to name_slow_ns late */
    uint64_t name_slow_ns;
    /* Of datagrams between hosts, but for the errors; on one host only a full buffer loses some. */
    uint32_t datagram_lost_ppm;
    uint32_t datagram_twice_ppm;
    uint32_t datagram_late_ppm;    /* up to datagram_late_ns later, and so behind others */
    uint32_t datagram_cut_ppm;     /* from this one on all between the two are lost, up to datagram_cut_ns */
    uint32_t datagram_error_ppm;   /* of UDP sends: -ENOBUFS */
    uint32_t bind_fail_ppm;        /* of datagram sockets opened: -EMFILE or -EADDRINUSE */
    uint64_t datagram_late_ns, datagram_cut_ns;
    uint64_t pause_ns, slow_ns, wake_delay_ns, completion_delay_ns, segment_delay_ns, wall_jump_ns;
    uint64_t process_slow_ns;
};

/* A profile for a swarm of runs: which faults are on, and how strong, by seed. Resets, refused
 * accepts, failing memory and disks, which services are allowed to notice, are among them only if harsh. */
GY_API void gy_sim_faults_swarm(struct gy_sim_faults *faults, uint64_t seed, bool harsh);

/* The way between a host and the rest of the world; the same for both directions. */
struct gy_sim_link {
    uint64_t latency_ns; /* one way */
    uint64_t jitter_ns;  /* at most so much more, anew for each segment; order within a connection stays */
    uint64_t bytes_per_s; /* per connection and direction; 0: no limit */
};

/* ---- opening and closing ----------------------------------------------------------------- */

struct gy_sim_config {
    size_t size; /* of the struct as the program knows it; set by gy_sim_config_init() */
    uint64_t seed;
    uint32_t shards;          /* of host 0; default 1 */
    struct gy_config runtime; /* of host 0: bounds as for gy_run(), by default smaller than those */
    struct gy_sim_faults faults; /* default: none */
    struct gy_sim_link link;  /* of every host; default 50 us, jitter 10 us, 1 GB/s */
    uint32_t send_buffer, receive_buffer; /* of each connection's ends, bytes; default 64 KiB */
    uint32_t datagram_mtu; /* longer datagrams of UDP are -EMSGSIZE; default 0: only UDP's own limit */
    uint32_t handles_max;     /* of each host; more is -EMFILE; default 4096 */
    uint64_t settle_max_ns;   /* a settle that takes longer has found a livelock; default 600 s */
    const char *command;      /* printed with a failure, before the seed: how to run it again */
    uint64_t stop_at_event;   /* dump everything at this event and abort; 0: never */
    bool trace;               /* print every event, and what programs log */
    /* What the simulator needs of the C library, which it does not know: zeroed memory, a line of
     * output, an end that does not return. calloc may give untouched pages; they stay so. */
    void *(*calloc_fn)(size_t count, size_t size);
    void (*free_fn)(void *memory);
    int (*puts_fn)(const char *line);
    void (*abort_fn)(void);
};

/* Defaults, and the four functions of <stdlib.h> and <stdio.h>. */
GY_API void gy_sim_config_init(struct gy_sim_config *config, uint64_t seed,
                               void *(*calloc_fn)(size_t count, size_t size),
                               void (*free_fn)(void *memory), int (*puts_fn)(const char *line),
                               void (*abort_fn)(void));
/* Small tables, rings and buffers, by seed, so that limits are met often. Keeps config->shards. */
GY_API void gy_sim_config_swarm(struct gy_sim_config *config, uint64_t seed);

/* Make a world with host 0, run boot on each of its shards, start it, and settle. config: copied;
 * command, arg: borrowed while the simulation lives. *out: given, ends with gy_sim_close().
 * -> 0; the error of boot, of a listener or of memory: then nothing is left. */
GY_API GY_MUST_CHECK int gy_sim_open(struct gy_sim **out, const struct gy_sim_config *config,
                                     int (*boot)(unsigned shard, void *arg), void *arg);
/* Stop what still runs, check that it ends and leaves nothing behind, free everything.
 * -> gy_sim_leaks() at the end. */
GY_API uint64_t gy_sim_close(struct gy_sim *sim);
/* Free everything without asking anybody; also after a failure, from an abort function that jumped. */
GY_API void gy_sim_abandon(struct gy_sim *sim);

/* ---- time -------------------------------------------------------------------------------- */

/* Virtual time since the world began. Also from code of the program and callbacks. */
GY_API uint64_t gy_sim_now(const struct gy_sim *sim);
/* Let time pass; everything that falls due happens. */
GY_API void gy_sim_advance(struct gy_sim *sim, uint64_t by_ns);
/* Let the world run until nothing is under way: every shard sleeps (or is paused by the test), and
 * nothing travels. Takes as much time as that takes; only timers and gy_sim_at() are left. */
GY_API void gy_sim_settle(struct gy_sim *sim);
/* Let the world run until done(arg), at most max_ns. -> done(arg). */
GY_API bool gy_sim_until(struct gy_sim *sim, bool (*done)(void *arg), void *arg, uint64_t max_ns);
/* Call run(arg) after that time, on no shard: a thread of a machine, an operator, a user. Also from
 * callbacks. arg: borrowed until then. */
GY_API void gy_sim_at(struct gy_sim *sim, uint64_t after_ns, void (*run)(void *arg), void *arg);
/* A random word for the test, from the seed; drawing one changes nothing else. */
GY_API uint64_t gy_sim_random(struct gy_sim *sim);

/* ---- hosts and shards -------------------------------------------------------------------- */

/* One more machine. config, boot, arg: as for gy_sim_open, NULL config is that of host 0. Its shards
 * are numbered on from those of the hosts before. Starts and settles. -> its number; < 0 as gy_sim_open. */
GY_API GY_MUST_CHECK int gy_sim_add_host(struct gy_sim *sim, const struct gy_config *config,
                                         uint32_t shards, int (*boot)(unsigned shard, void *arg),
                                         void *arg);

enum gy_sim_host_state {
    GY_SIM_RUNNING,
    GY_SIM_DRAINING, /* asked to, or to stop, and not there yet */
    GY_SIM_STOPPED,  /* ended in order */
    GY_SIM_CRASHED
};
GY_API enum gy_sim_host_state gy_sim_host_state(const struct gy_sim *sim, unsigned host);
/* What gy_run() would have returned, once the host is STOPPED: 0, -ETIME, a listener's error. */
GY_API int gy_sim_host_result(const struct gy_sim *sim, unsigned host);
/* For gy_post_raw() and the typed posts, from gy_sim_at() or between two calls; for gy_drain() and
 * gy_stop(), which are what a signal does. NULL when it does not run. */
GY_API struct gy_runtime *gy_sim_runtime(const struct gy_sim *sim, unsigned host);
/* The power fails: memory is gone, the network hears nothing more. Of files, what was synced is there
 * after a restart; what was not is lost, torn, or there, as the seed says (core/sim/README.md). */
GY_API void gy_sim_crash(struct gy_sim *sim, unsigned host);
/* Start a host that stopped or crashed anew: boot again. Settles. -> as gy_sim_open. */
GY_API GY_MUST_CHECK int gy_sim_restart(struct gy_sim *sim, unsigned host);
/* Cut a host off the network, or let it in again. What was sent meanwhile arrives then. */
GY_API void gy_sim_partition(struct gy_sim *sim, unsigned host, bool cut);
GY_API void gy_sim_set_link(struct gy_sim *sim, unsigned host, const struct gy_sim_link *link);
/* Its wall clock jumps; its clocks run fast or slow by so many parts per million from now on. */
GY_API void gy_sim_wall_jump(struct gy_sim *sim, unsigned host, int64_t by_ns);
GY_API void gy_sim_clock_drift(struct gy_sim *sim, unsigned host, int32_t ppm);

/* Programs reach each other's listeners by address: host n has 10.0.1.N and [fd00::N] with N = n + 1,
 * itself it also reaches at 127.0.0.1 and [::1]; nobody is anywhere else (-ENETUNREACH). Only the port decides which listener
 * it is. Clients of the test come from 10.0.0.1. -> the address with that port, as text. */
GY_API void gy_sim_host_address(const struct gy_sim *sim, unsigned host, unsigned port, char *out,
                                size_t len);

/* The shard takes no step until it is resumed. shard: numbered through all hosts. */
GY_API void gy_sim_pause_shard(struct gy_sim *sim, unsigned shard);
GY_API void gy_sim_resume_shard(struct gy_sim *sim, unsigned shard);
/* Run code as if on that shard, as boot does: it may spawn, cast and call. -> what it returns;
 * -ESRCH the shard does not run. */
GY_API int gy_sim_run_on(struct gy_sim *sim, unsigned shard, int (*run)(unsigned shard, void *arg),
                         void *arg);

/* The faults in force: change them at will. */
GY_API struct gy_sim_faults *gy_sim_faults(struct gy_sim *sim);
/* No faults from here on, no partition, every shard resumed: now pending work must finish. */
GY_API void gy_sim_heal(struct gy_sim *sim);

/* Datagrams that faults have lost (but for those that a partition or a crash caught under way) and doubled,
 * since the world began. */
GY_API void gy_sim_datagrams(const struct gy_sim *sim, uint64_t *lost, uint64_t *doubled);

/* ---- names ------------------------------------------------------------------------------- */

/* Most addresses of one name. */
#define GY_SIM_NAME_ADDRS 20
/* From now on a look-up of that name (in lower case; gyre/resolve.h) by a program gives these addresses, without
 * ports ("10.0.1.1"), after latency_ns and a little more, to be remembered for ttl_s; or fails with err. No
 * addresses, and all other names: -ENOENT. Also from callbacks. Text is copied. */
GY_API void gy_sim_name(struct gy_sim *sim, const char *name, const char *const *addrs,
                        unsigned count, uint32_t ttl_s, uint64_t latency_ns);
GY_API void gy_sim_name_fails(struct gy_sim *sim, const char *name, int err, uint64_t latency_ns);

/* ---- disks ------------------------------------------------------------------------------- */

/* A file of a host's, with its directories, as if it had always been there: durable. It must be no
 * directory, and have room. Relative paths begin at the root. */
GY_API void gy_sim_file_put(struct gy_sim *sim, unsigned host, const char *path, const void *data,
                            size_t len);
/* What a program would read. -> borrowed until time moves; NULL: there is no such file. */
GY_API const uint8_t *gy_sim_file_get(struct gy_sim *sim, unsigned host, const char *path,
                                      size_t *len);
/* So many bytes in files; more is -ENOSPC. 0: no limit. */
GY_API void gy_sim_disk_limit(struct gy_sim *sim, unsigned host, uint64_t bytes);

/* ---- clients ----------------------------------------------------------------------------- */

/* A connection from somewhere in the world to a host. The client reads what arrives at once unless
 * told otherwise, and remembers it until it is taken. */
enum gy_sim_conn_event {
    GY_SIM_CONNECTED,
    GY_SIM_REFUSED, /* nobody listens, or no answer for long */
    GY_SIM_DATA,    /* gy_sim_received() has more */
    GY_SIM_SENT,    /* all that was queued is in the network */
    GY_SIM_ENDED,   /* the host sends no more */
    GY_SIM_RESET    /* the connection broke */
};
/* Begin to connect. -> the connection (given: gy_sim_conn_free), NULL without memory. Also from
 * callbacks. */
GY_API struct gy_sim_conn *gy_sim_connect(struct gy_sim *sim, unsigned host, unsigned port);
/* Hear of what happens. on may call everything on connections, also free this one. */
GY_API void gy_sim_conn_on(struct gy_sim_conn *conn,
                           void (*on)(void *arg, struct gy_sim_conn *conn,
                                      enum gy_sim_conn_event event),
                           void *arg);
/* Queue bytes; copied. Also before it is connected. */
GY_API void gy_sim_send(struct gy_sim_conn *conn, const void *data, size_t len);
/* What was read and not taken. -> borrowed until the next call on conn or movement of time. */
GY_API const uint8_t *gy_sim_received(const struct gy_sim_conn *conn, size_t *len);
/* Forget the first len bytes of it. */
GY_API void gy_sim_take(struct gy_sim_conn *conn, size_t len);
/* From now on read, or write, at most bytes_max every every_ns. 0, 0: at once; 0 and a time: not at all. */
GY_API void gy_sim_read_slowly(struct gy_sim_conn *conn, uint32_t bytes_max, uint64_t every_ns);
GY_API void gy_sim_write_slowly(struct gy_sim_conn *conn, uint32_t bytes_max, uint64_t every_ns);
/* After all that is queued: no more bytes. Reading goes on. */
GY_API void gy_sim_half_close(struct gy_sim_conn *conn);
/* Close now, as a program that ends: what is queued and not written is dropped; if bytes arrived
 * that were not read, the host gets a reset. */
GY_API void gy_sim_disconnect(struct gy_sim_conn *conn);
/* Reset. */
GY_API void gy_sim_reset(struct gy_sim_conn *conn);
/* Has that event happened? (DATA, SENT: since it was connected, ever.) */
GY_API bool gy_sim_conn_has(const struct gy_sim_conn *conn, enum gy_sim_conn_event event);
/* Disconnect if it is connected, and free it. NULL is fine. */
GY_API void gy_sim_conn_free(struct gy_sim_conn *conn);

/* A signal to the host's program; a second one before the first was taken is one with it. SIGTERM and
 * SIGINT are as for gy_run(), if config.runtime.handle_signals; others go to who has subscribed
 * (gyre/signal.h); what nobody wants ends the program as a crash does, unless it is harmless. Also from
 * callbacks. */
GY_API void gy_sim_signal(struct gy_sim *sim, unsigned host, int number);

/* ---- processes --------------------------------------------------------------------------- */

/* A program that processes of the simulated hosts run, written by the test as callbacks. All but name may be
 * NULL. Callbacks run from events, never inside a step of a shard; what they ask for of the
 * process happens after they have returned. */
struct gy_sim_program {
    const char *name; /* the last part of the path by which it is started; others are -ENOENT */
    void (*started)(void *arg, struct gy_sim_process *process);
    /* Bytes have arrived at a descriptor that is a pipe; len 0: its end. NULL: it never reads. */
    void (*input)(void *arg, struct gy_sim_process *process, int32_t number, const uint8_t *data,
                  size_t len);
    /* A signal, but SIGKILL, which is not for it to see. NULL: what it does by default, which mostly
     * is to end. A callback that does nothing ignores them all. */
    void (*signaled)(void *arg, struct gy_sim_process *process, int32_t number);
    /* It has ended; the last call. */
    void (*ended)(void *arg, struct gy_sim_process *process);
};
/* Install it on all hosts. program, arg: borrowed while the simulation lives. Programs are found
 * whatever the spec's cwd and PATH; its files and descriptors other than pipes take and give nothing. */
GY_API void gy_sim_program(struct gy_sim *sim, const struct gy_sim_program *program, void *arg);

/* What a process does; from its callbacks, or from outside until ended(). Written bytes are queued and
 * leave as the pipe has room (what nobody can read any more ends it by SIGPIPE).
 * -> 0; -EBADF no such descriptor, or not to be written. */
GY_API int gy_sim_process_write(struct gy_sim_process *process, int32_t number, const void *data,
                                size_t len);
/* Close one when all is written to it. */
GY_API void gy_sim_process_close(struct gy_sim_process *process, int32_t number);
/* End, when all is written; end at once by a signal, dropping that. */
GY_API void gy_sim_process_exit(struct gy_sim_process *process, int32_t code);
GY_API void gy_sim_process_crash(struct gy_sim_process *process, int32_t signal);
/* Call run after a time, unless it has ended; one at a time, the last one counts. */
GY_API void gy_sim_process_later(struct gy_sim_process *process, uint64_t after_ns,
                                 void (*run)(void *arg, struct gy_sim_process *process));
GY_API int32_t gy_sim_process_pid(const struct gy_sim_process *process);
/* NULL: there is none. env: of what the spec adds. */
GY_API const char *gy_sim_process_argument(const struct gy_sim_process *process, uint32_t index);
GY_API const char *gy_sim_process_env(const struct gy_sim_process *process, const char *name);
GY_API const char *gy_sim_process_cwd(const struct gy_sim_process *process);
/* One pointer of the test's per process. */
GY_API void gy_sim_process_set_context(struct gy_sim_process *process, void *context);
GY_API void *gy_sim_process_context(const struct gy_sim_process *process);
/* How many there are, on all hosts: running, or ended and not reaped. */
GY_API uint32_t gy_sim_processes(const struct gy_sim *sim);

/* ---- looking ----------------------------------------------------------------------------- */

/* Things in use, over all hosts, beyond those in use when their host had started: calls without an
 * answer, kept promises, buffers with an owner, operations other than accepts and receives. 0 when
 * the world is settled and its clients have all they asked for. */
GY_API uint64_t gy_sim_leaks(struct gy_sim *sim);
/* The hash of all events so far, and their number. */
GY_API uint64_t gy_sim_hash(const struct gy_sim *sim);
GY_API uint64_t gy_sim_events(const struct gy_sim *sim);
/* Print the last events, at most max. */
GY_API void gy_sim_print_events(struct gy_sim *sim, uint32_t max);
/* Print hosts, shards, actors, futures, timers, operations, connections. */
GY_API void gy_sim_dump(struct gy_sim *sim);
/* End the run as a check would: the test's own oracle has failed. Does not return. Also from code of
 * the program and callbacks. */
GY_API void gy_sim_fail(struct gy_sim *sim, const char *format, ...) GY_PRINTF(2, 3);

GY_END_DECLS

#endif
