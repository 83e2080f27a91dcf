/* expect: error too few arguments|no matching function */

#include "counter.h"

struct counter_load_msg {
    uint32_t key;
};
GY_CAST_BUF(counter, load);

int load(counter_pid to);
int load(counter_pid to)
{
    struct counter_load_msg msg = {1};
    return counter_load(to, msg);
}
