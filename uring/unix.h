/* uring/unix.h - UNIX sockets at paths: what is left of a server that is gone, and leaving
 * nothing. */
#ifndef GYRE_URING_UNIX_H
#define GYRE_URING_UNIX_H

#include "uring/ports.h"

/* Bind to a path or an abstract name. A socket at the path at which nobody listens any more is
 * replaced; anything else there stays. at: set to what has been made. -> 0; -EADDRINUSE, -EACCES,
 * -ENOENT no such directory, ... */
GY_MUST_CHECK int gy__unix_bind(int fd, const struct gy__address *address,
                                struct gy__unix_file *at);
/* Nobody gets in from here on, and the path is free again, if it is still ours. What waits in
 * the queue can be accepted. */
void gy__unix_unbind(int fd, const struct gy__address *address, const struct gy__unix_file *at);

#endif
