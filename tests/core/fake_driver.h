/* A driver whose world is the test: time stands still until it is moved, and operations lie in a
 * list until the test completes them, in any order and with any result. One thread runs all shards.
 *
 *     struct fake_driver fake;
 *     struct gy_config config;
 *     gy_config_init(&config);
 *     fake_open(&fake, &config, 2, boot, NULL);        two shards, booted and started
 *     fake_settle(&fake);                              turns, until nothing is left to run
 *     struct gy_op *op = fake_op(&fake, 0, GY_OP_LISTEN, 0);
 *     fake_complete(&fake, 0, op, 7, 0);               its one completion: res 7, no MORE
 *     fake_close(&fake);                               stop, settle, free; leaks fail the test
 *
 * Failed expectations end the test through cmocka. A panic of the core does too, unless the test
 * waits for it with fake_expect_panic(). */
#ifndef GYRE_TESTS_CORE_FAKE_DRIVER_H
#define GYRE_TESTS_CORE_FAKE_DRIVER_H

#include "core/shard.h"
#include "gyre/config.h"
#include "gyre/driver.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_SHARDS_MAX 8
#define FAKE_OPS_MAX 16384
#define FAKE_BUFFERS_MAX 256
#define FAKE_BLOCKS_MAX 512
#define FAKE_LOG_MAX 65536
#define FAKE_SIGNALS_MAX 16

struct fake_driver;

/* The context of one shard; that of the control thread is one more, without a shard. */
struct fake_shard {
    struct fake_driver *fake;
    unsigned index;
    struct gy_shard *shard;
    struct gy_op *ops[FAKE_OPS_MAX]; /* in flight, in the order submitted */
    unsigned op_count;
    unsigned op_peak;
    uint64_t submitted, canceled; /* ever */
    uint32_t pinned;              /* pieces of memory, ever */
    /* Receive buffers: the driver's until fake_receive() gives one with a completion. */
    uint8_t *buffers;
    bool buffer_out[FAKE_BUFFERS_MAX];
    unsigned buffers_out;
    uint64_t gave_back; /* ever */
    unsigned wakes;     /* how often it was woken */
    int signals[FAKE_SIGNALS_MAX]; /* sent to processes, in order */
    unsigned signal_count;
};

struct fake_driver {
    struct gy_driver driver;
    struct gy_runtime *runtime;
    unsigned shards;
    unsigned dropped; /* handles that were closed without an operation */
    unsigned rings; /* how often threads that wait were told to look */
    struct fake_shard control, shard[FAKE_SHARDS_MAX];

    uint64_t now_ns, wall_ns; /* the test moves them */
    uint64_t seed;
    unsigned buffers_max; /* receive buffers of each shard; settable before use, default 16 */
    uint32_t buffer_size; /* default 4096 */

    /* What memory() has given and not got back; it fails when it has been called memory_left times
     * more. */
    struct fake_block {
        void *memory;
        size_t bytes;
    } blocks[FAKE_BLOCKS_MAX];
    unsigned block_count;
    uint64_t memory_left, memory_calls;
    uint64_t idle_bytes; /* ever */
    uint64_t soon_calls, soon_bytes; /* ever */
    bool idle_stays;     /* and what lies there is not lost */

    char log[FAKE_LOG_MAX]; /* "LEVEL text\n", cut at the end */
    size_t log_len;

    jmp_buf *panic_to; /* of fake_expect_panic() */
    char panic[256];
    uint64_t datagrams_dropped; /* what it says */
    char peer[64]; /* what peer_name says */
    int pipe_result;   /* what pipe says */
    int signal_result; /* what process_signal says */
};

/* Only the struct: for tests that open runtimes themselves. driver, control and shard[i] are then
 * what gy__runtime_open and gy__shard_open take. */
void fake_init(struct fake_driver *fake);

/* Open a runtime with that many shards, run boot on each, start all. boot: may be NULL. */
void fake_open(struct fake_driver *fake, const struct gy_config *config, unsigned shards,
               int (*boot)(unsigned shard, void *arg), void *arg);
/* The same with a fake that was fake_init()ed and changed; -> the first error instead of a failure.
 */
int fake_try_open(struct fake_driver *fake, const struct gy_config *config, unsigned shards,
                  int (*boot)(unsigned shard, void *arg), void *arg);
/* Ask all shards to stop, complete what is in flight with -ECANCELED until all have stopped, close
 * them. Fails the test if an operation, a receive buffer or memory is left. */
void fake_close(struct fake_driver *fake);

/* One turn of one shard; -> true if it wants another at once. */
bool fake_turn(struct fake_driver *fake, unsigned shard);
/* Turns of all shards, round and round, until none wants another and no ring holds anything. */
void fake_settle(struct fake_driver *fake);
/* Move time, then settle. */
void fake_advance(struct fake_driver *fake, uint64_t by_ns);
/* Run code as if on a shard (gy_spawn_raw and the like), outside any actor. */
void fake_enter(struct fake_driver *fake, unsigned shard);
void fake_leave(void);

/* The nth oldest operation of that kind in flight (GY_OP_NONE: of any), NULL if there are fewer. */
struct gy_op *fake_op(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind, unsigned nth);
/* The oldest of that kind and handle. */
struct gy_op *fake_op_of(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind,
                         int32_t handle);
unsigned fake_count(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind);
bool fake_in_flight(struct fake_driver *fake, unsigned shard, const struct gy_op *op);

/* Complete an operation that is in flight, once; more: it goes on. */
void fake_complete(struct fake_driver *fake, unsigned shard, struct gy_op *op, int32_t res,
                   bool more);
/* Complete a receive with bytes in a buffer of the driver's; there must be one and it must hold
 * len. */
void fake_receive(struct fake_driver *fake, unsigned shard, struct gy_op *op, const void *bytes,
                  size_t len, bool more);
/* The same for RECV_FROM: a datagram, and what came with it. */
void fake_receive_from(struct fake_driver *fake, unsigned shard, struct gy_op *op,
                       const void *bytes, size_t len, const struct gy_datagram_info *info,
                       bool more);
/* Copy what a send in flight would send; -> its length, which may be more than size. */
size_t fake_bytes(const struct gy_op *op, void *out, size_t size);

bool fake_logged(const struct fake_driver *fake, const char *part);

/* Does running this panic, with a text that contains `part`? Shards are unusable afterwards: end
 * the test with fake_abandon(). */
#define fake_expect_panic(fake, part, statement)                                                   \
    do {                                                                                           \
        jmp_buf fake_jmp;                                                                          \
        (fake)->panic_to = &fake_jmp;                                                              \
        if (setjmp(fake_jmp) == 0) {                                                               \
            statement;                                                                             \
            (fake)->panic_to = NULL;                                                               \
            fail_msg("no panic: %s", #statement);                                                  \
        }                                                                                          \
        (fake)->panic_to = NULL;                                                                   \
        fake_check_panic(fake, part);                                                              \
    } while (0)
void fake_check_panic(const struct fake_driver *fake, const char *part);
/* Free everything without asking the core. */
void fake_abandon(struct fake_driver *fake);

#endif
