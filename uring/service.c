/* The service manager's protocol, of which two small parts are all that a server needs. */
#include "uring/service.h"
#include "uring/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3

/* A number that is all of the text; -1: it is none. */
static long number(const char *text)
{
    char *end;
    long value = text && *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
    return value >= 0 && *end == 0 ? value : -1;
}

/* How many were passed to this process, not to one that it was started by. */
static int passed(void)
{
    long count = number(getenv("LISTEN_FDS"));
    if (number(getenv("LISTEN_PID")) != (long)getpid() || count < 0 || count > 1 << 16)
        return 0;
    return (int)count;
}

int gy__service_socket(const char *name)
{
    const char *names = getenv("LISTEN_FDNAMES");
    long wanted = number(name);
    for (int i = 0, n = passed(); i < n; i++) {
        size_t len = names ? strcspn(names, ":") : 0;
        bool named = names && len == strlen(name) && memcmp(names, name, len) == 0;
        if (named || wanted == FIRST_FD + i)
            return fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC) < 0 ? -ENOENT : FIRST_FD + i;
        if (names)
            names = names[len] ? names + len + 1 : NULL;
    }
    return -ENOENT;
}

void gy__service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    char text[GY__ADDR_TEXT_MAX];
    struct gy__address address;
    if (!path || snprintf(text, sizeof(text), "unix:%s", path) >= (int)sizeof(text) ||
        gy__address_parse(&address, text) < 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                 (const struct sockaddr *)&address.sockaddr, address.len);
    close(fd);
}
