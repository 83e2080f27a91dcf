/* http/reply.c - short ways to answer, made of those in response.c. */
#include "http/wire.h"

#include "gyre/core.h"
#include "gyre/http.h"

#include <errno.h>
#include <string.h>

int gy_http_keep(gy_http_promise reply)
{
    return gy_keep(reply.promise);
}

int gy_http_status(int err)
{
    switch (err) {
    case -EINVAL:
        return 400;
    case -EACCES:
    case -EPERM:
        return 403;
    case -ENOENT:
        return 404;
    case -EEXIST:
        return 409;
    case -EMSGSIZE:
        return 413;
    case -ENOBUFS:
    case -ENAMETOOLONG:
        return 414;
    case -ERANGE:
        return 416;
    case -ENOTSUP:
        return 501;
    case -EAGAIN:
    case -EBUSY:
    case -ENOMEM:
    case -ENOSPC:
    case -ECANCELED:
        return 503;
    case -ETIMEDOUT:
        return 504;
    default:
        return 500;
    }
}

int gy_http_status_internal(int err)
{
    switch (err) {
    case -EAGAIN:
    case -EBUSY:
    case -ENOBUFS:
    case -ENOMEM:
    case -ENOSPC:
    case -EMFILE:
    case -ENFILE:
    case -ECANCELED:
    case -ETIMEDOUT:
        return 503;
    default:
        return 500;
    }
}

int gy_http_status_upstream(int err)
{
    switch (err) {
    case -ETIMEDOUT:
        return 504;
    case -EAGAIN:
    case -EBUSY:
    case -ENOBUFS:
    case -ENOMEM:
    case -ENOSPC:
    case -EMFILE:
    case -ENFILE:
    case -ECANCELED:
        return 503;
    case -EINVAL:
    case -EOWNERDEAD:
    case -ESRCH:
    case -EFAULT:
    case -ENOSYS:
        return 500;
    default:
        return err < 0 ? 502 : 500;
    }
}

static int say(gy_http_promise reply, int status)
{
    size_t len;
    const char *reason = gy__http_reason((unsigned)status, &len);

    return gy_http_replyf(reply, status, "%.*s\n", (int)len, reason);
}

int gy_http_fail(gy_http_promise reply, int err)
{
    return say(reply, gy_http_status(err));
}

int gy_http_fail_upstream(gy_http_promise reply, int err)
{
    return say(reply, gy_http_status_upstream(err));
}

int gy_http_fail_internal(gy_http_promise reply, int err)
{
    return say(reply, gy_http_status_internal(err));
}

int gy_http_redirect(gy_http_promise reply, int status, const char *location)
{
    bool known = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    struct gy_http_res res;

    gy_http_begin(&res, known ? status : 0);
    (void)gy_http_set(&res, "Location", location);
    return gy_http_end(&res, reply, NULL, 0);
}
