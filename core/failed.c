/* core/failed.c - lines for the log about what failed: see failed.h.
 *
 * A shard has one record per kind of operation, so that a flood of one kind hides no other. */
#include "core/failed.h"

#include <errno.h>
#include <string.h>

#define LINE_NS UINT64_C(1000000000) /* what each line costs */
#define CREDIT_NS (3 * LINE_NS)      /* so that what fails together at a start is told, each */

static const char *const verbs[GY_OP_KINDS] = {
    [GY_OP_CONNECT] = "connect",
    [GY_OP_OPEN] = "open",              [GY_OP_CLOSE_FILE] = "close",
    [GY_OP_READ] = "read",              [GY_OP_WRITE] = "write",
    [GY_OP_SYNC] = "sync",              [GY_OP_TRUNCATE] = "truncate",
    [GY_OP_ALLOCATE] = "allocate",      [GY_OP_STAT] = "stat",
    [GY_OP_RENAME] = "rename",          [GY_OP_UNLINK] = "remove",
    [GY_OP_MKDIR] = "mkdir",            [GY_OP_LIST] = "list",
    [GY_OP_WATCH] = "watch",            [GY_OP_PROCESS] = "process",
    [GY_OP_RESOLVE] = "name",           [GY_OP_POLL] = "poll",
    [GY_OP_PEEK] = "peek",              [GY_OP_REDIRECT] = "redirect",
    [GY_OP_BIND] = "datagram socket",   [GY_OP_RECV_FROM] = "receive at",
    [GY_OP_SEND_TO] = "send to",        [GY_OP_SOCKET_SET] = "set datagram socket",
};

/* Core has no strerror(). What is not here is told by its name. */
static const struct {
    int err;
    const char *text;
} causes[] = {
    { EPERM, "Operation not permitted" },
    { ENOENT, "No such file or directory" },
    { ESRCH, "No such process" },
    { EIO, "Input/output error" },
    { E2BIG, "Argument list too long" },
    { ENOEXEC, "Exec format error: neither a program nor a script with #!" },
    { EBADF, "Bad file descriptor" },
    { EAGAIN, "Resource temporarily unavailable" },
    { ENOMEM, "Cannot allocate memory" },
    { EACCES, "Permission denied" },
    { EBUSY, "Device or resource busy" },
    { EEXIST, "File exists" },
    { EXDEV, "Invalid cross-device link" },
    { ENODEV, "No such device" },
    { ENOTDIR, "Not a directory" },
    { EISDIR, "Is a directory" },
    { EINVAL, "Invalid argument" },
    { ENFILE, "Too many open files in system" },
    { EMFILE, "Too many open files" },
    { ETXTBSY, "Text file busy" },
    { EFBIG, "File too large" },
    { ENOSPC, "No space left on device" },
    { ESPIPE, "Illegal seek" },
    { EROFS, "Read-only file system" },
    { EMLINK, "Too many links" },
    { EPIPE, "Broken pipe" },
    { ENAMETOOLONG, "File name too long" },
    { ENOTEMPTY, "Directory not empty" },
    { ELOOP, "Too many levels of symbolic links" },
    { EMSGSIZE, "Message too long" },
    { EOPNOTSUPP, "Operation not supported" },
    { EAFNOSUPPORT, "Address family not supported by protocol" },
    { EADDRINUSE, "Address already in use" },
    { EADDRNOTAVAIL, "Cannot assign requested address: this machine does not have it" },
    { ENETDOWN, "Network is down" },
    { ENETUNREACH, "Network is unreachable" },
    { ECONNABORTED, "Software caused connection abort" },
    { ECONNRESET, "Connection reset by peer" },
    { ENOBUFS, "No buffer space available" },
    { ETIMEDOUT, "Timed out" },
    { ECONNREFUSED, "Connection refused" },
    { EHOSTUNREACH, "No route to host" },
    { EDQUOT, "Disk quota exceeded" },
    { ECANCELED, "Operation canceled" },
    { EOWNERDEAD, "Owner died" },
};

/* And no strerrorname_np(). The numbers are this architecture's, as all that have a name. */
#define N(name) [name] = #name
static const char *const names[] = {
    /* clang-format off */
    N(EPERM), N(ENOENT), N(ESRCH), N(EINTR), N(EIO), N(ENXIO), N(E2BIG), N(ENOEXEC), N(EBADF),
    N(ECHILD), N(EAGAIN), N(ENOMEM), N(EACCES), N(EFAULT), N(ENOTBLK), N(EBUSY), N(EEXIST),
    N(EXDEV), N(ENODEV), N(ENOTDIR), N(EISDIR), N(EINVAL), N(ENFILE), N(EMFILE), N(ENOTTY),
    N(ETXTBSY), N(EFBIG), N(ENOSPC), N(ESPIPE), N(EROFS), N(EMLINK), N(EPIPE), N(EDOM),
    N(ERANGE), N(EDEADLK), N(ENAMETOOLONG), N(ENOLCK), N(ENOSYS), N(ENOTEMPTY), N(ELOOP),
    N(ENOMSG), N(EIDRM), N(ECHRNG), N(EL2NSYNC), N(EL3HLT), N(EL3RST), N(ELNRNG), N(EUNATCH),
    N(ENOCSI), N(EL2HLT), N(EBADE), N(EBADR), N(EXFULL), N(ENOANO), N(EBADRQC), N(EBADSLT),
    N(EBFONT), N(ENOSTR), N(ENODATA), N(ETIME), N(ENOSR), N(ENONET), N(ENOPKG), N(EREMOTE),
    N(ENOLINK), N(EADV), N(ESRMNT), N(ECOMM), N(EPROTO), N(EMULTIHOP), N(EDOTDOT), N(EBADMSG),
    N(EOVERFLOW), N(ENOTUNIQ), N(EBADFD), N(EREMCHG), N(ELIBACC), N(ELIBBAD), N(ELIBSCN),
    N(ELIBMAX), N(ELIBEXEC), N(EILSEQ), N(ERESTART), N(ESTRPIPE), N(EUSERS), N(ENOTSOCK),
    N(EDESTADDRREQ), N(EMSGSIZE), N(EPROTOTYPE), N(ENOPROTOOPT), N(EPROTONOSUPPORT),
    N(ESOCKTNOSUPPORT), N(EOPNOTSUPP), N(EPFNOSUPPORT), N(EAFNOSUPPORT), N(EADDRINUSE),
    N(EADDRNOTAVAIL), N(ENETDOWN), N(ENETUNREACH), N(ENETRESET), N(ECONNABORTED),
    N(ECONNRESET), N(ENOBUFS), N(EISCONN), N(ENOTCONN), N(ESHUTDOWN), N(ETOOMANYREFS),
    N(ETIMEDOUT), N(ECONNREFUSED), N(EHOSTDOWN), N(EHOSTUNREACH), N(EALREADY), N(EINPROGRESS),
    N(ESTALE), N(EUCLEAN), N(ENOTNAM), N(ENAVAIL), N(EISNAM), N(EREMOTEIO), N(EDQUOT),
    N(ENOMEDIUM), N(EMEDIUMTYPE), N(ECANCELED), N(ENOKEY), N(EKEYEXPIRED), N(EKEYREVOKED),
    N(EKEYREJECTED), N(EOWNERDEAD), N(ENOTRECOVERABLE), N(ERFKILL), N(EHWPOISON),
#if EDEADLOCK != EDEADLK
    N(EDEADLOCK),
#endif
    /* clang-format on */
};
#undef N

const char *gy__errno_name(int err)
{
    return err > 0 && (size_t)err < sizeof(names) / sizeof(names[0]) ? names[err] : NULL;
}

void gy__cause_write(struct gy__text *text, int err)
{
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
        if (causes[i].err == -err) {
            gy__text_string(text, causes[i].text);
            return;
        }
    const char *name = gy__errno_name(-err);
    if (name != NULL)
        gy__text_string(text, name);
    else
        gy__text_printf(text, "error %d", -err);
}

/* What a program does in order to hear whether something is there, or to have it so. */
static bool is_answer(enum gy_op_kind kind, int err)
{
    switch (kind) {
    case GY_OP_STAT:
        return err == -ENOENT || err == -ENOTDIR;
    case GY_OP_UNLINK:
        return err == -ENOENT;
    case GY_OP_OPEN: /* exclusively */
    case GY_OP_MKDIR:
        return err == -EEXIST;
    default:
        return false;
    }
}

void gy__failed_because(struct gy_shard *shard, enum gy_op_kind kind, int err, const char *what,
                        const char *subject, const char *cause)
{
    struct gy__said *said = &shard->said[kind];
    char own[80], more[64];
    struct gy__text text;
    if (err == -ECANCELED || is_answer(kind, err))
        return;
    gy__count(&shard->failed, 1);
    if (said->paid_ns > shard->now_ns + CREDIT_NS) {
        said->passed_over++;
        return;
    }
    gy__text_init(&text, own, sizeof(own));
    gy__cause_write(&text, err);
    gy__text_init(&text, more, sizeof(more));
    if (said->passed_over > 0)
        gy__text_printf(&text, "; %u more failed since the last line", said->passed_over);
    size_t len = strlen(subject), cut = len > GY__SUBJECT_MAX ? len - GY__SUBJECT_MAX : 0;
    gy__warn("%s %s%s: %s%s", what != NULL ? what : verbs[kind], cut > 0 ? "..." : "", subject + cut,
             cause != NULL ? cause : own, more);
    said->paid_ns = LINE_NS + (said->paid_ns > shard->now_ns ? said->paid_ns : shard->now_ns);
    said->passed_over = 0;
}

void gy__failed(struct gy_shard *shard, enum gy_op_kind kind, int err, const char *subject)
{
    gy__failed_because(shard, kind, err, NULL, subject, NULL);
}

void gy__failed_stats(const struct gy_shard *shard,
                      void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy__stat stat = {
        "gyre_operations_failed_total", "Operations that ended with an error", NULL, false, 1,
        atomic_load_explicit(&shard->failed, memory_order_relaxed)
    };
    each(arg, &stat);
}
