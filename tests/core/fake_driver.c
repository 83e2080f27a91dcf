#include "tests/core/fake_driver.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ROUNDS_MAX 100000 /* a settle that takes more never ends */

/* ---- the functions of the driver ---- */

static struct fake_shard *self_of(void *ctx)
{
    return ctx;
}

static uint64_t on_now(void *ctx)
{
    return self_of(ctx)->fake->now_ns;
}

static uint64_t on_wall(void *ctx)
{
    return self_of(ctx)->fake->wall_ns;
}

static uint64_t on_random(void *ctx)
{
    struct fake_driver *fake = self_of(ctx)->fake;
    fake->seed = fake->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return fake->seed ^ fake->seed >> 32;
}

static void *on_memory(void *ctx, size_t bytes)
{
    struct fake_driver *fake = self_of(ctx)->fake;
    void *memory;

    fake->memory_calls++;
    if (fake->memory_left == 0)
        return NULL;
    fake->memory_left--;
    assert_true(bytes > 0 && fake->block_count < FAKE_BLOCKS_MAX);
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    fake->blocks[fake->block_count++] = (struct fake_block){memory, bytes};
    return memory;
}

static void on_memory_free(void *ctx, void *memory, size_t bytes)
{
    struct fake_driver *fake = self_of(ctx)->fake;
    unsigned i = 0;

    while (i < fake->block_count && fake->blocks[i].memory != memory)
        i++;
    assert_true(i < fake->block_count);
    assert_int_equal(fake->blocks[i].bytes, bytes);
    fake->blocks[i] = fake->blocks[--fake->block_count];
    munmap(memory, bytes);
}

/* Whole pages of one block that memory() gave. */
static void check_pages(const struct fake_driver *fake, const void *memory, size_t bytes)
{
    const uint8_t *start = memory;
    unsigned i = 0;

    assert_true((uintptr_t)memory % 4096 == 0 && bytes % 4096 == 0 && bytes > 0);
    while (i < fake->block_count &&
           (start < (uint8_t *)fake->blocks[i].memory ||
            start + bytes > (uint8_t *)fake->blocks[i].memory + fake->blocks[i].bytes))
        i++;
    assert_true(i < fake->block_count);
}

static void on_memory_soon(void *ctx, void *memory, size_t bytes)
{
    struct fake_driver *fake = self_of(ctx)->fake;

    check_pages(fake, memory, bytes);
    fake->soon_calls++;
    fake->soon_bytes += bytes;
}

static void on_memory_idle(void *ctx, void *memory, size_t bytes)
{
    struct fake_driver *fake = self_of(ctx)->fake;

    check_pages(fake, memory, bytes);
    fake->idle_bytes += bytes;
    if (!fake->idle_stays)
        assert_int_equal(madvise(memory, bytes, MADV_DONTNEED), 0);
}

static uint32_t on_pin(void *ctx, void *memory, size_t bytes)
{
    assert_non_null(memory);
    assert_true(bytes % 4096 == 0);
    return ++self_of(ctx)->pinned;
}

static void on_submit(void *ctx, struct gy_op *op)
{
    struct fake_shard *self = self_of(ctx);

    assert_true(op->kind > GY_OP_NONE && op->kind < GY_OP_KINDS);
    assert_true(op->in_flight);
    assert_non_null(op->done);
    assert_false(fake_in_flight(self->fake, self->index, op));
    assert_true(self->op_count < FAKE_OPS_MAX);
    self->ops[self->op_count++] = op;
    if (self->op_peak < self->op_count)
        self->op_peak = self->op_count;
    self->submitted++;
}

static void on_cancel(void *ctx, struct gy_op *op)
{
    struct fake_shard *self = self_of(ctx);

    assert_true(fake_in_flight(self->fake, self->index, op));
    assert_true(op->canceled);
    self->canceled++;
}

static void on_give_back(void *ctx, uint32_t buffer)
{
    struct fake_shard *self = self_of(ctx);

    assert_true(buffer < self->fake->buffers_max);
    assert_true(self->buffer_out[buffer]);
    self->buffer_out[buffer] = false;
    self->buffers_out--;
    self->gave_back++;
    /* Whoever still reads it reads this. */
    memset(self->buffers + (size_t)buffer * self->fake->buffer_size, 0xDB, self->fake->buffer_size);
}

static void on_peer_name(void *ctx, int32_t handle, char *out, size_t len)
{
    (void)handle;
    snprintf(out, len, "%s", self_of(ctx)->fake->peer);
}

static int on_pipe(void *ctx, int32_t handles[2])
{
    struct fake_driver *fake = self_of(ctx)->fake;
    handles[0] = 1000;
    handles[1] = 1001;
    return fake->pipe_result;
}

static int32_t on_handle_of(void *ctx, int32_t fd, bool for_stream)
{
    (void)ctx, (void)for_stream;
    return fd < 0 ? -EBADF : fd;
}

static int32_t on_fd_of(void *ctx, int32_t handle)
{
    (void)ctx;
    return handle;
}

static int on_signal_watch(void *ctx, int number)
{
    (void)number;
    return self_of(ctx)->fake->signal_result;
}

static int on_process_signal(void *ctx, const struct gy_op *op, int number)
{
    struct fake_shard *self = self_of(ctx);
    (void)op;
    self->signals[self->signal_count++ % FAKE_SIGNALS_MAX] = number;
    return self->fake->signal_result;
}

static void on_local_name(void *ctx, int32_t handle, char *out, size_t len)
{
    (void)ctx;
    snprintf(out, len, "local-%d", (int)handle);
}

static void on_drop_handle(void *ctx, int32_t handle)
{
    (void)handle;
    self_of(ctx)->fake->dropped++;
}

static uint64_t on_datagrams_dropped(void *ctx, int32_t handle)
{
    (void)handle;
    return self_of(ctx)->fake->datagrams_dropped;
}

static void on_wake(void *ctx, unsigned shard)
{
    struct fake_driver *fake = self_of(ctx)->fake;

    assert_true(shard < fake->shards);
    fake->shard[shard].wakes++;
}

static void on_log(void *ctx, int level, const char *text, size_t len)
{
    struct fake_driver *fake = self_of(ctx)->fake;
    int n = snprintf(fake->log + fake->log_len, FAKE_LOG_MAX - fake->log_len, "%d %.*s\n", level,
                     (int)len, text);

    assert_true(memchr(text, '\n', len) == NULL);
    if (n > 0 && fake->log_len + (size_t)n < FAKE_LOG_MAX)
        fake->log_len += (size_t)n;
}

/* Somebody waits: turns, and if they change nothing, time. */
static void on_wait(void *ctx, const void *word, uint32_t value, uint64_t until_ns)
{
    struct fake_driver *fake = self_of(ctx)->fake;
    const _Atomic uint32_t *at = word;

    if (*at == value) {
        fake_settle(fake);
        fake_leave();
    }
    if (*at == value && until_ns > fake->now_ns)
        fake->now_ns = until_ns;
}

static void on_rang(void *ctx, const void *word)
{
    (void)word;
    self_of(ctx)->fake->rings++;
}

static void on_panic(void *ctx, const char *text)
{
    struct fake_driver *fake = self_of(ctx)->fake;

    snprintf(fake->panic, sizeof(fake->panic), "%s", text);
    if (fake->panic_to != NULL)
        longjmp(*fake->panic_to, 1);
    fail_msg("panic: %s", text);
    abort();
}

/* ---- opening and closing ---- */

void fake_init(struct fake_driver *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->driver = (struct gy_driver){
        .size = sizeof(struct gy_driver),
        .now = on_now,
        .wall = on_wall,
        .random = on_random,
        .memory = on_memory,
        .memory_free = on_memory_free,
        .memory_idle = on_memory_idle,
        .memory_soon = on_memory_soon,
        .pin = on_pin,
        .submit = on_submit,
        .cancel = on_cancel,
        .give_back = on_give_back,
        .peer_name = on_peer_name,
        .pipe = on_pipe,
        .handle_of = on_handle_of,
        .fd_of = on_fd_of,
        .signal_watch = on_signal_watch,
        .process_signal = on_process_signal,
        .local_name = on_local_name,
        .drop_handle = on_drop_handle,
        .datagrams_dropped = on_datagrams_dropped,
        .wake = on_wake,
        .log = on_log,
        .wait = on_wait,
        .rang = on_rang,
        .panic = on_panic,
    };
    fake->now_ns = 1000000;
    fake->wall_ns = UINT64_C(1700000000000000000);
    fake->seed = 1;
    fake->buffers_max = 16;
    fake->buffer_size = 4096;
    fake->memory_left = UINT64_MAX;
    snprintf(fake->peer, sizeof(fake->peer), "127.0.0.1:54321");
    fake->control.fake = fake;
    fake->control.index = UINT32_MAX;
    for (unsigned i = 0; i < FAKE_SHARDS_MAX; i++) {
        fake->shard[i].fake = fake;
        fake->shard[i].index = i;
    }
}

int fake_try_open(struct fake_driver *fake, const struct gy_config *config, unsigned shards,
                  int (*boot)(unsigned shard, void *arg), void *arg)
{
    int err;

    assert_true(shards <= FAKE_SHARDS_MAX);
    assert_true(fake->buffers_max <= FAKE_BUFFERS_MAX);
    err = gy__runtime_open(&fake->runtime, config, shards, &fake->driver, &fake->control);
    if (err < 0)
        return err;
    fake->shards = shards;
    for (unsigned i = 0; i < shards; i++) {
        fake->shard[i].buffers = calloc(fake->buffers_max, fake->buffer_size);
        assert_non_null(fake->shard[i].buffers);
        err = gy__shard_open(&fake->shard[i].shard, fake->runtime, i, &fake->shard[i]);
        if (err < 0)
            return err;
    }
    for (unsigned i = 0; i < shards && boot != NULL; i++) {
        gy__shard_enter(fake->shard[i].shard);
        err = boot(i, arg);
        gy__shard_leave();
        if (err < 0)
            return err;
    }
    for (unsigned i = 0; i < shards; i++)
        gy__shard_started(fake->shard[i].shard);
    return 0;
}

void fake_open(struct fake_driver *fake, const struct gy_config *config, unsigned shards,
               int (*boot)(unsigned shard, void *arg), void *arg)
{
    fake_init(fake);
    assert_int_equal(fake_try_open(fake, config, shards, boot, arg), 0);
}

void fake_close(struct fake_driver *fake)
{
    unsigned stopped = 0;

    for (unsigned i = 0; i < fake->shards; i++)
        gy__runtime_stop(fake->runtime, i);
    for (unsigned round = 0; stopped < fake->shards; round++) {
        if (round == ROUNDS_MAX)
            fail_msg("the shards do not stop; %u operations in flight on the first",
                     fake->shard[0].op_count);
        stopped = 0;
        fake_settle(fake);
        for (unsigned i = 0; i < fake->shards; i++) {
            struct gy_op *op = fake_op(fake, i, GY_OP_NONE, 0);
            if (op != NULL)
                fake_complete(
                    fake, i, op,
                    op->kind == GY_OP_CLOSE || op->kind == GY_OP_UNLISTEN ? 0 : -ECANCELED, false);
            stopped += gy__shard_phase(fake->runtime, i) == GY__PHASE_STOPPED;
        }
    }
    gy__runtime_sweep(fake->runtime);
    for (unsigned i = 0; i < fake->shards; i++) {
        struct fake_shard *self = &fake->shard[i];
        gy__shard_close(self->shard);
        assert_int_equal(self->op_count, 0);
        assert_int_equal(self->buffers_out, 0);
        free(self->buffers);
    }
    gy__runtime_close(fake->runtime);
    assert_int_equal(fake->block_count, 0);
}

void fake_abandon(struct fake_driver *fake)
{
    gy__shard_leave();
    while (fake->block_count > 0)
        on_memory_free(&fake->control, fake->blocks[0].memory, fake->blocks[0].bytes);
    for (unsigned i = 0; i < fake->shards; i++)
        free(fake->shard[i].buffers);
}

void fake_check_panic(const struct fake_driver *fake, const char *part)
{
    if (strstr(fake->panic, part) == NULL)
        fail_msg("the panic says \"%s\", not \"%s\"", fake->panic, part);
}

/* ---- turns ---- */

bool fake_turn(struct fake_driver *fake, unsigned shard)
{
    struct gy_shard *s = fake->shard[shard].shard;
    bool more = gy__shard_run(s);

    gy__shard_publish(s);
    return more;
}

void fake_settle(struct fake_driver *fake)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        bool more = false;
        for (unsigned i = 0; i < fake->shards; i++)
            more |= fake_turn(fake, i);
        for (unsigned i = 0; i < fake->shards && !more; i++)
            more |= gy__shard_look_again(fake->shard[i].shard);
        if (!more)
            return;
    }
    fail_msg("no end of turns");
}

void fake_advance(struct fake_driver *fake, uint64_t by_ns)
{
    fake->now_ns += by_ns;
    fake->wall_ns += by_ns;
    fake_settle(fake);
}

void fake_enter(struct fake_driver *fake, unsigned shard)
{
    gy__shard_enter(fake->shard[shard].shard);
}

void fake_leave(void)
{
    gy__shard_leave();
}

/* ---- operations ---- */

struct gy_op *fake_op(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind, unsigned nth)
{
    struct fake_shard *self = &fake->shard[shard];

    for (unsigned i = 0; i < self->op_count; i++)
        if ((kind == GY_OP_NONE || self->ops[i]->kind == kind) && nth-- == 0)
            return self->ops[i];
    return NULL;
}

struct gy_op *fake_op_of(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind,
                         int32_t handle)
{
    struct fake_shard *self = &fake->shard[shard];

    for (unsigned i = 0; i < self->op_count; i++)
        if (self->ops[i]->kind == kind && self->ops[i]->handle == handle)
            return self->ops[i];
    return NULL;
}

unsigned fake_count(struct fake_driver *fake, unsigned shard, enum gy_op_kind kind)
{
    unsigned n = 0;

    while (fake_op(fake, shard, kind, n) != NULL)
        n++;
    return n;
}

bool fake_in_flight(struct fake_driver *fake, unsigned shard, const struct gy_op *op)
{
    struct fake_shard *self = &fake->shard[shard];

    for (unsigned i = 0; i < self->op_count; i++)
        if (self->ops[i] == op)
            return true;
    return false;
}

static void complete(struct fake_driver *fake, unsigned shard, struct gy_completion *completion)
{
    struct fake_shard *self = &fake->shard[shard];

    assert_non_null(completion->op);
    assert_true(fake_in_flight(fake, shard, completion->op));
    if ((completion->flags & GY_COMPLETION_MORE) == 0) {
        unsigned i = 0;
        while (self->ops[i] != completion->op)
            i++;
        memmove(&self->ops[i], &self->ops[i + 1], (self->op_count - i - 1) * sizeof(self->ops[0]));
        self->op_count--;
    }
    gy__shard_complete(self->shard, completion);
}

void fake_complete(struct fake_driver *fake, unsigned shard, struct gy_op *op, int32_t res,
                   bool more)
{
    struct gy_completion completion = {
        .op = op, .res = res, .flags = more ? GY_COMPLETION_MORE : 0};

    complete(fake, shard, &completion);
}

void fake_receive(struct fake_driver *fake, unsigned shard, struct gy_op *op, const void *bytes,
                  size_t len, bool more)
{
    assert_true(op->kind == GY_OP_RECV || op->kind == GY_OP_RECV_MULTI);
    fake_receive_from(fake, shard, op, bytes, len, NULL, more);
}

void fake_receive_from(struct fake_driver *fake, unsigned shard, struct gy_op *op,
                       const void *bytes, size_t len, const struct gy_datagram_info *info,
                       bool more)
{
    struct fake_shard *self = &fake->shard[shard];
    struct gy_completion completion = {.op = op, .res = (int32_t)len, .datagram = info};
    uint32_t buffer = 0;

    assert_true(len <= fake->buffer_size);
    while (buffer < fake->buffers_max && self->buffer_out[buffer])
        buffer++;
    assert_true(buffer < fake->buffers_max);
    self->buffer_out[buffer] = true;
    self->buffers_out++;
    completion.flags = GY_COMPLETION_BUF | (more ? GY_COMPLETION_MORE : 0);
    completion.buffer = buffer;
    completion.data = self->buffers + (size_t)buffer * fake->buffer_size;
    memcpy(completion.data, bytes, len);
    complete(fake, shard, &completion);
}

size_t fake_bytes(const struct gy_op *op, void *out, size_t size)
{
    size_t len = 0;

    assert_true(op->kind == GY_OP_SEND || op->kind == GY_OP_SEND_CLOSE);
    for (uint32_t i = 0; i < op->u.send.n; i++) {
        const struct gy_iov *iov = &op->u.send.iov[i];
        if (len < size)
            memcpy((uint8_t *)out + len, iov->base, iov->len < size - len ? iov->len : size - len);
        len += iov->len;
    }
    return len;
}

bool fake_logged(const struct fake_driver *fake, const char *part)
{
    return strstr(fake->log, part) != NULL;
}
