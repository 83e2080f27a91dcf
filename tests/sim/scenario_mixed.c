/* Requests of all kinds in a row on one connection, sent before their answers have come: bodies that are read and
 * written in pieces, files and parts of them, events, refusals before a body is read, and at the end another protocol.
 * Each answer is complete, in its place and the right one. Peers stop at any point: in a head, in a body, without
 * reading, silent between two requests; they reset at any byte, leave, or the service drains. Each time limit ends
 * what it is for with its status, and nothing is left of anybody. */
#include "tests/sim/copier.h"
#include "tests/sim/parrot.h"
#include "tests/sim/scenario.h"
#include "gyre/http_files.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 80
#define CLIENTS_MAX PARROT_CLIENTS
#define REQUESTS_MAX 6
#define FILES 4
#define BYTES_MAX 70000u

enum kind { COPY, COUNT, REFUSED, DRIP, EVENTS, FILE_WHOLE, FILE_PART, TALK, PLAIN_KINDS = TALK };
/* How a client ends: each but the first two is stopped by a limit, or stops itself. */
enum temper { IN_ORDER, STAYS, SLOW_HEAD, SLOW_BODY, SLEEPY, LAZY, READS_NOTHING, RESETS, LEAVES, TEMPERS };

static const uint32_t file_sizes[FILES] = {0, 300, 5000, 60000};

static struct client {
    struct gy_sim_conn *conn;
    enum temper temper;
    struct request {
        enum kind kind;
        uint32_t id, n, first; /* bytes or events; the first byte of a part */
        uint32_t sent;         /* of the body */
        bool begun, whole, chunked;
    } requests[REQUESTS_MAX];
    uint32_t count, at, answered, at_once;
    uint32_t left; /* bytes that it will still send */
    bool begun, over, told_close, slow, last_asked, talks, greeted;
    int last_status;
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool harsh, draining, slow_world;
static uint64_t answers_total, timed_out_total;

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

static long number_of(const struct client *client)
{
    return (long)(client - clients);
}

/* ---- asking ---- */

static void put(struct client *client, const void *bytes, size_t len)
{
    if (len > client->left)
        len = client->left;
    client->left -= (uint32_t)len;
    gy_sim_send(client->conn, bytes, len);
}

static void put_text(struct client *client, const char *text)
{
    put(client, text, strlen(text));
}

static bool has_body(const struct request *request)
{
    return request->kind <= REFUSED;
}

static void put_head(struct client *client, struct request *request)
{
    static const char *const posts[] = {"copy", "count", "refuse"};
    const char *where = request->id % 2 ? "far" : "near";
    char line[256];
    int len;

    switch (request->kind) {
    case DRIP:
    case EVENTS:
        len = sprintf(line, "GET /%s/%s/%u/%u", where, request->kind == DRIP ? "drip" : "events", request->id, request->n);
        break;
    case FILE_WHOLE:
    case FILE_PART:
        len = sprintf(line, "GET /files/f%u", request->id % FILES);
        break;
    case TALK:
        len = sprintf(line, "GET /talk/%s/%ld", where, number_of(client));
        break;
    default:
        len = sprintf(line, "POST /%s/%s", where, posts[request->kind]);
        break;
    }
    len += sprintf(line + len, " HTTP/1.1\r\nHost: sim\r\n");
    if (has_body(request) && request->chunked)
        len += sprintf(line + len, "Transfer-Encoding: chunked\r\n");
    else if (has_body(request))
        len += sprintf(line + len, "Content-Length: %u\r\n", request->n);
    if (request->kind == FILE_PART)
        len += sprintf(line + len, "Range: bytes=%u-%u\r\n", request->first, request->first + request->n - 1);
    if (request->kind == TALK)
        len += sprintf(line + len, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    sprintf(line + len, "\r\n");
    put_text(client, line);
    request->begun = true;
    request->whole = !has_body(request);
}

static void put_piece(struct client *client, struct request *request)
{
    char line[16], bytes[4000];
    uint32_t n = 1 + (uint32_t)pick(sizeof(bytes));

    if (n > request->n - request->sent)
        n = request->n - request->sent;
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = copier_byte(request->id, request->sent + i);
    if (request->chunked && n > 0) {
        sprintf(line, "%x\r\n", n);
        put_text(client, line);
    }
    put(client, bytes, n);
    if (request->chunked && n > 0)
        put_text(client, "\r\n");
    request->sent += n;
    request->whole = request->sent == request->n;
    if (request->chunked && request->whole)
        put_text(client, "0\r\n\r\n");
}

/* What ends the connection: something that a limit is for. */
static void ask_last(struct client *client)
{
    client->last_asked = true;
    switch (client->temper) {
    case SLOW_HEAD:
        put_text(client, "GET /files/f0 HTTP/1.1\r\nHost:");
        break;
    case SLOW_BODY:
        put_text(client, "POST /near/count HTTP/1.1\r\nHost: sim\r\nContent-Length: 100\r\n\r\nhalf");
        break;
    case SLEEPY:
        put_text(client, "GET /far/sleepy HTTP/1.1\r\nHost: sim\r\n\r\n");
        break;
    case LAZY:
        put_text(client, "POST /near/lazy HTTP/1.1\r\nHost: sim\r\nContent-Length: 10\r\n\r\n0123456789");
        break;
    default:
        break;
    }
}

/* -> false: nothing may be sent now. */
static bool ask_more(struct client *client)
{
    struct request *request = &client->requests[client->at];

    if (client->over || client->last_asked)
        return false;
    if (client->at < client->count && request->begun) {
        if (!request->whole)
            put_piece(client, request);
        client->at += request->whole;
        return true;
    }
    if (client->told_close || draining || client->at - client->answered >= client->at_once)
        return false;
    if (client->at == client->count) {
        ask_last(client);
        return true;
    }
    put_head(client, request);
    return true;
}

/* ---- answers ---- */

static uint8_t body[2 * BYTES_MAX];

/* What was received ends with no NUL. */
static size_t number(const char *at, const char *end, unsigned base)
{
    size_t n = 0;

    for (; at < end; at++) {
        unsigned digit = *at >= 'a' ? (unsigned)(*at - 'a') + 10 : (unsigned)(*at - '0');
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    return n;
}

/* -> bytes of a chunked body at `at`, 0: not all there. */
static size_t read_chunks(const char *at, const char *end, size_t *len)
{
    const char *from = at;

    *len = 0;
    for (;;) {
        const char *line = end - at >= 5 ? memmem(at, (size_t)(end - at), "\r\n", 2) : NULL;
        size_t n = line != NULL ? number(at, line, 16) : 0;

        if (line == NULL || (size_t)(end - line) < n + 4)
            return 0;
        scenario_check(*len + n <= sizeof(body), "an answer of more than %zu bytes", *len);
        memcpy(body + *len, line + 2, n);
        *len += n;
        at = line + 4 + n;
        if (n == 0)
            return (size_t)(at - from);
    }
}

struct answer {
    int status;
    size_t len; /* of its body */
    bool close;
};

/* -> bytes of the answer; 0: not all there. */
static size_t read_answer(const char *at, size_t have, struct answer *answer)
{
    const char *end = have > 0 ? memmem(at, have, "\r\n\r\n", 4) : NULL, *line;
    size_t n;

    if (end == NULL)
        return 0;
    answer->status = (int)number(at + 9, end, 10);
    answer->close = memmem(at, (size_t)(end - at), "\r\nConnection: close", 19) != NULL;
    end += 4;
    line = memmem(at, (size_t)(end - at), "\r\nContent-Length: ", 18);
    if (memmem(at, (size_t)(end - at), "\r\nTransfer-Encoding: chunked\r\n", 30) != NULL) {
        n = read_chunks(end, at + have, &answer->len);
        return n > 0 ? (size_t)(end - at) + n : 0;
    }
    answer->len = line != NULL ? number(line + 18, end, 10) : 0;
    if ((size_t)(at + have - end) < answer->len)
        return 0;
    scenario_check(answer->len <= sizeof(body), "an answer of %zu bytes", answer->len);
    memcpy(body, end, answer->len);
    return (size_t)(end - at) + answer->len;
}

static bool body_is_right(const struct request *request, size_t len)
{
    char text[96];
    size_t at = 0;
    int n;

    switch (request->kind) {
    case COPY:
    case DRIP:
        for (; at < len && body[at] == (uint8_t)copier_byte(request->id, at); at++)
            ;
        return at == len && len == request->n;
    case COUNT:
        n = snprintf(text, sizeof(text), "%u", request->n);
        return len == (size_t)n && memcmp(body, text, len) == 0;
    case EVENTS:
        for (uint32_t i = request->n; i-- > 0;) {
            char data[64];
            copier_event(data, request->id, i);
            n = snprintf(text, sizeof(text), "id: %u\ndata: %s\n\n", i, data);
            if (len - at < (size_t)n || memcmp(body + at, text, (size_t)n) != 0)
                return false;
            at += (size_t)n;
        }
        return at == len;
    case FILE_WHOLE:
    case FILE_PART:
        for (; at < len && body[at] == (uint8_t)copier_byte(request->id % FILES, request->first + at); at++)
            ;
        return at == len && len == request->n;
    default:
        return true;
    }
}

static void take_answer(struct client *client, const struct answer *answer)
{
    static const int right[] = {200, 200, 403, 200, 200, 200, 206, 101};
    const struct request *request = &client->requests[client->answered];

    answers_total++;
    client->last_status = answer->status;
    client->told_close |= answer->close;
    if (client->answered == client->count || !request->begun) { /* of the limit */
        timed_out_total += answer->status == 408 || answer->status == 503;
        return;
    }
    scenario_check(answer->status == right[request->kind] || harsh || (answer->status == 503 && draining) ||
                       (client->slow && (answer->status == 408 || answer->status == 503)),
                   "client %ld, request %u of kind %d: status %d", number_of(client), request->id, request->kind,
                   answer->status);
    if (answer->status == right[request->kind])
        scenario_check(body_is_right(request, answer->len), "client %ld, request %u of kind %d (%u): an answer of %zu "
                       "bytes is not its own", number_of(client), request->id, request->kind, request->n, answer->len);
    client->answered++;
    if (answer->status == 101)
        client->talks = true;
}

static void leave(struct client *client)
{
    if (client->over)
        return;
    client->over = true;
    gy_sim_disconnect(client->conn);
}

/* In the other protocol, once: say something, hear it, say goodbye. */
static void talk(struct client *client)
{
    static const uint8_t says[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i', 0x88, 0x82, 0, 0, 0, 0, 3, 0xE8};
    size_t len;
    const uint8_t *bytes = gy_sim_received(client->conn, &len);

    if (client->greeted) {
        scenario_check(draining || (len <= 8 && memcmp(bytes, "\x81\x02hi\x88\x02\x03\xE8", len) == 0),
                       "client %ld heard something else", number_of(client));
        return;
    }
    client->greeted = true;
    put(client, says, sizeof(says));
}

static void hear(struct client *client)
{
    size_t len, taken;
    struct answer answer;

    while (!client->over && !client->talks) {
        const char *bytes = (const char *)gy_sim_received(client->conn, &len);

        taken = read_answer(bytes, len, &answer);
        if (taken == 0)
            break;
        gy_sim_take(client->conn, taken);
        take_answer(client, &answer);
    }
    if (client->talks)
        talk(client);
    else
        (void)ask_more(client);
    if (client->answered == client->count && !client->talks &&
        (client->temper == IN_ORDER || client->temper == LEAVES || (client->temper == RESETS && client->left > 0)))
        leave(client);
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;

    (void)conn;
    if (client->over)
        return;
    switch (event) {
    case GY_SIM_CONNECTED:
        (void)ask_more(client);
        break;
    case GY_SIM_DATA:
        hear(client);
        break;
    case GY_SIM_SENT:
        if (client->left == 0) {
            client->over = true;
            gy_sim_reset(client->conn);
            break;
        }
        if (client->temper == LEAVES && pick(20) == 0) {
            leave(client);
            break;
        }
        while (!client->talks && ask_more(client) && pick(2) == 0)
            continue;
        break;
    case GY_SIM_ENDED:
        leave(client);
        break;
    default:
        client->over = true;
        break;
    }
}

/* ---- plans ---- */

static void request_plan(struct request *request, uint32_t id, bool last)
{
    uint32_t size;

    request->id = id;
    request->kind = last && pick(3) == 0 ? TALK : (enum kind)pick(PLAIN_KINDS);
    request->chunked = pick(2) == 0;
    request->n = (uint32_t)pick(pick(3) == 0 ? 50000 : 600);
    size = file_sizes[id % FILES];
    if (request->kind == EVENTS)
        request->n %= 8;
    if (request->kind == DRIP && request->n == 0)
        request->n = 1;
    if (request->kind == REFUSED) { /* or the answer says close */
        request->chunked = false;
        request->n %= 2000;
    }
    if (request->kind == FILE_PART && size == 0)
        request->kind = FILE_WHOLE;
    if (request->kind == FILE_WHOLE)
        request->n = size;
    if (request->kind == FILE_PART) {
        request->first = (uint32_t)pick(size);
        request->n = 1 + (uint32_t)pick(size - request->first);
    }
}

static void client_begin(void *arg)
{
    struct client *client = arg;
    uint32_t bytes;

    client->begun = true;
    client->temper = pick(2) == 0 ? IN_ORDER : (enum temper)pick(TEMPERS);
    client->count = 1 + (uint32_t)pick(REQUESTS_MAX);
    client->at_once = 1 + (uint32_t)pick(REQUESTS_MAX);
    client->left = UINT32_MAX;
    client->slow = slow_world;
    for (uint32_t i = 0; i < client->count; i++)
        request_plan(&client->requests[i], 1 + (uint32_t)number_of(client) * 100 + i,
                     i + 1 == client->count && client->temper == IN_ORDER);
    if (client->temper == RESETS)
        client->left = 1 + (uint32_t)pick(pick(2) == 0 ? 1000 : 50000);
    client->conn = gy_sim_connect(scenario_sim, 0, PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    if (client->temper == READS_NOTHING) {
        gy_sim_read_slowly(client->conn, 0, 1);
    } else if (pick(4) == 0) {
        client->slow = true;
        bytes = 1000 + (uint32_t)pick(20000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(GY_MS));
    }
}

/* ---- the end ---- */

static void drain(void *arg)
{
    (void)arg;
    draining = true;
    gy_drain(gy_sim_runtime(scenario_sim, 0));
}

static bool is_stopped(void *arg)
{
    (void)arg;
    return gy_sim_runtime(scenario_sim, 0) == NULL;
}

static bool all_over(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (!clients[i].begun || (!clients[i].over && clients[i].temper != READS_NOTHING))
            return false;
    return true;
}

/* The limit that ended it has said so. */
static void check_limit(const struct client *client)
{
    static const int right[TEMPERS] = {[SLOW_HEAD] = 408, [SLOW_BODY] = 408, [SLEEPY] = 0, [LAZY] = 503};

    if (!client->last_asked || right[client->temper] == 0)
        return;
    scenario_check(client->last_status == right[client->temper], "client %ld of temper %d: its limit said %d",
                   number_of(client), client->temper, client->last_status);
    scenario_check(client->told_close || client->temper == LAZY, "client %ld: its limit does not close",
                   number_of(client));
}

static void client_check(const struct client *client)
{
    if (harsh || client->slow || draining || gy_sim_conn_has(client->conn, GY_SIM_RESET) ||
        client->temper == RESETS || client->temper == LEAVES || client->temper == READS_NOTHING)
        return;
    scenario_check(gy_sim_conn_has(client->conn, GY_SIM_CONNECTED), "client %ld was not let in", number_of(client));
    scenario_check(client->answered == client->count, "client %ld: %u of %u requests were answered, the last with %d",
                   number_of(client), client->answered, client->count, client->last_status);
    check_limit(client);
    if (client->talks)
        scenario_check(parrot_records[number_of(client)].closed == 1 && parrot_records[number_of(client)].code == 1000,
                       "client %ld said goodbye and was not heard", number_of(client));
}

static uint64_t streams_open(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t open = 0;

    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        open += runtime->shards[i]->streams->open;
    return open;
}

static int boot(unsigned shard, void *arg)
{
    const struct gy_http_files files = GY_HTTP_FILES_INIT("/www", "/files");
    gy_pid pid;
    int err = copier_boot(shard, arg);

    if (err == 0)
        err = parrot_boot_talk(shard);
    if (err == 0)
        err = gy_http_files_spawn(&pid, &files);
    return err;
}

static void put_files(void)
{
    static char bytes[BYTES_MAX];
    char path[32];

    for (uint32_t i = 0; i < FILES; i++) {
        for (uint32_t k = 0; k < file_sizes[i]; k++)
            bytes[k] = copier_byte(i, k);
        sprintf(path, "/www/f%u", i);
        gy_sim_file_put(scenario_sim, 0, path, bytes, file_sizes[i]);
    }
}

static void configure(struct gy_sim_config *config, struct gy_http_config *http)
{
    uint64_t seed = config->seed;
    uint64_t buffer, trip_ns = 2 * (config->link.latency_ns + config->link.jitter_ns) + 1;

    http->stream_window = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2000 : 65536;
    http->pipeline_max = seed % 4 == 0 ? 1 : 1 + (uint32_t)(seed % 16);
    http->answer_timeout_ns = 5 * GY_S;
    http->stream_timeout_ns = 20 * GY_S;
    parrot_options = (struct gy_ws_options)GY_WS_OPTIONS_INIT(parrot_events);
    harsh = seed % 4 == 1;
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    config->shards = 1 + (uint32_t)(seed % 3);
    config->runtime.drain_timeout_ns = 600 * GY_S;
    config->runtime.mailbox = 256;
    config->runtime.futures = 512;
    if (config->runtime.ring_cells < 64)
        config->runtime.ring_cells = 64;
    config->faults.connect_lost_ppm = 0;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    buffer = config->send_buffer < config->receive_buffer ? config->send_buffer : config->receive_buffer;
    slow_world = buffer * (uint64_t)GY_S / trip_ns < 300000 || config->link.bytes_per_s < 300000 ||
                 config->faults.tiny_segment_ppm > 10000 || config->faults.lost_segment_ppm > 1000;
}

static uint64_t run(struct gy_sim_config *config)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    uint64_t seed = config->seed;

    memset(clients, 0, sizeof(clients));
    memset(parrot_records, 0, sizeof(parrot_records));
    copier_begun = copier_watched = answers_total = timed_out_total = 0;
    draining = false;
    configure(config, &http);
    if (!scenario_open(config, boot, &http))
        return 0;
    put_files();
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(50 * GY_MS), client_begin, &clients[i]);
    if (seed % 3 == 0)
        gy_sim_at(scenario_sim, 1 + pick(200 * GY_MS), drain, NULL);
    if (!gy_sim_until(scenario_sim, all_over, NULL, 3000 * GY_S) && !harsh)
        gy_sim_fail(scenario_sim, "clients wait for ever");
    gy_sim_advance(scenario_sim, 700 * GY_S); /* longer than any of the server's limits */
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        client_check(&clients[i]);
    /* Nobody has to leave: whoever stands still has been ended by then. */
    scenario_check(streams_open() == 0, "%llu streams stand still", (unsigned long long)streams_open());
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    scenario_check(streams_open() == 0, "%llu streams are left", (unsigned long long)streams_open());
    scenario_check(copier_begun == copier_watched, "%llu of %llu ends were told", (unsigned long long)copier_watched,
                   (unsigned long long)copier_begun);
    if (draining) {
        scenario_check(gy_sim_until(scenario_sim, is_stopped, NULL, 700 * GY_S), "the drain does not end");
        scenario_check(gy_sim_host_result(scenario_sim, 0) == 0, "the drain ended with %d",
                       gy_sim_host_result(scenario_sim, 0));
    }
    scenario_add("mixed.answers", answers_total);
    scenario_add("mixed.timed out", timed_out_total);
    return scenario_close();
}

const struct scenario scenario_mixed = {"mixed", "requests of all kinds in a row, and each time limit", run};
