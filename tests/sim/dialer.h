/* Actors that connect to the echo service, one per shard, and write down what happens. Their source
 * knows nothing of simulations. */
#ifndef GYRE_TESTS_SIM_DIALER_H
#define GYRE_TESTS_SIM_DIALER_H

#include "gyre/stream.h"

#define DIALER_CALLS_MAX 4096

/* One connection, from dialer_connect() on. */
struct dialer_call {
    struct gy_stream *stream; /* NULL when it has ended */
    uint64_t received;        /* bytes; each must be dialer_byte() of its position */
    bool opened, closed, wrong;
    int why;
};
extern struct dialer_call dialer_calls[DIALER_CALLS_MAX];
extern unsigned dialer_called;

void dialer_reset(void);
/* Boot: the echo service and one dialer per shard. arg: the number of the first shard's dialer, or
 * NULL for 0. */
int dialer_boot(unsigned shard, void *arg);
/* On the shard of that dialer (gy_sim_run_on): connect with these options and send so many bytes
 * at once. -> what gy_connect() returns; the call is the last of dialer_calls if that is 0. */
int dialer_connect(unsigned shard, const char *addr, const struct gy_connect_options *options,
                   uint32_t bytes);
/* The same to the first of several. */
int dialer_connect_any(unsigned shard, const char *const *addrs, unsigned count,
                       const struct gy_connect_options *options, uint32_t bytes);
static inline uint8_t dialer_byte(uint64_t position)
{
    return (uint8_t)(position * 31 + position / 251);
}
/* The echo service at another address as well, on the shard where it is called. */
int dialer_listen(const char *addr);
/* End the dialer of that shard, on it. */
int dialer_kill(unsigned shard, void *arg);

#endif
