/* ask.c - calls: a question, an answer, and each way in which an answer can fail to come.
 *
 * Shows a call to an actor on another shard, a continuation (then), a deadline, an answer given
 * later (keep), a refusal, and a callee that forgets to answer.
 *
 *     gyre-ask    logs how each of four calls ended; status 0 if each ended as it should */
#include "gyre/args.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>

/* ---- oracle: answers questions ---- */

struct oracle_args {
    uint32_t unused;
};
GY_ACTOR(oracle);

enum { EASY, REFUSED, SLOW, FORGOTTEN, QUESTIONS };
struct oracle_ask_msg {
    uint32_t question;
};
struct oracle_ask_reply {
    int32_t answer;
};
GY_CALL(oracle, ask);

struct oracle {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(oracle, oracle_start, oracle_stop);
GY_VERB(oracle, ask);
GY_THEN_RES(oracle, oracle_on_thought);

static int oracle_start(struct oracle *self, const struct oracle_args *args)
{
    (void)self, (void)args;
    return 0;
}

static void oracle_stop(struct oracle *self, int why)
{
    (void)self, (void)why;
}

/* A promise is a plain value: once kept, it can travel as a continuation's ctx. */
static void oracle_think(struct oracle *self, oracle_ask_promise reply)
{
    int err = oracle_ask_keep(reply);
    if (err == 0)
        err = gy_then(self, gy_after(30 * GY_S), oracle_on_thought, reply.promise.bits);
    if (err < 0)
        oracle_ask_reject(reply, err);
}

void oracle_on_ask(struct oracle *self, const struct oracle_ask_msg *msg, oracle_ask_promise reply)
{
    if (msg->question == EASY)
        oracle_ask_resolve(reply, (struct oracle_ask_reply){42});
    else if (msg->question == REFUSED)
        oracle_ask_reject(reply, -EDOM);
    else if (msg->question == SLOW)
        oracle_think(self, reply);
    /* FORGOTTEN: a promise neither answered nor kept here is answered -EOWNERDEAD for us. */
}

static void oracle_on_thought(struct oracle *self, uint64_t ctx, int res)
{
    (void)self, (void)res;
    oracle_ask_promise reply = {{ctx}};
    oracle_ask_resolve(reply, (struct oracle_ask_reply){7});
}

/* ---- asker: asks one of each ---- */

struct asker_args {
    int *failures; /* borrowed until the runtime has ended */
};
GY_ACTOR(asker);

struct asker {
    struct gy_actor actor;
    int *failures;
    unsigned answers;
};
GY_ACTOR_TYPE(asker, asker_start, asker_stop);
GY_THEN(asker, asker_on_oracle, oracle, spawn);
GY_THEN(asker, asker_on_answer, oracle, ask);

static int asker_start(struct asker *self, const struct asker_args *args)
{
    self->failures = args->failures;
    /* To start an actor on another shard is a call as well. */
    oracle_spawn_fut f = oracle_spawn_on(gy_shards() - 1, &(struct oracle_args){0});
    return gy_then(self, f, asker_on_oracle, 0);
}

static void asker_stop(struct asker *self, int why)
{
    *self->failures += self->answers != QUESTIONS || why != 0;
    gy_stop(gy_runtime_of_shard()); /* without the asker there is nothing left to do */
}

static void asker_on_oracle(struct asker *self, uint64_t ctx, int res,
                            const struct oracle_spawn_reply *value)
{
    (void)ctx;
    if (res < 0) {
        gy_fail(&self->actor, res);
        return;
    }
    for (uint32_t q = 0; q < QUESTIONS; q++) {
        oracle_ask_fut f = oracle_ask(value->pid, (struct oracle_ask_msg){q});
        gy_deadline(f.fut, q == SLOW ? 50 * GY_MS : 10 * GY_S);
        /* A refused call (-EAGAIN: full) comes to the continuation like any other failure. */
        int err = gy_then(self, f, asker_on_answer, q);
        if (err < 0)
            gy_fail(&self->actor, err);
    }
}

static void asker_on_answer(struct asker *self, uint64_t question, int res,
                            const struct oracle_ask_reply *value)
{
    static const char *const names[] = {"easy", "refused", "slow", "forgotten"};
    static const int expected[] = {0, -EDOM, -ETIMEDOUT, -EOWNERDEAD};
    if (res >= 0)
        gy_log("%s: the answer is %d", names[question], value->answer);
    else
        gy_log("%s: error %d", names[question], res);
    *self->failures += res != expected[question];
    if (++self->answers == QUESTIONS && gy_actor_stop(self->actor.pid, 0) < 0)
        gy_fail(&self->actor, -EAGAIN);
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    asker_pid pid;
    return shard == 0 ? asker_spawn(&pid, &(struct asker_args){arg}) : 0;
}

int main(int argc, char **argv)
{
    static const struct gy_program program = {.about = "Four calls, and how each of them ends."};
    int failures = 0;
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    err = gy_run(&cfg, boot, &failures);
    return err < 0 ? gy_exit_status(err) : failures != 0;
}
