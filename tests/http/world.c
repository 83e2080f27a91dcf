#include "tests/http/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTEN_HANDLE 3
#define FIRST_HANDLE 100

struct world *world_now;

void world_init(struct world *world)
{
    memset(world, 0, sizeof(*world));
    fake_init(&world->fake);
    gy_config_init(&world->core);
    world->http = (struct gy_http_config)GY_HTTP_CONFIG_INIT("127.0.0.1:8080");
    world_now = world;
}

void world_open(struct world *world, unsigned shards, int (*boot)(unsigned shard, void *arg))
{
    assert_int_equal(fake_try_open(&world->fake, &world->core, shards, boot, world), 0);
    for (unsigned i = 0; i < shards; i++) {
        struct gy_op *op = fake_op(&world->fake, i, GY_OP_LISTEN, 0);
        if (op != NULL)
            fake_complete(&world->fake, i, op, LISTEN_HANDLE, false);
    }
    world_settle(world);
}

void world_close(struct world *world)
{
    fake_close(&world->fake);
    for (unsigned i = 0; i < world->conn_count; i++)
        free(world->conns[i].out);
}

/* ---- what the kernel would do ---- */

static struct peer_conn *conn_of(struct world *world, unsigned shard, int32_t handle)
{
    for (unsigned i = 0; i < world->conn_count; i++)
        if (world->conns[i].shard == shard && world->conns[i].handle == handle)
            return &world->conns[i];
    return NULL;
}

static void take_bytes(struct peer_conn *c, const struct gy_op *op)
{
    size_t len = fake_bytes(op, c->out + c->out_len, WORLD_OUT_MAX - c->out_len);

    assert_true(c->out_len + len <= WORLD_OUT_MAX);
    c->out_len += len;
    c->sends++;
}

/* -> false: it stays in flight. */
static bool complete(struct world *world, unsigned shard, struct gy_op *op)
{
    struct peer_conn *c = conn_of(world, shard, op->handle);
    int32_t res = 0;

    switch (op->kind) {
    case GY_OP_SEND:
    case GY_OP_SEND_CLOSE:
        if (c->stuck && !op->canceled)
            return false;
        if (op->canceled && c->stuck) {
            res = -ECANCELED;
        } else {
            size_t before = c->out_len;
            take_bytes(c, op);
            res = (int32_t)(c->out_len - before);
        }
        c->closed |= op->kind == GY_OP_SEND_CLOSE;
        break;
    case GY_OP_HALF_CLOSE:
        c->half_closed = true;
        break;
    case GY_OP_CLOSE:
        if (c != NULL)
            c->closed = true;
        break;
    case GY_OP_UNLISTEN:
        break;
    default:
        if (!op->canceled)
            return false;
        res = -ECANCELED;
        break;
    }
    fake_complete(&world->fake, shard, op, res, false);
    return true;
}

void world_settle(struct world *world)
{
    bool more = true;

    while (more) {
        fake_settle(&world->fake);
        more = false;
        for (unsigned shard = 0; shard < world->fake.shards; shard++) {
            struct gy_op *op;
            for (unsigned n = 0; (op = fake_op(&world->fake, shard, GY_OP_NONE, n)) != NULL;) {
                if (complete(world, shard, op))
                    more = true;
                else
                    n++;
            }
        }
    }
}

void world_advance(struct world *world, uint64_t ns)
{
    fake_advance(&world->fake, ns);
    world_settle(world);
}

/* ---- peers ---- */

struct peer_conn *world_connect(struct world *world, unsigned shard)
{
    struct gy_op *accept = fake_op(&world->fake, shard, GY_OP_ACCEPT, 0);
    struct peer_conn *c = &world->conns[world->conn_count];

    assert_non_null(accept);
    assert_true(world->conn_count < WORLD_CONNS_MAX);
    *c = (struct peer_conn){ .shard = shard, .handle = FIRST_HANDLE + (int32_t)world->conn_count++ };
    c->out = malloc(WORLD_OUT_MAX);
    assert_non_null(c->out);
    fake_complete(&world->fake, shard, accept, c->handle, true);
    world_settle(world);
    return c;
}

static struct gy_op *receive_of(struct world *world, const struct peer_conn *c)
{
    struct gy_op *op = fake_op_of(&world->fake, c->shard, GY_OP_RECV, c->handle);

    if (op == NULL)
        op = fake_op_of(&world->fake, c->shard, GY_OP_RECV_MULTI, c->handle);
    return op;
}

bool world_give(struct world *world, struct peer_conn *c, const void *bytes, size_t len)
{
    struct gy_op *op = receive_of(world, c);

    if (op == NULL)
        return false;
    fake_receive(&world->fake, c->shard, op, bytes, len, op->kind == GY_OP_RECV_MULTI);
    return true;
}

void world_text(struct world *world, struct peer_conn *c, const char *text)
{
    assert_true(world_give(world, c, text, strlen(text)));
    world_settle(world);
}

void world_fin(struct world *world, struct peer_conn *c)
{
    struct gy_op *op = receive_of(world, c);

    assert_non_null(op);
    fake_complete(&world->fake, c->shard, op, 0, false);
    world_settle(world);
}

void world_reset(struct world *world, struct peer_conn *c)
{
    struct gy_op *op = receive_of(world, c);

    assert_non_null(op);
    fake_complete(&world->fake, c->shard, op, -ECONNRESET, false);
    world_settle(world);
}

/* ---- answers ---- */

static const char *next(struct peer_conn *c, int status, const char **body, size_t *len)
{
    static char head[8192];
    const char *at = c->out + c->out_read, *end, *length;
    size_t left = c->out_len - c->out_read;

    if (left == 0)
        fail_msg("no answer; expected %d", status);
    end = memmem(at, left, "\r\n\r\n", 4);
    assert_non_null(end);
    assert_true((size_t)(end + 4 - at) < sizeof(head));
    memcpy(head, at, (size_t)(end + 4 - at));
    head[end + 4 - at] = '\0';
    if (strncmp(head, "HTTP/1.1 ", 9) != 0 || atoi(head + 9) != status)
        fail_msg("not %d:\n%s", status, head);
    length = strstr(head, "\r\nContent-Length: ");
    *body = end + 4;
    *len = length != NULL ? strtoull(length + 18, NULL, 10) : 0;
    assert_true((size_t)(*body + *len - at) <= left);
    c->out_read += (size_t)(*body + *len - at);
    return head;
}

const char *world_expect(struct world *world, struct peer_conn *c, int status, const char *body)
{
    const char *got, *head;
    size_t len;

    (void)world;
    head = next(c, status, &got, &len);
    if (body != NULL && (len != strlen(body) || memcmp(got, body, len) != 0))
        fail_msg("the body is \"%.*s\", not \"%s\"", (int)len, got, body);
    return head;
}

const char *world_body(struct world *world, struct peer_conn *c, size_t *len)
{
    const char *body;

    (void)world;
    (void)next(c, 200, &body, len);
    return body;
}

void world_expect_nothing(struct peer_conn *c)
{
    assert_int_equal(c->out_read, c->out_len);
}
