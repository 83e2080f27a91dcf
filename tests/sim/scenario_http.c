/* HTTP clients of all tempers. Honest ones ask, one by one or many at once, whole or byte by byte,
 * and hold the server to its word: each request gets one answer, in order, and the right one; one
 * that the server will not answer it refuses with Connection: close. Hostile ones send garbage, too
 * much, too little or too slowly, do not read, vanish, reset at any byte: they get their status or
 * are dropped, in time. In some runs the service drains meanwhile: what was begun before is answered.
 * At the end nothing is left of anybody. */
#include "tests/sim/scenario.h"
#include "tests/sim/http_client.h"
#include "tests/sim/web.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 12
#define REQUESTS_MAX 12
#define BODY_MAX 8192u  /* of the server's configuration */
#define TEXT_MAX 80000u /* of one request */

enum kind { NOW, LATER, ECHO, ECHO_CHUNKED, ECHO_EXPECTS, ECHO_TOO_BIG, NEVER, ABANDON, BIG, HEAD,
            NO_ROUTE, NO_METHOD, KINDS };
enum temper {
    HONEST,
    GARBAGE,
    LONG_LINE,
    LONG_HEAD,
    HALF_A_REQUEST, /* then the end */
    SLOW_HEAD,      /* then nothing more */
    SILENT,
    RESETS,
    VANISHES,
    READS_NOTHING,
    TEMPERS
};

struct request {
    enum kind kind;
    uint32_t id;
    uint32_t n;       /* bytes of body, of what is big, or us */
    bool begun;       /* its first bytes are queued */
    bool body_waits;  /* for 100 Continue */
    bool says_close;
};
static struct client {
    struct gy_sim_conn *conn;
    enum temper temper;
    struct request requests[REQUESTS_MAX];
    uint32_t count, sent, answered;
    uint32_t at_once; /* requests under way */
    bool told_close;  /* the server said it */
    bool begun, over;
    bool unread;
    bool slow; /* writes slowly: its requests may take too long */
    int last_status;
    uint32_t reset_at; /* bytes sent */
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool draining, harsh, limited, slow_world;
static uint8_t filler[TEXT_MAX];

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}
static long number_of(const struct client *client)
{
    return (long)(client - clients);
}

/* ---- what honest clients ask ---- */

static void request_plan(struct request *request, uint32_t id)
{
    request->kind = (enum kind)pick(KINDS);
    request->id = id;
    request->n = 1 + (uint32_t)pick(300);
    switch (request->kind) {
    case LATER:
        request->n = UINT32_C(1) << pick(18);
        break;
    case ECHO:
    case ECHO_CHUNKED:
    case ECHO_EXPECTS:
        if (pick(3) == 0)
            request->n = 1 + (uint32_t)pick(BODY_MAX);
        break;
    case ECHO_TOO_BIG:
        request->n = BODY_MAX + 1 + (uint32_t)pick(BODY_MAX);
        break;
    case BIG:
        request->n = (uint32_t)pick(WEB_BIG_MAX);
        break;
    case NEVER:
        if (pick(4) != 0)
            request->kind = NOW;
        break;
    default:
        break;
    }
}

static const uint8_t *body_of(const struct request *request)
{
    return filler + request->id % 1000;
}

static void send_text(struct client *client, const char *text)
{
    gy_sim_send(client->conn, text, strlen(text));
}

static void send_chunked(struct client *client, const struct request *request)
{
    char line[32];

    for (uint32_t sent = 0, n; sent < request->n; sent += n) {
        n = 1 + (uint32_t)pick(request->n - sent);
        snprintf(line, sizeof(line), "%x\r\n", n);
        send_text(client, line);
        gy_sim_send(client->conn, body_of(request) + sent, n);
        send_text(client, "\r\n");
    }
    send_text(client, "0\r\n\r\n");
}

static void request_send(struct client *client, struct request *request)
{
    static const char *const paths[KINDS] = {
        [NOW] = "GET /%s/now?id=%u",          [LATER] = "GET /%s/later?id=%u&us=%u",
        [ECHO] = "POST /%s/echo",             [ECHO_CHUNKED] = "POST /%s/echo",
        [ECHO_EXPECTS] = "POST /%s/echo",     [ECHO_TOO_BIG] = "POST /%s/echo",
        [NEVER] = "GET /%s/never?id=%u",      [ABANDON] = "GET /%s/abandon?id=%u",
        [BIG] = "GET /%s/big?id=%u&n=%u",     [HEAD] = "HEAD /%s/now?id=%u",
        [NO_ROUTE] = "GET /%s/nothing?id=%u", [NO_METHOD] = "DELETE /%s/now?id=%u",
    };
    const char *where = pick(3) == 0 ? "far" : "web";
    char text[512];
    size_t len;

    switch (request->kind) {
    case LATER:
    case BIG:
        len = (size_t)snprintf(text, sizeof(text), paths[request->kind], where, request->id,
                               request->n);
        break;
    case ECHO:
    case ECHO_CHUNKED:
    case ECHO_EXPECTS:
    case ECHO_TOO_BIG:
        len = (size_t)snprintf(text, sizeof(text), paths[request->kind], where);
        break;
    default:
        len = (size_t)snprintf(text, sizeof(text), paths[request->kind], where, request->id);
        break;
    }
    len += (size_t)snprintf(text + len, sizeof(text) - len, " HTTP/1.1\r\nHost: sim\r\n%s",
                            request->says_close ? "Connection: close\r\n" : "");
    if (request->kind == ECHO_CHUNKED)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Transfer-Encoding: chunked\r\n");
    else if (request->kind >= ECHO && request->kind <= ECHO_TOO_BIG)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Content-Length: %u\r\n", request->n);
    if (request->kind == ECHO_EXPECTS)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "Expect: 100-continue\r\n");
    snprintf(text + len, sizeof(text) - len, "\r\n");
    send_text(client, text);
    request->begun = true;
    request->body_waits = request->kind == ECHO_EXPECTS;
    if (request->kind == ECHO_CHUNKED)
        send_chunked(client, request);
    else if (request->kind == ECHO || request->kind == ECHO_TOO_BIG)
        gy_sim_send(client->conn, body_of(request), request->n);
}

static void ask_more(struct client *client)
{
    while (client->sent < client->count && client->sent - client->answered < client->at_once &&
           !client->told_close && !draining) {
        struct request *request = &client->requests[client->sent];
        /* Behind one that waits for its 100 nothing can be sent. */
        if (client->sent > client->answered && client->requests[client->sent - 1].body_waits)
            return;
        client->sent++;
        request_send(client, request);
    }
}

/* ---- what they are told ---- */

static void body_is(const struct client *client, const struct request *request,
                    const struct http_answer *answer)
{
    char id[16];
    bool right = true;

    switch (request->kind) {
    case NOW:
    case LATER:
        snprintf(id, sizeof(id), "%u", request->id);
        right = answer->body_len == strlen(id) && memcmp(answer->body, id, strlen(id)) == 0;
        break;
    case ECHO:
    case ECHO_CHUNKED:
    case ECHO_EXPECTS:
        right = answer->body_len == request->n &&
                memcmp(answer->body, body_of(request), request->n) == 0;
        break;
    case BIG:
        right = answer->body_len == request->n;
        for (size_t i = 0; right && i < answer->body_len; i++)
            right = (uint8_t)answer->body[i] == web_big_byte(i);
        break;
    default:
        break;
    }
    scenario_check(right, "client %ld, request %u of kind %d: an answer to something else: %.*s",
                   number_of(client), request->id, request->kind,
                   (int)(answer->body_len < 100 ? answer->body_len : 100), answer->body);
}

static void answer_is(struct client *client, const struct request *request,
                      const struct http_answer *answer)
{
    static const int right[KINDS] = {200, 200, 200, 200, 200, 413, 503, 500, 200, 200, 404, 405};

    scenario_check(answer->status == right[request->kind] || answer->status == 503 ||
                       (answer->status == 408 && client->slow),
                   "client %ld, request %u of kind %d: status %d", number_of(client), request->id,
                   request->kind, answer->status);
    if (answer->status == 200)
        body_is(client, request, answer);
}

static void leave(struct client *client)
{
    if (client->over)
        return;
    client->over = true;
    if (pick(2) == 0)
        gy_sim_half_close(client->conn);
    else
        gy_sim_disconnect(client->conn);
}

static void honest_reads(struct client *client)
{
    struct http_answer answer;
    const uint8_t *data;
    size_t len;
    long taken;

    for (;;) {
        struct request *request = &client->requests[client->answered];
        bool head = client->answered < client->sent && request->kind == HEAD;
        data = gy_sim_received(client->conn, &len);
        if (len == 0)
            break;
        if (client->unread) { /* refused without having read the method: with a body */
            gy_sim_take(client->conn, len);
            break;
        }
        taken = http_read(data, len, head, &answer);
        scenario_check(taken >= 0, "client %ld was told no HTTP: %.*s", number_of(client),
                       (int)(len < 100 ? len : 100), (const char *)data);
        if (taken == 0)
            break;
        if (answer.status == 100) {
            scenario_check(client->answered < client->sent && request->body_waits,
                           "client %ld was told to continue what it has not begun",
                           number_of(client));
            request->body_waits = false;
            gy_sim_send(client->conn, body_of(request), request->n);
        } else if (client->answered == client->sent) {
            /* Only an end may come without a question. */
            scenario_check(answer.close && answer.status >= 400,
                           "client %ld got an answer of %d that it had not asked for",
                           number_of(client), answer.status);
            client->told_close = true;
        } else {
            answer_is(client, request, &answer);
            request->body_waits = false;
            client->answered++;
            client->told_close |= answer.close;
            client->last_status = answer.status;
            client->unread = head && answer.close && answer.status == 503;
        }
        gy_sim_take(client->conn, (size_t)taken);
    }
    ask_more(client);
    if (client->answered == client->count && !client->requests[client->count - 1].says_close)
        leave(client);
}

/* ---- hostile ones ---- */

static void hostile_begins(struct client *client)
{
    static const char valid[] = "POST /web/echo HTTP/1.1\r\nHost: sim\r\nContent-Length: 20\r\n\r\n"
                                "01234567890123456789GET /web/now?id=1 HTTP/1.1\r\nHost: sim\r\n\r\n";
    char text[256];
    size_t len = 0;

    switch (client->temper) {
    case GARBAGE:
        len = 1 + pick(2000);
        for (size_t i = 0; i < len; i++) {
            uint8_t byte = (uint8_t)gy_sim_random(scenario_sim);
            gy_sim_send(client->conn, &byte, 1);
        }
        gy_sim_send(client->conn, "\r\n\r\n", 4);
        break;
    case LONG_LINE:
        send_text(client, "GET /");
        gy_sim_send(client->conn, filler, 9000);
        break;
    case LONG_HEAD:
        send_text(client, "GET /web/now HTTP/1.1\r\nHost: sim\r\nX: ");
        gy_sim_send(client->conn, filler, 70000);
        break;
    case HALF_A_REQUEST:
    case SLOW_HEAD:
        gy_sim_send(client->conn, valid, 1 + pick(sizeof(valid) - 60));
        if (client->temper == HALF_A_REQUEST)
            gy_sim_half_close(client->conn);
        break;
    case RESETS:
    case VANISHES:
        client->reset_at = 1 + (uint32_t)pick(sizeof(valid) - 1);
        gy_sim_send(client->conn, valid, client->reset_at);
        break;
    case READS_NOTHING:
        gy_sim_read_slowly(client->conn, 0, 1);
        for (unsigned i = 0; i < 20; i++) {
            len = (size_t)snprintf(text, sizeof(text),
                                   "GET /web/big?n=%u HTTP/1.1\r\nHost: sim\r\n\r\n", WEB_BIG_MAX);
            gy_sim_send(client->conn, text, len);
        }
        break;
    default:
        break;
    }
}

static void hostile_reads(struct client *client)
{
    struct http_answer answer;
    size_t len;
    const uint8_t *data = gy_sim_received(client->conn, &len);
    long taken = len > 0 ? http_read(data, len, false, &answer) : 0;

    scenario_check(taken >= 0, "a hostile client was told no HTTP: %.*s",
                   (int)(len < 100 ? len : 100), (const char *)data);
    if (taken == 0)
        return;
    client->last_status = answer.status;
    client->told_close |= answer.close;
    gy_sim_take(client->conn, (size_t)taken);
    hostile_reads(client);
}

static void hostile_status(const struct client *client)
{
    int status = client->last_status;

    if (harsh || draining || !gy_sim_conn_has(client->conn, GY_SIM_CONNECTED) ||
        (status == 408 && client->slow))
        return;
    switch (client->temper) {
    case LONG_LINE:
        scenario_check(status == 414, "a long request line got %d", status);
        break;
    case LONG_HEAD:
        scenario_check(status == 431, "a long head got %d", status);
        break;
    case GARBAGE:
        scenario_check(status == 400 || status == 501 || status == 505, "garbage got %d", status);
        break;
    case HALF_A_REQUEST:
        scenario_check(status == 400, "half a request got %d", status);
        break;
    case SLOW_HEAD:
        scenario_check(status == 408, "a slow head got %d", status);
        break;
    case SILENT:
        scenario_check(status == 0, "silence got %d", status);
        break;
    default:
        return;
    }
    scenario_check(gy_sim_conn_has(client->conn, GY_SIM_ENDED), "a hostile client is not ended");
}

/* ---- events ---- */

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;

    (void)conn;
    switch (event) {
    case GY_SIM_CONNECTED:
        if (client->temper == HONEST)
            ask_more(client);
        else
            hostile_begins(client);
        break;
    case GY_SIM_DATA:
        if (client->temper == HONEST)
            honest_reads(client);
        else
            hostile_reads(client);
        break;
    case GY_SIM_SENT:
        if (client->temper == RESETS)
            gy_sim_reset(client->conn);
        else if (client->temper == VANISHES)
            gy_sim_disconnect(client->conn);
        break;
    case GY_SIM_ENDED:
        leave(client);
        break;
    default:
        client->over = true;
        break;
    }
}

static void client_begin(void *arg)
{
    struct client *client = arg;

    client->begun = true;
    client->temper = pick(3) == 0 ? (enum temper)pick(TEMPERS) : HONEST;
    client->count = 1 + (uint32_t)pick(REQUESTS_MAX);
    client->at_once = pick(2) == 0 ? 1 : 1 + (uint32_t)pick(REQUESTS_MAX);
    for (uint32_t i = 0; i < client->count; i++)
        request_plan(&client->requests[i], (uint32_t)(number_of(client) * 100 + i));
    client->requests[client->count - 1].says_close = pick(4) == 0;
    client->conn = gy_sim_connect(scenario_sim, 0, WEB_PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    client->slow = slow_world;
    if (pick(4) == 0) {
        client->slow = true;
        /* One draw per statement: compilers differ in the order of arguments. */
        uint32_t bytes = 1 + (uint32_t)pick(200);
        gy_sim_write_slowly(client->conn, bytes, 1 + pick(GY_MS));
    }
    if (pick(8) == 0 && client->temper == HONEST) {
        client->slow = true; /* its 100 Continue may wait behind what it does not read */
        uint32_t bytes = 1 + (uint32_t)pick(20000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(GY_MS));
    }
}

/* Where buffers are small and ways long, or segments tiny or lost, an honest client's requests, or
 * their 100 Continue behind a long answer, may take longer than the server waits. */
static bool is_slow(const struct gy_sim_config *config)
{
    uint64_t buffer = config->send_buffer < config->receive_buffer ? config->send_buffer
                                                                    : config->receive_buffer;
    uint64_t trip_ns = 2 * (config->link.latency_ns + config->link.jitter_ns) + 1;

    return buffer * (uint64_t)GY_S / trip_ns < 300000 || config->link.bytes_per_s < 300000 ||
           config->faults.tiny_segment_ppm > 10000 || config->faults.lost_segment_ppm > 1000;
}

/* ---- the end ---- */

static void drain(void *arg)
{
    (void)arg;
    draining = true;
    gy_drain(gy_sim_runtime(scenario_sim, 0));
}

static bool all_over(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (!clients[i].begun || (clients[i].temper == HONEST && !clients[i].over))
            return false;
    return true;
}
static bool is_stopped(void *arg)
{
    (void)arg;
    return gy_sim_runtime(scenario_sim, 0) == NULL;
}

/* May the server have left requests of this client without an answer? */
static bool may_stop(const struct client *client)
{
    /* It answers what lies behind one that it refused, or behind its limit, by its close. */
    return client->told_close && (limited || draining || client->last_status == 413 ||
                                  client->last_status == 408 || client->last_status == 503);
}

static void client_check(const struct client *client)
{
    bool connected = gy_sim_conn_has(client->conn, GY_SIM_CONNECTED);
    size_t left;
    bool broke;

    /* Inside an answer, too. */
    (void)gy_sim_received(client->conn, &left);
    broke = gy_sim_conn_has(client->conn, GY_SIM_RESET) || left > 0;
    if (client->temper != HONEST) {
        hostile_status(client);
        return;
    }
    /* Who takes longer than the server waits may not even be told so: it lingers for a second only. */
    if (harsh || (!connected && draining) || (broke && client->slow))
        return;
    scenario_check(connected, "client %ld was not let in", number_of(client));
    scenario_check(client->answered == client->sent || may_stop(client),
                   "client %ld: %u of %u requests were answered, the last with %d, %s, %s",
                   number_of(client), client->answered, client->sent, client->last_status,
                   client->told_close ? "closing" : "not closing", broke ? "reset" : "in order");
    scenario_check(client->sent == client->count || draining || client->told_close,
                   "client %ld was ended after %u of %u requests", number_of(client), client->sent,
                   client->count);
}

static uint64_t streams_open(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t open = 0;

    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        open += runtime->shards[i]->streams->open;
    return open;
}

static struct gy_http_config http_config(struct gy_sim_config *config)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    uint64_t seed = config->seed;

    http.body_max = BODY_MAX;
    http.pipeline_max = seed % 4 == 0 ? 1 : 1 + (uint32_t)(seed % 16);
    http.held_max = seed % 5 == 0 ? 4096 : 1u << 20;
    http.requests_max = seed % 6 == 0 ? 5 : 0;
    http.answer_timeout_ns = 5 * GY_S;
    limited = http.requests_max > 0;
    return http;
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    struct gy_http_config http = http_config(config);

    memset(clients, 0, sizeof(clients));
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (uint8_t)('A' + i * 5 % 26 + (i / 26 % 3));
    draining = false;
    harsh = seed % 4 == 1;
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    config->shards = 1 + (uint32_t)(seed % 3);
    config->runtime.drain_timeout_ns = 300 * GY_S;
    config->runtime.mailbox = 64;
    if (config->runtime.ring_cells < 32)
        config->runtime.ring_cells = 32;
    config->runtime.futures = 512;
    config->faults.connect_lost_ppm = 0;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    slow_world = is_slow(config);
    if (!scenario_open(config, web_boot, &http))
        return 0;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(50 * GY_MS), client_begin, &clients[i]);
    if (seed % 3 == 0)
        gy_sim_at(scenario_sim, 1 + pick(100 * GY_MS), drain, NULL);
    if (seed % 4 == 2) {
        gy_sim_advance(scenario_sim, GY_S / 2);
        scenario_live(all_over, NULL, 200 * GY_S, "clients wait for an answer");
    }
    if (!gy_sim_until(scenario_sim, all_over, NULL, 400 * GY_S) && !harsh)
        gy_sim_fail(scenario_sim, "clients wait for ever");
    gy_sim_advance(scenario_sim, 200 * GY_S); /* longer than any of the server's limits */
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        client_check(&clients[i]);
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    scenario_check(streams_open() == 0, "%llu streams are left",
                   (unsigned long long)streams_open());
    if (draining) {
        scenario_check(gy_sim_until(scenario_sim, is_stopped, NULL, 400 * GY_S),
                       "the drain does not end");
        scenario_check(gy_sim_host_result(scenario_sim, 0) == 0, "the drain ended with %d",
                       gy_sim_host_result(scenario_sim, 0));
    }
    return scenario_close();
}

const struct scenario scenario_http = {"http", "honest and hostile clients, and a drain", run};
