/* expect: error does not fit beside a buffer */

#include "counter.h"

struct counter_load_msg {
    char text[GY_MSG_INLINE_WITH_BUF + 1];
};
GY_CAST_BUF(counter, load);
