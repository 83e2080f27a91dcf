/* Look-ups of names on the pool, by whichever resolver gyre was built with. Only names that the machine
 * itself knows are asked for: no test needs a network. */
#include "fixture.h"

#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct question {
    struct gy_op op;
    struct gy_addr addrs[4];
};

static void question_init(struct question *q, const char *name, uint8_t family)
{
    *q = (struct question){0};
    q->op.kind = GY_OP_RESOLVE;
    q->op.u.resolve.name = name;
    q->op.u.resolve.addrs = q->addrs;
    q->op.u.resolve.max = 4;
    q->op.u.resolve.timeout_ms = 2000;
    q->op.u.resolve.ttl_s = UINT32_MAX;
    q->op.u.resolve.family = family;
}

static struct fixture *open_pool(uint32_t threads, uint32_t queue)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    f->host.pool.threads_max = threads;
    f->host.pool.queue_max = queue;
    return f;
}

static void need_localhost(void)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo("localhost", NULL, &hints, &list) != 0)
        skip();
    freeaddrinfo(list);
}

static void localhost_is_known(void **state)
{
    struct question q;
    (void)state;
    need_localhost();
    struct fixture *f = open_pool(2, 8);
    question_init(&q, "localhost", GY_ADDR_IPV4);
    fixture_submit(f, &q.op);
    int32_t n = fixture_finish(f, &q.op);
    assert_true(n >= 1 && n <= 4);
    for (int32_t i = 0; i < n; i++) {
        assert_int_equal(q.addrs[i].family, GY_ADDR_IPV4);
        assert_int_equal(q.addrs[i].len, 4);
        assert_int_equal(q.addrs[i].bytes[0], 127);
        assert_int_equal(q.addrs[i].port, 0);
    }
    question_init(&q, "localhost", GY_ADDR_NONE);
    fixture_submit(f, &q.op);
    assert_true(fixture_finish(f, &q.op) >= 1);
    fixture_close(f);
}

static void an_error_is_one_of_ours(void **state)
{
    struct question q;
    (void)state;
    struct fixture *f = open_pool(2, 8);
    /* RFC 6761: nobody has it. Without name servers nobody can say so either. */
    question_init(&q, "no-such-host.invalid", GY_ADDR_NONE);
    fixture_submit(f, &q.op);
    int32_t res = fixture_finish(f, &q.op);
    assert_true(res == -ENOENT || res == -EAGAIN || res == -ETIMEDOUT);
    fixture_close(f);
}

static void no_more_addresses_than_fit(void **state)
{
    struct question q;
    (void)state;
    need_localhost();
    struct fixture *f = open_pool(2, 8);
    question_init(&q, "localhost", GY_ADDR_NONE);
    q.op.u.resolve.max = 1;
    fixture_submit(f, &q.op);
    assert_int_equal(fixture_finish(f, &q.op), 1);
    assert_int_equal(q.addrs[1].family, GY_ADDR_NONE);
    fixture_close(f);
}

static int wait_for_gate(void *arg)
{
    sem_t *gate = arg;
    while (sem_wait(gate) < 0 && errno == EINTR)
        ;
    return 0;
}

/* More than the pool takes, whose threads are busy meanwhile; half of them given up at once. */
static void many_end_once(void **state)
{
    enum { N = 64, THREADS = 2 };
    static struct question q[N];
    struct gy_op busy[THREADS];
    unsigned refused = 0;
    sem_t gate;
    (void)state;
    sem_init(&gate, 0, 0);
    struct fixture *f = open_pool(THREADS, 16);
    for (unsigned i = 0; i < THREADS; i++) {
        busy[i] = (struct gy_op){ .kind = GY_OP_WORK };
        busy[i].u.work.run = wait_for_gate;
        busy[i].u.work.arg = &gate;
        fixture_submit(f, &busy[i]);
    }
    for (unsigned i = 0; i < N; i++) {
        question_init(&q[i], "localhost", GY_ADDR_NONE);
        fixture_submit(f, &q[i].op);
        if (i % 2 == 1)
            fixture_cancel(f, &q[i].op);
    }
    for (unsigned i = 0; i < THREADS; i++)
        sem_post(&gate);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(fixture_finish(f, &busy[i]), 0);
    for (unsigned i = 0; i < N; i++) {
        int32_t res = fixture_finish(f, &q[i].op);
        assert_true(res > 0 || res == -ECANCELED || res == -EAGAIN || res == -ENOENT);
        assert_int_equal(fixture_count(f, &q[i].op), 1);
        refused += res == -EAGAIN;
    }
    assert_true(refused > 0);
    fixture_close(f);
    sem_destroy(&gate);
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(localhost_is_known), cmocka_unit_test(an_error_is_one_of_ours),
        cmocka_unit_test(no_more_addresses_than_fit), cmocka_unit_test(many_end_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
