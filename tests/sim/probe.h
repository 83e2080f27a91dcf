/* Operations by hand, on a shard of a simulation: a probe is one, and remembers how it went. */
#ifndef GYRE_TESTS_SIM_PROBE_H
#define GYRE_TESTS_SIM_PROBE_H

#include "core/kernel.h"
#include "gyre/sim.h"

#define PROBE_MAX 256

struct probe {
    struct gy_op op;
    struct gy_iov iov;
    unsigned count; /* completions */
    bool over;      /* the last one has come */
    int32_t res[PROBE_MAX];
    uint64_t at[PROBE_MAX]; /* of all probes, in what order they came */
    uint8_t data[1 << 16];  /* received */
    size_t len;
    bool keeps;        /* receive buffers are not given back */
    uint32_t kept[64]; /* those */
    unsigned kept_count;
};

void probe_init(struct probe *probe, enum gy_op_kind kind, int32_t handle);
/* Submit and cancel, on that shard; time does not move. */
void probe_submit(struct gy_sim *sim, unsigned shard, struct probe *probe);
void probe_cancel(struct gy_sim *sim, unsigned shard, struct probe *probe);
/* Give back what it kept. */
void probe_give_back(struct gy_sim *sim, unsigned shard, struct probe *probe);

/* Listen at addr and accept: listen->res[0] is the handle, accept->res[] those of connections. */
void probe_listen(struct gy_sim *sim, unsigned shard, const char *addr, struct probe *listen,
                  struct probe *accept);
/* End both again, and settle. */
void probe_unlisten(struct gy_sim *sim, unsigned shard, struct probe *listen, struct probe *accept);
/* One operation, settled: -> its one result. */
int32_t probe_now(struct gy_sim *sim, unsigned shard, enum gy_op_kind kind, int32_t handle);

#endif
