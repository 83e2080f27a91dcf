/* gyre-link: -Wl,--wrap=gy_monitor_raw,--wrap=gy_keep */
/* Handlers that read and write in pieces, on the connection's shard and on another: an actor that
 * copies a body back as it comes, one that counts, one that tells events; and what becomes of all when
 * one of the two ends leaves. */
#include "core/kernel.h"
#include "gyre/http_content.h"
#include "gyre/http_stream.h"
#include "gyre/link.h"
#include "gyre/typed.h"
#include "http/deflater.h"
#include "http/gunzip.h"
#include "http/server.h"
#include "http/shard.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be refused ---- */

static bool no_monitors, no_records;

int __real_gy_monitor_raw(struct gy_actor *self, gy_pid pid, gy_exited_fn *run, uint64_t ctx);
int __wrap_gy_monitor_raw(struct gy_actor *self, gy_pid pid, gy_exited_fn *run, uint64_t ctx);
int __real_gy_keep(gy_promise promise);
int __wrap_gy_keep(gy_promise promise);

int __wrap_gy_monitor_raw(struct gy_actor *self, gy_pid pid, gy_exited_fn *run, uint64_t ctx)
{
    return no_monitors ? -EAGAIN : __real_gy_monitor_raw(self, pid, run, ctx);
}

int __wrap_gy_keep(gy_promise promise)
{
    return no_records ? -EAGAIN : __real_gy_keep(promise);
}

/* ---- who goes on with another's answer ---- */

struct heir_args {
    uint32_t none;
};
GY_ACTOR(heir);
struct heir_take_msg {
    gy_http_promise reply;
    gy_http_stream stream;
};
GY_CAST(heir, take); /* answers */
struct heir_adopt_msg {
    gy_http_stream stream;
};
GY_CAST(heir, adopt); /* goes on with what is answered */
struct heir_say_msg {
    uint32_t how; /* 0: an event, 1: the end, 2: adopt once more, 3: die */
};
GY_CAST(heir, say);

struct heir {
    struct gy_actor actor;
    gy_http_stream stream;
    int adopted, written;
};
static struct heir *heir;
static heir_pid heir_pids[2];

GY_ACTOR_TYPE(heir, heir_start, heir_stop);
GY_VERB(heir, take);
GY_VERB(heir, adopt);
GY_VERB(heir, say);
GY_THEN_RES(heir, heir_on_adopted);
GY_THEN_RES(heir, heir_on_written);

static int heir_start(struct heir *self, const struct heir_args *args)
{
    (void)args;
    self->adopted = self->written = 1;
    return 0;
}

static void heir_stop(struct heir *self, int why)
{
    (void)self, (void)why;
}

void heir_on_take(struct heir *self, const struct heir_take_msg *msg)
{
    struct gy_http_res res;

    heir = self;
    self->stream = msg->stream;
    gy_http_begin(&res, 200);
    assert_int_equal(gy_http_end_events(&res, msg->reply), 0);
}

void heir_on_adopt(struct heir *self, const struct heir_adopt_msg *msg)
{
    heir = self;
    self->stream = msg->stream;
    assert_int_equal(gy_then(self, gy_http_adopt(msg->stream), heir_on_adopted, 0), 0);
}

static void heir_on_adopted(struct heir *self, uint64_t ctx, int res)
{
    (void)ctx;
    self->adopted = res;
}

static void heir_on_written(struct heir *self, uint64_t ctx, int res)
{
    (void)ctx;
    self->written = res;
}

void heir_on_say(struct heir *self, const struct heir_say_msg *msg)
{
    if (msg->how == 0)
        assert_int_equal(gy_then(self, gy_http_event(self->stream, NULL, NULL, "x"), heir_on_written, 0), 0);
    else if (msg->how == 1)
        assert_int_equal(gy_http_finish(self->stream), 0);
    else if (msg->how == 2)
        heir_on_adopt(self, &(struct heir_adopt_msg){ self->stream });
    else
        gy_fail(&self->actor, -EIO);
}

/* ---- the actor ---- */

#define TASKS_MAX 16

struct task {
    gy_http_promise reply;
    gy_http_stream stream;
    uint64_t total;
    bool used, copies;
};

struct reader_args {
    const char *prefix;
};
GY_ACTOR(reader);
struct reader_say_msg {
    uint32_t how; /* 0: an event, 1: a comment, 2: the end, 3: die */
};
GY_CAST(reader, say);

struct reader {
    struct gy_actor actor;
    struct task tasks[TASKS_MAX];
    int last_res, last_write, watched;
    unsigned pieces, entered;
    char trailer[32];
    struct task *events;
};
static struct reader *seen[2];
static reader_pid readers[2];

GY_ACTOR_TYPE(reader, reader_start, reader_stop);
GY_VERB(reader, say);
GY_HTTP(reader, reader_count);
GY_HTTP(reader, reader_copy);
GY_HTTP(reader, reader_refuse);
GY_HTTP(reader, reader_listen);
GY_HTTP(reader, reader_small);
GY_HTTP(reader, reader_pack);
GY_HTTP(reader, reader_hand);
GY_HTTP_PIECE(reader, reader_on_piece);
GY_THEN_RES(reader, reader_on_written);
GY_THEN_RES(reader, reader_on_watch);

static const struct gy_http_route_options streams = { .size = sizeof(streams), .body_max = 1000, .stream = 1 };
static const struct gy_http_route_options small = { .size = sizeof(small), .body_max = 10 };
static const struct gy_http_route_options unpacks = { .size = sizeof(unpacks), .body_max = 50000, .stream = 1,
                                                      .decoded_max = 40000 };
static const struct gy_http_route_options unpacked = { .size = sizeof(unpacked), .body_max = 50000,
                                                       .decoded_max = 40000 };

static int reader_start(struct reader *self, const struct reader_args *args)
{
    static const struct {
        const char *name;
        const struct gy_verb *verb;
        const struct gy_http_route_options *options;
    } routes[] = {
        { "count", &reader_count_verb, &streams },   { "copy", &reader_copy_verb, &streams },
        { "refuse", &reader_refuse_verb, &streams }, { "listen", &reader_listen_verb, NULL },
        { "small", &reader_small_verb, &small },     { "pack", &reader_pack_verb, NULL },
        { "unpack", &reader_count_verb, &unpacks },  { "unpacked", &reader_small_verb, &unpacked },
        { "hand", &reader_hand_verb, NULL },
    };
    int err = 0;

    seen[gy_shard()] = self;
    for (unsigned i = 0; i < sizeof(routes) / sizeof(routes[0]) && err == 0; i++) {
        char route[64];
        snprintf(route, sizeof(route), "%s/%s", args->prefix, routes[i].name);
        err = gy_http_route_with_raw(&self->actor, route, routes[i].verb, routes[i].options);
    }
    return err;
}

static void reader_stop(struct reader *self, int why)
{
    (void)self, (void)why;
}

static struct task *begin(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    unsigned i = 0;

    self->entered++;
    while (i < TASKS_MAX && self->tasks[i].used)
        i++;
    if (i == TASKS_MAX || gy_http_keep(reply) < 0) {
        gy_http_fail(reply, -EAGAIN);
        return NULL;
    }
    self->tasks[i] = (struct task){ reply, gy_http_stream_of(req), 0, true, false };
    return &self->tasks[i];
}

static void read_on(struct reader *self, struct task *task)
{
    assert_int_equal(gy_then(self, gy_http_read(task->stream), reader_on_piece,
                             (uint64_t)(task - self->tasks)), 0);
}

static void reader_count(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = begin(self, req, reply);

    assert_int_equal(req->body.len, 0);
    if (task != NULL)
        read_on(self, task);
}

static void reader_copy(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = begin(self, req, reply);
    struct gy_http_res res;

    if (task == NULL)
        return;
    task->copies = true;
    gy_http_begin(&res, 200);
    gy_http_end_stream(&res, reply, GY_HTTP_UNKNOWN);
    read_on(self, task);
}

static void reader_refuse(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_reply(reply, 403, NULL, NULL, 0);
}

static void reader_small(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    gy_http_reply(reply, 200, NULL, req->body.ptr, req->body.len);
}

#define LINE "a line of text that is sent again and again\n"

/* Three lines; with ?flush each can be read at once, and there is no end. */
static void reader_pack(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    gy_http_stream stream = gy_http_stream_of(req);
    struct gy_http_res res;
    int flush = gy_slice_equal(req->query, "flush");

    (void)self;
    gy_http_begin(&res, 200);
    assert_int_equal(gy_http_end_stream_gzip(&res, reply, req, flush), 0);
    for (unsigned i = 0; i < 3; i++)
        gy_forget(gy_http_write_bytes(stream, LINE, sizeof(LINE) - 1));
    if (gy_slice_equal(req->query, "part")) /* as a part of a file is: bytes that are nowhere */
        gy_forget(gy_http_write(stream, gy_buf_wrap(NULL, 100, NULL, NULL)));
    if (!flush && !gy_slice_equal(req->query, "open"))
        assert_int_equal(gy_http_finish(stream), 0);
}

/* Another actor answers; or goes on with the answer, which may be on the other shard. */
static void reader_hand(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    gy_http_stream stream = gy_http_stream_of(req);
    unsigned to = gy_slice_equal(req->query, "there") ? 1 - gy_shard() : gy_shard();
    struct gy_http_res res;

    (void)self;
    if (req->query.len == 0) {
        assert_int_equal(gy_http_keep(reply), 0);
        assert_int_equal(heir_take(heir_pids[to], (struct heir_take_msg){ reply, stream }), 0);
        return;
    }
    gy_http_begin(&res, 200);
    assert_int_equal(gy_http_end_events(&res, reply), 0);
    assert_int_equal(heir_adopt(heir_pids[to], (struct heir_adopt_msg){ stream }), 0);
}

static void reader_on_piece(struct reader *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = &self->tasks[i];

    self->last_res = res;
    if (res <= 0) {
        struct gy_slice trailer = { NULL, 0 };
        if (res == 0 && buf != NULL)
            trailer = gy_http_trailer((struct gy_slice){ (const char *)buf->data, buf->len }, "x-sum");
        snprintf(self->trailer, sizeof(self->trailer), "%.*s", (int)trailer.len, trailer.len > 0 ? trailer.ptr : "");
        gy_buf_release(buf);
        task->used = false;
        if (task->copies && self->trailer[0] != '\0') {
            const char *const trailers[] = { "X-Sum", self->trailer, "X-More", "", NULL };
            const char *const bad[] = { "X-Sum", self->trailer, "Content-Length", "7", NULL };
            assert_int_equal(gy_http_finish_with(task->stream, bad), -EINVAL);
            assert_int_equal(gy_http_finish_with(task->stream, trailers), 0);
        } else if (task->copies)
            assert_int_equal(gy_http_finish(task->stream), 0);
        else if (res == 0)
            gy_http_replyf(task->reply, 200, "%u: %llu", gy_shard(), (unsigned long long)task->total);
        return;
    }
    assert_int_equal(res, buf->len);
    self->pieces++;
    task->total += buf->len;
    if (task->copies) {
        assert_int_equal(gy_then(self, gy_http_write(task->stream, buf), reader_on_written, i), 0);
        return;
    }
    gy_buf_release(buf);
    read_on(self, task);
}

static void reader_on_written(struct reader *self, uint64_t i, int res)
{
    self->last_write = res;
    if (res < 0)
        self->tasks[i].used = false;
    else if (self->tasks[i].copies)
        read_on(self, &self->tasks[i]);
}

static void reader_listen(struct reader *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_http_res res;

    gy_http_begin(&res, 200);
    gy_http_end_events(&res, reply);
    self->events = &self->tasks[0];
    self->events->stream = gy_http_stream_of(req);
    self->watched = 1;
    assert_int_equal(gy_then(self, gy_http_watch(self->events->stream), reader_on_watch, 0), 0);
}

static void reader_on_watch(struct reader *self, uint64_t ctx, int res)
{
    (void)ctx;
    self->watched = res;
}

void reader_on_say(struct reader *self, const struct reader_say_msg *msg)
{
    gy_fut fut;

    if (msg->how == 3) {
        gy_fail(&self->actor, -EIO);
        return;
    }
    if (msg->how == 2) {
        assert_int_equal(gy_http_finish(self->events->stream), 0);
        return;
    }
    fut = gy_http_event(self->events->stream, "tick", "7", msg->how == 0 ? "a\r\nb\n\nc\r" : NULL);
    assert_int_equal(gy_then(self, fut, reader_on_written, 0), 0);
}

/* ---- the world ---- */

static struct world world;

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    if (err == 0)
        err = heir_spawn(&heir_pids[shard], &(struct heir_args){ 0 });
    return err < 0 ? err : reader_spawn(&readers[shard], &(struct reader_args){ shard == 0 ? "/far" : "/near" });
}

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    no_monitors = no_records = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

/* Connections are accepted by shard 1, so that /near is near. */
static const char *const where[2] = { "/far", "/near" };

static void say(unsigned shard, uint32_t how)
{
    fake_enter(&world.fake, shard);
    assert_int_equal(reader_say(readers[shard], (struct reader_say_msg){ how }), 0);
    fake_leave();
    world_settle(&world);
}

static void ask(struct peer_conn *c, unsigned shard, const char *path, const char *rest)
{
    char text[4096];

    snprintf(text, sizeof(text), "POST %s/%s HTTP/1.1\r\nHost: h\r\n%s", where[shard], path, rest);
    world_text(&world, c, text);
}

static void came(struct peer_conn *c, const char *text)
{
    if (c->out_len - c->out_read != strlen(text) || memcmp(c->out + c->out_read, text, strlen(text)) != 0)
        fail_msg("%.*s is not %s", (int)(c->out_len - c->out_read), c->out + c->out_read, text);
    c->out_read = c->out_len;
}

static void test_count(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        ask(c, shard, "count", "Content-Length: 10\r\n\r\n");
        assert_int_equal(seen[shard]->entered, 1);
        world_text(&world, c, "abc");
        assert_int_equal(seen[shard]->pieces, 1);
        world_text(&world, c, "defghij");
        world_expect(&world, c, 200, shard == 0 ? "0: 10" : "1: 10");
        ask(c, shard, "count", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: z\r\n\r\n");
        world_expect(&world, c, 200, shard == 0 ? "0: 3" : "1: 3");
        assert_string_equal(seen[shard]->trailer, "z");
        /* No body is one that has ended. */
        ask(c, shard, "count", "Content-Length: 0\r\n\r\n");
        world_expect(&world, c, 200, shard == 0 ? "0: 0" : "1: 0");
        ask(c, shard, "count", "\r\n");
        world_expect(&world, c, 200, shard == 0 ? "0: 0" : "1: 0");
        ask(c, shard, "count", "Content-Length: 1001\r\n\r\n"); /* above the route's own limit */
        world_expect(&world, c, 413, NULL);
    }
}

static void test_copy(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        ask(c, shard, "copy", "Transfer-Encoding: chunked\r\n\r\n");
        world_expect(&world, c, 200, NULL);
        for (unsigned i = 0; i < 3; i++) {
            world_text(&world, c, "4\r\nabcd\r\n");
            came(c, "4\r\nabcd\r\n");
        }
        world_text(&world, c, "0\r\n\r\n");
        came(c, "0\r\n\r\n");
        assert_false(c->closed);
        ask(c, shard, "copy", "Content-Length: 0\r\n\r\n");
        world_expect(&world, c, 200, NULL);
        came(c, "0\r\n\r\n");
        ask(c, shard, "small", "Content-Length: 3\r\n\r\nabc");
        world_expect(&world, c, 200, "abc");
        ask(c, shard, "small", "Content-Length: 11\r\n\r\n");
        world_expect(&world, c, 413, NULL);
    }
}

/* Trailers there and back; only to who said that it takes them, and gets chunks. */
static void test_trailers(void **state)
{
    static const struct {
        const char *te, *end;
    } rows[] = {
        { "TE: trailers\r\n", "0\r\nX-Sum: z\r\nX-More: \r\n\r\n" },
        { "TE: gzip;q=0.5 ,\ttrailers \r\n", "0\r\nX-Sum: z\r\nX-More: \r\n\r\n" },
        { "TE: deflate\r\nTE: Trailers\r\n", "0\r\nX-Sum: z\r\nX-More: \r\n\r\n" },
        { "TE: trailers2\r\n", "0\r\n\r\n" },
        { "TE: ,\r\n", "0\r\n\r\n" },
        { "", "0\r\n\r\n" },
    };

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct peer_conn *c = world_connect(&world, 1);
            char head[200];

            snprintf(head, sizeof(head), "%sTransfer-Encoding: chunked\r\n\r\n", rows[i].te);
            ask(c, shard, "copy", head);
            world_expect(&world, c, 200, NULL);
            world_text(&world, c, "1\r\na\r\n0\r\nX-Sum: z\r\n\r\n");
            assert_memory_equal(c->out + c->out_read, "1\r\na\r\n", 6);
            c->out_read += 6;
            came(c, rows[i].end);
            /* What follows is the next answer. */
            ask(c, shard, "small", "Content-Length: 3\r\n\r\nabc");
            world_expect(&world, c, 200, "abc");
        }
}

/* ---- compression ---- */

/* All chunks that came, without their framing. -> their bytes; *ended: the last one is there. */
static size_t chunks(struct peer_conn *c, char *out, bool *ended)
{
    size_t len = 0;

    *ended = false;
    while (c->out_read < c->out_len && !*ended) {
        char *data;
        size_t n = strtoul(c->out + c->out_read, &data, 16);

        assert_memory_equal(data, "\r\n", 2);
        memcpy(out + len, data + 2, n);
        assert_memory_equal(data + 2 + n, "\r\n", 2);
        len += n;
        c->out_read = (size_t)(data - c->out) + 4 + n;
        *ended = n == 0;
    }
    return len;
}

static size_t unzip(const char *bytes, size_t len, char *out, size_t size)
{
    const char *end = bytes + len;
    struct gy__gunzip *gunzip;
    size_t got = 0;
    int n;

    fake_enter(&world.fake, 1);
    gunzip = gy__gunzip_new('g');
    assert_non_null(gunzip);
    do {
        n = gy__gunzip_feed(gunzip, &bytes, end, (uint8_t *)out + got, size - got);
        assert_true(n >= 0);
        got += (size_t)n;
    } while (n > 0);
    gy__gunzip_free(gunzip);
    fake_leave();
    return got;
}

static char *zip(const char *bytes, size_t len, size_t *zipped)
{
    struct gy__http_pieces pieces = { NULL, NULL, 0 };
    struct gy__deflater *deflater;
    struct gy_buf *buf;
    char *out;

    fake_enter(&world.fake, 1);
    deflater = gy__deflater_new();
    assert_non_null(deflater);
    assert_int_equal(gy__deflater_feed(deflater, bytes, len, GY__DEFLATE_END, &pieces), 0);
    gy__deflater_free(deflater);
    out = malloc(pieces.bytes);
    assert_non_null(out);
    for (*zipped = 0; (buf = gy__http_pieces_take(&pieces)) != NULL; gy_buf_release(buf)) {
        memcpy(out + *zipped, buf->data, buf->len);
        *zipped += buf->len;
    }
    fake_leave();
    return out;
}

static void test_packed_answers(void **state)
{
    static char coded[65536], text[65536];

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2 && gy_http_has_gzip(); shard++)
        for (unsigned way = 0; way < 4; way++) { /* whole, flushed, not flushed, not asked for */
            static const char *const queries[] = { "", "?flush", "?open", "" };
            struct peer_conn *c = world_connect(&world, 1);
            const char *head;
            char line[128];
            bool ended;
            size_t len;

            snprintf(line, sizeof(line), "GET %s/pack%s HTTP/1.1\r\nHost: h\r\n%s\r\n", where[shard], queries[way],
                     way < 3 ? "Accept-Encoding: gzip\r\n" : "");
            world_text(&world, c, line);
            head = world_expect(&world, c, 200, NULL);
            assert_int_equal(strstr(head, "Content-Encoding: gzip\r\n") != NULL, way < 3);
            assert_non_null(strstr(head, "Vary: Accept-Encoding\r\n"));
            len = chunks(c, coded, &ended);
            assert_int_equal(ended, way == 0 || way == 3);
            if (way < 3) {
                assert_true(len < 2 * sizeof(LINE));
                len = unzip(coded, len, text, sizeof(text));
            } else {
                memcpy(text, coded, len);
            }
            if (way == 2) { /* what is short waits */
                assert_int_equal(len, 0);
                continue;
            }
            assert_int_equal(len, 3 * (sizeof(LINE) - 1));
            assert_memory_equal(text, LINE LINE LINE, len);
        }
}

/* A part of a file cannot be compressed: the answer is given up. */
static void test_packed_parts(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2 && gy_http_has_gzip(); shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        char line[128];

        snprintf(line, sizeof(line), "GET %s/pack?part HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
                 where[shard]);
        world_text(&world, c, line);
        /* With a status, if nothing of it has left. */
        assert_true(c->closed || strncmp(c->out, "HTTP/1.1 500 ", 13) == 0);
    }
}

/* Of gzip's one member the same in the form of RFC 1950. */
static char *wrap(const char *gzip, size_t gzip_len, const char *bytes, size_t len, size_t *wrapped)
{
    uint32_t a = 1, b = 0;
    char *out = malloc(gzip_len);

    assert_non_null(out);
    for (size_t i = 0; i < len; i++) {
        a = (a + (uint8_t)bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    *wrapped = 2 + (gzip_len - 18) + 4;
    memcpy(out, "\x78\x9c", 2);
    memcpy(out + 2, gzip + 10, gzip_len - 18);
    for (unsigned i = 0; i < 4; i++)
        out[*wrapped - 4 + i] = (char)((b << 16 | a) >> (24 - 8 * i));
    return out;
}

/* One behind the other. */
static char *join(const char *a, size_t a_len, const char *b, size_t b_len, size_t *len)
{
    char *out = malloc(a_len + b_len);

    assert_non_null(out);
    memcpy(out, a, a_len);
    memcpy(out + a_len, b, b_len);
    *len = a_len + b_len;
    return out;
}

static void test_packed_bodies(void **state)
{
    static char text[40001], none[60000];
    size_t len, bomb_len, longer_len, wrapped_len, first_len, second_len, empty_len, halves_len, members_len, more_len;
    char *coded, *bomb, *longer, *zeros, *wrapped, *first, *second, *empty, *halves, *members, *more;

    (void)state;
    world_open(&world, 2, boot);
    if (!gy_http_has_gzip())
        return;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * i % 23);
    coded = zip(text, 40000, &len);
    longer = zip(text, 40001, &longer_len);
    wrapped = wrap(coded, len, text, 40000, &wrapped_len);
    first = zip(text, 15000, &first_len);
    second = zip(text + 15000, 25000, &second_len);
    empty = zip(text, 0, &empty_len);
    halves = join(first, first_len, second, second_len, &halves_len);
    members = join(halves, halves_len, empty, empty_len, &members_len);
    more = join(members, members_len, first, first_len, &more_len);
    zeros = calloc(1, 30000000);
    assert_non_null(zeros);
    bomb = zip(zeros, 30000000, &bomb_len);
    free(zeros);
    assert_true(bomb_len < 50000);
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned route = 0; route < 2; route++) {
            static const struct {
                unsigned what; /* 0: the text, 1: one byte more, 2: a bomb, 3: no gzip, 4: cut, 5: nothing, 6: plain,
                                * 7: deflate, 8: members, 9: too much in them, 10: one cut */
                const char *coding;
                int status;
            } rows[] = {
                { 0, "gzip", 200 },     { 0, "x-gzip", 200 },         { 1, "gzip", 413 }, { 2, "gzip", 413 },
                { 3, "gzip", 400 },     { 4, "gzip", 400 },           { 5, "gzip", 200 }, { 6, "identity", 200 },
                { 6, "br", 415 },       { 0, "gzip, gzip", 415 },     { 6, "", 415 },     { 7, "deflate", 200 },
                { 0, "deflate", 400 },  { 7, "gzip", 400 },           { 8, "gzip", 200 }, { 8, "x-gzip", 200 },
                { 9, "gzip", 413 },     { 10, "gzip", 400 },          { 8, "deflate", 400 },
                { 7, "deflate, gzip", 415 },
            };
            struct peer_conn *c = NULL;

            for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                for (unsigned step = 1; step <= 1000000; step *= 100) { /* bytes at once */
                    const char *const bodies[] = { coded, longer, bomb, none,  coded, none, "plain",
                                                    wrapped, members, more, more };
                    const size_t sizes[] = { len, longer_len, bomb_len, 100, len - 1, 0, 5,
                                             wrapped_len, members_len, more_len, members_len + 12 };
                    bool full = rows[i].what == 0 || rows[i].what == 7 || rows[i].what == 8;
                    size_t size = sizes[rows[i].what], at = 0;
                    char head[200];

                    if (step == 1 && rows[i].what == 2)
                        continue;
                    if (c == NULL)
                        c = world_connect(&world, 1);
                    snprintf(head, sizeof(head), "Content-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
                             rows[i].coding, size);
                    ask(c, shard, route == 0 ? "unpack" : "unpacked", head);
                    while (at < size && !c->closed && !c->half_closed) {
                        size_t n = size - at < step ? size - at : step;
                        n = n < 4096 ? n : 4096; /* a receive buffer */
                        if (!world_give(&world, c, bodies[rows[i].what] + at, n))
                            break;
                        world_settle(&world);
                        at += n;
                    }
                    if (route == 1 && full && rows[i].status == 200) {
                        size_t got;
                        const char *body = world_body(&world, c, &got);
                        assert_int_equal(got, 40000);
                        assert_memory_equal(body, text, got);
                    } else {
                        const char *answer;
                        char count[32];
                        snprintf(count, sizeof(count), "%u: %d", shard, full ? 40000 : rows[i].what == 6 ? 5 : 0);
                        answer = world_expect(&world, c, rows[i].status,
                                              rows[i].status == 200 && route == 0 ? count : NULL);
                        assert_int_equal(strstr(answer, "Accept-Encoding: gzip, deflate\r\n") != NULL,
                                         rows[i].status == 415);
                    }
                    if (rows[i].status != 200) {
                        world_reset(&world, c);
                        c = NULL;
                    }
                }
        }
    free(coded), free(longer), free(bomb), free(wrapped), free(first), free(second), free(empty);
    free(halves), free(members), free(more);
}

/* Ends around the size of a piece, where the decoder holds something back. */
static void test_packed_ends(void **state)
{
    static char zeros[40000];
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (size_t size = 16384 - 3; size <= sizeof(zeros) && gy_http_has_gzip(); size += size < 16400 ? 1 : 787) {
        char text[200], count[32];
        size_t len;
        char *coded = zip(zeros, size, &len);

        snprintf(text, sizeof(text), "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
        ask(c, 1, "unpack", text);
        assert_true(world_give(&world, c, coded, len));
        world_settle(&world);
        snprintf(count, sizeof(count), "1: %zu", size);
        world_expect(&world, c, 200, count);
        free(coded);
    }
}

static void test_continue(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        ask(c, shard, "count", "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        came(c, "HTTP/1.1 100 Continue\r\n\r\n");
        world_text(&world, c, "ab");
        world_expect(&world, c, 200, NULL);
        ask(c, shard, "refuse", "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
        assert_non_null(strstr(world_expect(&world, c, 403, NULL), "Connection: close\r\n"));
        assert_true(c->half_closed);
        /* Refused without a question, with little behind it. */
        c = world_connect(&world, 1);
        ask(c, shard, "refuse", "Content-Length: 2\r\n\r\n");
        assert_null(strstr(world_expect(&world, c, 403, NULL), "Connection: close\r\n"));
        world_text(&world, c, "ab");
        ask(c, shard, "count", "Content-Length: 1\r\n\r\na");
        world_expect(&world, c, 200, NULL);
    }
}

static void test_client_leaves(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        ask(c, shard, "count", "Content-Length: 10\r\n\r\nabc");
        world_reset(&world, c);
        assert_int_equal(seen[shard]->last_res, -EPIPE);
        assert_false(seen[shard]->tasks[0].used);
        c = world_connect(&world, 1);
        ask(c, shard, "listen", "\r\n");
        assert_int_equal(seen[shard]->watched, 1);
        world_reset(&world, c);
        assert_int_equal(seen[shard]->watched, -EPIPE);
        say(shard, 0);
        assert_int_equal(seen[shard]->last_write, -EPIPE);
        say(shard, 2);
    }
}

static void test_events(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1);
        ask(c, shard, "listen", "\r\n");
        assert_non_null(strstr(world_expect(&world, c, 200, NULL), "Content-Type: text/event-stream\r\n"));
        say(shard, 0);
        came(c, "39\r\nevent: tick\nid: 7\ndata: a\ndata: b\ndata: \ndata: c\ndata: \n\n\r\n");
        say(shard, 1);
        came(c, "3\r\n:\n\n\r\n");
        say(shard, 2);
        came(c, "0\r\n\r\n");
        assert_int_equal(seen[shard]->watched, 0);
        assert_false(c->closed);
    }
}

/* Its answers end with the actor, and only its own. */
static void test_actor_dies(void **state)
{
    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        struct peer_conn *c = world_connect(&world, 1), *other = world_connect(&world, 1);
        ask(c, shard, "listen", "\r\n");
        world_expect(&world, c, 200, NULL);
        if (shard == 0) {
            ask(other, 1, "copy", "Transfer-Encoding: chunked\r\n\r\n");
            world_expect(&world, other, 200, NULL);
        }
        say(shard, 3);
        assert_true(c->closed);
        assert_false(other->closed);
        if (shard == 0) {
            world_text(&world, other, "1\r\na\r\n");
            came(other, "1\r\na\r\n");
        }
    }
}

static void heir_says(unsigned shard, uint32_t how)
{
    fake_enter(&world.fake, shard);
    assert_int_equal(heir_say(heir_pids[shard], (struct heir_say_msg){ how }), 0);
    fake_leave();
    world_settle(&world);
}

/* A stream lives and ends with who answered, or adopted it, whosever route it was. */
static void test_handed_on(void **state)
{
    static const char *const ways[] = { "hand", "hand?here", "hand?there" };

    (void)state;
    for (unsigned shard = 0; shard < 2; shard++)
        for (unsigned way = 0; way < 3; way++)
            for (unsigned ends = 0; ends < 2; ends++) {
                unsigned at = way == 2 ? 1 - shard : shard;
                struct peer_conn *c;

                world_open(&world, 2, boot);
                c = world_connect(&world, 1);
                ask(c, shard, ways[way], "\r\n");
                world_expect(&world, c, 200, NULL);
                assert_int_equal(heir->adopted, way == 0 ? 1 : 0);
                if (ends) {
                    heir_says(at, 2); /* what is its own already */
                    assert_int_equal(heir->adopted, 0);
                }
                heir_says(at, 0);
                came(c, "9\r\ndata: x\n\n\r\n");
                assert_int_equal(heir->written, 0);
                say(shard, 3); /* its route's actor is no more */
                assert_false(c->closed);
                heir_says(at, 0);
                came(c, "9\r\ndata: x\n\n\r\n");
                if (ends) {
                    heir_says(at, 1);
                    came(c, "0\r\n\r\n");
                    heir_says(at, 2); /* it is over */
                    assert_int_equal(heir->adopted, -EPIPE);
                    heir_says(at, 3);
                    assert_false(c->closed);
                } else {
                    heir_says(at, 3);
                    assert_true(c->closed);
                }
                world_close(&world);
                setup(NULL);
            }
    world_open(&world, 1, boot);
}

/* What cannot be watched is not begun, or stays whose it was; and nobody waits for ever. */
static void test_no_monitor(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    no_monitors = true;
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, 1);
        ask(c, shard, "listen", "\r\n");
        world_expect(&world, c, 503, NULL);
        assert_int_equal(seen[shard]->watched, -EPIPE);
        ask(c, shard, "copy", "\r\n");
        world_expect(&world, c, 503, NULL);
        assert_false(seen[shard]->tasks[0].used);
        ask(c, shard, "copy", "Content-Length: 4\r\n\r\nab");
        world_expect(&world, c, 503, NULL);
        assert_false(seen[shard]->tasks[0].used);
        world_text(&world, c, "cd");
        no_monitors = false;
        ask(c, shard, "hand?here", "\r\n");
        world_expect(&world, c, 200, NULL);
        no_monitors = true;
        heir_says(shard, 2);
        assert_int_equal(heir->adopted, -EAGAIN);
        heir_says(shard, 0); /* and all is as it was */
        came(c, "9\r\ndata: x\n\n\r\n");
        heir_says(shard, 3);
        assert_true(c->closed);
    }
}

/* A step that has to wait and has no record for that. */
static void test_no_record(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    for (unsigned shard = 0; shard < 2; shard++) {
        c = world_connect(&world, 1);
        ask(c, shard, "count", "Content-Length: 4\r\n\r\n");
        assert_true(seen[shard]->tasks[0].used);
        world_reset(&world, c); /* the read that waited is over, and the next has none */
        c = world_connect(&world, 1);
        ask(c, shard, "count", "Content-Length: 4\r\n\r\n");
        no_records = true;
        world_text(&world, c, "ab");
        assert_int_equal(seen[shard]->last_res, -EAGAIN);
        no_records = false;
        /* It has been told, and is not waited for as if the client were late. */
        world_advance(&world, world.http.answer_timeout_ns + GY_S);
        world_expect(&world, c, 503, NULL);
    }
}

static void test_drain(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    ask(c, 0, "listen", "\r\n");
    world_expect(&world, c, 200, NULL);
    gy__runtime_drain(world.fake.runtime, 1);
    world_settle(&world);
    assert_int_equal(seen[0]->watched, -ESHUTDOWN);
    assert_false(c->closed);
    say(0, 2);
    came(c, "0\r\n\r\n");
    for (unsigned i = 0; i < 30 && !c->closed; i++)
        world_advance(&world, 100 * GY_MS);
    assert_true(c->closed);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_count),  T(test_copy), T(test_trailers), T(test_packed_answers), T(test_packed_parts),
        T(test_packed_bodies), T(test_packed_ends), T(test_continue), T(test_client_leaves),
        T(test_events), T(test_actor_dies), T(test_handed_on), T(test_no_monitor), T(test_no_record), T(test_drain),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
