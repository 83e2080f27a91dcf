/* Actors of one host ask the web service of another over HTTP, by clients with small pools that may
 * pipeline: each question is its own, so that an answer that is another's shows, in its body or its
 * length. Some are redirected, some answers are in the gzip coding, some bodies wait to be asked
 * for (100-continue), some go and come in pieces, by actors that take their time. Some are
 * discarded, some have too little time, some askers end. What must not be sent twice is counted at
 * the server. Each question ends exactly once; then no connection, no request and no buffer is
 * left. */
#include "tests/sim/scenario.h"
#include "tests/sim/asker.h"
#include "gyre/client_stream.h"
#include "gyre/timer.h"
#include "gyre/typed.h"
#include "tests/sim/web.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define QUESTIONS_MAX 200
#define BODY_MAX 20000
#define SHARDS_MAX 2

enum kind { NOW, LATER, ECHO, BIG, MOVED, PACKED, COUNT, CARRY, NEVER, ABANDON, NOWHERE, KINDS };

static struct question {
    enum kind kind;
    uint32_t n;
    unsigned shard; /* of host 1 */
    int call;       /* -1: not asked */
    bool hurried, discarded;
    bool gzip, expects;
    char url[96];
    /* CARRY: what its actor saw. */
    gy_pid carrier;
    bool carried, wrong, stopped;
    unsigned ends;
    int res; /* of its head, or how it ended */
    uint64_t got;
} questions[QUESTIONS_MAX];
static struct gy_http_client_config limits;
static struct gy_http_client_stats stats;
static char filler[BODY_MAX + QUESTIONS_MAX];
static uint32_t question_count, first_shard, shard_count;
static bool killed[SHARDS_MAX];
static bool harsh, impatient; /* the network; the server, which closes what is idle */

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_client_config(&limits);

    return err < 0 ? err : asker_boot(shard, arg);
}

/* ---- actors whose questions and answers come in pieces ----------------------------------- */

struct carrier_args {
    uint32_t question;
};
GY_ACTOR(carrier);
struct carrier {
    struct gy_actor actor;
    struct question *question;
    gy_http_transfer transfer;
    uint64_t sent;
    int status;
};
GY_ACTOR_TYPE(carrier, carrier_start, carrier_stop);
GY_HTTP_RESPONSE(carrier, carrier_head);
GY_HTTP_PIECE(carrier, carrier_piece);
GY_THEN_RES(carrier, carrier_written);
GY_THEN_RES(carrier, carrier_rested);

static const char *body_of(const struct question *question, size_t *len);

static void carrier_over(struct carrier *self, int res)
{
    self->question->ends++;
    self->question->res = res;
    gy_http_transfer_abort(self->transfer);
    gy_fail(&self->actor, 0);
}

static void write_next(struct carrier *self)
{
    size_t len, n = 1 + (self->question->n + self->sent * 13) % 5000;
    const char *body = body_of(self->question, &len);
    struct gy_buf *buf;

    n = n < len - self->sent ? n : len - self->sent;
    if (n == 0) {
        /* -EPIPE: an answer has come before. */
        if (gy_http_transfer_finish(self->transfer) == -ENOMEM)
            carrier_over(self, -ENOMEM);
        return;
    }
    buf = gy_buf_take(n);
    if (buf == NULL) {
        carrier_over(self, -ENOMEM);
        return;
    }
    memcpy(buf->data, body + self->sent, n);
    buf->len = (uint32_t)n;
    self->sent += n;
    (void)gy_then(self, gy_http_transfer_write(self->transfer, buf), carrier_written, 0);
}

/* That it may not write is no end: the answer says why, or the head's future. */
static void carrier_written(struct carrier *self, uint64_t ctx, int res)
{
    (void)ctx;
    if (res == 0)
        write_next(self);
    else if (res == -EAGAIN || res == -ENOMEM)
        carrier_over(self, res);
}

static void carrier_rested(struct carrier *self, uint64_t ctx, int res)
{
    (void)ctx, (void)res;
    (void)gy_then(self, gy_http_transfer_read(self->transfer), carrier_piece, 0);
}

static void carrier_rest(struct carrier *self)
{
    uint64_t rest_ns = self->question->n % 3 * self->question->n % 97 * 10 * GY_US;

    if (rest_ns == 0)
        carrier_rested(self, 0, 0);
    else if (gy_then(self, gy_after(rest_ns), carrier_rested, 0) < 0)
        carrier_over(self, -EAGAIN);
}

static void carrier_head(struct carrier *self, uint64_t ctx, int res,
                         struct gy_http_response *response)
{
    (void)ctx;
    self->status = res;
    if (response == NULL)
        carrier_over(self, res);
    else
        carrier_rest(self);
}

static void carrier_piece(struct carrier *self, uint64_t ctx, int res, struct gy_buf *buf)
{
    struct question *question = self->question;
    size_t len;
    const char *body = body_of(question, &len);

    (void)ctx;
    if (res <= 0) {
        carrier_over(self, res < 0 ? res : self->status);
        return;
    }
    if (self->status == 200)
        question->wrong |= buf->len > len - question->got ||
                           memcmp(buf->data, body + question->got, buf->len) != 0;
    question->got += self->status == 200 ? buf->len : 0;
    gy_buf_release(buf);
    if (question->wrong)
        carrier_over(self, 200);
    else
        carrier_rest(self);
}

static int carrier_start(struct carrier *self, const struct carrier_args *args)
{
    struct question *question = &questions[args->question];
    struct gy_http_ask ask = GY_HTTP_ASK_INIT("POST", question->url);
    uint64_t length = question->n % 2 == 0 ? question->n : GY_HTTP_UNKNOWN;

    self->question = question;
    ask.timeout_ns =
        question->hurried ? 1 + (uint64_t)question->n * 997 % (20 * GY_MS) : 100 * GY_S;
    ask.first_byte_ns = ask.between_ns = ask.connect_ns = 50 * GY_S;
    ask.gzip = question->gzip;
    ask.continue_ns = question->expects ? 1 + (uint64_t)question->n * 31 % (20 * GY_MS) : 0;
    (void)gy_then(self, gy_http_transfer_begin(&ask, length, &self->transfer), carrier_head, 0);
    if (length > 0)
        write_next(self);
    return 0;
}

static void carrier_stop(struct carrier *self, int why)
{
    (void)why;
    self->question->stopped = true;
}

static int carry_run(unsigned shard, void *arg)
{
    struct question *question = arg;
    carrier_pid pid;
    int err = carrier_spawn(&pid, &(struct carrier_args){(uint32_t)(question - questions)});

    (void)shard;
    question->carrier = pid.pid;
    return err;
}

static int stop_carrier(unsigned shard, void *arg)
{
    const struct question *question = arg;

    (void)shard;
    return question->stopped ? 0 : gy_actor_stop_now(question->carrier, 0);
}

static void drop_carrier(void *arg)
{
    const struct question *question = arg;

    (void)gy_sim_run_on(scenario_sim, first_shard + question->shard, stop_carrier, arg);
}

/* ---- questions --------------------------------------------------------------------------- */

static long number_of(const struct question *question)
{
    return (long)(question - questions);
}

/* Every question has another beginning and length. */
static const char *body_of(const struct question *question, size_t *len)
{
    *len = question->n;
    return filler + number_of(question);
}

static void plan(struct question *question)
{
    static const char *const paths[] = {
        [NOW] = "/web/now?id=%u",     [LATER] = "/web/later?id=%u&us=%u",
        [ECHO] = "/web/echo",         [BIG] = "/far/big?n=%u",
        [MOVED] = "/web/moved?id=%u", [PACKED] = "/far/packed?n=%u",
        [COUNT] = "/web/count?id=%u", [CARRY] = "/web/echo",
        [NEVER] = "/web/never",       [ABANDON] = "/web/abandon",
        [NOWHERE] = "/nowhere",
    };
    static const char *const hosts[] = {"10.0.1.1", "[fd00::1]", "server.sim"};
    char path[64];
    unsigned us = (unsigned)pick(30000);

    question->kind = pick(4) != 0 ? (enum kind)pick(CARRY + 1) : (enum kind)pick(KINDS);
    if (pick(4) == 0)
        question->kind = COUNT;
    question->gzip = pick(2) == 0;
    question->expects = pick(4) == 0;
    question->n = question->kind == ECHO || question->kind == BIG || question->kind == PACKED ||
                          question->kind == CARRY
                      ? (uint32_t)pick(pick(2) == 0 ? 100 : BODY_MAX)
                      : (uint32_t)number_of(question) + 1000;
    question->shard = (unsigned)pick(shard_count);
    question->hurried = pick(8) == 0;
    question->discarded = pick(8) == 0;
    question->call = -1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(path, sizeof(path), paths[question->kind], question->n, us);
#pragma GCC diagnostic pop
    snprintf(question->url, sizeof(question->url), "http://%s%s", hosts[pick(3)], path);
}

static int discard_run(unsigned shard, void *arg)
{
    const struct question *question = arg;

    (void)shard;
    if (!killed[question->shard] && asker_calls[question->call].begun)
        asker_discard((unsigned)question->call);
    return 0;
}

static void discard(void *arg)
{
    const struct question *question = arg;

    (void)gy_sim_run_on(scenario_sim, first_shard + question->shard, discard_run, arg);
}

static int ask_run(unsigned shard, void *arg)
{
    struct question *question = arg;
    struct gy_http_ask ask = GY_HTTP_ASK_INIT(
        question->kind == ECHO || question->kind == COUNT ? "POST" : "GET", question->url);

    if (question->kind == ECHO)
        ask.body = body_of(question, &ask.body_len);
    ask.gzip = question->gzip;
    ask.redirects_max = question->kind == MOVED ? 2 : 0;
    ask.continue_ns = question->expects ? 1 + (uint64_t)question->n * 31 % (20 * GY_MS) : 0;
    ask.timeout_ns =
        question->hurried ? 1 + (uint64_t)question->n * 997 % (20 * GY_MS) : 100 * GY_S;
    ask.first_byte_ns = 50 * GY_S;
    ask.between_ns = 50 * GY_S;
    ask.connect_ns = 50 * GY_S;
    return asker_ask(shard, &ask);
}

static void begin(void *arg)
{
    struct question *question = arg;

    if (killed[question->shard])
        return;
    if (question->kind == CARRY) {
        question->carried =
            gy_sim_run_on(scenario_sim, first_shard + question->shard, carry_run, question) == 0;
        if (question->carried && question->discarded)
            gy_sim_at(scenario_sim, 1 + pick(10 * GY_MS), drop_carrier, question);
        return;
    }
    question->call = gy_sim_run_on(scenario_sim, first_shard + question->shard, ask_run, question);
    if (question->call >= 0 && question->discarded)
        gy_sim_at(scenario_sim, 1 + pick(10 * GY_MS), discard, question);
}

static int kill_run(unsigned shard, void *arg)
{
    (void)arg;
    return asker_kill(shard);
}

static void kill_one(void *arg)
{
    unsigned shard = (unsigned)pick(shard_count);

    (void)arg;
    if (gy_sim_run_on(scenario_sim, first_shard + shard, kill_run, NULL) == 0)
        killed[shard] = true;
}

/* ---- what is right ----------------------------------------------------------------------- */

static bool is_over(const struct question *question)
{
    if (question->kind == CARRY)
        return !question->carried || question->stopped || question->ends > 0;
    return killed[question->shard] || question->call < 0 || asker_calls[question->call].ends > 0;
}

static bool all_over(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < question_count; i++)
        if (!is_over(&questions[i]))
            return false;
    return true;
}

static uint64_t hash_of(const struct question *question, size_t *len)
{
    static char bytes[WEB_BIG_MAX];
    char text[16];

    switch (question->kind) {
    case ECHO:
        return asker_hash(body_of(question, len), question->n);
    case BIG:
    case PACKED:
        *len = question->n;
        for (size_t i = 0; i < *len; i++)
            bytes[i] = (char)web_big_byte(i);
        return asker_hash(bytes, *len);
    default:
        *len = (size_t)snprintf(text, sizeof(text), "%u", question->n);
        return asker_hash(text, *len);
    }
}

static bool is_excused(int res)
{
    return res == 503 || res == 408 || res == -EAGAIN || res == -ENOMEM ||
           (res == -ECONNRESET && impatient);
}

static void check_carried(const struct question *question)
{
    scenario_check(!question->wrong, "question %ld got another's bytes", number_of(question));
    scenario_check(question->ends <= 1, "question %ld ended %u times", number_of(question),
                   question->ends);
    if (!question->carried || (question->stopped && question->ends == 0))
        return; /* it was stopped */
    scenario_check(question->ends == 1, "question %ld did not end", number_of(question));
    if (question->res == 200)
        scenario_check(question->got == question->n, "question %ld got %llu bytes of %u",
                       number_of(question), (unsigned long long)question->got, question->n);
    else if (question->res == -ETIMEDOUT)
        scenario_check(question->hurried || harsh, "question %ld ran out of time",
                       number_of(question));
    else if (!harsh)
        scenario_check(is_excused(question->res), "question %ld ended with %d", number_of(question),
                       question->res);
}

static void check(const struct question *question)
{
    const struct asker_call *call = question->call >= 0 ? &asker_calls[question->call] : NULL;
    size_t len;
    uint64_t hash;

    if (question->kind == CARRY) {
        check_carried(question);
        return;
    }
    if (question->kind == COUNT)
        scenario_check(web_counted[question->n] <= 1, "question %ld was asked %u times",
                       number_of(question), web_counted[question->n]);
    if (call == NULL || killed[question->shard]) {
        scenario_check(call == NULL || call->ends <= 1, "question %ld ended %u times",
                       number_of(question), call == NULL ? 0 : call->ends);
        return;
    }
    scenario_check(call->ends == 1, "question %ld ended %u times", number_of(question), call->ends);
    if (call->res == 200) {
        scenario_check(question->kind < CARRY, "question %ld was answered", number_of(question));
        hash = hash_of(question, &len);
        scenario_check(call->body_len == len && call->body_hash == hash,
                       "question %ld got another's answer: %u bytes, %.20s", number_of(question),
                       call->body_len, call->body);
    } else if (call->res == -ECANCELED) {
        scenario_check(question->discarded, "question %ld was discarded by nobody",
                       number_of(question));
    } else if (call->res == -ETIMEDOUT) {
        scenario_check(question->hurried || harsh, "question %ld ran out of time",
                       number_of(question));
    } else if (call->res == 404) {
        scenario_check(question->kind == NOWHERE, "question %ld got 404", number_of(question));
    } else if (!harsh) {
        /* The server or the client had no room, or no time. */
        scenario_check(is_excused(call->res) || (question->kind == ABANDON && call->res == 500),
                       "question %ld ended with %d", number_of(question), call->res);
    }
}

static int look(unsigned shard, void *arg)
{
    struct gy_http_client_stats one;

    (void)shard, (void)arg;
    gy_http_client_stats(&one);
    stats.requests += one.requests;
    stats.reused += one.reused;
    stats.retried += one.retried;
    stats.pipelined += one.pipelined;
    stats.redirected += one.redirected;
    stats.open += one.open;
    stats.idle += one.idle;
    stats.busy += one.busy;
    stats.waiting += one.waiting;
    return 0;
}

static void look_at_all(void)
{
    memset(&stats, 0, sizeof(stats));
    for (unsigned i = 0; i < shard_count; i++)
        (void)gy_sim_run_on(scenario_sim, first_shard + i, look, NULL);
}

/* ---- the run ----------------------------------------------------------------------------- */

static void sizes(struct gy_sim_config *config, struct gy_http_config *http)
{
    uint64_t seed = config->seed;

    *http = (struct gy_http_config)GY_HTTP_CONFIG_INIT("0.0.0.0:80");
    http->requests_max = seed % 3 == 0 ? 3 : 0;
    http->answer_timeout_ns = 5 * GY_S;
    impatient = seed % 5 == 0;
    http->idle_timeout_ns = impatient ? 20 * GY_MS : 30 * GY_S;
    limits = (struct gy_http_client_config)GY_HTTP_CLIENT_CONFIG_INIT;
    limits.host_max = 1 + (uint32_t)(seed % 4);
    limits.connections_max = 1 + (uint32_t)(seed % 6);
    limits.pipeline_max = 1 + (uint32_t)(seed / 2 % 5);
    limits.queue_max = seed % 7 == 0 ? 4 : 1000;
    limits.idle_timeout_ns = seed % 2 == 0 ? 10 * GY_MS : 20 * GY_S;
    config->shards = 1 + (uint32_t)(seed % 2);
    config->runtime.mailbox = 64;
    config->runtime.futures = 1024;
    if (config->runtime.ring_cells < 32)
        config->runtime.ring_cells = 32;
    config->faults.connect_lost_ppm = 0;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    if (harsh && seed % 8 == 5) /* connections that end while a request is answered */
        config->faults.reset_ppm = 60000;
    if (config->link.latency_ns > 5 * (uint64_t)GY_MS)
        config->link.latency_ns = 5 * (uint64_t)GY_MS;
}

static uint64_t run(struct gy_sim_config *config)
{
    static const char *const addrs[] = {"10.0.1.1", "fd00::1"};
    static struct gy_http_config http;

    memset(questions, 0, sizeof(questions));
    memset(killed, 0, sizeof(killed));
    memset(web_counted, 0, sizeof(web_counted));
    asker_reset();
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (char)('A' + i * 7 % 26 + i / 26 % 5 + i / 700 % 7);
    harsh = config->seed % 4 == 1;
    sizes(config, &http);
    first_shard = config->shards;
    shard_count = 1 + (uint32_t)(config->seed % SHARDS_MAX);
    question_count = 1 + (uint32_t)(config->seed % QUESTIONS_MAX);
    if (!scenario_open(config, web_boot, &http))
        return 0;
    if (gy_sim_add_host(scenario_sim, NULL, shard_count, boot, NULL) < 0)
        return scenario_close(); /* memory may fail as the faults want it */
    gy_sim_name(scenario_sim, "server.sim", addrs, 2, 1, GY_MS);
    for (uint32_t i = 0; i < question_count; i++) {
        plan(&questions[i]);
        gy_sim_at(scenario_sim, pick(200 * GY_MS), begin, &questions[i]);
    }
    if (config->seed % 3 == 0)
        gy_sim_at(scenario_sim, pick(200 * GY_MS), kill_one, NULL);
    gy_sim_advance(scenario_sim, 300 * GY_MS);
    scenario_check(gy_sim_until(scenario_sim, all_over, NULL, 300 * GY_S),
                   "questions wait for ever");
    gy_sim_heal(scenario_sim);
    gy_sim_advance(scenario_sim, 60 * GY_S);
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < question_count; i++)
        check(&questions[i]);
    look_at_all();
    scenario_check(stats.busy == 0 && stats.waiting == 0 && stats.open == 0,
                   "%u requests, %u that wait, %u connections are left", stats.busy, stats.waiting,
                   stats.open);
    scenario_add("requests of clients", stats.requests);
    scenario_add("requests on kept connections", stats.reused);
    scenario_add("requests sent again", stats.retried);
    scenario_add("requests pipelined", stats.pipelined);
    scenario_add("redirects", stats.redirected);
    return scenario_close();
}

const struct scenario scenario_fetch = {"fetch", "actors that ask another host over HTTP", run};
