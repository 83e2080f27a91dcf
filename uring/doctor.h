/* --doctor: what on this machine keeps gyre from running, or slows it down. */
#ifndef GYRE_URING_DOCTOR_H
#define GYRE_URING_DOCTOR_H

#include "core/text.h"
#include "gyre/config.h"

/* Append one line per check: "ok", "warn" or "FAIL", what was looked at, what was found and what to
 * do about it. root: borrowed, "" in real life; io_uring itself is tried for real.
 * -> 0; -ENOSYS io_uring is refused, so that gyre cannot run here. */
GY_MUST_CHECK int gy__doctor(const struct gy_config *cfg, const char *root, struct gy__text *out);

#endif
