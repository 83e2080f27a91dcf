/* expect: error (incompatible type|could not convert|no matching function|no viable conversion) */

#include "counter.h"

void answer(counter_get_promise reply);
void answer(counter_get_promise reply)
{
    struct counter_peak_reply value = { 1.0 };

    counter_get_resolve(reply, value);
}
