#include "tests/sim/parrot.h"
#include "tests/sim/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PUSH_MAX 64

/* ---- what is said ---- */

static uint32_t hash_of(uint32_t id, uint32_t seq)
{
    uint32_t hash = (id * 1000003u + seq) * 2654435761u;

    return (hash ^ hash >> 15) * 2246822519u ^ hash >> 7;
}

/* Whole characters of one to four bytes if it is a text, any bytes otherwise; which begin with whose they are. */
struct said parrot_said(uint32_t id, uint32_t seq, uint8_t *out)
{
    static const char *const characters[] = {"a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    uint32_t hash = hash_of(id, seq), len, at;
    struct said said = {hash & 1, 0, hash / 2 % 8 == 0 ? 1 + hash / 16 % PUSH_MAX : 0};

    if (said.pushes > 0) {
        said.text = true;
        said.len = (uint32_t)sprintf((char *)out, "push %u %u", said.pushes, seq);
        return said;
    }
    len = hash / 16 % 32 == 0 ? 60000 + hash / 256 % 12000 : hash / 256 % 400;
    len = len < parrot_options.message_max ? len : parrot_options.message_max;
    at = (uint32_t)sprintf((char *)out, "%u %u ", id, seq);
    for (uint32_t i = 0; at < len; i++) {
        const char *c = characters[said.text ? (hash + i) % 4 : 0];

        if (at + strlen(c) > len)
            c = "x";
        if (said.text)
            memcpy(out + at, c, strlen(c));
        else
            out[at] = (uint8_t)(hash + i * 37);
        at += (uint32_t)strlen(c);
    }
    said.len = at;
    return said;
}

uint32_t parrot_pushed(char *out, uint32_t id, uint32_t seq, uint32_t i)
{
    return (uint32_t)sprintf(out, "pushed %u %u %u%*s", id, seq, i, (int)(seq % 5 * 200), "");
}

/* ---- the service ---- */

struct parrot_record parrot_records[PARROT_CLIENTS];
struct gy_ws_options parrot_options;

struct parrot {
    struct gy_actor actor;
    struct talk {
        struct gy_ws ws;
        uint32_t missed;
    } talks[PARROT_CLIENTS];
};
GY_ACTOR_TYPE(parrot, parrot_start, parrot_stop);
GY_HTTP(parrot, parrot_open);
GY_WS(parrot, parrot_socket, parrot_message, parrot_room, parrot_closed);
const struct gy_ws_events *const parrot_events = &parrot_socket;

static int parrot_start(struct parrot *self, const struct parrot_args *args)
{
    char route[64];

    snprintf(route, sizeof(route), "GET %s/:id", args->where);
    return gy_http_route(self, route, parrot_open);
}

static void parrot_stop(struct parrot *self, int why)
{
    (void)why;
    for (uint32_t i = 0; i < PARROT_CLIENTS; i++)
        if (self->talks[i].ws.user != NULL)
            gy_ws_drop(&self->talks[i].ws);
}

static struct talk *talk_of(struct gy_ws *ws)
{
    return (struct talk *)(void *)((char *)ws - offsetof(struct talk, ws));
}

static void parrot_open(struct parrot *self, const struct gy_http_req *req, gy_http_promise reply)
{
    uint64_t id = 0;
    struct talk *talk;

    if (gy_http_param_u64(req, "id", &id) < 0 || id >= PARROT_CLIENTS || parrot_records[id].opened > 0) {
        gy_http_fail(reply, -ENOENT);
        return;
    }
    talk = &self->talks[id];
    talk->missed = 0;
    talk->ws.user = &parrot_records[id];
    if (gy_ws_open(&talk->ws, &self->actor, req, reply, &parrot_options) == 0)
        parrot_records[id].opened++;
    else
        talk->ws.user = NULL;
}

/* From the first one that found no room nothing is sent until there is some: then how many are missing. */
static void answer(struct talk *talk, enum gy_ws_type type, const void *data, size_t len)
{
    int err = talk->missed > 0 ? -EAGAIN : gy_ws_send(&talk->ws, type, data, len);

    scenario_check(gy_ws_queued(&talk->ws) <= parrot_options.queue_max + PARROT_TEXT_MAX, "%zu bytes wait to be sent",
                   gy_ws_queued(&talk->ws));
    talk->missed += err == -EAGAIN;
}

static void parrot_message(struct parrot *self, struct gy_ws *ws, enum gy_ws_type type, const void *data, size_t len)
{
    struct talk *talk = talk_of(ws);
    char text[1200], out[1200];
    unsigned n, seq;

    (void)self;
    scenario_check(ws->user != NULL && ((struct parrot_record *)ws->user)->closed == 0, "a message after the end");
    scenario_check(len <= parrot_options.message_max, "a message of %zu bytes", len);
    snprintf(text, sizeof(text), "%.*s", (int)(len < 100 ? len : 100), (const char *)data);
    if (type == GY_WS_TEXT && sscanf(text, "close %u", &n) == 1) {
        gy_ws_close(ws, n, "as you wish");
    } else if (type == GY_WS_TEXT && sscanf(text, "push %u %u", &n, &seq) == 2) {
        for (uint32_t i = 0; i < n; i++)
            answer(talk, GY_WS_TEXT, out, parrot_pushed(out, (uint32_t)((struct parrot_record *)ws->user - parrot_records), seq, i));
    } else {
        answer(talk, type, data, len);
    }
}

static void parrot_room(struct parrot *self, struct gy_ws *ws)
{
    struct talk *talk = talk_of(ws);
    char text[32];
    int len = snprintf(text, sizeof(text), "missed %u", talk->missed);

    (void)self;
    if (talk->missed > 0 && gy_ws_send(ws, GY_WS_TEXT, text, (size_t)len) == 0)
        talk->missed = 0;
}

static void parrot_closed(struct parrot *self, struct gy_ws *ws, unsigned code)
{
    struct parrot_record *record = ws->user;

    (void)self;
    scenario_check(record != NULL && record->closed++ == 0, "an end is told twice");
    record->code = code;
    memset(ws, 0, sizeof(*ws)); /* it is ours again */
}

static int spawn(unsigned shard, const char *near, const char *far)
{
    parrot_pid pid;
    int err = parrot_spawn(&pid, &(struct parrot_args){near});

    return err < 0 || shard > 0 ? err : parrot_spawn(&pid, &(struct parrot_args){far});
}

int parrot_boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(arg);

    return err < 0 ? err : spawn(shard, "/near", "/far");
}

int parrot_boot_talk(unsigned shard)
{
    return spawn(shard, "/talk/near", "/talk/far");
}
