/* expect: error does not fit a message */

#include "counter.h"

struct counter_fill_msg {
    char text[GY_MSG_INLINE + 1];
};
GY_CAST(counter, fill);
