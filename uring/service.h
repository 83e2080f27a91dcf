/* uring/service.h - what a service manager and its services say to each other: sockets that it
 * has opened (sd_listen_fds(3)), and how far a service is (sd_notify(3)). Any thread; the
 * environment is only read. */
#ifndef GYRE_URING_SERVICE_H
#define GYRE_URING_SERVICE_H

#include "gyre/base.h"

/* The descriptor that was passed to this process under a name of LISTEN_FDNAMES, or by its number,
 * from 3 on. It stays open and is nobody's; it closes on exec. -> it; -ENOENT no such one. */
GY_MUST_CHECK int gy__service_socket(const char *name);
/* "READY=1", "STOPPING=1": to $NOTIFY_SOCKET, if there is one. Never waits; what cannot be said
 * is not. */
void gy__service_notify(const char *state);

#endif
