/* Tokens travel over shards whose rings are small: as casts, with and without a buffer, as calls with
 * and without a deadline, or resting for a while. Nothing is lost, doubled or reordered: the number
 * of hops is known beforehand, and each sender counts what it sends to each receiver. */
#include "tests/sim/scenario.h"
#include "gyre/buf.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define SHARDS_MAX 12
#define PER_SHARD 3
#define RELAYS_MAX (SHARDS_MAX * PER_SHARD)
#define TOKENS_MAX 512
#define REST_BITS 40
#define REST_MAX_NS (UINT64_C(1) << (REST_BITS - 1))

struct relay_args {
    uint32_t id;
};
GY_ACTOR(relay);
struct relay_token_msg {
    uint64_t hops;
    uint64_t sequence; /* of those from that sender to this receiver */
    uint32_t from;
};
GY_CAST(relay, token);
struct relay_ask_msg {
    uint64_t hops;
};
struct relay_ask_reply {
    uint64_t hops;
};
GY_CALL(relay, ask);
struct relay_begin_msg {
    uint64_t tokens, hops;
};
GY_CAST(relay, begin);

struct relay {
    struct gy_actor actor;
    uint32_t id;
    bool waiting;
    unsigned held_count;
    struct {
        uint64_t hops;
        uint32_t to;
    } held[TOKENS_MAX]; /* tokens that found no room */
    uint64_t sent[RELAYS_MAX], seen[RELAYS_MAX];
};

static relay_pid relays[RELAYS_MAX];
static uint32_t relay_count;
static uint64_t hops_left, asked, ended;
static uint64_t calm_at; /* so many hops are made without faults, and without rests */

GY_ACTOR_TYPE(relay, relay_start, relay_stop);
GY_VERB(relay, token);
GY_VERB(relay, ask);
GY_VERB(relay, begin);

static int relay_start(struct relay *self, const struct relay_args *args)
{
    self->id = args->id;
    relays[args->id] = (relay_pid){self->actor.pid};
    return 0;
}
static void relay_stop(struct relay *self, int why)
{
    (void)self, (void)why;
}

static uint64_t pick(uint64_t n)
{
    return gy_random() % n;
}

/* ---- a token as a message ---- */

static void token_in(struct relay *self, const struct relay_token_msg *msg);
static void token_with_buffer_run(struct gy_actor *a, const void *m, struct gy_buf *buf,
                                  gy_promise none)
{
    struct relay_token_msg msg;

    (void)none;
    memcpy(&msg, m, sizeof(msg));
    scenario_check(buf->len == 8 && memcmp(buf->data, &msg.sequence, 8) == 0,
                   "a buffer changed on its way");
    gy_buf_release(buf);
    token_in((struct relay *)(void *)a, &msg);
}
static const struct gy_verb token_with_buffer = {"relay.buffer", &relay_type,
                                                 token_with_buffer_run,
                                                 sizeof(struct relay_token_msg), GY_VERB_BUF};

static int token_cast(struct relay *self, uint64_t hops, uint32_t to)
{
    struct relay_token_msg msg = {hops, self->sent[to] + 1, self->id};
    struct gy_buf *buf = pick(4) == 0 ? gy_buf_take(pick(2) ? 8 : 1000) : NULL;
    int err;

    if (buf == NULL) {
        err = relay_token(relays[to], msg);
    } else {
        uint64_t words[4] = {0};
        memcpy(words, &msg, sizeof(msg));
        memcpy(buf->data, &msg.sequence, 8);
        buf->len = 8;
        err = gy_cast_raw(relays[to].pid, &token_with_buffer, words, buf);
        if (err < 0)
            gy_buf_release(buf);
    }
    scenario_check(err == 0 || err == -EAGAIN, "a cast says %d", err);
    if (err == 0)
        self->sent[to]++;
    return err;
}

/* ---- what found no room ---- */

static void held_send(struct relay *self);
GY_ROOM(relay, relay_on_room)
{
    (void)ctx;
    self->waiting = false;
    held_send(self);
}
static void held_send(struct relay *self)
{
    while (self->held_count > 0) {
        unsigned last = self->held_count - 1;
        uint32_t to = self->held[last].to;
        if (token_cast(self, self->held[last].hops, to) < 0) {
            if (!self->waiting) {
                int err = gy_room_again(self, relays[to].pid, relay_on_room, 0);
                scenario_check(err == 0, "room_again says %d", err);
                self->waiting = true;
            }
            return;
        }
        self->held_count--;
    }
}

/* ---- a hop ---- */

static void pass_on(struct relay *self, uint64_t hops);

static void hop_done(void)
{
    scenario_check(hops_left > 0, "more hops than there can be");
    hops_left--;
}

GY_THEN(relay, relay_on_answer, relay, ask)
{
    ended++;
    scenario_check(res == 0 || res == -ETIMEDOUT || res == -ECANCELED, "a call ended with %d", res);
    scenario_check(res < 0 || value->hops == ctx, "an answer to another call");
    hop_done();
    pass_on(self, ctx - 1);
}

GY_THEN_RES(relay, relay_rested)
{
    scenario_check(res == 0, "a rest ended with %d", res);
    pass_on(self, ctx);
}

static bool ask(struct relay *self, uint64_t hops, uint32_t to)
{
    relay_ask_fut fut = relay_ask(relays[to], (struct relay_ask_msg){hops});
    uint64_t how = pick(8);

    if (gy_refused(fut.fut) != 0)
        return false;
    asked++;
    scenario_check(gy_then(self, fut, relay_on_answer, hops) == 0, "then refused");
    if (how < 3)
        (void)gy_deadline(fut.fut, UINT64_C(1) << pick(24));
    else if (how == 3)
        gy_discard(fut.fut);
    return true;
}

static bool rest(struct relay *self, uint64_t hops)
{
    gy_fut fut = gy_after(UINT64_C(1) << pick(REST_BITS));

    if (gy_refused(fut) != 0)
        return false;
    scenario_check(gy_then(self, fut, relay_rested, hops) == 0, "then refused");
    return true;
}

static void pass_on(struct relay *self, uint64_t hops)
{
    uint32_t to = (uint32_t)pick(relay_count);
    uint64_t how = pick(8);

    if (hops == 0 || (how < 2 && ask(self, hops, to)) || (how == 2 && hops_left > calm_at && rest(self, hops)))
        return;
    self->held[self->held_count].hops = hops;
    self->held[self->held_count++].to = to;
    held_send(self);
}

static void token_in(struct relay *self, const struct relay_token_msg *msg)
{
    uint64_t *seen = &self->seen[msg->from];

    scenario_check(msg->sequence == *seen + 1,
                   "relay %u got message %llu of relay %u after message %llu", self->id,
                   (unsigned long long)msg->sequence, msg->from, (unsigned long long)*seen);
    ++*seen;
    hop_done();
    pass_on(self, msg->hops - 1);
}
void relay_on_token(struct relay *self, const struct relay_token_msg *msg)
{
    token_in(self, msg);
}
void relay_on_ask(struct relay *self, const struct relay_ask_msg *msg, relay_ask_promise reply)
{
    (void)self;
    relay_ask_resolve(reply, (struct relay_ask_reply){msg->hops});
}
void relay_on_begin(struct relay *self, const struct relay_begin_msg *msg)
{
    for (uint64_t i = 0; i < msg->tokens; i++)
        pass_on(self, msg->hops);
}

/* ---- the run ---- */

static int boot(unsigned shard, void *arg)
{
    uint32_t per_shard = *(uint32_t *)arg;

    for (uint32_t i = 0; i < per_shard; i++) {
        relay_pid pid;
        int err = relay_spawn(&pid, &(struct relay_args){shard * per_shard + i});
        if (err < 0)
            return err;
    }
    return 0;
}

static int begin(unsigned shard, void *arg)
{
    (void)shard;
    const struct relay_begin_msg *msg = arg;

    for (uint32_t i = 0; i < relay_count; i++)
        if (gy_pid_shard(relays[i].pid) == shard && relay_begin(relays[i], *msg) < 0)
            return -1;
    return 0;
}

static bool are_on_their_way(void *arg)
{
    (void)arg;
    return hops_left <= calm_at;
}
static bool arrived(void *arg)
{
    (void)arg;
    return hops_left == 0;
}

static uint64_t run(struct gy_sim_config *config)
{
    uint64_t seed = config->seed;
    uint32_t per_shard = 1 + (uint32_t)(seed / 7 % PER_SHARD);
    struct relay_begin_msg msg;

    config->shards = seed % 11 == 0 ? SHARDS_MAX : 1 + (uint32_t)(seed % 5);
    relay_count = config->shards * per_shard;
    msg.tokens = seed % 3 == 0 ? 1 : 1 + seed % TOKENS_MAX / relay_count;
    msg.hops = 1500 / (msg.tokens * relay_count) + 2;
    hops_left = msg.tokens * msg.hops * relay_count;
    asked = ended = 0;
    calm_at = hops_left / 4;
    if (!scenario_open(config, boot, &per_shard))
        return 0;
    for (unsigned i = 0; i < config->shards; i++)
        scenario_check(gy_sim_run_on(scenario_sim, i, begin, &msg) == 0, "it does not begin");
    scenario_check(gy_sim_until(scenario_sim, are_on_their_way, NULL, 1000000 * GY_S),
                   "%llu hops are not made", (unsigned long long)hops_left);
    /* The longest rest that may have begun, and a little. */
    scenario_live(arrived, NULL, REST_MAX_NS + GY_S, "tokens have not arrived");
    scenario_check(asked == ended, "%llu calls, %llu ended", (unsigned long long)asked,
                   (unsigned long long)ended);
    return scenario_close();
}

const struct scenario scenario_mesh = {"mesh", "tokens over small rings and sleeping shards", run};
