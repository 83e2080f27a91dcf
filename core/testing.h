/* core/testing.h - filters of messages, as core's files see them. One thread runs all shards that
 * have filters, so the list needs no care. */
#ifndef GYRE_CORE_TESTING_H
#define GYRE_CORE_TESTING_H

#include "core/kernel.h"

struct gy_filter;

void gy__filter_add(struct gy_runtime *runtime, struct gy_filter *filter);
/* What it holds is lost; see gy__filter_release(). */
void gy__filter_remove(struct gy_runtime *runtime, struct gy_filter *filter);
/* A message for an actor that is FILTERED. -> true: it is to be handled; false: it was taken. */
bool gy__filter(struct gy_shard *shard, struct gy_cell *cell);
/* What the filter (NULL: each) holds for this shard comes now. */
void gy__filter_release(struct gy_shard *shard, struct gy_filter *filter);

#endif
