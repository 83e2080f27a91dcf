/* Look-ups of names on the pool, by whichever resolver gyre was built with. Only names that the machine
 * itself knows are asked for, or a name server of the test's: no test needs a network. */
#include "fixture.h"
#include "hopper.h"
#include "name_server.h"

#include "gyre/resolve.h"
#include "gyre/typed.h"

#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

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

/* ---- a name server ---- */

static bool has_cares(void)
{
    char text[256];
    return gy__resolve_check("127.0.0.1:53", text, sizeof(text)) == 0;
}

static int32_t ask(struct fixture *f, struct question *q, const char *name, uint8_t family,
                   uint32_t timeout_ms)
{
    question_init(q, name, family);
    q->op.u.resolve.timeout_ms = timeout_ms;
    fixture_submit(f, &q->op);
    return fixture_finish(f, &q->op);
}

static bool is(const struct gy_addr *addr, const char *text)
{
    char out[GY_ADDR_TEXT_MAX];
    gy_addr_print(addr, out, sizeof(out));
    return strcmp(out, text) == 0;
}

static void a_name_server_answers(void **state)
{
    struct name_server s;
    struct question q;
    (void)state;
    if (!has_cares()) {
        print_message("built without c-ares: no name server of the test's can be asked\n");
        skip();
    }
    name_server_start(&s);
    struct fixture *f = open_pool(2, 8);
    f->host.config.name_servers = s.addr;
    assert_int_equal(ask(f, &q, "one.test", GY_ADDR_IPV4, 10000), 1);
    assert_true(is(&q.addrs[0], "192.0.2.1:0"));
    assert_int_equal(q.op.u.resolve.ttl_s, 60);
    assert_int_equal(ask(f, &q, "one.test", GY_ADDR_IPV6, 10000), 1);
    assert_true(is(&q.addrs[0], "[2001:db8::1]:0"));
    assert_int_equal(q.op.u.resolve.ttl_s, 40);
    assert_int_equal(ask(f, &q, "one.test", GY_ADDR_NONE, 10000), 2);
    assert_int_equal(q.op.u.resolve.ttl_s, 40); /* the first that runs out */
    assert_int_equal(ask(f, &q, "four.test", GY_ADDR_NONE, 10000), 1);
    assert_int_equal(ask(f, &q, "four.test", GY_ADDR_IPV6, 10000), -ENOENT);
    assert_int_equal(ask(f, &q, "none.test", GY_ADDR_NONE, 10000), -ENOENT);
    assert_int_equal(q.op.u.resolve.ttl_s, UINT32_MAX); /* nobody has said */
    assert_int_equal(ask(f, &q, "once.test", GY_ADDR_NONE, 10000), 1);
    assert_int_equal(q.op.u.resolve.ttl_s, 0);
    assert_int_equal(ask(f, &q, "kept.test", GY_ADDR_NONE, 10000), -ENOENT);
    assert_int_equal(q.op.u.resolve.ttl_s, 2);
    assert_int_equal(ask(f, &q, "brief.test", GY_ADDR_IPV4, 10000), -ENOENT);
    assert_int_equal(q.op.u.resolve.ttl_s, 0);
    assert_int_equal(ask(f, &q, "gone.test", GY_ADDR_IPV6, 10000), -ENOENT);
    assert_int_equal(q.op.u.resolve.ttl_s, 0);
    if (ask(f, &q, "localhost", GY_ADDR_IPV4, 10000) > 0) /* of /etc/hosts */
        assert_int_equal(q.op.u.resolve.ttl_s, UINT32_MAX);
    assert_int_equal(s.by_tcp, 0);
    assert_int_equal(ask(f, &q, "long.test", GY_ADDR_IPV4, 10000), 3);
    assert_true(s.by_tcp > 0);
    assert_int_equal(ask(f, &q, "wrong.test", GY_ADDR_IPV4, 10000), 1);
    assert_true(is(&q.addrs[0], "192.0.2.6:0"));
    assert_int_equal(ask(f, &q, "fail.test", GY_ADDR_IPV4, 10000), -EAGAIN);
    assert_int_equal(ask(f, &q, "mute.test", GY_ADDR_IPV4, 100), -ETIMEDOUT);
    assert_true(ask(f, &q, "broken.test", GY_ADDR_IPV4, 100) < 0);
    fixture_close(f);
    name_server_stop(&s);
    /* Nobody is there any more: the kernel says so at once, or time does. */
    f = open_pool(2, 8);
    f->host.config.name_servers = s.addr;
    int32_t res = ask(f, &q, "one.test", GY_ADDR_IPV4, 500);
    assert_true(res == -EAGAIN || res == -ETIMEDOUT);
    fixture_close(f);
}

/* ---- remembered for as long as the name server says ---- */

struct asker_args {
    uint32_t unused;
};
GY_ACTOR(asker);
struct asker {
    struct gy_actor actor;
};
static _Atomic uint64_t answers;
static _Atomic int last;

GY_THEN_RES(asker, asker_on_answer)
{
    (void)self, (void)ctx;
    last = res;
    answers++;
}
struct asker_ask_msg {
    char name[24];
};
GY_CAST(asker, ask);
GY_VERB(asker, ask);
void asker_on_ask(struct asker *self, const struct asker_ask_msg *msg)
{
    (void)gy_then(self, gy_resolve_name(self, msg->name, 80, NULL), asker_on_answer, 0);
}
static int asker_start(struct asker *self, const struct asker_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void asker_stop(struct asker *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(asker, asker_start, asker_stop);
static asker_pid asker;
static int asker_boot(unsigned shard, void *arg)
{
    (void)arg;
    return shard > 0 ? 0 : asker_spawn(&asker, &(struct asker_args){0});
}

static void ask_runtime(struct gy_runtime *runtime, const char *name)
{
    struct asker_ask_msg msg = {0};
    uint64_t before = answers;
    strcpy(msg.name, name);
    assert_int_equal(asker_ask_post(runtime, asker, msg), 0);
    hopper_await(&answers, before + 1);
    assert_int_equal(last, 1);
}

static void answers_are_kept_for_their_time(void **state)
{
    struct name_server s;
    struct gy_runtime *runtime = NULL;
    struct gy_config config;
    (void)state;
    if (!has_cares())
        skip();
    name_server_start(&s);
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    config.overprovisioned = true;
    config.name_servers = s.addr;
    assert_int_equal(gy_start(&runtime, &config, asker_boot, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        ask_runtime(runtime, "four.test");
    assert_int_equal(s.asked, 1);
    for (unsigned i = 0; i < 3; i++)
        ask_runtime(runtime, "once.test"); /* of no time at all */
    assert_int_equal(s.asked, 1 + 3);
    ask_runtime(runtime, "short.test");
    unsigned asked = s.asked;
    usleep(1100000);
    ask_runtime(runtime, "short.test");
    assert_int_equal(s.asked, asked + 1);
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    name_server_stop(&s);
}

static void no_servers_are_told_of(void **state)
{
    static const char *const wrong[] = {"", "localhost", "127.0.0.1:x", "1.2.3.4.5", "127.0.0.1,",
                                        "127.0.0.1 127.0.0.2"};
    static const char *const right[] = {"127.0.0.1", "127.0.0.1:53", "::1", "[::1]:53",
                                        "127.0.0.1:53,[::1]:53,::1,192.0.2.1"};
    (void)state;
    char text[256] = "";
    for (unsigned i = 0; has_cares() && i < sizeof(right) / sizeof(right[0]); i++)
        if (gy__resolve_check(right[i], text, sizeof(text)) != 0)
            fail_msg("%s", text);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gy_runtime *runtime = NULL;
        struct gy_config config;
        assert_int_equal(gy__resolve_check(wrong[i], text, sizeof(text)), -EINVAL);
        assert_non_null(strstr(text, "name-servers="));
        gy_config_init(&config);
        config.name_servers = wrong[i];
        assert_int_equal(gy_start(&runtime, &config, asker_boot, NULL), -EINVAL);
    }
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_server_answers),
        cmocka_unit_test(answers_are_kept_for_their_time),
        cmocka_unit_test(no_servers_are_told_of),
        cmocka_unit_test(localhost_is_known), cmocka_unit_test(an_error_is_one_of_ours),
        cmocka_unit_test(no_more_addresses_than_fit), cmocka_unit_test(many_end_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
