/* Who may ask for what, on a server: realms, authorisation, the firewall, limits, other origins. */
#include "core/kernel.h"
#include "gyre/http_access.h"
#include "gyre/typed.h"
#include "http/server.h"
#include "http/shard.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct gy_http_user users[] = { { "ann", "secret" }, { "bob", "word" } };
static const struct gy_http_users list = { users, 2 };
static const struct gy_http_realm realm = { .name = "the realm", .challenge = "Basic", .authenticate = gy_http_basic, .arg = &list };
static const struct gy_http_realm nobody = { .name = "open", .challenge = "Basic", .authenticate = NULL, .arg = NULL };
#define ANN "Authorization: Basic YW5uOnNlY3JldA==\r\n"
#define BOB "Authorization: Basic Ym9iOndvcmQ=\r\n"

static int mood; /* what is said of who is moody */
static int odd(const struct gy_http_realm *r, const struct gy_http_req *req, struct gy_http_identity *out)
{
    const struct gy_slice *how = gy_http_header(req, "X-How");

    (void)r, (void)out;
    if (how != NULL && gy_slice_equal(*how, "moody"))
        return mood;
    return how == NULL ? -EACCES : gy_slice_equal(*how, "forbidden") ? -EPERM : -ETIMEDOUT;
}
static const struct gy_http_realm strange = { .name = "strange", .challenge = "Bearer", .authenticate = odd, .arg = NULL };

static int only_ann(const struct gy_http_req *req)
{
    return gy_slice_equal(req->principal, "ann");
}

/* ---- one that is asked ---- */

#define HELD_MAX 16

struct oracle_args {
    uint32_t unused;
};
GY_ACTOR(oracle);
struct oracle_knows_msg {
    uint32_t unused;
};
struct oracle_knows_reply {
    uint32_t number;
};
GY_CALL(oracle, knows);
struct oracle_say_msg {
    uint32_t which; /* of those that wait; HELD_MAX: die */
    int32_t res;
    uint32_t number;
};
GY_CAST(oracle, say);
struct oracle {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(oracle, oracle_start, oracle_stop);
GY_VERB(oracle, knows);
GY_VERB(oracle, say);

static oracle_pid oracle_at;
static struct {
    oracle_knows_promise promise[HELD_MAX];
    unsigned count;
} held;

static int oracle_start(struct oracle *self, const struct oracle_args *args)
{
    (void)self, (void)args;
    return 0;
}

static void oracle_stop(struct oracle *self, int why)
{
    (void)self, (void)why;
}

void oracle_on_knows(struct oracle *self, const struct oracle_knows_msg *msg, oracle_knows_promise reply)
{
    (void)self, (void)msg;
    assert_true(held.count < HELD_MAX);
    assert_int_equal(gy_keep(reply.promise), 0);
    held.promise[held.count++] = reply;
}

void oracle_on_say(struct oracle *self, const struct oracle_say_msg *msg)
{
    if (msg->which == HELD_MAX)
        gy_fail(&self->actor, -EIO);
    else if (msg->res < 0)
        (void)oracle_knows_reject(held.promise[msg->which], msg->res);
    else
        (void)oracle_knows_resolve(held.promise[msg->which], (struct oracle_knows_reply){ msg->number });
}

static int asks(const struct gy_http_realm *r, struct gy_actor *self, const struct gy_http_req *req, gy_fut *later,
                struct gy_http_identity *out)
{
    const struct gy_slice *who = gy_http_header(req, "X-Who");

    assert_ptr_equal(r->ask, asks);
    assert_true(gy_pid_equal(self->pid, gy__http_pid(gy_shard())));
    if (who == NULL)
        return -EACCES;
    snprintf(out->principal, sizeof(out->principal), "%.*s", (int)who->len, who->ptr);
    if (gy_slice_equal(*who, "root")) /* needs no question */
        return 0;
    out->claims = gy_buf_take(10);
    *later = oracle_knows(oracle_at, (struct oracle_knows_msg){ 0 }).fut;
    if (gy_slice_equal(*who, "hasty"))
        assert_int_equal(gy_deadline(*later, GY_S), 0);
    return GY_HTTP_LATER;
}

static int told(const struct gy_http_realm *r, const struct gy_done *done, struct gy_http_identity *out)
{
    const struct oracle_knows_reply *value = done->value;
    size_t len = strlen(out->principal);

    (void)r;
    assert_non_null(out->claims);
    if (value->number == 0)
        return -EPERM;
    snprintf(out->principal + len, sizeof(out->principal) - len, " %u", value->number);
    return 0;
}
static const struct gy_http_realm asking = { .name = "asks", .challenge = "Who", .ask = asks };
static const struct gy_http_realm telling = { .name = "tells", .challenge = "Who", .ask = asks, .told = told };

static const struct gy_http_cors cors = { (const char *const[]){ "http://a", "http://b", NULL }, "GET, PUT",
                                          "Content-Type", "ETag", 600, 1 };
static const struct gy_http_cors any = { (const char *const[]){ "*", NULL }, "GET", NULL, NULL, 0, 1 };

#define NARROW 10

struct guarded_args {
    const char *prefix;
    unsigned turn; /* which of the names has which options; NARROW: as 0, for short bodies */
};
GY_ACTOR(guarded);
struct guarded {
    struct gy_actor actor;
};
static unsigned entered;
GY_ACTOR_TYPE(guarded, guarded_start, guarded_stop);
GY_HTTP(guarded, guarded_who);
GY_HTTP(guarded, guarded_cors);
GY_HTTP(guarded, guarded_any);

static int guarded_start(struct guarded *self, const struct guarded_args *args)
{
    static const struct gy_http_route_options options[] = {
        { .size = sizeof(options[0]), .realm = &realm },
        { .size = sizeof(options[0]), .realm = &realm, .authorize = only_ann },
        { .size = sizeof(options[0]), .realm = &nobody },
        { .size = sizeof(options[0]), .realm = &strange },
        { .size = sizeof(options[0]), .authorize = only_ann },
    };
    static const struct gy_http_route_options elsewhere[] = {
        { .size = sizeof(options[0]), .realm = &asking, .authorize = only_ann },
        { .size = sizeof(options[0]), .realm = &telling },
    };
    static const struct gy_http_route_options bodies[] = {
        { .size = sizeof(options[0]), .realm = &asking, .stream = 1 },
        { .size = sizeof(options[0]), .realm = &nobody },
    };
    static const struct gy_http_route_options narrow[] = {
        { .size = sizeof(options[0]), .realm = &asking, .stream = 1, .body_max = 4 },
        { .size = sizeof(options[0]), .realm = &nobody, .body_max = 4 },
    };
    static const char *const names[] = { "realm", "ann", "open", "odd", "nobody" };
    char route[64];
    int err = 0;

    for (unsigned i = 0; i < 2 && err == 0 && args->turn == 0; i++) {
        snprintf(route, sizeof(route), "%s/%s", args->prefix, i == 0 ? "asks" : "tells");
        err = gy_http_route_with(self, route, guarded_who, &elsewhere[i]);
    }
    for (unsigned i = 0; i < 2 && err == 0; i++) {
        snprintf(route, sizeof(route), "%s/body%u", args->prefix, i);
        err = gy_http_route_with(self, route, guarded_who,
                                 args->turn == NARROW ? &narrow[i] : &bodies[(i + args->turn) % 2]);
    }
    for (unsigned i = 0; i < 5 && err == 0; i++) {
        snprintf(route, sizeof(route), "%s/%s", args->prefix, names[(i + args->turn) % 5]);
        err = gy_http_route_with(self, route, guarded_who, &options[i]);
    }
    snprintf(route, sizeof(route), "%s/cors", args->prefix);
    if (err == 0)
        err = gy_http_route(self, route, guarded_cors);
    snprintf(route, sizeof(route), "%s/any", args->prefix);
    return err < 0 ? err : gy_http_route(self, route, guarded_any);
}

static void guarded_stop(struct guarded *self, int why)
{
    (void)self, (void)why;
}

static void guarded_who(struct guarded *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    entered++;
    gy_http_replyf(reply, 200, "%u %.*s", gy_shard(), (int)req->principal.len,
                   req->principal.len > 0 ? req->principal.ptr : "");
}

static void answer_cors(const struct gy_http_req *req, gy_http_promise reply, const struct gy_http_cors *rule)
{
    struct gy_http_res res;

    if (gy_slice_equal(req->method, "OPTIONS")) {
        gy_http_preflight(reply, req, rule);
        return;
    }
    gy_http_begin(&res, 200);
    (void)gy_http_set_cors(&res, req, rule);
    gy_http_end(&res, reply, "x", 1);
}

static void guarded_cors(struct guarded *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    answer_cors(req, reply, &cors);
}

static void guarded_any(struct guarded *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    answer_cors(req, reply, &any);
}

static struct world world;

static int boot(unsigned shard, void *arg)
{
    guarded_pid pid;
    int err = gy_http_listen(&((struct world *)arg)->http);

    if (err == 0 && shard == 0)
        err = oracle_spawn(&oracle_at, &(struct oracle_args){ 0 });
    return err < 0 ? err : guarded_spawn(&pid, &(struct guarded_args){ shard == 0 ? "/far" : "/near", 0 });
}

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    entered = 0;
    memset(&held, 0, sizeof(held));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

static const char *ask(struct peer_conn *c, const char *method, const char *path, const char *headers, int status,
                       const char *body)
{
    char text[2048];

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, headers);
    world_text(&world, c, text);
    return world_expect(&world, c, status, body);
}

static void test_realms(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (unsigned i = 0; i < 2; i++) {
        const char *ann = i == 0 ? "1 ann" : "0 ann";
        char path[5][32];
        static const char *const names[] = { "realm", "ann", "open", "odd", "nobody" };
        for (unsigned k = 0; k < 5; k++)
            snprintf(path[k], sizeof(path[k]), "/%s/%s", i == 0 ? "near" : "far", names[k]);
        entered = 0;
        assert_non_null(strstr(ask(c, "GET", path[0], "", 401, NULL),
                               "\r\nWWW-Authenticate: Basic realm=\"the realm\"\r\n"));
        ask(c, "GET", path[0], "Authorization: Basic YW5uOndyb25n\r\n", 401, NULL);
        assert_int_equal(entered, 0);
        ask(c, "GET", path[0], ANN, 200, ann);
        ask(c, "GET", path[0], BOB, 200, i == 0 ? "1 bob" : "0 bob");
        ask(c, "GET", path[1], ANN, 200, ann);
        assert_null(strstr(ask(c, "GET", path[1], BOB, 403, NULL), "WWW-Authenticate"));
        ask(c, "GET", path[1], "", 401, NULL);
        ask(c, "GET", path[2], "", 200, i == 0 ? "1 " : "0 ");
        ask(c, "GET", path[3], "X-How: forbidden\r\n", 403, NULL);
        ask(c, "GET", path[3], "X-How: late\r\n", 504, NULL);
        assert_non_null(strstr(ask(c, "GET", path[3], "", 401, NULL), "WWW-Authenticate: Bearer realm=\"strange\"\r\n"));
        assert_non_null(strstr(ask(c, "GET", path[3], "Authorization: bearer x.y.z\r\n", 401, NULL),
                               "WWW-Authenticate: Bearer realm=\"strange\", error=\"invalid_token\"\r\n"));
        assert_non_null(strstr(ask(c, "GET", path[3], "Authorization: Basic eA==\r\n", 401, NULL),
                               "WWW-Authenticate: Bearer realm=\"strange\"\r\n"));
        ask(c, "GET", path[4], ANN, 403, NULL); /* there is no realm to be ann in */
        assert_int_equal(entered, 4);
    }
    assert_false(c->closed);
}

/* So often that the head is known, and so where it leads. */
static void ask_again(struct peer_conn *c, const char *path, const char *headers, int status)
{
    for (unsigned i = 0; i < 20; i++)
        ask(c, "GET", path, headers, status, NULL);
}

/* That a head is known, to its connection or to all, does not mean that who sends it may ask again. */
static void test_known_heads_are_judged_each_time(void **state)
{
    static const int moods[] = { 0, -EPERM, 0, -EACCES, 0 };
    struct peer_conn *c;
    guarded_pid pid;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (unsigned i = 0; i < 5; i++) {
        mood = moods[i];
        ask_again(c, "/near/odd", "X-How: moody\r\n", mood == 0 ? 200 : mood == -EPERM ? 403 : 401);
        ask_again(world_connect(&world, 1), "/near/odd", "X-How: moody\r\n",
                  mood == 0 ? 200 : mood == -EPERM ? 403 : 401);
    }
    mood = 0;
    assert_int_equal(entered, 3 * 40);
    ask_again(c, "/near/realm", ANN, 200);
    ask_again(c, "/near/realm", BOB, 200);
    ask_again(c, "/near/ann", BOB, 403);
    ask_again(c, "/near/ann", ANN, 200);
    ask_again(c, "/near/realm", "", 401);
    /* What was open is now another's, and ann's only. */
    ask_again(c, "/far/open", "", 200);
    entered = 0;
    fake_enter(&world.fake, 1);
    assert_int_equal(guarded_spawn(&pid, &(struct guarded_args){ "/far", 1 }), 0);
    fake_leave();
    world_settle(&world);
    ask_again(c, "/far/open", "", 401);
    ask_again(world_connect(&world, 1), "/far/open", "", 401);
    assert_int_equal(entered, 0);
    /* Who must be asked is asked each time. */
    for (unsigned i = 0; i < HELD_MAX; i++) {
        world_text(&world, c, "GET /near/asks HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\n\r\n");
        assert_int_equal(held.count, i + 1);
        world_expect_nothing(c);
        fake_enter(&world.fake, 0);
        assert_int_equal(oracle_say(oracle_at, (struct oracle_say_msg){ i, i % 2 == 0 ? 0 : -EPERM, 0 }), 0);
        fake_leave();
        world_settle(&world);
        world_expect(&world, c, i % 2 == 0 ? 200 : 403, NULL);
    }
}

/* While somebody is asked whom it is from, other heads take the place of this one. */
static void test_a_known_head_waits(void **state)
{
    static const char head[] = "GET /near/asks HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\n\r\n";
    struct peer_conn *c, *other;
    char path[32];

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    other = world_connect(&world, 1);
    for (unsigned i = 0; i < 12; i++) {
        world_text(&world, c, head);
        if (i == 11)
            for (unsigned k = 0; k < 500; k++) {
                snprintf(path, sizeof(path), "/near/open/%u", k);
                ask_again(other, path, "", 200);
            }
        fake_enter(&world.fake, 0);
        assert_int_equal(oracle_say(oracle_at, (struct oracle_say_msg){ i, 0, 0 }), 0);
        fake_leave();
        world_settle(&world);
        world_expect(&world, c, 200, "1 ann");
    }
}

/* In order with others, and before a body is read. */
static void test_order_and_bodies(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    world_text(&world, c, "GET /far/realm HTTP/1.1\r\nHost: h\r\n" ANN "\r\nGET /near/realm HTTP/1.1\r\nHost: h\r\n\r\n"
                          "GET /near/open HTTP/1.1\r\nHost: h\r\n\r\n");
    world_expect(&world, c, 200, "0 ann");
    world_expect(&world, c, 401, NULL);
    world_expect(&world, c, 200, "1 ");
    ask(c, "POST", "/near/realm", ANN "Content-Length: 2\r\nExpect: 100-continue\r\n", 100, NULL);
    world_text(&world, c, "ab");
    world_expect(&world, c, 200, "1 ann");
    assert_non_null(strstr(ask(c, "POST", "/near/realm", "Content-Length: 100000\r\n", 401, NULL), "WWW-Authenticate"));
    assert_true(c->half_closed);
}

/* Between head and body the path becomes another route's, which asks for more. */
static void test_the_route_changes(void **state)
{
    struct peer_conn *c, *ann, *open;
    guarded_pid pid;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    ann = world_connect(&world, 1);
    open = world_connect(&world, 1);
    world_text(&world, c, "POST /far/open HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
    world_text(&world, ann, "POST /far/realm HTTP/1.1\r\nHost: h\r\n" BOB "Content-Length: 2\r\n\r\na");
    world_text(&world, open, "POST /far/nobody HTTP/1.1\r\nHost: h\r\n" ANN "Content-Length: 2\r\n\r\na");
    world_expect(&world, open, 403, NULL);
    open = world_connect(&world, 1);
    world_text(&world, open, "POST /far/ann HTTP/1.1\r\nHost: h\r\n" ANN "Content-Length: 2\r\n\r\na");
    /* An actor of the accepting shard comes before one elsewhere. */
    fake_enter(&world.fake, 1);
    assert_int_equal(guarded_spawn(&pid, &(struct guarded_args){ "/far", 2 }), 0);
    fake_leave();
    world_settle(&world);
    world_text(&world, c, "b"); /* now of the realm */
    world_expect(&world, c, 401, NULL);
    world_text(&world, ann, "b"); /* now of the strange one */
    world_expect(&world, ann, 401, NULL);
    world_text(&world, open, "b"); /* now only for ann, without a realm: it is forgotten who she is */
    world_expect(&world, open, 403, NULL);
    assert_int_equal(entered, 0);
}

static void say(uint32_t which, int res, uint32_t number)
{
    fake_enter(&world.fake, 0);
    assert_int_equal(oracle_say(oracle_at, (struct oracle_say_msg){ which, res, number }), 0);
    fake_leave();
    world_settle(&world);
}

static bool is_discarded(unsigned which)
{
    bool discarded;

    fake_enter(&world.fake, 0);
    discarded = gy_discarded(held.promise[which].promise);
    fake_leave();
    return discarded;
}

#define WHO(path, who) "GET " path " HTTP/1.1\r\nHost: h\r\nX-Who: " who "\r\n\r\n"

/* Answers stay in the order of requests, whenever it is known from whom those are. */
static void test_asked_elsewhere(void **state)
{
    struct peer_conn *c;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    world_text(&world, c, WHO("/near/asks", "ann") WHO("/far/tells", "bob") WHO("/near/open", "eve")
                              WHO("/near/tells", "root") WHO("/near/asks", "eve"));
    assert_int_equal(held.count, 3);
    world_expect_nothing(c);
    say(1, 0, 7);
    assert_int_equal(entered, 3); /* open, root's and bob's */
    say(2, 0, 0);
    world_expect_nothing(c);
    say(0, 0, 0);
    world_expect(&world, c, 200, "1 ann");
    world_expect(&world, c, 200, "0 bob 7");
    world_expect(&world, c, 200, "1 ");
    world_expect(&world, c, 200, "1 root");
    world_expect(&world, c, 403, NULL); /* she is who she says, and no ann */
    assert_non_null(strstr(ask(c, "GET", "/near/asks", "", 401, NULL), "WWW-Authenticate: Who realm=\"asks\"\r\n"));
    assert_int_equal(held.count, 3);
    world_text(&world, c, "GET /far/tells HTTP/1.1\r\nHost: h\r\nX-Who:\r\n\r\n");
    say(3, 0, 8); /* whom ask did not know at all */
    world_expect(&world, c, 200, "0  8");
}

static void test_asked_in_vain(void **state)
{
    static const struct {
        int res;
        uint32_t number;
        int status;
    } rows[] = {
        { -EACCES, 0, 401 }, { -EPERM, 0, 403 }, { 0, 0, 403 }, { -EIO, 0, 502 }, { -EAGAIN, 0, 503 }, { -ETIMEDOUT, 0, 504 },
    };
    struct peer_conn *c;
    unsigned n = 0;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (; n < sizeof(rows) / sizeof(rows[0]); n++) {
        world_text(&world, c, WHO("/near/tells", "ann"));
        say(n, rows[n].res, rows[n].number);
        world_expect(&world, c, rows[n].status, NULL);
    }
    world_text(&world, c, WHO("/near/tells", "ann"));
    say(HELD_MAX, 0, 0);
    world_expect(&world, c, 500, NULL);
    world_text(&world, c, WHO("/near/tells", "ann")); /* there is nobody to be asked */
    world_expect(&world, c, 500, NULL);
    assert_int_equal(entered, 0);
}

static void test_asked_too_long(void **state)
{
    struct peer_conn *c, *leaves;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    leaves = world_connect(&world, 1);
    world_text(&world, c, WHO("/near/asks", "ann"));
    world_text(&world, leaves, WHO("/near/asks", "ann"));
    assert_false(is_discarded(1));
    world_reset(&world, leaves);
    assert_true(is_discarded(1));
    world_advance(&world, 29 * GY_S);
    world_expect_nothing(c);
    world_advance(&world, 2 * GY_S);
    world_expect(&world, c, 503, NULL);
    assert_true(is_discarded(0));
    say(0, 0, 0); /* too late */
    world_expect_nothing(c);
    world_text(&world, c, WHO("/near/open", "ann"));
    world_expect(&world, c, 200, "1 ");
    assert_int_equal(entered, 1);
    /* Its own limit is shorter. */
    world_text(&world, c, WHO("/near/asks", "hasty"));
    world_advance(&world, GY_S - GY_MS);
    world_expect_nothing(c);
    world_advance(&world, 2 * GY_MS);
    world_expect(&world, c, 504, NULL);
    assert_int_equal(entered, 1);
}

/* A body is there when it is asked; and the path may be another's when that is answered. */
static void test_asked_behind_a_body(void **state)
{
    struct peer_conn *c;
    guarded_pid pid;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    world_text(&world, c, "POST /near/asks HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(held.count, 0);
    world_text(&world, c, "ab");
    assert_int_equal(held.count, 1);
    world_text(&world, c, WHO("/far/tells", "bob"));
    say(0, 0, 0);
    world_expect(&world, c, 200, "1 ann");
    assert_int_equal(held.count, 2);
    fake_enter(&world.fake, 1);
    assert_int_equal(guarded_spawn(&pid, &(struct guarded_args){ "/far", 2 }), 0);
    fake_leave();
    world_settle(&world);
    say(1, 0, 9); /* its route is as it was: only other paths are new */
    world_expect(&world, c, 200, "0 bob 9");
}

/* A handler gets no body in pieces that it takes for none, nor a whole one that it would not read. */
static void test_the_route_reads_otherwise(void **state)
{
    struct peer_conn *pieces, *whole, *none;
    guarded_pid pid;

    (void)state;
    world_open(&world, 2, boot);
    pieces = world_connect(&world, 1);
    whole = world_connect(&world, 1);
    none = world_connect(&world, 1);
    world_text(&world, pieces, "POST /far/body0 HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\nContent-Length: 2\r\n\r\na");
    world_text(&world, whole, "POST /far/body1 HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\nContent-Length: 2\r\n\r\na");
    assert_int_equal(held.count, 1);
    fake_enter(&world.fake, 1);
    assert_int_equal(guarded_spawn(&pid, &(struct guarded_args){ "/far", 1 }), 0);
    fake_leave();
    world_settle(&world);
    say(0, 0, 0);
    world_expect(&world, pieces, 503, NULL);
    world_text(&world, whole, "b");
    assert_int_equal(held.count, 2);
    say(1, 0, 0);
    world_expect(&world, whole, 503, NULL);
    assert_int_equal(entered, 0);
    world_text(&world, none, WHO("/far/body1", "ann"));
    say(2, 0, 0);
    world_expect(&world, none, 200, "1 ann");
    world_text(&world, none, "POST /far/body0 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    world_expect(&world, none, 200, "1 ");
}

/* Nor one that is longer than its route takes, whatever the one before took. */
static void test_the_route_takes_less(void **state)
{
#define BODY(path, length, body) "POST " path " HTTP/1.1\r\nHost: h\r\nX-Who: ann\r\n" length "\r\n\r\n" body
    static const struct {
        const char *before, *behind;
        int status;
        bool asks;
    } rows[] = {
        { BODY("/far/body0", "Content-Length: 5", "a"), "", 413, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "5\r\nabcde\r\n"), "", 413, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "5\r\nabcde\r\n0\r\n\r\n"), "", 413, true },
        { BODY("/far/body0", "Content-Length: 4", "a"), "", 200, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "4\r\nabcd\r\n"), "", 200, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "5\r\nab"), "cde\r\n", 413, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "1\r\na\r\n4\r\n"), "bcde\r\n", 413, true },
        { BODY("/far/body0", "Transfer-Encoding: chunked", "4\r\nab"), "cd\r\n0\r\n\r\n", 200, true },
        { BODY("/far/body1", "Content-Length: 5", "a"), "bcde", 413, false },
        { BODY("/far/body1", "Transfer-Encoding: chunked", "4\r\nabcd\r\n"), "1\r\ne\r\n0\r\n\r\n", 413, false },
        { BODY("/far/body1", "Content-Length: 4", "a"), "bcd", 200, false },
    };
    guarded_pid pid;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct peer_conn *c;

        world_open(&world, 2, boot);
        c = world_connect(&world, 1);
        world_text(&world, c, rows[i].before);
        assert_int_equal(held.count, rows[i].asks ? 1 : 0);
        fake_enter(&world.fake, 1);
        assert_int_equal(guarded_spawn(&pid, &(struct guarded_args){ "/far", NARROW }), 0);
        fake_leave();
        world_settle(&world);
        world_expect_nothing(c);
        if (rows[i].asks) {
            say(0, 0, 0);
            say(1, 0, 0); /* by the new route once more */
        }
        if (rows[i].behind[0] != '\0')
            world_text(&world, c, rows[i].behind);
        assert_int_equal(entered, rows[i].status == 200);
        world_expect(&world, c, rows[i].status, NULL);
        world_close(&world);
        setup(state);
    }
    world_open(&world, 1, boot);
}

static void test_realms_that_make_no_sense(void **state)
{
    static const struct gy_http_realm both = { .name = "x", .challenge = "X", .authenticate = gy_http_basic, .ask = asks };
    static const struct gy_http_realm tells = { .name = "x", .challenge = "X", .told = told };
    static const struct gy_http_route_options options[] = { { .size = sizeof(options[0]), .realm = &both },
                                                            { .size = sizeof(options[0]), .realm = &tells } };
    struct gy_actor *self;

    (void)state;
    world_open(&world, 1, boot);
    fake_enter(&world.fake, 0);
    self = &gy__http_here()->actor;
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy_http_route_with_raw(self, "/x", &guarded_who_verb, &options[i]), -EINVAL);
    fake_leave();
}

static void test_firewall(void **state)
{
    static const char *const disabled[] = { "/near/open", "/help", NULL };
    static struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct peer_conn *c;

    (void)state;
    access.disabled = disabled;
    access.builtins = &realm;
    world.http.access = &access;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    ask(c, "GET", "/near/open", "", 403, "This path is disabled\n");
    ask(c, "GET", "/n%65ar/open/x", "", 403, NULL);
    ask(c, "GET", "/help", "", 403, NULL);
    ask(c, "GET", "/far/open", "", 200, NULL);
    ask(c, "GET", "/nothing", "", 404, NULL);
    ask(c, "GET", "/metrics", "", 401, NULL);
    ask(c, "GET", "/metrics", BOB, 200, NULL);
    ask(c, "GET", "/health", "", 200, NULL);
}

static void test_rate(void **state)
{
    static struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct peer_conn *c, *other;

    (void)state;
    access.peer_requests_per_s = 10;
    access.peer_burst = 3;
    access.peer_connections_max = 2;
    world.http.access = &access;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    other = world_connect(&world, 1); /* of the same address */
    ask(c, "GET", "/near/open", "", 200, NULL);
    ask(other, "GET", "/near/open", "", 200, NULL);
    ask(c, "GET", "/nothing", "", 404, NULL);
    assert_non_null(strstr(ask(c, "GET", "/near/open", "", 429, NULL), "\r\nRetry-After: 1\r\n"));
    world_advance(&world, 150 * GY_MS);
    ask(other, "GET", "/near/open", "", 200, NULL);
    ask(c, "GET", "/near/open", "", 429, NULL);
    assert_true(world_connect(&world, 1)->closed); /* the third */
    world_fin(&world, other);
    assert_false(world_connect(&world, 1)->closed);
    fake_enter(&world.fake, 1);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_REFUSED_PEER_RATE], 2);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_REFUSED_PEER_CONNECTIONS], 1);
    fake_leave();
}

/* What is known costs its token, too. */
static void test_rate_of_known(void **state)
{
    static struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct peer_conn *c;

    (void)state;
    access.peer_requests_per_s = 10;
    access.peer_burst = 30;
    world.http.access = &access;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    for (unsigned i = 0; i < 40; i++)
        ask(c, "GET", "/near/open", "", i < 30 ? 200 : 429, NULL);
    world_advance(&world, 150 * GY_MS);
    ask(c, "GET", "/near/open", "", 200, NULL);
    assert_non_null(strstr(ask(c, "GET", "/near/open", "", 429, NULL), "\r\nRetry-After: 1\r\n"));
    /* What comes in its place leads elsewhere, and is told nothing of that. */
    world_advance(&world, 150 * GY_MS);
    assert_null(strstr(ask(c, "GET", "/nothing", "", 404, NULL), "Retry-After"));
}

/* Who guesses passwords with a body, and on a new connection each time, is not spared. */
static void test_rate_of_refused(void **state)
{
    static struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.peer_requests_per_s = 10;
    access.peer_burst = 3;
    world.http.access = &access;
    world_open(&world, 2, boot);
    for (unsigned i = 0; i < 5; i++) {
        struct peer_conn *c = world_connect(&world, 1);
        const char *head = ask(c, "POST", "/near/realm", "Content-Length: 9\r\n", i < 3 ? 401 : 429, NULL);

        assert_int_equal(strstr(head, "\r\nRetry-After: 1\r\n") != NULL, i >= 3);
    }
    world_advance(&world, 100 * GY_MS);
    /* One that is let in counts once. */
    world_text(&world, world_connect(&world, 1),
               "POST /near/realm HTTP/1.1\r\nHost: h\r\n" ANN "Content-Length: 2\r\n\r\nab");
    fake_enter(&world.fake, 1);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_REFUSED_PEER_RATE], 2);
    fake_leave();
}

static void test_networks(void **state)
{
    static const char *const none[] = { "203.0.113.0/24", NULL };
    static struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.allow = none;
    world.http.access = &access;
    world_open(&world, 2, boot);
    assert_true(world_connect(&world, 1)->closed);
    fake_enter(&world.fake, 1);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_REFUSED_PEER], 1);
    assert_int_equal(gy__http_here()->env.stats.value[GY__HTTP_OPEN], 0);
    fake_leave();
}

static void test_cors(void **state)
{
    struct peer_conn *c;
    const char *head;

    (void)state;
    world_open(&world, 2, boot);
    c = world_connect(&world, 1);
    head = ask(c, "GET", "/near/cors", "Origin: http://b\r\n", 200, "x");
    assert_non_null(strstr(head, "\r\nAccess-Control-Allow-Origin: http://b\r\n"));
    assert_non_null(strstr(head, "\r\nAccess-Control-Allow-Credentials: true\r\n"));
    assert_non_null(strstr(head, "\r\nAccess-Control-Expose-Headers: ETag\r\n"));
    assert_non_null(strstr(head, "\r\nVary: Origin\r\n"));
    head = ask(c, "GET", "/near/cors", "Origin: http://b.evil\r\n", 200, "x");
    assert_null(strstr(head, "Access-Control"));
    assert_non_null(strstr(head, "\r\nVary: Origin\r\n"));
    assert_null(strstr(ask(c, "GET", "/near/cors", "", 200, "x"), "Access-Control"));
    head = ask(c, "OPTIONS", "/near/cors", "Origin: http://a\r\nAccess-Control-Request-Method: PUT\r\n", 204, NULL);
    assert_non_null(strstr(head, "\r\nAccess-Control-Allow-Methods: GET, PUT\r\n"));
    assert_non_null(strstr(head, "\r\nAccess-Control-Allow-Headers: Content-Type\r\n"));
    assert_non_null(strstr(head, "\r\nAccess-Control-Max-Age: 600\r\n"));
    head = ask(c, "OPTIONS", "/near/cors", "Origin: null\r\n", 204, NULL);
    assert_null(strstr(head, "Access-Control"));
    head = ask(c, "GET", "/near/any", "Origin: http://b.evil\r\n", 200, "x");
    assert_non_null(strstr(head, "\r\nAccess-Control-Allow-Origin: *\r\n"));
    assert_null(strstr(head, "Credentials"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_realms), T(test_known_heads_are_judged_each_time), T(test_a_known_head_waits), T(test_order_and_bodies), T(test_the_route_changes), T(test_asked_elsewhere),
        T(test_asked_in_vain), T(test_asked_too_long), T(test_asked_behind_a_body), T(test_the_route_reads_otherwise), T(test_the_route_takes_less), T(test_realms_that_make_no_sense), T(test_firewall),
        T(test_rate), T(test_rate_of_known), T(test_rate_of_refused), T(test_networks),         T(test_cors),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
