/* Actors that ask other servers over HTTP, one per shard, and write down how each request ended.
 * Their source knows nothing of simulations. */
#ifndef GYRE_TESTS_SIM_ASKER_H
#define GYRE_TESTS_SIM_ASKER_H

#include "gyre/client.h"

#define ASKER_CALLS_MAX 4096
#define ASKER_BODY_MAX 512

struct asker_call {
    gy_fut fut;
    unsigned shard; /* as numbered by asker_boot() */
    bool begun;
    unsigned ends; /* how often it was told; more than one is wrong */
    int res;
    uint32_t body_len, head_len;
    uint64_t body_hash;
    uint64_t ended_ns;
    char body[ASKER_BODY_MAX]; /* its beginning, ended by 0 */
    char server[64];           /* the header X-Server, ended by 0 */
};
extern struct asker_call asker_calls[ASKER_CALLS_MAX];
extern unsigned asker_called;

void asker_reset(void);
/* Boot. arg: where the numbers of its shards begin (an unsigned), or NULL: 0. */
int asker_boot(unsigned shard, void *arg);
/* On a shard (gy_sim_run_on). ask: copied, but for what it points to. A refusal is an end as any
 * other.
 * -> the number of the call, in asker_calls; -EAGAIN. */
int asker_ask(unsigned number, const struct gy_http_ask *ask);
/* On its shard. */
void asker_discard(unsigned call);
/* End that asker, on its shard. */
int asker_kill(unsigned number);

uint64_t asker_hash(const char *bytes, size_t len);

#endif
