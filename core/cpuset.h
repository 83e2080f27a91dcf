/* Sets of CPUs: what of them is not public. See gyre/config.h for the rest. */
#ifndef GYRE_CORE_CPUSET_H
#define GYRE_CORE_CPUSET_H

#include "gyre/config.h"
#include "core/text.h"

/* Append the set as a list, "0-3,8"; the empty set is the empty text. */
void gy__cpuset_format(struct gy__text *t, const struct gy_cpuset *set);

/* Keep in `set` only what is in `other` too. */
void gy__cpuset_and(struct gy_cpuset *set, const struct gy_cpuset *other);

bool gy__cpuset_is_empty(const struct gy_cpuset *set);

/* The first CPU of the set that is not below `from`; GY_CPUS_MAX when there is none. */
unsigned gy__cpuset_next(const struct gy_cpuset *set, unsigned from);

#endif
