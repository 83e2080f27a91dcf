/* core/failed.h - what failed and on what: lines for the log about operations that ended with an error.
 *
 * The program has the number; the log gets the rest: "open /etc/x: Permission denied". For each
 * kind of operation four lines in a row and then one a second, which says how many were passed over; all are
 * counted (gyre_operations_failed_total). Errors that are answers rather than failures are passed over silently and
 * not counted: a discard's -ECANCELED, the -ENOENT of whoever asks whether a file is there, and the like.
 * Only on a shard; costs nothing where nothing fails. */
#ifndef GYRE_CORE_FAILED_H
#define GYRE_CORE_FAILED_H

#include "core/kernel.h"
#include "core/stats.h"
#include "core/text.h"

/* Longer subjects are cut at their beginning: the end of a path says more, and the cause still fits. */
#define GY__SUBJECT_MAX 512

/* An operation of that kind ended with err (-errno). subject: a path, an address, ...; borrowed. */
void gy__failed(struct gy_shard *shard, enum gy_op_kind kind, int err, const char *subject);
/* The same with another word for what was done, or for why it failed; NULL: the usual one. */
void gy__failed_because(struct gy_shard *shard, enum gy_op_kind kind, int err, const char *what,
                        const char *subject, const char *cause);

void gy__failed_stats(const struct gy_shard *shard,
                      void (*each)(void *arg, const struct gy__stat *stat), void *arg);

#endif
