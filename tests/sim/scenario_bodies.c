/* Bodies in pieces, both ways, between clients of all tempers and handlers on either shard, while the
 * network and the shards misbehave. A copy comes back byte for byte what was sent, however both are
 * cut; what a client gets is always a beginning of what it must get, and all of it unless somebody
 * left or was too slow. Handlers are told how each of their streams ends, exactly once. */
#include "tests/sim/scenario.h"
#include "gyre/http_stream.h"
#include "gyre/typed.h"
#include "core/kernel.h"
#include "core/streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 80
#define CLIENTS_MAX 10
#define TASKS_MAX 64
#define BODY_MAX 200000u

static uint64_t pick(uint64_t n)
{
    return gy_sim_random(scenario_sim) % n;
}

static char byte_at(uint32_t id, uint64_t i)
{
    return (char)('a' + (id * 7 + i * 11 + i / 251) % 26);
}

/* ---- the service ---- */

struct copier_args {
    uint32_t far;
};
GY_ACTOR(copier);
struct copier {
    struct gy_actor actor;
    struct task {
        gy_http_promise reply;
        gy_http_stream stream;
        uint64_t total, left;
        uint32_t id;
        bool used, copies;
    } tasks[TASKS_MAX];
};
static uint64_t begun, watched; /* streams, and ends told */

GY_ACTOR_TYPE(copier, copier_start, copier_stop);
GY_HTTP(copier, copier_copy);
GY_HTTP(copier, copier_count);
GY_HTTP(copier, copier_drip);
GY_HTTP_PIECE(copier, copier_on_piece);
GY_THEN_RES(copier, copier_on_written);
GY_THEN_RES(copier, copier_on_end);

static const struct gy_http_route_options streams = {.size = sizeof(streams), .body_max = BODY_MAX, .stream = 1};

static int copier_start(struct copier *self, const struct copier_args *args)
{
    const char *where = args->far ? "/far" : "/near";
    char route[64];
    int err;

    snprintf(route, sizeof(route), "POST %s/copy", where);
    err = gy_http_route_with(self, route, copier_copy, &streams);
    snprintf(route, sizeof(route), "POST %s/count", where);
    if (err == 0)
        err = gy_http_route_with(self, route, copier_count, &streams);
    snprintf(route, sizeof(route), "GET %s/drip/:id/:n", where);
    if (err == 0)
        err = gy_http_route(self, route, copier_drip);
    return err;
}

static void copier_stop(struct copier *self, int why)
{
    (void)self, (void)why;
}

static struct task *task_begin(struct copier *self, const struct gy_http_req *req,
                               gy_http_promise reply, bool streams_answer)
{
    uint32_t i = 0;

    while (i < TASKS_MAX && self->tasks[i].used)
        i++;
    if (i == TASKS_MAX || (!streams_answer && gy_http_keep(reply) < 0)) {
        gy_http_fail(reply, -EAGAIN);
        return NULL;
    }
    self->tasks[i] = (struct task){reply, gy_http_stream_of(req), 0, 0, 0, true, streams_answer};
    if (streams_answer) {
        struct gy_http_res res;
        gy_http_begin(&res, 200);
        if (gy_http_end_stream(&res, reply, GY_HTTP_UNKNOWN) < 0) {
            self->tasks[i].used = false;
            return NULL;
        }
        if (gy_then(self, gy_http_watch(self->tasks[i].stream), copier_on_end, i) == 0)
            begun++;
    }
    return &self->tasks[i];
}

static void copier_on_end(struct copier *self, uint64_t i, int res)
{
    (void)self, (void)i, (void)res;
    watched++;
}

static void task_end(struct copier *self, struct task *task)
{
    (void)self;
    task->used = false;
}

/* A full queue on the way: the answer is given up, and the client sees it. */
static void task_fail(struct copier *self, struct task *task, int err)
{
    if (!task->copies)
        gy_http_fail(task->reply, err);
    else
        (void)!gy_http_abort(task->stream); /* or its time runs out */
    task_end(self, task);
}

static void read_on(struct copier *self, struct task *task)
{
    int err = gy_then(self, gy_http_read(task->stream), copier_on_piece,
                      (uint64_t)(task - self->tasks));

    if (err < 0)
        task_fail(self, task, err);
}

static void copier_copy(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, true);

    if (task != NULL)
        read_on(self, task);
}

static void copier_count(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, false);

    if (task != NULL)
        read_on(self, task);
}

static void finish(struct copier *self, struct task *task)
{
    if (gy_http_finish(task->stream) < 0)
        task_fail(self, task, -EAGAIN);
    else
        task_end(self, task);
}

static void copier_on_piece(struct copier *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = &self->tasks[i];

    if (res <= 0) {
        gy_buf_release(buf);
        if (res < 0 && task->copies)
            task_fail(self, task, res);
        else if (task->copies)
            finish(self, task);
        else {
            if (res == 0)
                gy_http_replyf(task->reply, 200, "%llu", (unsigned long long)task->total);
            else
                gy_http_fail(task->reply, res);
            task_end(self, task);
        }
        return;
    }
    task->total += (uint64_t)res;
    if (!task->copies) {
        gy_buf_release(buf);
        read_on(self, task);
        return;
    }
    res = gy_then(self, gy_http_write(task->stream, buf), copier_on_written, i);
    if (res < 0)
        task_fail(self, task, res);
}

static void drip(struct copier *self, struct task *task)
{
    uint64_t n = 1 + gy_random() % 5000;
    struct gy_buf *buf;
    int err;

    if (task->left == 0) {
        finish(self, task);
        return;
    }
    if (n > task->left)
        n = task->left;
    buf = gy_buf_take(n);
    if (buf == NULL) {
        task_fail(self, task, -EAGAIN);
        return;
    }
    for (uint64_t k = 0; k < n; k++)
        buf->data[k] = (uint8_t)byte_at(task->id, task->total + k);
    buf->len = (uint32_t)n;
    task->total += n;
    task->left -= n;
    err = gy_then(self, gy_http_write(task->stream, buf), copier_on_written,
                  (uint64_t)(task - self->tasks));
    if (err < 0)
        task_fail(self, task, err);
}

static void copier_on_written(struct copier *self, uint64_t i, int res)
{
    struct task *task = &self->tasks[i];

    if (res < 0)
        task_fail(self, task, res);
    else if (task->id != 0)
        drip(self, task);
    else
        read_on(self, task);
}

static void copier_drip(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, true);
    uint64_t id = 0;

    if (task == NULL)
        return;
    (void)gy_http_param_u64(req, "id", &id);
    (void)gy_http_param_u64(req, "n", &task->left);
    task->id = (uint32_t)id;
    drip(self, task);
}

static int boot(unsigned shard, void *arg)
{
    copier_pid pid;
    int err = gy_http_listen(arg);

    if (err == 0)
        err = copier_spawn(&pid, &(struct copier_args){false});
    if (err == 0 && shard == 0)
        err = copier_spawn(&pid, &(struct copier_args){true});
    return err;
}

/* ---- clients ---- */

static struct client {
    struct gy_sim_conn *conn;
    enum { COPY, COUNT, DRIP } kind;
    uint32_t id, n;  /* bytes of the body */
    uint32_t sent;   /* of them */
    uint32_t got;    /* of the answer's body */
    uint32_t leaves; /* after so many bytes of it; 0: never */
    bool head, whole, over, begun;
    int status;
} clients[CLIENTS_MAX];
static uint32_t client_count;
static bool harsh;

static void send_more(struct client *client)
{
    char line[16], bytes[3000];
    uint32_t n = 1 + (uint32_t)pick(sizeof(bytes));

    if (client->kind == DRIP || client->sent == client->n + 1)
        return;
    if (client->sent == client->n) {
        gy_sim_send(client->conn, "0\r\n\r\n", 5);
        client->sent++;
        return;
    }
    if (n > client->n - client->sent)
        n = client->n - client->sent;
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = byte_at(client->id, client->sent + i);
    client->sent += n;
    snprintf(line, sizeof(line), "%x\r\n", n);
    gy_sim_send(client->conn, line, strlen(line));
    gy_sim_send(client->conn, bytes, n);
    gy_sim_send(client->conn, "\r\n", 2);
}

static void leave(struct client *client)
{
    if (client->over)
        return;
    client->over = true;
    gy_sim_disconnect(client->conn);
}

static void check_byte(const struct client *client, char byte)
{
    scenario_check(client->got < client->n && byte == byte_at(client->id, client->got),
                   "client %ld: byte %u of its answer is not its own", (long)(client - clients),
                   client->got);
}

/* What was received ends with no NUL. */
static unsigned long number(const char *at, const char *end, unsigned base)
{
    unsigned long n = 0;

    for (; at < end; at++) {
        unsigned digit = *at >= 'a' ? (unsigned)(*at - 'a') + 10 : (unsigned)(*at - '0');
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    return n;
}

/* One chunk, or the head. -> false: it is not there yet. */
static bool take_one(struct client *client)
{
    size_t len, n;
    const char *at = (const char *)gy_sim_received(client->conn, &len);
    const char *end = len > 0 ? memmem(at, len, client->head ? "\r\n" : "\r\n\r\n", client->head ? 2 : 4) : NULL;

    if (client->whole) {
        scenario_check(len == 0, "client %ld got more than its answer", (long)(client - clients));
        return false;
    }
    if (end == NULL)
        return false;
    if (!client->head) {
        client->head = true;
        client->status = (int)number(at + 9, end, 10);
        client->whole = client->status != 200 || client->kind == COUNT;
        if (client->kind == COUNT && client->status == 200) {
            const char *body = end + 4;
            if ((size_t)(at + len - body) < 1 || number(body, at + len, 10) != client->n)
                client->status = -1; /* cut, or wrong: judged by client_check */
        }
        gy_sim_take(client->conn, client->whole ? len : (size_t)(end + 4 - at));
        return !client->whole;
    }
    n = number(at, end, 16);
    if ((size_t)(at + len - end) < n + 4)
        return false;
    for (size_t i = 0; i < n; i++, client->got++)
        check_byte(client, end[2 + i]);
    client->whole = n == 0;
    gy_sim_take(client->conn, (size_t)(end + 4 + n - at));
    return true;
}

static void on_event(void *arg, struct gy_sim_conn *conn, enum gy_sim_conn_event event)
{
    struct client *client = arg;
    char text[128];

    (void)conn;
    switch (event) {
    case GY_SIM_CONNECTED:
        snprintf(text, sizeof(text), client->kind == DRIP ? "GET /%s/drip/%u/%u HTTP/1.1\r\nHost: sim\r\n\r\n"
                                     : client->kind == COPY
                                         ? "POST /%s/copy?%u%u HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n"
                                         : "POST /%s/count?%u%u HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n",
                 client->id % 2 ? "far" : "near", client->id, client->n);
        gy_sim_send(client->conn, text, strlen(text));
        send_more(client);
        break;
    case GY_SIM_SENT:
        send_more(client);
        break;
    case GY_SIM_DATA:
        while (take_one(client))
            ;
        if (client->whole || (client->leaves > 0 && client->got >= client->leaves))
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
    client->kind = (int)pick(3) == 0 ? DRIP : pick(2) == 0 ? COUNT : COPY;
    client->id = 1 + (uint32_t)pick(1000);
    client->n = (uint32_t)pick(pick(2) == 0 ? 100 : 60000);
    if (pick(5) == 0)
        client->leaves = 1 + (uint32_t)pick(20000);
    client->conn = gy_sim_connect(scenario_sim, 0, PORT);
    gy_sim_conn_on(client->conn, on_event, client);
    if (pick(3) == 0) {
        bytes = 1000 + (uint32_t)pick(20000);
        gy_sim_read_slowly(client->conn, bytes, 1 + pick(GY_MS));
    }
}

static bool all_over(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < client_count; i++)
        if (!clients[i].begun || !clients[i].over)
            return false;
    return true;
}

static void client_check(const struct client *client)
{
    long number = (long)(client - clients);

    if (harsh || gy_sim_conn_has(client->conn, GY_SIM_RESET) ||
        !gy_sim_conn_has(client->conn, GY_SIM_CONNECTED) ||
        (client->leaves > 0 && client->got >= client->leaves) || client->status == 503 ||
        client->status == 408)
        return;
    scenario_check(client->status == 200, "client %ld got %d", number, client->status);
    scenario_check(client->whole, "client %ld got %u bytes of %u", number, client->got, client->n);
    scenario_check(client->kind == COUNT || client->got == client->n, "client %ld got %u bytes, not %u",
                   number, client->got, client->n);
}

static uint64_t run(struct gy_sim_config *config)
{
    struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    struct gy_runtime *runtime;
    uint64_t open = 0, whole = 0, seed = config->seed;

    memset(clients, 0, sizeof(clients));
    begun = watched = 0;
    harsh = seed % 4 == 1;
    client_count = 1 + (uint32_t)(seed % CLIENTS_MAX);
    http.stream_window = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 2000 : 65536;
    http.answer_timeout_ns = 5 * GY_S;
    http.stream_timeout_ns = 20 * GY_S;
    config->shards = 1 + (uint32_t)(seed % 3);
    config->runtime.mailbox = 256;
    config->runtime.futures = 512;
    if (config->runtime.ring_cells < 32)
        config->runtime.ring_cells = 32;
    config->faults.connect_lost_ppm = 0;
    if (harsh)
        gy_sim_faults_swarm(&config->faults, seed, true);
    if (!scenario_open(config, boot, &http))
        return 0;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_at(scenario_sim, pick(50 * GY_MS), client_begin, &clients[i]);
    if (!gy_sim_until(scenario_sim, all_over, NULL, 2000 * GY_S) && !harsh)
        gy_sim_fail(scenario_sim, "clients wait for ever");
    gy_sim_advance(scenario_sim, 700 * GY_S); /* longer than any of the server's limits */
    gy_sim_settle(scenario_sim);
    for (uint32_t i = 0; i < client_count; i++)
        client_check(&clients[i]);
    for (uint32_t i = 0; i < client_count; i++)
        whole += clients[i].whole && clients[i].status == 200;
    for (uint32_t i = 0; i < client_count; i++)
        gy_sim_conn_free(clients[i].conn);
    gy_sim_settle(scenario_sim);
    runtime = gy_sim_runtime(scenario_sim, 0);
    for (unsigned i = 0; runtime != NULL && i < runtime->shard_count; i++)
        open += runtime->shards[i]->streams->open;
    scenario_check(open == 0, "%llu streams are left", (unsigned long long)open);
    scenario_check(begun == watched, "%llu of %llu ends were told", (unsigned long long)watched,
                   (unsigned long long)begun);
    scenario_add("bodies.clients", client_count);
    scenario_add("bodies.streams", begun);
    scenario_add("bodies.whole", whole);
    return scenario_close();
}

const struct scenario scenario_bodies = {"bodies", "requests and answers in pieces", run};
