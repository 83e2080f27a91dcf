/* Sets of CPUs as fixed bitmaps (see gyre/config.h). All functions are pure; the costliest walk all
 * GY_CPUS_MAX bits. */
#include "core/cpuset.h"

#include <errno.h>
#include <string.h>

#include "core/parse.h"

void gy_cpuset_add(struct gy_cpuset *set, unsigned cpu)
{
    if (cpu < GY_CPUS_MAX)
        set->bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

bool gy_cpuset_has(const struct gy_cpuset *set, unsigned cpu)
{
    return cpu < GY_CPUS_MAX && (set->bits[cpu / 64] >> (cpu % 64) & 1) != 0;
}

unsigned gy_cpuset_count(const struct gy_cpuset *set)
{
    unsigned n = 0;
    for (unsigned i = 0; i < GY_CPUS_MAX / 64; i++) {
        for (uint64_t bits = set->bits[i]; bits != 0; bits &= bits - 1)
            n++;
    }
    return n;
}

bool gy__cpuset_is_empty(const struct gy_cpuset *set)
{
    return gy__cpuset_next(set, 0) == GY_CPUS_MAX;
}

void gy__cpuset_and(struct gy_cpuset *set, const struct gy_cpuset *other)
{
    for (unsigned i = 0; i < GY_CPUS_MAX / 64; i++)
        set->bits[i] &= other->bits[i];
}

unsigned gy__cpuset_next(const struct gy_cpuset *set, unsigned from)
{
    while (from < GY_CPUS_MAX && !gy_cpuset_has(set, from))
        from++;
    return from;
}

/* One item of a list: N, N-M or N-M:S. Advances *text behind it. */
static int parse_item(struct gy_cpuset *set, const char **text)
{
    uint64_t first, last, stride = 1;
    if (!gy__parse_digits(text, &first))
        return -EINVAL;
    last = first;
    if (**text == '-') {
        ++*text;
        if (!gy__parse_digits(text, &last) || last < first)
            return -EINVAL;
        if (**text == ':') {
            ++*text;
            if (!gy__parse_digits(text, &stride) || stride == 0)
                return -EINVAL;
        }
    }
    if (last >= GY_CPUS_MAX)
        return -ERANGE;
    /* Both below GY_CPUS_MAX; only the stride can be large, and it ends the loop. */
    for (uint64_t cpu = first; cpu <= last; cpu = stride > last - cpu ? last + 1 : cpu + stride)
        gy_cpuset_add(set, (unsigned)cpu);
    return 0;
}

int gy_cpuset_parse(struct gy_cpuset *set, const char *text)
{
    struct gy_cpuset found;
    memset(&found, 0, sizeof(found));
    for (;;) {
        int err = parse_item(&found, &text);
        if (err < 0)
            return err;
        if (*text == '\0')
            break;
        if (*text++ != ',')
            return -EINVAL;
    }
    *set = found;
    return 0;
}

void gy__cpuset_format(struct gy__text *t, const struct gy_cpuset *set)
{
    const char *comma = "";
    unsigned first = gy__cpuset_next(set, 0);
    while (first < GY_CPUS_MAX) {
        unsigned last = first;
        while (gy_cpuset_has(set, last + 1))
            last++;
        gy__text_printf(t, "%s%u", comma, first);
        if (last > first)
            gy__text_printf(t, "-%u", last);
        comma = ",";
        first = gy__cpuset_next(set, last + 1);
    }
}
