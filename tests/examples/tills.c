/* tills.c - one supervised actor per shard, found from all of them by its name.
 *
 * On each shard a supervisor keeps one till. Its start function asks for the name "till(N)", N being the shard, so
 * that whoever lives there now is found, from any shard. A customer buys at all of them, one breaks, and the customer
 * buys at all of them once more: the new one is found as the old one was, with nothing in it.
 *
 * Shows: a supervisor on each shard; names that outlive their actors; trying again between two lives.
 *
 *     gyre-tills             logs what each till has sold and ends with status 0
 *     gyre-tills --shards=2 */
#include "gyre/args.h"
#include "gyre/flow.h"
#include "gyre/name.h"
#include "gyre/run.h"
#include "gyre/supervisor.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>

#define TRIES 2000 /* of a ms each */

/* ---- till: one on each shard ---- */

struct till_args {
    int unused;
};
GY_ACTOR(till);
struct till_sell_msg {
    uint32_t pieces;
};
struct till_sell_reply {
    uint32_t sold; /* in this life */
};
GY_CALL(till, sell);
struct till_break_msg {
    int32_t why;
};
GY_CAST(till, break);

struct till {
    struct gy_actor actor;
    struct gy_timer again;
    uint32_t sold;
};
GY_ACTOR_TYPE(till, till_start, till_stop);
GY_VERB(till, sell);
GY_VERB(till, break);
GY_CHILD(till);
GY_TIMER(till, till_ask_for_name);
GY_THEN_RES(till, till_on_name);

static void name_of_till(char name[GY_NAME_SIZE], unsigned shard)
{
    snprintf(name, GY_NAME_SIZE, "till(%u)", shard);
}

static void till_ask_for_name(struct till *self, struct gy_timer *timer)
{
    char name[GY_NAME_SIZE];
    (void)timer;
    name_of_till(name, gy_shard());
    if (gy_then(self, gy_register(&self->actor, name), till_on_name, 0) < 0)
        gy_timer_arm(self, &self->again, till_ask_for_name, GY_MS);
}

/* Where the name is decided the end of the one before may not be known yet, or a ring may be full. */
static void till_on_name(struct till *self, uint64_t ctx, int res)
{
    (void)ctx;
    if (res == -EEXIST || res == -EAGAIN)
        gy_timer_arm(self, &self->again, till_ask_for_name, GY_MS);
    else if (res < 0)
        gy_fail(&self->actor, res);
}

static int till_start(struct till *self, const struct till_args *args)
{
    (void)args;
    till_ask_for_name(self, &self->again);
    return 0;
}
static void till_stop(struct till *self, int why)
{
    (void)self, (void)why; /* its name ends with it */
}
void till_on_sell(struct till *self, const struct till_sell_msg *msg, till_sell_promise reply)
{
    self->sold += msg->pieces;
    till_sell_resolve(reply, (struct till_sell_reply){ self->sold });
}
void till_on_break(struct till *self, const struct till_break_msg *msg)
{
    gy_fail(&self->actor, msg->why);
}

/* ---- customer ---- */

static int result; /* of the program: read when the runtime has ended */

struct customer_args {
    int unused;
};
GY_ACTOR(customer);
struct customer {
    struct gy_actor actor;
};
GY_ACTOR_TYPE(customer, customer_start, customer_stop);

struct walk {
    struct gy_flow flow;
    unsigned round, shard, tries;
    till_sell_fut sold;
};
GY_FLOW(customer, walk);

/* {0} while nobody has the name: a call then ends with an error, as one does that an end overtakes. */
static till_pid find_till(unsigned shard)
{
    char name[GY_NAME_SIZE];
    name_of_till(name, shard);
    return (till_pid){ gy_lookup(name) };
}

GY_FLOW_BEGIN(customer, self, walk, f)
    GY_FOR(f->round = 0, f->round < 2, f->round++)
        f->shard = 0;
        GY_WHILE(f->shard < gy_shards())
            f->sold = till_sell(find_till(f->shard), (struct till_sell_msg){ 1 });
            GY_AWAIT(f, f->sold.fut);
            struct till_sell_reply reply;
            if (till_sell_value(f->sold, &reply) == 0)
                gy_log("round %u, till(%u): %u sold", f->round, f->shard++, reply.sold);
            else if (++f->tries > TRIES)
                GY_LEAVE(f, -ETIMEDOUT);
            GY_AWAIT(f, gy_after(f->flow.res < 0 ? GY_MS : 0));
        GY_END
        if (f->round == 0 &&
            till_break(find_till(gy_shards() - 1), (struct till_break_msg){ -EIO }) < 0)
            GY_LEAVE(f, -EPROTO);
    GY_END
GY_CLEANUP(f)
    result = f->flow.why;
    gy_stop(gy_runtime_of_shard());
GY_FLOW_END(f)

static int customer_start(struct customer *self, const struct customer_args *args)
{
    (void)args;
    gy_fut fut = walk_start(self, &(struct walk){ .round = 0 });
    int err = gy_refused(fut);
    gy_forget(fut);
    return err;
}
static void customer_stop(struct customer *self, int why)
{
    (void)self, (void)why;
}

/* ---- the program ---- */

static int boot(unsigned shard, void *arg)
{
    static const struct till_args args;
    struct gy_child_spec *spec = &((struct gy_child_spec *)arg)[shard]; /* borrowed while the supervisor lives */
    customer_pid customer;
    gy_pid pid;
    *spec = till_child("till", &args, GY_RESTART_ALWAYS, NULL);
    const struct gy_supervisor_args tills = { .children = spec, .count = 1,
                                              .strategy = GY_ONE_FOR_ONE, .restarts_max = 3,
                                              .within_ns = 5 * GY_S };
    int err = gy_supervisor_spawn(&pid, &tills);
    return err < 0 || shard > 0 ? err : customer_spawn(&customer, &(struct customer_args){ 0 });
}

int main(int argc, char **argv)
{
    static const struct gy_program program = { .about = "Tills that break, and are found again." };
    static struct gy_child_spec specs[GY_SHARDS_MAX];
    struct gy_config config;
    gy_config_init(&config);
    config.handle_signals = true;
    int err = gy_args(&config, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&config, boot, specs);
    return gy_exit_status(err < 0 ? err : result);
}
