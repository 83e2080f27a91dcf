/* WebSocket clients of all tempers at actors on their own shard and on another, while the network and the shards
 * misbehave and the service perhaps drains. What a client says comes back, whole, in order and with nothing of
 * anybody else's in it, however it was cut into fragments and whatever pings stood between; what the
 * server could not queue for one that reads slowly is missing in a row, and announced. Pongs answer the pings that were
 * sent, in order. Each end says close at most once and nothing after it, and the actor is told exactly one end for each
 * connection that it opened, with the code that this client must have caused. */
#include "tests/sim/parrot.h"
#include "tests/sim/scenario.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <stdio.h>
#include <string.h>

#define PORT 80
#define CLIENTS_MAX PARROT_CLIENTS
#define TEXT_MAX PARROT_TEXT_MAX

/* The fuzzer's: choices come from there first, as long as there are any. */
static struct script {
    const uint8_t *at, *end;
} script;

static uint64_t pick(uint64_t n)
{
    uint64_t word;

    if (script.at == script.end)
        return gy_sim_random(scenario_sim) % n;
    word = *script.at++;
    if (n > 256 && script.at < script.end)
        word = word << 8 | *script.at++;
    return word % n;
}

/* ---- clients ---- */

enum temper {
    SAYS_CLOSE,   /* when it has heard all */
    ASKS_CLOSE,   /* the server to, and answers it */
    CLOSES_EARLY, /* with much still under way */
    BREAKS,       /* the protocol's rules, at some point */
    LEAVES,       /* without a word */
    IGNORES_CLOSE,
    SILENT, /* says nothing, and answers no ping */
    READS_NOTHING,
    RESETS,   /* after so many bytes */
    VANISHES, /* the same */
    TEMPERS
};

static const struct breach {
    const char *bytes;
    uint32_t len;
    unsigned code;
} breaches[] = {
    {"\x81\x01x", 3, 1002},                     /* no mask */
    {"\xC1\x80mask", 6, 1002},                  /* a reserved bit */
    {"\x83\x80mask", 6, 1002},                  /* a reserved opcode */
    {"\x8B\x80mask", 6, 1002},                  /* of control */
    {"\x09\x80mask", 6, 1002},                  /* control in fragments */
    {"\x89\xFE\x00\x7E", 4, 1002},              /* control too long */
    {"\x82\xFE\x00\x05mask", 8, 1002},          /* a length in a longer form; or no continuation */
    {"\x88\x81\x00\x00\x00\x00\x03", 7, 1002},  /* a close of one byte */
    {"\x88\x82\x00\x00\x00\x00\x03\xED", 8, 1002}, /* with 1005 */
    {"\x88\x83\x00\x00\x00\x00\x03\xE8\xFF", 9, 1007}, /* with no text */
};
#define BREACHES (sizeof(breaches) / sizeof(breaches[0]))

static struct client {
    struct gy_sim_conn *conn;
    enum temper temper;
    bool begun, open, over, slow, stuck;
    uint32_t id, count, window;
    uint32_t seq, at, fragments; /* the message being sent, how much of it was, in how many */
    uint32_t heard, pushed;      /* the message whose echo comes next; how many of its pushes came */
    uint32_t pings, pongs;
    uint32_t left;   /* bytes that it will still send */
    unsigned expects; /* the code of the server's close */
    bool breached, close_sent, close_got;
    unsigned sent_code, got_code;
    bool asked; /* for the server's close */
    uint64_t closed_ns; /* when both had said close */
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool harsh, draining;
static uint64_t heard_total, missed_total, pongs_total, closes_total;

static long number_of(const struct client *client)
{
    return (long)(client - clients);
}

static void put(struct client *client, const void *bytes, size_t len)
{
    if (len > client->left)
        len = client->left;
    client->left -= (uint32_t)len;
    gy_sim_send(client->conn, bytes, len);
}

static void put_frame(struct client *client, unsigned first, const uint8_t *payload, size_t len)
{
    static uint8_t frame[14 + TEXT_MAX];
    uint64_t mask = gy_sim_random(scenario_sim);
    size_t n = 0, size = len < 126 ? 0 : len < 65536 ? 2 : 8;

    frame[n++] = (uint8_t)first;
    frame[n++] = (uint8_t)(0x80 | (size == 0 ? len : size == 2 ? 126 : 127));
    for (size_t i = size; i > 0; i--)
        frame[n++] = (uint8_t)((uint64_t)len >> (8 * (i - 1)));
    for (unsigned i = 0; i < 4; i++)
        frame[n++] = (uint8_t)(mask >> (8 * i));
    for (size_t i = 0; i < len; i++)
        frame[n++] = payload[i] ^ (uint8_t)(mask >> (8 * (i & 3)));
    put(client, frame, n);
}

static void put_close(struct client *client, unsigned code)
{
    uint8_t payload[5] = {(uint8_t)(code >> 8), (uint8_t)code, 'b', 'y', 'e'};

    if (client->close_sent)
        return;
    put_frame(client, 0x88, payload, code == 1005 ? 0 : 5);
    client->close_sent = true;
    client->sent_code = code;
}

static void ping(struct client *client)
{
    char payload[100];
    int len = sprintf(payload, "%u.%u%*s", client->id, client->pings, (int)(client->pings % 80), "");

    client->pings++;
    put_frame(client, 0x89, (const uint8_t *)payload, (size_t)len);
}

static void leave(struct client *client)
{
    if (client->over)
        return;
    client->over = true;
    gy_sim_disconnect(client->conn);
}

static void ends_by_force(struct client *client)
{
    if (client->temper == VANISHES) {
        leave(client);
        return;
    }
    client->over = true;
    gy_sim_reset(client->conn);
}

/* Something that is against the rules, now; within a message perhaps. */
static void breach(struct client *client)
{
    const struct breach *b;

    client->breached = true;
    if (client->fragments > 0 && pick(2) == 0) { /* begun twice */
        put_frame(client, 0x81, (const uint8_t *)"x", 1);
        client->expects = 1002;
    } else if (client->fragments == 0 && pick(3) == 0) { /* not begun */
        put_frame(client, 0x80, (const uint8_t *)"x", 1);
        client->expects = 1002;
    } else if (client->fragments == 0 && pick(3) == 0) {
        put_frame(client, 0x01, (const uint8_t *)"a\xed\xa0", 3);
        client->expects = 1007;
    } else if (client->fragments == 0 && pick(3) == 0) { /* too long, by its head alone */
        put(client, "\x82\xFF\x00\x00\x00\x00\x7F\xFF\xFF\xFFmask", 14);
        client->expects = 1009;
    } else {
        b = &breaches[pick(BREACHES)];
        put(client, b->bytes, b->len);
        client->expects = b->code;
    }
    put_frame(client, 0x81, (const uint8_t *)"not read", 8);
}

/* Is there nothing more to hear? */
static bool heard_all(const struct client *client)
{
    return client->heard == client->count;
}

/* One more fragment, ping, breach or close. -> false: nothing may be said now. */
static bool say_more(struct client *client)
{
    static uint8_t text[TEXT_MAX];
    struct said said;
    uint32_t n;

    if (!client->open || client->over || client->close_sent || client->breached || client->temper == SILENT)
        return false;
    if (client->temper == BREAKS && pick(20) == 0) {
        breach(client);
        return false;
    }
    if (client->temper == CLOSES_EARLY && pick(20) == 0) {
        put_close(client, 1000 + (unsigned)pick(2) * 3000);
        return false;
    }
    if (client->seq == client->count) {
        if (client->temper == BREAKS)
            breach(client);
        if (!heard_all(client))
            return false;
        if (client->temper == SAYS_CLOSE || client->temper == CLOSES_EARLY) {
            put_close(client, pick(4) == 0 ? 1005 : 1000 + (unsigned)pick(2) * 2000);
        } else if ((client->temper == ASKS_CLOSE || client->temper == IGNORES_CLOSE) && !client->asked) {
            client->expects = 4000 + (unsigned)pick(100);
            n = (uint32_t)sprintf((char *)text, "close %u", client->expects);
            put_frame(client, 0x81, text, n);
            client->asked = true;
        } else if (client->temper == RESETS || client->temper == VANISHES) {
            client->left = 0; /* it has nothing left to say */
            ends_by_force(client);
        }
        return false;
    }
    if (client->fragments == 0 && client->seq - client->heard >= client->window)
        return false;
    if (pick(6) == 0) {
        ping(client);
        return true;
    }
    said = parrot_said(client->id, client->seq, text);
    n = said.len - client->at;
    if (pick(2) == 0)
        n = (uint32_t)pick(n + 1);
    put_frame(client, (client->fragments > 0 ? 0 : said.text ? 1 : 2) | (client->at + n == said.len ? 0x80 : 0),
              text + client->at, n);
    client->fragments++;
    client->at += n;
    if (client->at == said.len) {
        client->seq++;
        client->at = 0;
        client->fragments = 0;
    }
    return true;
}

/* ---- what clients hear ---- */

static void hear_missed(struct client *client, uint32_t n)
{
    static uint8_t text[TEXT_MAX];

    scenario_check(n > 0, "client %ld missed nothing", number_of(client));
    missed_total += n;
    for (; n > 0; n--) {
        scenario_check(client->heard < client->count, "client %ld missed what was not said", number_of(client));
        if (++client->pushed >= parrot_said(client->id, client->heard, text).pushes) {
            client->heard++;
            client->pushed = 0;
        }
    }
}

static void hear_message(struct client *client, bool is_text, const uint8_t *bytes, size_t len)
{
    static uint8_t text[TEXT_MAX];
    char start[32];
    struct said said;
    unsigned n;

    snprintf(start, sizeof(start), "%.*s", (int)(len < 31 ? len : 31), (const char *)bytes);
    if (is_text && sscanf(start, "missed %u", &n) == 1) {
        hear_missed(client, n);
        return;
    }
    scenario_check(client->heard < client->seq || (client->heard == client->seq && client->close_sent),
                   "client %ld got a message that it had not said", number_of(client));
    said = parrot_said(client->id, client->heard, text);
    if (said.pushes > 0) {
        said.text = true;
        said.len = parrot_pushed((char *)text, client->id, client->heard, client->pushed);
    }
    scenario_check(is_text == said.text && len == said.len && memcmp(bytes, text, len) == 0,
                   "client %ld: message %u (%u), of %zu bytes instead of %u, is not its own", number_of(client),
                   client->heard, client->pushed, len, said.len);
    heard_total++;
    if (++client->pushed >= said.pushes) {
        client->heard++;
        client->pushed = 0;
    }
}

static void hear_pong(struct client *client, const uint8_t *bytes, size_t len)
{
    char text[128];
    unsigned id = 0, n = 0;

    snprintf(text, sizeof(text), "%.*s", (int)len, (const char *)bytes);
    scenario_check(sscanf(text, "%u.%u", &id, &n) == 2 && id == client->id && n >= client->pongs && n < client->pings,
                   "client %ld got a pong for no ping: %s", number_of(client), text);
    client->pongs = n + 1;
    pongs_total++;
}

static void hear_close(struct client *client, const uint8_t *bytes, size_t len)
{
    client->close_got = true;
    client->got_code = len >= 2 ? bytes[0] * 256u + bytes[1] : 1005;
    scenario_check(len != 1, "client %ld got a close of one byte", number_of(client));
    closes_total++;
    client->closed_ns = gy_sim_now(scenario_sim);
    if (client->temper == IGNORES_CLOSE)
        return;
    put_close(client, client->got_code);
}

static void hear_frame(struct client *client, unsigned first, const uint8_t *bytes, size_t len)
{
    scenario_check(!client->close_got, "client %ld got a frame (%u) behind the close", number_of(client), first);
    switch (first) {
    case 0x81:
    case 0x82:
        hear_message(client, first == 0x81, bytes, len);
        break;
    case 0x88:
        hear_close(client, bytes, len);
        break;
    case 0x89:
        if (client->temper != SILENT && !client->close_sent)
            put_frame(client, 0x8A, bytes, len);
        break;
    case 0x8A:
        hear_pong(client, bytes, len);
        break;
    default:
        scenario_check(false, "client %ld got a frame that begins with %u", number_of(client), first);
    }
}

/* One frame. -> false: it is not there yet. */
static bool take_frame(struct client *client)
{
    size_t have, head = 2, len;
    const uint8_t *bytes = gy_sim_received(client->conn, &have);

    if (have < 2)
        return false;
    len = bytes[1];
    scenario_check(len < 128, "client %ld got a masked frame", number_of(client));
    if (len >= 126) {
        head = len == 126 ? 4 : 10;
        if (have < head)
            return false;
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | bytes[i];
        scenario_check(len >= (head == 4 ? 126 : 65536), "client %ld got a length in a longer form", number_of(client));
    }
    scenario_check(len < TEXT_MAX, "client %ld got a frame of %zu bytes", number_of(client), len);
    if (have < head + len)
        return false;
    hear_frame(client, bytes[0], bytes + head, len);
    gy_sim_take(client->conn, head + len);
    return true;
}

static bool take_head(struct client *client)
{
    size_t have;
    const char *bytes = (const char *)gy_sim_received(client->conn, &have);
    const char *end = have > 0 ? memmem(bytes, have, "\r\n\r\n", 4) : NULL;

    if (end == NULL)
        return false;
    client->open = memcmp(bytes, "HTTP/1.1 101 ", 13) == 0;
    scenario_check(client->open || harsh || draining, "client %ld got no 101 but %.40s", number_of(client), bytes);
    scenario_check(!client->open || memmem(bytes, have, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", 52) != NULL,
                   "client %ld got another key", number_of(client));
    gy_sim_take(client->conn, (size_t)(end + 4 - bytes));
    if (!client->open)
        leave(client);
    return client->open;
}

static void hear(struct client *client)
{
    if (!client->open && !take_head(client))
        return;
    while (!client->over && take_frame(client))
        continue;
    while (say_more(client) && pick(3) != 0)
        continue;
    if (client->temper == LEAVES && client->open && (heard_all(client) || pick(10) == 0))
        leave(client);
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    char text[256];

    (void)conn;
    if (client->over)
        return;
    switch (event) {
    case GY_SIM_CONNECTED:
        snprintf(text, sizeof(text),
                 "GET /%s/%u HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 client->id % 2 ? "far" : "near", client->id);
        put(client, text, strlen(text));
        break;
    case GY_SIM_DATA:
        hear(client);
        break;
    case GY_SIM_SENT:
        if (client->left == 0)
            ends_by_force(client);
        else
            (void)say_more(client);
        break;
    case GY_SIM_ENDED:
        /* It ends because both have said close, not because a time limit does it in the end. */
        scenario_check(!client->close_got || client->temper == IGNORES_CLOSE || harsh || client->slow ||
                           gy_sim_now(scenario_sim) - client->closed_ns < 8 * GY_S,
                       "client %ld waited for the end after both had said close", number_of(client));
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
    uint32_t bytes;

    client->begun = true;
    client->id = (uint32_t)number_of(client);
    client->temper = (enum temper)pick(TEMPERS);
    client->count = (uint32_t)pick(12);
    client->window = 1 + (uint32_t)pick(6);
    client->left = UINT32_MAX;
    if (client->temper == RESETS || client->temper == VANISHES)
        client->left = 1 + (uint32_t)pick(pick(2) == 0 ? 400 : 20000);
    client->conn = gy_sim_connect(scenario_sim, 0, PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    if (client->temper == READS_NOTHING) {
        client->stuck = true;
        client->count = 60;
        client->window = 60;
        gy_sim_read_slowly(client->conn, 200, 10 * GY_S); /* the head, and little else */
    } else if (pick(3) == 0) {
        client->slow = true;
        bytes = 500 + (uint32_t)pick(20000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(10 * GY_MS));
    }
    if (pick(5) == 0) {
        client->slow = true;
        bytes = 1 + (uint32_t)pick(2000);
        gy_sim_write_slowly(client->conn, bytes, 1 + pick(GY_MS));
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
        if (!clients[i].begun || !clients[i].over)
            return false;
    return true;
}

/* The code that the actor must have been told. */
static void check_code(const struct client *client)
{
    unsigned told = parrot_records[client->id].code, expected = 1006;

    if (client->temper == BREAKS && client->breached && client->close_got && client->got_code == client->expects)
        expected = client->expects;
    else if (client->close_sent)
        expected = client->sent_code;
    scenario_check(told == expected || told == 1006 || (client->breached && told == client->expects) ||
                       (harsh && told == 1011), /* no memory for a message */
                   "client %ld of temper %d: the actor was told %u, not %u", number_of(client), client->temper, told,
                   expected);
}

static void client_check(const struct client *client)
{
    const struct parrot_record *record = &parrot_records[client->id];
    bool broke = gy_sim_conn_has(client->conn, GY_SIM_RESET), in_order = !harsh && !broke && !client->stuck;

    scenario_check(record->closed == record->opened, "client %ld of temper %d: the actor was told %u ends of %u",
                   number_of(client), client->temper, record->closed, record->opened);
    if (record->opened > 0)
        check_code(client);
    /* An end in order is no reset: that would be one which a time limit had to bring about. */
    scenario_check(!broke || harsh || draining || client->slow || client->temper > BREAKS,
                   "client %ld of temper %d was reset", number_of(client), client->temper);
    if (!in_order || draining)
        return;
    scenario_check(gy_sim_conn_has(client->conn, GY_SIM_CONNECTED), "client %ld was not let in", number_of(client));
    switch (client->temper) {
    case SAYS_CLOSE:
        scenario_check(heard_all(client), "client %ld heard %u of %u", number_of(client), client->heard, client->count);
        /* fall through */
    case CLOSES_EARLY:
        scenario_check(client->close_got && client->got_code == client->sent_code && record->code == client->sent_code,
                       "client %ld said %u, got %u, the actor %u", number_of(client), client->sent_code,
                       client->got_code, record->code);
        break;
    case ASKS_CLOSE:
        scenario_check(heard_all(client), "client %ld heard %u of %u", number_of(client), client->heard, client->count);
        /* fall through */
    case BREAKS:
        scenario_check(client->close_got && client->got_code == client->expects && record->code == client->expects,
                       "client %ld of temper %d expects %u, got %u, the actor %u", number_of(client), client->temper,
                       client->expects, client->got_code, record->code);
        break;
    case IGNORES_CLOSE:
        scenario_check(client->got_code == client->expects && record->code == 1006, "client %ld got %u, the actor %u",
                       number_of(client), client->got_code, record->code);
        break;
    default:
        scenario_check(record->opened == 0 || record->code == 1006, "client %ld: the actor was told %u",
                       number_of(client), record->code);
        break;
    }
}

static uint64_t streams_open(void)
{
    struct gy_runtime *runtime = gy_sim_runtime(scenario_sim, 0);
    uint64_t open = 0;

    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        open += runtime->shards[i]->streams->open;
    return open;
}

static void configure(struct gy_sim_config *config)
{
    static const uint32_t queues[] = {1, 3000, 1u << 18};
    uint64_t seed = config->seed;

    parrot_options = (struct gy_ws_options)GY_WS_OPTIONS_INIT(parrot_events);
    parrot_options.queue_max = queues[seed % 3];
    parrot_options.message_max = seed % 5 == 0 ? 500 : TEXT_MAX - 1;
    parrot_options.ping_ns = seed % 2 == 0 ? 10 * GY_S : 40 * GY_S;
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
}

static uint64_t run(struct gy_sim_config *config)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    uint64_t seed = config->seed;

    memset(clients, 0, sizeof(clients));
    memset(parrot_records, 0, sizeof(parrot_records));
    heard_total = missed_total = pongs_total = closes_total = 0;
    draining = false;
    http.stream_window = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2000 : 65536;
    configure(config);
    if (!scenario_open(config, parrot_boot, &http))
        return 0;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(50 * GY_MS), client_begin, &clients[i]);
    if (seed % 3 == 0)
        gy_sim_at(scenario_sim, 1 + pick(200 * GY_MS), drain, NULL);
    if (!gy_sim_until(scenario_sim, all_over, NULL, 2000 * GY_S) && !harsh)
        gy_sim_fail(scenario_sim, "clients wait for ever");
    gy_sim_advance(scenario_sim, 700 * GY_S); /* longer than any of the server's limits */
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        client_check(&clients[i]);
    scenario_check(streams_open() == 0, "%llu streams stand still", (unsigned long long)streams_open());
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    scenario_check(streams_open() == 0, "%llu streams are left", (unsigned long long)streams_open());
    if (draining) {
        scenario_check(gy_sim_until(scenario_sim, is_stopped, NULL, 700 * GY_S), "the drain does not end");
        scenario_check(gy_sim_host_result(scenario_sim, 0) == 0, "the drain ended with %d",
                       gy_sim_host_result(scenario_sim, 0));
    }
    scenario_add("websocket.clients", client_count);
    scenario_add("websocket.messages", heard_total);
    scenario_add("websocket.missed", missed_total);
    scenario_add("websocket.pongs", pongs_total);
    scenario_add("websocket.closes", closes_total);
    return scenario_close();
}

const struct scenario scenario_websocket = {"websocket", "WebSocket clients that fragment, ping, close, break rules", run};
