/* gyre/pipe.h - pipes, and what can be done with any descriptor of the program's own: make it a
 * stream, wait until it is ready, look at what has arrived, copy one to another.
 *
 * A descriptor is the system's number; in a simulation, a number of the simulated host. Descriptors
 * are the program's, which closes each once, by gy_fd_close() or by giving it to a stream. The calls
 * that return a future keep hold of what they need by themselves: a descriptor may be closed as soon
 * as they have returned, and what was begun goes on. */
#ifndef GYRE_PIPE_H
#define GYRE_PIPE_H

#include "gyre/future.h"
#include "gyre/stream.h"

GY_BEGIN_DECLS

/* Make a pipe: fds[0] reads what fds[1] writes (given; pipe(7), close-on-exec). Cost: a system call.
 * -> 0; -EMFILE, -ENFILE. */
GY_API GY_MUST_CHECK int gy_pipe(int32_t fds[2]);
/* Close a descriptor that no stream has. */
GY_API void gy_fd_close(int32_t fd);

enum gy_fd_way {
    GY_FD_READS = 1,
    GY_FD_WRITES = 2,
};
/* Make a stream of a pipe's end, a connected socket or a terminal. way: which of reading and writing it
 * is for; a pipe's end has one. opened() runs inside this call. A drain does not wait for it. fd: taken if 0 is
 * returned. events: borrowed while the stream lives; context: what gy_stream_context() returns.
 * *out: the stream, until closed() has returned; out may be NULL.
 * -> 0; -EINVAL no such way, or it is a file (gyre/file.h); -EBADF; -EAGAIN no stream left;
 * -ECANCELED the runtime stops. */
GY_API GY_MUST_CHECK int gy_stream_of_fd_raw(struct gy_actor *self, int32_t fd, unsigned way,
                                             const struct gy_stream_events *events, void *context,
                                             struct gy_stream **out);

/* Wait until a descriptor can be read from (GY_FD_READS), or written to, or is at its end or broken,
 * which either finds out without waiting. way: one of the two, or both: whichever is first.
 * A file is always ready. -> ready with the ways that are; -EINVAL; -EBADF. */
GY_API GY_MUST_CHECK gy_fut gy_fd_poll_raw(struct gy_actor *self, int32_t fd, unsigned way);

/* Look at what has arrived at a pipe or socket, at most max bytes of it up to 64 KiB, and leave it
 * there; waits until something has. For one that no stream has: a stream takes what arrives.
 * -> ready with the bytes in a buffer (gy_value_buf), or without one at the end; -EINVAL; -EBADF;
 * -EAGAIN no buffer; another has read it meanwhile: it waits on. */
GY_API GY_MUST_CHECK gy_fut gy_fd_peek_raw(struct gy_actor *self, int32_t fd, uint32_t max);

/* Copy what arrives at one descriptor to another, until the end of the first or until limit bytes
 * (0: none). The bytes stay in the kernel (splice(2)): pipes, sockets, files; of other kinds -EINVAL. Neither
 * is closed. Each of them is to have no other user meanwhile. A discard ends it where it stands;
 * between two of which neither is a pipe, up to 64 KiB that were on their way are lost then.
 * -> ready with struct gy_redirect_reply; -EPIPE the second has no reader; -EINVAL; -EBADF. */
struct gy_redirect_reply {
    uint64_t bytes;
};
GY_API GY_MUST_CHECK gy_fut gy_redirect_raw(struct gy_actor *self, int32_t from, int32_t to,
                                            uint64_t limit);

GY_END_DECLS

#define gy_stream_of_fd(self, fd, way, events, context, out)                                        \
    gy_stream_of_fd_raw(&(self)->actor, fd, way, events, context, out)
#define gy_fd_poll(self, fd, way) gy_fd_poll_raw(&(self)->actor, fd, way)
#define gy_fd_peek(self, fd, max) gy_fd_peek_raw(&(self)->actor, fd, max)
#define gy_redirect(self, from, to, limit) gy_redirect_raw(&(self)->actor, from, to, limit)

#endif
