/* expect: error counter_get_resolve_buf */

#include "counter.h"
#include "gyre/buf.h"

/* GY_REPLY_BUF was not said of it. */
int answer(counter_get_promise reply, struct gy_buf *buf);
int answer(counter_get_promise reply, struct gy_buf *buf)
{
    struct counter_get_reply value = {1};
    return (&counter_get_resolve_buf)(reply, value, buf);
}
