/* UNIX sockets at paths (unix(7)).
 *
 * A server that was killed leaves its path behind, and nobody can bind there until somebody removes
 * it. Whether a socket is such a left-over its own kernel tells: connecting to it is refused. Two
 * servers that find the same left-over at the same time can both replace it; then the first one's
 * socket has no path any more, which its file number tells it when it ends. */
#include "uring/unix.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* NULL: an abstract name, of which nothing is left when its socket is gone. */
static const char *path_of(const struct gy__address *address)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->sockaddr;
    return address->len > offsetof(struct sockaddr_un, sun_path) && un->sun_path[0] ? un->sun_path
                                                                                    : NULL;
}

static bool is_left_over(int fd_like, const struct gy__address *address)
{
    struct stat file;
    int type = SOCK_STREAM;
    socklen_t len = sizeof(type);
    /* Another type of socket would be refused for that alone. */
    (void)getsockopt(fd_like, SOL_SOCKET, SO_TYPE, &type, &len);
    if (lstat(path_of(address), &file) < 0 || !S_ISSOCK(file.st_mode))
        return false;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    int rc = connect(fd, (const struct sockaddr *)&address->sockaddr, address->len);
    bool refused = rc < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

int gy__unix_bind(int fd, const struct gy__address *address, struct gy__unix_file *at)
{
    const struct sockaddr *sockaddr = (const struct sockaddr *)&address->sockaddr;
    const char *path = path_of(address);
    struct stat file;

    *at = (struct gy__unix_file){0, 0};
    int rc = bind(fd, sockaddr, address->len) < 0 ? -errno : 0;
    if (rc == -EADDRINUSE && path && is_left_over(fd, address)) {
        if (unlink(path) < 0 && errno != ENOENT)
            return -errno;
        rc = bind(fd, sockaddr, address->len) < 0 ? -errno : 0;
    }
    if (rc == 0 && path && lstat(path, &file) == 0)
        *at = (struct gy__unix_file){file.st_dev, file.st_ino};
    return rc;
}

void gy__unix_unbind(int fd, const struct gy__address *address, const struct gy__unix_file *at)
{
    const char *path = path_of(address);
    struct stat file;

    if (path && lstat(path, &file) == 0 && file.st_dev == at->device && file.st_ino == at->number)
        (void)unlink(path);
    /* A listening socket that nobody may read from refuses who comes, and keeps who waits. */
    (void)shutdown(fd, SHUT_RD);
}
