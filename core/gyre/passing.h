/* gyre/passing.h - descriptors that travel through UNIX streams (unix(7), SCM_RIGHTS): a process
 * gives another a socket, a pipe's end or a file, open as it is.
 *
 * One rule for the owner of a descriptor: it is given away by the call that sends it, whatever that
 * returns, and gyre closes it once: when it was sent, or cannot be. Who wants to keep one sends a
 * duplicate (dup(2)). What is received is the receiver's by gy_stream_next_fd(), and closed if it does
 * not take it. A connection that is sent away lives on, and so does one of which a duplicate was kept.
 *
 * A descriptor is the system's number (gyre/pipe.h says what can be done with it); in a simulation,
 * a number of the simulated host, and there one that is sent is moved: it cannot be duplicated.
 * All functions: only on the owner's shard. */
#ifndef GYRE_PASSING_H
#define GYRE_PASSING_H

#include "gyre/stream.h"

GY_BEGIN_DECLS

#define GY_PASS_MAX 16 /* descriptors with one send, and with one receive */

/* Queue bytes, at least one, and descriptors with the first of them, in the order of all that is sent.
 * buf, fds[0..count): taken in every case. The stream is open.
 * -> 0; and else nothing is sent: -EPIPE closing or half-closed, as gy_stream_send(); -EOPNOTSUPP no
 * UNIX stream; -EINVAL no bytes (a part of a file has none), none or too many descriptors, or one of them
 * twice; -EBADF one that is not open; -EAGAIN no buffer. Later, in closed(): -ETOOMANYREFS too many of this user's are on their way.
 * Cost: a system call per descriptor, and one. */
GY_API GY_MUST_CHECK int gy_stream_send_fds(struct gy_stream *s, struct gy_buf *buf,
                                            const int32_t *fds, unsigned count);

/* Receive descriptors from here on, in opened() to miss none: at most max with the bytes of one data(),
 * up to GY_PASS_MAX; 0: not any more. The system drops what comes while nobody receives them.
 * -> 0; -EOPNOTSUPP no UNIX stream; -EINVAL. */
GY_API GY_MUST_CHECK int gy_stream_receive_fds(struct gy_stream *s, unsigned max);

/* In data(): the next of the descriptors that came with these bytes, close-on-exec (given). They were
 * sent with the message that these bytes end in; what was sent before it may stand in front.
 * -> >= 0; -ENOENT there are no more; -EMFILE there are no more, and some that were sent with it are lost:
 * more than was allowed, or this process could have no more (counted). */
GY_API int32_t gy_stream_next_fd(struct gy_stream *s);

GY_END_DECLS

#endif
