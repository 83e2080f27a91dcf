/* expect: error does not fit a message */

#include "counter.h"

struct counter_list_msg {
    uint32_t key;
};
struct counter_list_reply {
    char text[GY_MSG_INLINE + 1];
};
GY_CALL(counter, list);
