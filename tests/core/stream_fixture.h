/* An actor that listens, on a shard whose world is the test; what it is told is written down, and a
 * test may hook itself in. Leaks fail the test that made them. */
#ifndef GYRE_TESTS_CORE_STREAM_FIXTURE_H
#define GYRE_TESTS_CORE_STREAM_FIXTURE_H

#include "core/streams.h"
#include "tests/core/fake_driver.h"

#define FX_STREAMS 64
#define FX_PORT 8080

struct fixture {
    struct fake_driver fake;
    struct gy_shard *shard;
    gy_pid pid;
    struct gy_actor *actor;
    struct gy_listen_options options;
    struct gy_stream_events events;

    /* What the owner was told, " event" after " event"; the handle behind the names of events when
     * it is not the first stream's. */
    char told[16384];
    bool keep_data; /* data() leaves the buffer in kept[] instead of releasing it */
    struct gy_buf *kept[256];
    unsigned kept_count;
    bool echo; /* data() sends the buffer back */
    /* Called in the event of that name, after it was written down; NULL: nothing. */
    void (*in_opened)(struct gy_stream *s);
    void (*in_data)(struct gy_stream *s);
    void (*in_ended)(struct gy_stream *s);
    void (*in_flush)(struct gy_stream *s);
    void (*in_drained)(struct gy_stream *s);
    void (*in_closed)(struct gy_stream *s);
    void (*in_drain)(void);

    /* By order of acceptance. */
    struct gy_stream *streams[FX_STREAMS];
    unsigned accepted, opened, closed;
};

/* All events set, options at their defaults, 16 receive buffers; change them before fx_open. */
void fx_init(struct fixture *fx);
/* Open the shard, spawn the actor, let its listener open; accepting is armed then. */
void fx_open(struct fixture *fx);
/* The same up to the LISTEN operation in flight. */
void fx_start(struct fixture *fx);
/* Stop everything and look for leaks. */
void fx_close(struct fixture *fx);
/* All of the streams have ended and nothing is out: operations, buffers, holds. */
void fx_check_clean(struct fixture *fx);

/* Accept a connection with this handle, and take the turn in which reading is armed. */
struct gy_stream *fx_accept(struct fixture *fx, int32_t handle);
/* One turn; the operations it submits are in flight then. */
void fx_turn(struct fixture *fx);
/* Completions, without a turn. */
void fx_data(struct fixture *fx, struct gy_stream *s, const char *bytes, bool more);
void fx_in(struct fixture *fx, struct gy_stream *s, int32_t res);
void fx_out(struct fixture *fx, struct gy_stream *s, int32_t res);
/* The send in flight, completed whole; its bytes must be these. */
void fx_sent(struct fixture *fx, struct gy_stream *s, const char *bytes);
/* Queue bytes as the owner would. */
int fx_send(struct fixture *fx, struct gy_stream *s, const char *bytes);
/* End the actor. */
void fx_kill(struct fixture *fx);
void fx_release_kept(struct fixture *fx);

/* What was told since the last call is exactly this. */
#define fx_told(fx, expected)                                                                      \
    do {                                                                                           \
        assert_string_equal((fx)->told, expected);                                                 \
        (fx)->told[0] = 0;                                                                         \
    } while (0)

#endif
