/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* Whose answers are whose: an actor's end finds its own and no other, however many there are. */
#include "http/streamers.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct gy__http_streamers all;

static void *on_memory(void *arg, size_t bytes)
{
    (void)arg;
    return fake_memory(bytes);
}
static const struct gy__slabs_host host = { on_memory, NULL, NULL };

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    memset(&all, 0, sizeof(all));
    all.slabs.host = &host;
    assert_true(gy__http_streamers_open(&all));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    fake_memory_free();
    return 0;
}

static gy_pid pid_of(unsigned i)
{
    return (gy_pid){ ((uint64_t)i + 1) << 32 | (i % 7) << 10 | 1 };
}

/* As flow.c does it. */
static void end(struct gy__http_flow *flow)
{
    if (flow->by_at == NULL)
        return;
    *flow->by_at = flow->by_next;
    if (flow->by_next != NULL)
        flow->by_next->by_at = flow->by_at;
    flow->by_at = NULL;
}

static void test_many(void **state)
{
    enum { ACTORS = 1000, EACH = 5 };
    struct gy__http_flow *flows = calloc(ACTORS * EACH, sizeof(*flows)), *flow;

    (void)state;
    assert_non_null(flows);
    for (unsigned i = 0; i < ACTORS * EACH; i++) {
        struct gy__http_streamer *streamer = gy__http_streamer_of(&all, pid_of(i % ACTORS));
        assert_non_null(streamer);
        gy__http_streamer_add(streamer, &flows[i]);
    }
    assert_int_equal(all.count, ACTORS);
    assert_in_range(all.buckets, ACTORS, 4 * ACTORS);
    for (unsigned a = 0; a < ACTORS; a += 3) /* the first, the last and one between them are over */
        for (unsigned i = 0; i < EACH; i += 2)
            end(&flows[a + i * ACTORS]);
    for (unsigned a = 0; a < ACTORS; a++) {
        unsigned n = 0;

        for (flow = gy__http_streamer_gone(&all, pid_of(a)); flow != NULL; flow = flow->by_next) {
            assert_int_equal((size_t)(flow - flows) % ACTORS, a);
            assert_null(flow->by_at);
            n++;
        }
        assert_int_equal(n, a % 3 == 0 ? 2 : EACH);
        assert_null(gy__http_streamer_gone(&all, pid_of(a)));
    }
    assert_int_equal(all.count, 0);
    free(flows);
}

static void test_no_memory(void **state)
{
    struct gy__http_streamer *streamer;

    (void)state;
    assert_null(gy__http_streamer_gone(&all, pid_of(1)));
    fake_bufs.left = 0;
    assert_null(gy__http_streamer_of(&all, pid_of(1)));
    fake_bufs.left = UINT64_MAX;
    for (unsigned i = 0; i < 64; i++)
        assert_non_null(gy__http_streamer_of(&all, pid_of(i)));
    fake_bufs.left = 0;
    /* No larger table, no more records: those that are there are found. */
    assert_null(gy__http_streamer_of(&all, pid_of(64)));
    streamer = gy__http_streamer_of(&all, pid_of(63));
    assert_non_null(streamer);
    assert_true(gy_pid_equal(streamer->pid, pid_of(63)));
    fake_bufs.left = UINT64_MAX;
    assert_non_null(gy__http_streamer_of(&all, pid_of(64)));
    assert_int_equal(all.buckets, 128);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_many),
        T(test_no_memory),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
