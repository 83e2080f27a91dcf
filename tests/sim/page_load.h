/* Load for tests/examples/flow.c and continuations.c, in virtual time: 10,000 requests a second,
 * of which one in ten asks for what comes too late, and one in ten is made by a client that leaves
 * before its answer. Each test includes one of the two programs and runs page_load() over it. */
#ifndef GYRE_TESTS_SIM_PAGE_LOAD_H
#define GYRE_TESTS_SIM_PAGE_LOAD_H

/* boot: of the program, whose arg is the address. seconds: of virtual time. */
void page_load(int (*boot)(unsigned shard, void *arg), unsigned shards, uint64_t seed,
               unsigned seconds);
/* Seconds of load: what GYRE_LONG asks for, 10 otherwise. */
unsigned page_load_seconds(void);

#endif
