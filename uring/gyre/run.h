/* gyre/run.h - start a runtime on io_uring: one pinned thread per shard.
 *
 * The calling thread is the control thread, never a shard. Signals are touched only if the
 * configuration says so; SIGPIPE never kills; children of the program are never reaped. Any number
 * of runtimes may live in one process. */
#ifndef GYRE_RUN_H
#define GYRE_RUN_H

#include "gyre/base.h"
#include "gyre/config.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_runtime;

/* Runs on every shard, on its thread, before its first turn; spawn actors and listen here.
 * < 0 ends the start-up with this error. arg: borrowed while the runtime lives. */
typedef int gy_boot_fn(unsigned shard, void *arg);

/* The program as a function: start, run until SIGTERM or SIGINT (if config->handle_signals) or
 * gy_stop from elsewhere; drain within config->drain_timeout_ns. A second signal, 100 ms or more
 * behind the first, stops without waiting for what was begun; handlers and stop functions that run
 * still return first, and should one hang, a third signal does what it did before gy_run: it kills.
 * Other threads of the program must have blocked the two signals.
 * config: from gy_config_init(), borrowed for the call; NULL: all defaults. boot: may be NULL.
 * -> 0 after a clean end; -ETIME when the drain time ran out; -EINTR when a second signal cut it
 * short; or the error that prevented the start, of which a line has been logged: -ENOSYS io_uring
 * is refused here, -EINVAL the configuration, or this thread is a shard; the error of a boot function
 * or of a listener. */
GY_API GY_MUST_CHECK int gy_run(const struct gy_config *config, gy_boot_fn *boot, void *arg);

/* The parts of gy_run, for programs with a main loop of their own; no signals.
 * gy_start returns when every shard has booted and every listener is open. config: borrowed for the
 * call. *out: given, ends with gy_wait; untouched on error. Not from a shard. */
GY_API GY_MUST_CHECK int gy_start(struct gy_runtime **out, const struct gy_config *config,
                                  gy_boot_fn *boot, void *arg);
/* gy_drain() and gy_stop(), gyre/core.h, begin the end of it, on any thread. */
/* Wait until the shards have ended, and free the runtime (taken). Once, not from a shard; a thread
 * that posts must have ended its posting. -> as gy_run. */
GY_API int gy_wait(struct gy_runtime *runtime);
GY_END_DECLS

#endif
