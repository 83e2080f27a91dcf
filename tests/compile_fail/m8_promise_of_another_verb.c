/* expect: error (incompatible type|could not convert|no matching function|no viable conversion) */

#include "counter.h"

void answer(counter_peak_promise reply);
void answer(counter_peak_promise reply)
{
    struct counter_get_reply value = { 1 };

    counter_get_resolve(reply, value);
}
