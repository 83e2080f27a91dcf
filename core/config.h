/* The configuration, as the inside of the library reads it. See gyre/config.h. */
#ifndef GYRE_CORE_CONFIG_H
#define GYRE_CORE_CONFIG_H

#include "gyre/config.h"
#include "core/text.h"

/* Append the option called `name` as the user gave it, for messages: --shards=3, GYRE_SHARDS=3,
 * shards=3. */
void gy__config_label(const struct gy_config *cfg, const char *name, struct gy__text *t);

/* How long an idle shard looks for work before it sleeps: 0 at once, UINT64_MAX never sleeps.
 * crowded: there are more shards than CPUs, so that whoever spins takes the CPU from the one it
 * waits for. */
uint64_t gy__config_spin_ns(const struct gy_config *cfg, bool crowded);

#endif
