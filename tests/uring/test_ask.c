/* Calls from plain threads into a running runtime: many at once, late answers, the end amid
 * calls. */
#include "child.h"
#include "fixture.h"
#include "hopper.h"

#include "gyre/ask.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 8

/* Answers with what it is given: now, later, or never. */
struct echoer_args {
    uint32_t unused;
};
GY_ACTOR(echoer);
struct echoer_say_msg {
    uint64_t word, how;
};
struct echoer_say_reply {
    uint64_t word;
};
GY_CALL(echoer, say);
enum { NOW, LATER, NEVER };
struct echoer {
    struct gy_actor actor;
    unsigned n, first;
    struct {
        uint64_t word;
        echoer_say_promise promise;
    } kept[64];
};
GY_THEN_RES(echoer, echoer_on_time);
static int echoer_start(struct echoer *self, const struct echoer_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void echoer_stop(struct echoer *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(echoer, echoer_start, echoer_stop);
GY_VERB(echoer, say);

static void echoer_on_time(struct echoer *self, uint64_t slot, int res)
{
    (void)res;
    (void)echoer_say_resolve(self->kept[slot].promise,
                             (struct echoer_say_reply){self->kept[slot].word});
}

void echoer_on_say(struct echoer *self, const struct echoer_say_msg *msg, echoer_say_promise reply)
{
    if (msg->how == NOW || echoer_say_keep(reply) < 0) {
        (void)echoer_say_resolve(reply, (struct echoer_say_reply){msg->word});
        return;
    }
    if (msg->how == NEVER)
        return;
    unsigned slot = self->n++ % 64;
    self->kept[slot].word = msg->word;
    self->kept[slot].promise = reply;
    (void)gy_then(self, gy_after(msg->word % 5 * 100000), echoer_on_time, slot);
}

static struct gy_runtime *runtime;
static echoer_pid pids[2];
static int boot(unsigned shard, void *arg)
{
    (void)arg;
    return echoer_spawn(&pids[shard], &(struct echoer_args){0});
}

static void open_runtime(enum gy_poll poll)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true;
    config.pin = false;
    config.poll = poll;
    config.actors_max = 1024;
    config.futures = 4096;
    assert_int_equal(gy_start(&runtime, &config, boot, NULL), 0);
}

static void close_runtime(void)
{
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
}

static _Atomic unsigned wrong, answered, late, ended;
static unsigned rounds;

static void count(int res, uint64_t said, uint64_t heard)
{
    if (res == 0) {
        answered++;
        wrong += said != heard;
    } else if (res == -ETIMEDOUT) {
        late++;
    } else if (res == -ESRCH || res == -EOWNERDEAD) {
        ended++;
    } else {
        wrong++;
    }
}

static void *asker(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t word = seed << 32 | i;
        struct echoer_say_msg msg = {word, i % 8 == 7 ? NEVER : i % 4 == 3 ? LATER : NOW};
        struct echoer_say_reply reply = {0};
        uint64_t timeout_ns = msg.how == NEVER ? 200000 : msg.how == LATER ? 200000 : 30 * GY_S;
        int res = echoer_say_ask(runtime, pids[i % 2], msg, &reply, timeout_ns);
        count(res, word, reply.word);
    }
    return NULL;
}

/* Answers race with time-outs all the while: a value must never reach another call. */
static void many_threads_ask(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int poll = GY_POLL_ADAPTIVE; poll <= GY_POLL_NEVER; poll += 2) {
        open_runtime((enum gy_poll)poll);
        wrong = answered = late = ended = 0;
        rounds = 400;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, asker, (void *)(uintptr_t)(i + 1)), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(wrong, 0);
        assert_int_equal(ended, 0);
        assert_int_equal(answered + late, THREADS * rounds);
        assert_true(answered >= THREADS * rounds * 3 / 4 && late >= THREADS * rounds / 8);
        close_runtime();
    }
}

static void *ask_until_the_end(void *arg)
{
    struct echoer_say_reply reply;
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    for (int res = 0; res != -ESRCH && res != -EOWNERDEAD;) {
        struct echoer_say_msg msg = {seed, seed % 2 ? NEVER : NOW};
        res = echoer_say_ask(runtime, pids[seed % 4 / 2], msg, &reply, UINT64_MAX);
        count(res, seed, reply.word);
    }
    return NULL;
}

static void the_end_ends_all_that_wait(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        pthread_t threads[THREADS];
        open_runtime(GY_POLL_NEVER);
        wrong = answered = late = ended = 0;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, ask_until_the_end,
                                            (void *)(uintptr_t)i), 0);
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
        gy_stop(runtime);
        /* Each leaves with its first error, so none comes in behind the last look. */
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(gy_wait(runtime), 0);
        assert_int_equal(wrong, 0);
        assert_int_equal(ended, THREADS);
    }
}

static void *wait_for_the_end(void *arg)
{
    int why = 0;
    (void)arg;
    if (gy_await_end(runtime, pids[1].pid, 30 * GY_S, &why) == 0 &&
        (why == -EPROTO || why == -ESRCH))
        ended++;
    return NULL;
}


struct ender_args {
    int why;
};
GY_ACTOR(ender);
struct ender_go_msg {
    int why;
};
GY_CAST(ender, go);
struct ender {
    struct gy_actor actor;
};
static int ender_start(struct ender *self, const struct ender_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void ender_stop(struct ender *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(ender, ender_start, ender_stop);
GY_VERB(ender, go);
static ender_pid ender;
void ender_on_go(struct ender *self, const struct ender_go_msg *msg)
{
    (void)self;
    assert_int_equal(gy_actor_stop(pids[1].pid, msg->why), 0);
}
static int boot_ender(unsigned shard, void *arg)
{
    int err = boot(shard, arg);
    return err < 0 || shard > 0 ? err : ender_spawn(&ender, &(struct ender_args){0});
}

static void many_threads_wait_for_an_end(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 2;
    config.overprovisioned = true;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.actors_max = 1024;
    assert_int_equal(gy_start(&runtime, &config, boot_ender, NULL), 0);
    ended = 0;
    assert_int_equal(gy_await_end(runtime, pids[1].pid, 1000000, NULL), -ETIMEDOUT);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_the_end, NULL), 0);
    assert_int_equal(ender_go_post(runtime, ender, (struct ender_go_msg){-EPROTO}), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ended, THREADS);
    close_runtime();
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_ask),
        cmocka_unit_test(the_end_ends_all_that_wait),
        cmocka_unit_test(many_threads_wait_for_an_end),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
