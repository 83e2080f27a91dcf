/* Requests and answers of the client in pieces: order, back-pressure both ways, and every way to
 * end. */
#include "gyre/client_stream.h"
#include "gyre/typed.h"
#include "http/client.h"
#include "gyre/http_content.h"
#include "tests/sim/gz.h"
#include "tests/sim/scripted.h"
#include "tests/sim/web.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- an actor that moves bodies ---- */

struct mover_args {
    unsigned unused;
};
GY_ACTOR(mover);
struct mover {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(mover, mover_start, mover_stop);
GY_HTTP_RESPONSE(mover, mover_head);
GY_HTTP_PIECE(mover, mover_piece);
GY_THEN_RES(mover, mover_written);
GY_THEN_RES(mover, mover_rested);

static struct {
    const char *url;
    uint64_t upload, length; /* bytes that are written; what is announced */
    uint32_t piece;
    uint64_t rest_ns; /* before each read */
    bool no_reads, no_finish, gzip;
    uint64_t body_max, continue_ns;
    uint64_t timeout_ns, between_ns;
    unsigned pair; /* of the head and the first write: 1: any, 2: all */
} plan;
static struct {
    gy_http_transfer transfer;
    gy_fut head_fut, read_fut;
    int head, end, write_end; /* results; 1: not yet */
    unsigned heads, ends;
    uint64_t written, read;
    bool wrong;
} seen;

static uint8_t byte_of(uint64_t at)
{
    return (uint8_t)('a' + at * 7 % 26);
}

static void read_next(struct mover *self)
{
    seen.read_fut = gy_http_transfer_read(seen.transfer);
    (void)gy_then(self, seen.read_fut, mover_piece, 0);
}

static void rest(struct mover *self)
{
    if (plan.no_reads)
        return;
    if (plan.rest_ns > 0)
        (void)gy_then(self, gy_after(plan.rest_ns), mover_rested, 0);
    else
        read_next(self);
}

static void mover_rested(struct mover *self, uint64_t ctx, int res)
{
    (void)ctx, (void)res;
    read_next(self);
}

static void mover_head(struct mover *self, uint64_t ctx, int res, struct gy_http_response *response)
{
    (void)ctx;
    seen.heads++;
    seen.head = res;
    if (response != NULL)
        rest(self);
}

static void mover_piece(struct mover *self, uint64_t ctx, int res, struct gy_buf *buf)
{
    (void)ctx;
    if (res <= 0) {
        seen.ends++;
        seen.end = res;
        return;
    }
    seen.wrong |= buf->len != (uint32_t)res;
    for (uint32_t i = 0; i < buf->len; i++)
        seen.wrong |= buf->data[i] != byte_of(seen.read++);
    gy_buf_release(buf);
    rest(self);
}

static void write_next(struct mover *self)
{
    uint64_t n = plan.upload - seen.written < plan.piece ? plan.upload - seen.written : plan.piece;
    struct gy_buf *buf;

    if (n == 0) {
        seen.write_end = plan.no_finish ? 0 : gy_http_transfer_finish(seen.transfer);
        return;
    }
    buf = gy_buf_take(n);
    buf->len = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++)
        buf->data[i] = byte_of(seen.written + i);
    seen.written += n;
    (void)gy_then(self, gy_http_transfer_write(seen.transfer, buf), mover_written, 0);
}

static void mover_written(struct mover *self, uint64_t ctx, int res)
{
    (void)ctx;
    if (res < 0)
        seen.write_end = res;
    else
        write_next(self);
}

static void paired(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    seen.end = done->res;
    seen.ends++;
    gy_http_transfer_abort(seen.transfer); /* if there is still something of it */
}

static int await_pair(struct mover *self)
{
    struct gy_buf *buf = gy_buf_take(1000);
    gy_fut futs[2] = {seen.head_fut, {0}};

    memset(buf->data, 'x', 1000);
    buf->len = 1000;
    futs[1] = gy_http_transfer_write(seen.transfer, buf);
    return gy_then_raw(&self->actor, plan.pair == 1 ? gy_any(futs, 2) : gy_all(futs, 2), paired, 0);
}

static int mover_start(struct mover *self, const struct mover_args *args)
{
    struct gy_http_ask ask = GY_HTTP_ASK_INIT(plan.length > 0 ? "POST" : "GET", plan.url);

    (void)args;
    ask.timeout_ns = plan.timeout_ns;
    ask.between_ns = plan.between_ns;
    ask.gzip = plan.gzip;
    ask.continue_ns = plan.continue_ns;
    ask.body_max = plan.body_max;
    seen.head_fut = gy_http_transfer_begin(&ask, plan.length, &seen.transfer);
    if (plan.pair != 0)
        return await_pair(self);
    (void)gy_then(self, seen.head_fut, mover_head, 0);
    if (plan.length > 0)
        write_next(self);
    return 0;
}

static void mover_stop(struct mover *self, int why)
{
    (void)self, (void)why;
}

/* ---- two machines ---- */

static struct gy_sim_config config;
static struct gy_sim *sim;
static mover_pid pid;

static int boot_web(unsigned shard, void *arg)
{
    static struct gy_http_config http = GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    int err = scripted_boot(shard, arg);

    return err < 0 ? err : web_boot(shard, &http);
}

static int boot_none(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return 0;
}

static int begin(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return mover_spawn(&pid, &(struct mover_args){0});
}

static int setup(void **state)
{
    (void)state;
    scripted_reset();
    memset(&plan, 0, sizeof(plan));
    memset(&seen, 0, sizeof(seen));
    seen.head = seen.end = seen.write_end = 1;
    plan.piece = 1000;
    return 0;
}

static void open_world(uint64_t seed)
{
    world_config(&config, seed);
    assert_int_equal(gy_sim_open(&sim, &config, boot_web, NULL), 0);
    assert_int_equal(gy_sim_add_host(sim, NULL, 1, boot_none, NULL), 1);
    assert_int_equal(gy_sim_run_on(sim, 1, begin, NULL), 0);
}

static struct gy_http_client_stats stats;
static uint64_t unread;

static int look(unsigned shard, void *arg)
{
    const struct gy__client *client = gy__client();

    (void)shard, (void)arg;
    gy_http_client_stats(&stats);
    unread = client->links != NULL ? client->links->inbound.waiting : 0;
    return 0;
}

static void close_world(void)
{
    gy_sim_advance(sim, 100 * GY_S);
    gy_sim_settle(sim);
    assert_int_equal(gy_sim_run_on(sim, 1, look, NULL), 0);
    assert_int_equal(stats.busy, 0);
    assert_int_equal(stats.open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
    assert_false(seen.wrong);
}

/* ---- */

static void both_ways(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        static const uint32_t pieces[] = {1, 100, 4096, 70000};

        setup(NULL);
        plan.url = "http://10.0.1.1/web/echo";
        plan.piece = pieces[i % 4];
        plan.upload = plan.piece == 1 ? 300 : 300000;
        plan.length = i / 4 % 2 == 0 ? GY_HTTP_UNKNOWN : plan.upload;
        plan.rest_ns = i / 8 * 100 * GY_US;
        plan.continue_ns = i % 3 == 1 ? 5 * GY_S : 0;
        open_world(1 + i);
        gy_sim_advance(sim, 20 * GY_S);
        assert_int_equal(seen.head, 200);
        assert_int_equal(seen.write_end, 0);
        assert_int_equal(seen.end, 0);
        assert_int_equal(seen.ends, 1);
        assert_int_equal(seen.read, plan.upload);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.idle, 1);
        close_world();
    }
}

/* What was written ends with the head's future, which one that waits for both discards. */
static void head_and_write_together(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        setup(NULL);
        scripted.lines[0] = (struct scripted_line){
            .answer = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", .early = true, .after_ns = 10 * GY_MS};
        scripted.line_count = 1;
        plan.url = "http://10.0.1.1:81/";
        plan.pair = i;
        plan.length = 5000;
        plan.continue_ns = i == 2 ? 5 * GY_S : 0;
        plan.timeout_ns = 2 * GY_S;
        plan.between_ns = GY_S;
        open_world(60 + i);
        gy_sim_advance(sim, 20 * GY_S);
        assert_int_equal(seen.ends, 1);
        assert_int_equal(seen.end, i == 1 ? 1 : -EPIPE);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.failed, 0);
        close_world();
    }
}

static char large[4u << 20];

static void script_large(enum scripted_then then)
{
    size_t head =
        (size_t)snprintf(large, sizeof(large), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                         sizeof(large) - 100);

    for (size_t i = 0; i < sizeof(large) - 100; i++)
        large[head + i] = (char)byte_of(i);
    scripted.lines[0] =
        (struct scripted_line){.answer = large, .len = head + sizeof(large) - 100, .then = then};
    scripted.line_count = 1;
    plan.url = "http://10.0.1.1:81/";
}

/* Who does not read is not sent more than the window, and what the machines between hold. */
static void a_reader_that_waits_is_waited_for(void **state)
{
    uint64_t most = 0;

    (void)state;
    script_large(SCRIPTED_STAYS);
    plan.rest_ns = 20 * GY_S;
    plan.between_ns = GY_S; /* it is not the server that takes its time */
    open_world(30);
    for (unsigned i = 0; i < 50; i++) {
        gy_sim_advance(sim, GY_S);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_true(unread <= (64u << 10) + (512u << 10));
        assert_int_equal(stats.busy, 1);
        most = unread > most ? unread : most;
    }
    assert_true(most > 64u << 10);
    plan.rest_ns = 0;
    gy_sim_advance(sim, 60 * GY_S);
    assert_int_equal(seen.end, 0);
    assert_int_equal(seen.read, sizeof(large) - 100);
    close_world();
}

static void a_server_that_does_not_read_is_waited_for(void **state)
{
    (void)state;
    scripted.lines[0] =
        (struct scripted_line){.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"};
    scripted.line_count = 1;
    plan.url = "http://10.0.1.1:81/";
    plan.length = GY_HTTP_UNKNOWN;
    plan.upload = 64u << 20;
    plan.piece = 65536;
    plan.between_ns = 5 * GY_S;
    open_world(31);
    gy_sim_partition(sim, 0, true);
    gy_sim_advance(sim, 4 * GY_S);
    assert_true(seen.written < 3u << 20);
    assert_int_equal(seen.write_end, 1);
    gy_sim_advance(sim, 8 * GY_S);
    assert_int_equal(seen.write_end, -ETIMEDOUT);
    assert_int_equal(seen.head, -ETIMEDOUT);
    gy_sim_partition(sim, 0, false);
    close_world();
}

static void an_answer_that_is_cut_short_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        setup(NULL);
        script_large(i == 0 ? SCRIPTED_CLOSES : SCRIPTED_ABORTS);
        scripted.lines[0].len = 100000;
        plan.rest_ns = i == 2 ? GY_S : 0;
        open_world(32 + i);
        gy_sim_advance(sim, 60 * GY_S);
        assert_int_equal(seen.head, 200);
        assert_int_equal(seen.end, -ECONNRESET);
        assert_int_equal(seen.ends, 1);
        close_world();
    }
}

static void too_much_or_too_little_is_an_abort(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        setup(NULL);
        plan.url = "http://10.0.1.1/web/echo";
        plan.upload = 5000;
        plan.length = i == 0 ? 4500 : 6000;
        open_world(40 + i);
        gy_sim_advance(sim, 5 * GY_S);
        assert_int_equal(seen.write_end, -EMSGSIZE);
        assert_int_equal(seen.head, -ECANCELED);
        close_world();
    }
}

static void what_is_not_read_times_out(void **state)
{
    (void)state;
    script_large(SCRIPTED_STAYS);
    scripted.lines[0].len = 5000;
    plan.between_ns = 2 * GY_S;
    open_world(43);
    gy_sim_advance(sim, 1900 * GY_MS);
    assert_int_equal(seen.end, 1);
    gy_sim_advance(sim, 300 * GY_MS);
    assert_int_equal(seen.end, -ETIMEDOUT);
    close_world();
    setup(NULL);
    script_large(SCRIPTED_STAYS);
    plan.timeout_ns = 3 * GY_S;
    plan.rest_ns = GY_S;
    open_world(44);
    gy_sim_advance(sim, 10 * GY_S);
    assert_int_equal(seen.end, -ETIMEDOUT);
    close_world();
}

/* ---- 100-continue ------------------------------------------------------------------------ */

static void the_body_waits_to_be_asked_for(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool early = i >= 2;

        setup(NULL);
        scripted.lines[0] = (struct scripted_line){
            .answer = early ? "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"
                            : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            .interim = i == 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : NULL,
            .after_ns = 20 * GY_MS,
            .early = early};
        scripted.line_count = 1;
        plan.url = "http://10.0.1.1:81/";
        plan.upload = plan.length = 1200;
        plan.piece = i == 3 ? 1200 : 300;
        plan.continue_ns = i == 1 ? 50 * GY_MS : GY_S;
        open_world(250 + i);
        gy_sim_advance(sim, 40 * GY_MS);
        assert_int_equal(scripted.uninvited, 0);
        assert_int_equal(scripted.requests, i != 1);
        gy_sim_advance(sim, 5 * GY_S);
        assert_int_equal(seen.head, early ? 413 : 200);
        assert_int_equal(seen.write_end, early ? -EPIPE : 0);
        assert_int_equal(seen.end, 0);
        assert_int_equal(strlen(strstr(scripted.asked[0], "\r\n\r\n") + 4), early ? 0 : 1200);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.open, early ? 0 : 1);
        close_world();
    }
}

/* ---- gzip -------------------------------------------------------------------------------- */

#define PLAIN (4u << 20)

enum coded { GZIP, GZIP_MEMBERS, DEFLATE };

static void script_coded(enum coded how, size_t plain, size_t cut)
{
    static char bytes[PLAIN], head[128];
    char *to = large + 128;
    size_t size = sizeof(large) - 128, first = how == GZIP_MEMBERS ? plain / 3 : 0, at, len = 0;

    for (size_t i = 0; i < plain; i++)
        bytes[i] = (char)byte_of(i);
    if (how == GZIP_MEMBERS) {
        len = gz(bytes, first, to, size);
        len += gz(bytes, 0, to + len, size - len);
    }
    len += (how == DEFLATE ? deflated : gz)(bytes + first, plain - first, to + len, size - len) - cut;
    at = (size_t)snprintf(head, sizeof(head),
                          "HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                          how == DEFLATE ? "deflate" : "gzip", len);
    memcpy(large + 128 - at, head, at);
    scripted.lines[0] = (struct scripted_line){.answer = large + 128 - at, .len = at + len};
    scripted.line_count = 1;
    plan.url = "http://10.0.1.1:81/";
    plan.gzip = true;
}

static void a_coded_answer_in_pieces(void **state)
{
    (void)state;
    if (!gy_http_has_gzip())
        skip();
    for (unsigned i = 0; i < 24; i++) {
        static const size_t sizes[] = {1, 5000, 32768, PLAIN};

        setup(NULL);
        script_coded((enum coded)(i / 8), sizes[i % 4], 0);
        scripted.lines[0].piece = i % 8 < 4 ? 0 : 97;
        scripted.lines[0].every_ns = GY_US;
        plan.rest_ns = i % 8 < 4 ? 0 : GY_MS;
        plan.body_max = sizes[i % 4];
        open_world(300 + i);
        gy_sim_advance(sim, 20 * GY_S);
        assert_int_equal(seen.end, 0);
        assert_int_equal(seen.ends, 1);
        assert_int_equal(seen.read, sizes[i % 4]);
        gy_sim_run_on(sim, 1, look, NULL);
        assert_int_equal(stats.idle, 1);
        close_world();
    }
}

/* What comes behind what was read is an error, and nothing else. */
static void a_coded_answer_that_is_none(void **state)
{
    (void)state;
    if (!gy_http_has_gzip())
        skip();
    for (unsigned i = 0; i < 4; i++) {
        static const int ends[] = {-EPROTO, -EPROTO, -EMSGSIZE, -ECONNRESET};

        setup(NULL);
        script_coded(GZIP, 300000, i == 0 ? 3 : 0);
        if (i == 1)
            large[128 + 600] ^= 0x55;
        if (i == 2)
            plan.body_max = 299999;
        if (i == 3) {
            scripted.lines[0].len -= 200;
            scripted.lines[0].then = SCRIPTED_CLOSES;
        }
        plan.rest_ns = GY_MS;
        open_world(320 + i);
        gy_sim_advance(sim, 20 * GY_S);
        assert_int_equal(seen.head, 200);
        assert_int_equal(seen.end, ends[i]);
        assert_int_equal(seen.ends, 1);
        if (i == 1)
            seen.wrong = false; /* its check sum comes last, and says so */
        close_world();
    }
}

/* A bomb goes off no faster than it is read. */
static void a_coded_answer_waits_for_its_reader(void **state)
{
    (void)state;
    if (!gy_http_has_gzip())
        skip();
    script_coded(GZIP, PLAIN, 0);
    assert_true(scripted.lines[0].len < 64u << 10);
    plan.rest_ns = GY_S;
    open_world(330);
    gy_sim_advance(sim, 20 * GY_S + GY_MS);
    assert_true(seen.read > 0 && seen.read <= 21 * (64u << 10));
    assert_int_equal(seen.end, 1);
    gy_sim_advance(sim, 200 * GY_S);
    assert_int_equal(seen.read, PLAIN);
    assert_int_equal(seen.end, 0);
    close_world();
}

/* ---- giving up --------------------------------------------------------------------------- */

static int abort_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    gy_http_transfer_abort(seen.transfer);
    return 0;
}

static int discard_head(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    if (seen.heads == 0)
        gy_discard(seen.head_fut);
    return 0;
}

static int kill_it(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return gy_actor_stop_now(pid.pid, 0);
}

static void given_up_at_any_time(void **state)
{
    static int (*const ways[])(unsigned shard, void *arg) = {abort_it, discard_head, kill_it};

    (void)state;
    for (unsigned way = 0; way < 3; way++)
        for (uint64_t at_us = 1; at_us < 3000; at_us += 40) {
            setup(NULL);
            plan.url = "http://10.0.1.1/web/echo";
            plan.upload = 100000;
            plan.length = at_us % 3 == 0 ? plan.upload : GY_HTTP_UNKNOWN;
            plan.no_reads = at_us % 7 == 0;
            if (at_us % 4 == 1 && gy_http_has_gzip()) {
                script_coded(GZIP, 200000, 0);
                plan.upload = plan.length = 0;
            }
            open_world(1000 * way + at_us);
            gy_sim_advance(sim, at_us * GY_US);
            (void)gy_sim_run_on(sim, 1, ways[way], NULL);
            gy_sim_advance(sim, 60 * GY_S);
            gy_sim_settle(sim);
            assert_true(seen.heads <= 1 && seen.ends <= 1);
            if (way == 0)
                assert_true(seen.head == -ECANCELED || seen.head == 200);
            (void)gy_sim_run_on(sim, 1, kill_it, NULL); /* what it never read */
            close_world();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(both_ways, setup),
        cmocka_unit_test_setup(head_and_write_together, setup),
        cmocka_unit_test_setup(a_reader_that_waits_is_waited_for, setup),
        cmocka_unit_test_setup(a_server_that_does_not_read_is_waited_for, setup),
        cmocka_unit_test_setup(an_answer_that_is_cut_short_fails, setup),
        cmocka_unit_test_setup(too_much_or_too_little_is_an_abort, setup),
        cmocka_unit_test_setup(what_is_not_read_times_out, setup),
        cmocka_unit_test_setup(the_body_waits_to_be_asked_for, setup),
        cmocka_unit_test_setup(a_coded_answer_in_pieces, setup),
        cmocka_unit_test_setup(a_coded_answer_that_is_none, setup),
        cmocka_unit_test_setup(a_coded_answer_waits_for_its_reader, setup),
        cmocka_unit_test_setup(given_up_at_any_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
