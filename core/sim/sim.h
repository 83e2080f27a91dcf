/* core/sim/sim.h - the simulated world as its own files see it.
 *
 * Reading order: random.h, event.h, this file, world.c (time), machine.c (hosts), place.c (shards),
 * driver.c (the seam), flight.c (operations), blocking.c, tcp.c, socket.c, listening.c, connect.c, client.c (the network),
 * trace.c, check.c, dump.c, config.c, memory.c.
 *
 * Ownership: struct gy_sim owns all memory (memory.c knows every block). Hosts own shards and
 * handles, shards own operations and receive buffers, connections are the world's and are freed when
 * both ends have let go. Numbers that appear in the log count up from 0 or 1 in the order of events;
 * no decision and no log entry depends on an address. */
#ifndef GYRE_CORE_SIM_SIM_H
#define GYRE_CORE_SIM_SIM_H

#include "core/kernel.h"
#include "core/shard.h"
#include "core/sim/event.h"
#include "core/sim/random.h"
#include "core/text.h"
#include "gyre/datagram.h"
#include "gyre/driver.h"
#include "gyre/sim.h"

#define GY__SIM_HOSTS_MAX 64

struct gy__machine;
struct gy__tcp;
struct gy__place;
struct gy__disk;   /* core/sim/disk.h */
struct gy__opened;
struct gy__sync;
struct gy__sim_pipe;    /* core/sim/process.h */
struct gy__sim_program;
struct gy__sim_name;
struct gy__udp;

/* ---- operations in flight ---- */

enum gy__flight_state {
    GY__FLIGHT_SUBMITTED, /* the kernel sees it at the next poll */
    GY__FLIGHT_ACTIVE,    /* at its socket or listener */
    GY__FLIGHT_STARVED,   /* a receive that waits for a buffer */
    GY__FLIGHT_ENDED,     /* its last completion is queued */
};

/* What the driver knows of a gy_op from submit to its last completion. */
enum gy__work_state {
    GY__WORK_QUEUED,
    GY__WORK_BEGUN, /* a thread has it, its function will be called */
    GY__WORK_RAN,
};
struct gy__flight {
    struct gy_op *op;
    struct gy__place *place;
    struct gy__flight *next, *prev; /* of the same shard, in the order submitted; or free */
    struct gy__flight *list_next;   /* submitted, starved, or blocking and not begun */
    struct gy__event event;         /* a cancel or a pause of accept that takes effect later */
    uint64_t number;
    uint64_t sent;    /* of a send: bytes that the socket has accepted */
    uint64_t bytes;   /* of a send: bytes in all */
    uint64_t digest;  /* of them, when it was submitted */
    uint32_t queued;  /* completions of it in the queue */
    int32_t handle;
    uint8_t kind;
    uint8_t state; /* enum gy__flight_state */
    bool canceled;
    uint8_t work_state; /* of blocking work: enum gy__work_state */
    int32_t work_result;
    struct gy__event dial; /* of a connect: a packet of the handshake arrives, or is sent again */
    struct gy__tcp *tcp;   /* of a connect: queued at the peer, the answer is on its way */
    struct gy__machine *peer;
    uint32_t tries, port;
    bool refused; /* the refusal is on its way */
    struct gy__event work; /* its function is called, or has returned; of a file: its effect */
    struct gy__sync *sync; /* of a file's sync: what it will have made durable */
    struct gy__sim_pipe *pipe, *pipe_to; /* of a poll, peek, redirect: pinned */
    bool moving;                         /* of a redirect: inside its loop */
    struct gy_sim_process *process; /* from its birth until its end is told */
};

struct gy__completed { /* in the completion queue */
    struct gy__flight *flight;
    uint64_t at_ns; /* visible from then on */
    uint8_t *data;
    int32_t res;
    uint32_t flags;
    uint32_t buffer;
    bool is_datagram, is_passed;
    struct gy_datagram_info datagram;
    struct gy_passed passed;
};

/* ---- shards ---- */

enum gy__sim_step {
    GY__STEP_START,
    GY__STEP_RUN,
    GY__STEP_PUBLISH,
    GY__STEP_POLL,
    GY__STEP_SPIN,
    GY__STEP_ANNOUNCE,
    GY__STEP_LOOK,
    GY__STEP_SLEEP,
    GY__STEP_AWAKE,
    GY__STEP_TOLD,
    GY__STEP_ENDED,
    GY__STEPS
};

#define GY__SIM_PINS_MAX 8
/* A shard's place in the world: the context that its driver functions get. */
struct gy__place {
    struct gy_sim *sim;
    struct gy__machine *host;
    struct gy_shard *shard; /* NULL: not open */
    unsigned index;         /* in its host */
    unsigned number;        /* in the world */
    enum gy__sim_step next; /* which step it takes when `step` fires */
    struct gy__event step;  /* that, or while it sleeps its deadline */
    struct gy__event wake;  /* on its way */
    struct gy__event request; /* a drain or stop on its way */
    struct gy__event reap;  /* a completion becomes visible while it sleeps */
    uint64_t elapsed_ns;    /* of the step being taken */
    uint64_t last_ns;       /* the latest time its clock has shown */
    uint32_t spins;         /* looks left before it announces sleep */
    uint8_t requests;       /* bits of enum gy__request */
    bool asleep;
    bool announced;         /* between announcing sleep and being awake */
    bool woken;             /* a wake has arrived and was not seen */
    bool waited;            /* it has waited, or found when about to that it need not */
    bool more;              /* this turn found something */
    bool held;              /* paused by the test */
    uint8_t phase;          /* last seen */

    struct gy__flight *first, *last; /* all in flight */
    struct gy__flight *submitted, *submitted_last;
    struct gy__flight *starved, *starved_last;
    uint32_t flights;
    struct gy__completed *queue; /* a ring */
    uint32_t queue_room, queue_first, queue_count;

    struct {
        const uint8_t *start;
        size_t bytes;
    } pins[GY__SIM_PINS_MAX]; /* by number - 1 */
    uint32_t pin_count;

    uint8_t *buffers;
    uint8_t *buffer_state; /* enum gy__buffer_state of each */
    uint32_t *buffers_free, buffers_free_count;
    uint32_t *buffers_back, buffers_back_count; /* given back, effective at the next poll */
};

enum gy__buffer_state {
    GY__BUFFER_FREE,
    GY__BUFFER_QUEUED, /* in a completion not yet told */
    GY__BUFFER_OUT,    /* the core's */
    GY__BUFFER_BACK,   /* given back, not yet effective */
};

/* ---- hosts ---- */

struct gy__handle {
    struct gy__tcp *tcp; /* a connection's end, or NULL */
    struct gy__listening *listening; /* or this */
    struct gy__udp *udp;       /* or this */
    struct gy__opened *file; /* or this */
    struct gy__sim_pipe *pipe; /* or this, or none: free */
    uint8_t end;
    bool sent; /* it was sent away: the number is in use until it is closed */
};
static inline bool gy__handle_in_use(const struct gy__handle *handle)
{
    return handle->tcp != NULL || handle->listening != NULL || handle->udp != NULL ||
           handle->file != NULL || handle->pipe != NULL || handle->sent;
}

#define GY__SIM_PORTS_MAX 64
#define GY__SIM_ADDR_MAX 128
#define GY__SIM_UNIX_PORT 65536u /* and above: of paths */
/* An address that shards of a host listen at, together. */
struct gy__sim_port {
    char text[GY__SIM_ADDR_MAX];
    uint32_t port; /* or a number in the place of one, if the text is a path */
    uint32_t keep_alive_s; /* of what is accepted */
    uint32_t listeners; /* 0: free */
};

struct gy__machine {
    struct gy_sim *sim;
    unsigned number;
    enum gy_sim_host_state state;
    int result;
    uint32_t shards;
    struct gy__place *places; /* one per shard */
    unsigned first;           /* number in the world of its first shard */
    struct gy__place control; /* the context of the control thread */
    struct gy_config config;
    struct gy_runtime *runtime; /* NULL: not running */
    int (*boot)(unsigned shard, void *arg);
    void *arg;
    struct gy_sim_link link;
    bool cut;
    uint32_t lives; /* how often it was started */
    /* Clocks: mono = mono_base + elapsed * (1 + drift); wall = mono + wall_offset. */
    uint64_t mono_base_ns, mono_since_ns;
    int64_t wall_offset_ns;
    int32_t drift_ppm;
    struct gy__event notice; /* the control thread looks at phases */
    struct gy__event expire; /* the drain takes too long */
    struct gy__event signal; /* signals are taken */
    uint64_t signals_wanted, signals_pending; /* bit n - 1: signal n */
    bool signal_seen; /* SIGTERM or SIGINT, of those that are the control thread's */
    bool drain_asked, stop_asked;
    struct gy__sim_port ports[GY__SIM_PORTS_MAX];
    struct gy__handle *handles;
    uint32_t handles_room, handles_used; /* those behind were never used */
    uint32_t handles_full;               /* those before are in use */
    struct gy__listening *listenings;    /* list */
    struct gy__udp *udps;                /* list */
    struct gy__flight *blocking_first;   /* work that waits for a thread of the pool */
    uint32_t blocking_queued, blocking_busy;
    struct gy__disk *disk; /* outlives its lives */
    uint64_t in_use; /* when it had started: what gy_sim_leaks() does not count */
};

/* ---- the network ---- */

/* A socket that listens. */
struct gy__listening {
    struct gy__listening *next;
    struct gy__machine *host;
    struct gy__place *place;
    struct gy__sim_port *port;
    struct gy__flight *accept, *unlisten;
    struct gy__tcp **backlog; /* a ring */
    uint32_t backlog_room, backlog_max, backlog_first, backlog_count;
    int32_t handle;
    struct gy__event patience; /* of UNLISTEN, for handshakes under way */
    bool closing; /* takes no new connection */
};

enum gy__end_owner {
    GY__END_NOBODY, /* closed: what arrives is answered with a reset */
    GY__END_CLIENT,
    GY__END_BACKLOG,
    GY__END_HANDLE,
    GY__END_VANISHED, /* its host crashed */
    GY__END_DIALING,  /* a connect operation's, which does not know of it yet */
};
struct gy__end {
    struct gy__machine *host; /* NULL: somewhere in the world */
    struct gy__tcp *tcp;
    struct gy__listening *listening; /* in its backlog */
    struct gy_sim_conn *client;
    struct gy__flight *dial;
    struct gy__flight *receive, *send;
    int32_t handle;
    int32_t error; /* sticky: the connection broke */
    bool error_told;
    bool was_silent; /* the peer could not be reached when it was asked last */
    uint8_t owner; /* enum gy__end_owner */
    uint64_t ask_every_ns;
    struct gy__event ask; /* whether the peer is still there */
};

/* Descriptors that travel with bytes of a UNIX stream. */
struct gy__parcel {
    struct gy__parcel *next;
    uint64_t at, end; /* positions of the bytes that were written with it */
    uint32_t n;
    struct gy__handle handles[GY_PASS_MAX];
};

#define GY__SEGMENTS_MAX 8
/* One direction: bytes from ends[i] to ends[!i] of a connection. All positions count bytes since it
 * began: read <= arrived <= departed <= written. */
struct gy__pipe {
    struct gy__tcp *tcp;
    struct gy__event arrive; /* of the first segment under way */
    struct gy__event resume; /* look again whether something can depart */
    struct gy__event reset;  /* a reset arrives */
    uint8_t *data;           /* a ring of `size` bytes, a power of two */
    uint32_t size;
    uint64_t written, departed, arrived, read;
    uint64_t free_ns;    /* when the wire has taken what departed */
    uint64_t latest_ns;  /* arrival of the last segment that departed */
    struct {
        uint64_t at_ns, end;
        bool fin;
    } segments[GY__SEGMENTS_MAX];
    uint32_t segment_first, segment_count;
    bool fin, fin_departed, fin_arrived;
    bool resetting; /* a reset follows, or followed, the last byte */
    struct gy__parcel *parcels; /* not received, in order */
};

struct gy__tcp {
    struct gy_sim *sim;
    struct gy__tcp *next, *prev; /* all */
    uint64_t number;
    struct gy__end ends[2];   /* 0: who connected; 1: who accepted */
    struct gy__pipe pipes[2]; /* i: from end i */
    uint32_t port;
    uint16_t client_port;
    char *path; /* of a UNIX socket, where it was accepted */
    uint32_t pins; /* somebody on the stack still looks at it */
};

struct gy_sim_conn {
    struct gy_sim *sim;
    struct gy_sim_conn *next, *prev; /* all */
    struct gy__tcp *tcp; /* NULL: not connected (any more) */
    uint64_t number;
    unsigned host, port;
    void (*on)(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event);
    void *arg;
    struct gy__event connect; /* the handshake */
    struct gy__event reads, writes;
    uint8_t *out, *in;
    uint32_t out_room, out_len, out_first;
    uint32_t in_room, in_len, in_first;
    uint32_t read_max, write_max;
    uint64_t read_every_ns, write_every_ns;
    uint64_t read_next_ns, write_next_ns;
    uint32_t tries;
    uint8_t events; /* bits: which have happened */
    bool half_close; /* wanted, when out is empty */
    bool refused;    /* the refusal is on its way */
    bool freed;      /* inside a callback: freed when that returns */
    uint8_t calling; /* callbacks running */
};

/* ---- the log ---- */

enum gy__trace {
    GY__TRACE_STEP,      /* a: step, b: digest of what the shard has counted */
    GY__TRACE_PAUSE,     /* a: ns */
    GY__TRACE_SUBMIT,    /* a: operation, b: kind, c: handle */
    GY__TRACE_CANCEL,    /* a: operation */
    GY__TRACE_COMPLETE,  /* a: operation, b: result, c: flags */
    GY__TRACE_GIVE_BACK, /* a: buffer */
    GY__TRACE_WAKE,      /* a: whom, b: after ns */
    GY__TRACE_WOKEN,
    GY__TRACE_MEMORY,    /* a: refused? */
    GY__TRACE_IDLE,      /* memory given back; a: bytes */
    GY__TRACE_LOG,       /* a: hash of the line */
    GY__TRACE_WALL,      /* a: ns that the clock jumped */
    GY__TRACE_CONNECT,   /* a: client, b: port */
    GY__TRACE_ARRIVE,    /* a: connection, b: position, c: direction */
    GY__TRACE_FIN,       /* a: connection, c: direction */
    GY__TRACE_RESET,     /* a: connection, c: direction */
    GY__TRACE_SENT,      /* a: connection, b: position, c: direction */
    GY__TRACE_CLIENT,    /* a: client, b: event */
    GY__TRACE_SCRIPT,    /* a: number */
    GY__TRACE_HOST,      /* a: state, b: cut */
    GY__TRACE_REQUEST,   /* a: bits */
    GY__TRACE_HEAL,
    GY__TRACE_DISK,      /* a: inode, b: digest of what a crash left, c: host */
    GY__TRACE_WORK,      /* a: operation, b: what its function returned */
    GY__TRACE_DATAGRAM,  /* arrives. a: sender, b: bytes, c: host */
    GY__TRACE_DIAL,      /* a: operation, b: host, c: tries */
    GY__TRACE_PROCESS,   /* a: process, b: exit code, c: 0 born, otherwise its end: the signal */
    GY__TRACE_SIGNAL,    /* a: host, b: number */
    GY__TRACE_PIPE,      /* a: pipe, b: position, c: written? */
    GY__TRACE_PARCEL,    /* a: connection, b: position, c: descriptors, with 256 when they are received */
    GY__TRACES
};

struct gy__record {
    uint64_t at_ns, a, b;
    uint32_t c;
    uint16_t place; /* shard in the world + 1, 0: none */
    uint8_t kind;
};
#define GY__RECORDS 16384 /* the last ones are kept; a power of two */

/* ---- the world ---- */

struct gy__script {
    struct gy__event event;
    struct gy__script *next;
    uint64_t number;
    void (*run)(void *arg);
    void *arg;
};

struct gy_sim {
    struct gy_sim_config config;
    struct gy_driver driver;
    uint64_t now_ns;
    struct gy__events events;
    struct gy__random random[GY__CONCERNS];
    struct gy__machine *hosts[GY__SIM_HOSTS_MAX];
    uint32_t host_count;
    struct gy__place **places; /* by number in the world */
    uint32_t place_count, places_room;
    struct gy__place *stepping; /* whose code runs, NULL: nobody's */

    struct gy__tcp *tcps;
    struct gy_sim_conn *conns;
    struct gy__flight *flights_free;
    uint64_t udp_number, datagrams_lost, datagrams_doubled;
    uint64_t apart_until_ns[GY__SIM_HOSTS_MAX][GY__SIM_HOSTS_MAX]; /* for datagrams; [low][high] */
    struct gy__sim_name *names; /* core/sim/names.c */
    struct gy__script *scripts, *scripts_free;
    struct gy_sim_process *processes;
    struct gy__sim_program *programs;
    uint64_t process_number, pipe_number;
    uint64_t flight_number, tcp_number, conn_number, script_number;
    uint16_t client_port;

    struct gy__sim_block *blocks; /* all memory */
    uint64_t memory_calls;
    bool started; /* memory may fail from here on */

    uint64_t hash, event_count;
    struct gy__record *records;
    char said[8][256]; /* the last lines of the log */
    uint32_t said_count;
    bool failing;
};

static inline struct gy__random *gy__rng(struct gy_sim *sim, enum gy__concern concern)
{
    return &sim->random[concern];
}

/* ---- memory.c ---- */
/* Zeroed; ends the run when there is none. */
void *gy__sim_take(struct gy_sim *sim, size_t bytes);
/* NULL is fine. */
void gy__sim_give(struct gy_sim *sim, void *memory);
/* The same, zeroed and page-aligned, for the driver's memory(): NULL when there is none. */
void *gy__sim_pages(struct gy_sim *sim, size_t bytes);
/* Does all of that lie in one piece of what is taken now? */
bool gy__sim_gave(const struct gy_sim *sim, const void *memory, size_t bytes);
/* An array with room for at least `need` elements; its old contents stay, what is new is zeroed. */
void *gy__sim_grown(struct gy_sim *sim, void *array, uint32_t *room, uint32_t need, size_t size);
void gy__sim_free_all(struct gy_sim *sim);

/* ---- trace.c ---- */
void gy__trace(struct gy_sim *sim, const struct gy__place *place, enum gy__trace kind, uint64_t a,
               uint64_t b, uint32_t c);
uint64_t gy__digest(uint64_t hash, const void *bytes, size_t len);
void gy__trace_said(struct gy_sim *sim, const char *line, size_t len);
void gy__print(struct gy_sim *sim, const char *format, ...) GY_PRINTF(2, 3);

/* ---- check.c ---- */
_Noreturn void gy__sim_failed(struct gy_sim *sim, const char *text);
#define GY__SIM_CHECK(sim, condition, text)                                                        \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            gy__sim_failed((sim), (text));                                                         \
    } while (0)
/* After a publish: does somebody sleep to whom something was made visible? */
void gy__check_sleepers(struct gy__machine *host);
/* Nothing is under way: is something left undone all the same? */
void gy__check_quiet(struct gy_sim *sim);
/* Calls, promises, buffers and operations of all shards. */
uint64_t gy__check_in_use(const struct gy__machine *host);
/* All shards have stopped: nothing may be left. */
void gy__check_stopped(struct gy__machine *host);

/* ---- world.c ---- */
/* The next event happens. */
void gy__sim_step_once(struct gy_sim *sim);

/* ---- host.c ---- */
int gy__machine_start(struct gy__machine *host);
/* Memory and connections of a host that has stopped, or that crashes. */
void gy__machine_end(struct gy__machine *host, enum gy_sim_host_state state);
void gy__machine_asked(struct gy__machine *host, bool stop);
/* A shard's phase has changed. */
void gy__machine_noticed(struct gy__machine *host);
uint64_t gy__machine_mono(const struct gy__machine *host, uint64_t now_ns);
/* When its clock shows that. */
uint64_t gy__machine_when(const struct gy__machine *host, uint64_t mono_ns);

/* As the driver's signal_watch. */
int gy__machine_signal_watch(void *ctx, int number);

/* ---- place.c ---- */
/* Tell its events what they do. */
void gy__place_events(struct gy__place *place);
/* Something for it is there: it stops sleeping, if it does. */
void gy__place_rouse(struct gy__place *place);
void gy__place_plan(struct gy__place *place, enum gy__sim_step next, uint64_t after_ns);
void gy__place_wake(struct gy__place *place, struct gy__place *from);

/* ---- driver.c ---- */
void gy__sim_driver_init(struct gy_driver *driver);

/* ---- op.c ---- */
void gy__flight_submit(struct gy__place *place, struct gy_op *op);
void gy__flight_cancel(struct gy__place *place, struct gy_op *op);
/* Start what was submitted, feed what starved, tell what has completed. -> anything happened. */
bool gy__flight_poll(struct gy__place *place);
/* Tell what has completed, no more. -> how many. */
uint32_t gy__flight_reap(struct gy__place *place);
/* Must it not sleep? */
bool gy__flight_pending(const struct gy__place *place);
/* Queue a completion. more: it goes on. */
void gy__flight_tell(struct gy__flight *flight, int32_t res, bool more);
void gy__flight_tell_data(struct gy__flight *flight, uint32_t buffer, uint32_t len, bool more);
/* passed: NULL: nothing came with them. */
void gy__flight_tell_passed(struct gy__flight *flight, uint32_t buffer, uint32_t len,
                            const struct gy_passed *passed);
void gy__flight_tell_datagram(struct gy__flight *flight, uint32_t buffer, uint32_t len,
                              const struct gy_datagram_info *info);
/* A receive has found no buffer: gy__socket_feed() is called when there is one. */
void gy__flight_starve(struct gy__flight *flight);
void gy__flight_drop_all(struct gy__place *place);
void gy__flight_later(struct gy_sim *sim, struct gy__event *event);
const char *gy__flight_name(unsigned kind);
uint64_t gy__flight_digest(const struct gy_op *op, uint64_t *bytes);

/* ---- blocking.c ---- */
void gy__blocking_start(struct gy__flight *flight);
void gy__blocking_cancel(struct gy__flight *flight);
/* The host is gone, and its threads. */
void gy__blocking_forget(struct gy__machine *host);

/* ---- datagram.c ---- */
bool gy__udp_kind(unsigned kind);
void gy__udp_start(struct gy__flight *flight);
/* A cancel takes effect on one that is active. */
void gy__udp_cancel(struct gy__flight *flight);
/* The socket is gone, whatever it was doing. */
void gy__udp_close(struct gy__machine *host, struct gy__handle *handle);
uint64_t gy__udp_dropped(const struct gy__machine *host, int32_t handle);

/* ---- names.c ---- */
void gy__names_start(struct gy__flight *flight);
void gy__names_cancel(struct gy__flight *flight);

/* ---- socket.c ---- */
int32_t gy__handle_take(struct gy__machine *host);
void gy__handle_give(struct gy__machine *host, int32_t handle);
/* Close one of any kind, without an operation. */
void gy__handle_drop(struct gy__machine *host, int32_t handle);
void gy__socket_start(struct gy__flight *flight);
/* A cancel takes effect. */
void gy__socket_cancel(struct gy__flight *flight);
/* Something changed at an end that a handle owns. */
void gy__socket_readable(struct gy__end *end);
void gy__socket_writable(struct gy__end *end);
/* A buffer is there for a receive that starved. */
void gy__socket_feed(struct gy__flight *flight);

/* ---- passing.c ---- */
/* What an operation's descriptors led to leaves with the bytes that will be written next, and before
 * `end` is told. -> 0; -EBADF, -EINVAL: nothing has left. */
int gy__parcel_send(struct gy__end *end, struct gy__machine *host, const struct gy_pass *pass);
/* Those bytes are written. */
void gy__parcel_sent(struct gy__end *end);
/* How many of the bytes that are ready one receive may take. */
uint32_t gy__parcel_limit(struct gy__end *end, uint32_t ready);
/* They were read. out: gets what came with them; NULL: it is dropped. -> true: something did. */
bool gy__parcel_take(struct gy__end *end, struct gy__machine *host, struct gy_passed *out);
void gy__parcels_drop(struct gy__parcel *parcels, struct gy_sim *sim);

/* ---- sendfile.c ---- */
/* Of an operation that is at its end: the disk begins. */
void gy__sim_sendfile_start(struct gy__flight *flight);
/* The end may have room. -> it has moved what it could, or failed: *res. */
bool gy__sim_sendfile_moves(struct gy__end *end, struct gy__flight *flight, int32_t *res);

/* ---- listen.c ---- */
void gy__listening_open(struct gy__flight *flight);
void gy__listening_accept(struct gy__flight *flight);
void gy__listening_cancel(struct gy__flight *flight);
void gy__listening_unlisten(struct gy__flight *flight);
void gy__listening_hurry(struct gy__flight *flight);
void gy__listening_close(struct gy__listening *listening);
void gy__listening_pump(struct gy__listening *listening);
/* The port that an address of that host has, also if it is a path; < 0: -EINVAL, -ENOENT no such path,
 * -ECONNREFUSED no such abstract name. */
int gy__port_at(const struct gy__machine *host, const char *text);
/* Somebody knocks. -> 1 queued; 0 nobody listens; -EAGAIN dropped, it will try again. */
int gy__listening_arrive(struct gy__machine *host, struct gy__tcp *tcp, unsigned port);

/* ---- connect.c ---- */
void gy__dial_start(struct gy__flight *flight);
void gy__dial_cancel(struct gy__flight *flight);
/* The connection that an active one waits for broke. */
void gy__dial_broke(struct gy__end *end);
/* Its host is gone. */
void gy__dial_forget(struct gy__flight *flight);
/* The address of an end. */
void gy__end_name(const struct gy__end *end, struct gy__text *out);

/* ---- tcp.c ---- */
/* How long a packet takes between two hosts, NULL: somewhere in the world; whether none gets through. */
uint64_t gy__way_ns(struct gy_sim *sim, const struct gy__machine *a, const struct gy__machine *b);
bool gy__way_cut(const struct gy__machine *a, const struct gy__machine *b);
/* A port for who connects. */
uint16_t gy__client_port(struct gy_sim *sim);
struct gy__tcp *gy__tcp_open(struct gy_sim *sim);
static inline unsigned gy__end_side(const struct gy__end *end)
{
    return end == &end->tcp->ends[1];
}
/* Bytes that may be written, and that may be read. */
uint32_t gy__end_room(struct gy__end *end);
uint32_t gy__end_ready(struct gy__end *end);
bool gy__end_at_fin(struct gy__end *end);
void gy__end_write(struct gy__end *end, const void *bytes, uint32_t len);
void gy__end_read(struct gy__end *end, void *out, uint32_t len);
/* No more bytes from this end. */
void gy__end_fin(struct gy__end *end);
/* Ask from now on whether the peer is still there: gone for so long, and it is over. 0: not. */
void gy__end_keep_alive(struct gy__end *end, uint32_t s);
/* Its owner lets go: a FIN, or a reset if bytes were not read. The connection may be freed. */
void gy__end_close(struct gy__end *end);
/* The same, with a reset. */
void gy__end_reset(struct gy__end *end);
/* Its host is gone. */
void gy__end_vanish(struct gy__end *end);
/* The network changed: what stood still may go on. */
void gy__tcp_resume_all(struct gy_sim *sim);
void gy__tcp_free(struct gy__tcp *tcp);
/* It is one of a UNIX socket at that path. */
void gy__tcp_at(struct gy__tcp *tcp, const char *path);

/* ---- client.c ---- */
void gy__client_readable(struct gy_sim_conn *conn);
void gy__client_writable(struct gy_sim_conn *conn);
void gy__client_broke(struct gy_sim_conn *conn);

#endif
