/* Receiving descriptors (unix(7), SCM_RIGHTS): a multishot RECVMSG, as for datagrams. The kernel writes a head and one
 * control message in front of the bytes.
 *
 * There is room for GY_PASS_MAX descriptors and no more: of what does not fit, and of what finds no free
 * number, the kernel makes MSG_CTRUNC and lets go. So whatever is in the control message has a number
 * here, and is told. It never joins the bytes behind a message with descriptors to it. */
#include "uring/passing.h"

#include <string.h>
#include <sys/socket.h>

/* Only its two lengths are read. CMSG_LEN: with the padding of CMSG_SPACE one more could fit. */
static struct msghdr head = {.msg_controllen = CMSG_LEN(GY_PASS_MAX * sizeof(int))};
_Static_assert(sizeof(struct io_uring_recvmsg_out) + CMSG_SPACE(GY_PASS_MAX * sizeof(int)) <= 128,
               "the smallest receive buffer has room for bytes");
_Static_assert(CMSG_LEN(GY_PASS_MAX * sizeof(int)) % _Alignof(struct cmsghdr) == 0,
               "what follows is where it is said to be");

void gy__recv_fds_prepare(struct io_uring_sqe *entry, const struct gy_op *op)
{
    io_uring_prep_recvmsg_multishot(entry, op->handle, &head, MSG_CMSG_CLOEXEC);
}

/* Copied, because nothing aligns a receive buffer. */
static void read_control(const uint8_t *at, size_t len, struct gy_passed *passed)
{
    struct cmsghdr c;
    while (len >= CMSG_LEN(0)) {
        memcpy(&c, at, sizeof(c));
        if (c.cmsg_len < CMSG_LEN(0) || c.cmsg_len > len)
            return;
        size_t n = (c.cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (c.cmsg_level == SOL_SOCKET && c.cmsg_type == SCM_RIGHTS && n <= GY_PASS_MAX - passed->n) {
            memcpy(&passed->fds[passed->n], at + CMSG_LEN(0), n * sizeof(int));
            passed->n += (uint32_t)n;
        }
        size_t step = CMSG_ALIGN(c.cmsg_len);
        if (step > len)
            return;
        at += step;
        len -= step;
    }
}

bool gy__recv_fds_read(struct gy_completion *completion, struct gy_passed *passed)
{
    struct io_uring_recvmsg_out *out =
        io_uring_recvmsg_validate(completion->data, completion->res, &head);
    uint32_t bytes = out == NULL ? 0 : io_uring_recvmsg_payload_length(out, completion->res, &head);
    completion->res = 0;
    if (bytes == 0)
        return false;
    passed->n = 0;
    passed->lost = (out->flags & MSG_CTRUNC) != 0;
    read_control((const uint8_t *)io_uring_recvmsg_name(out), out->controllen, passed);
    completion->data = io_uring_recvmsg_payload(out, &head);
    completion->res = (int32_t)bytes;
    if (passed->n > 0 || passed->lost)
        completion->passed = passed;
    return true;
}
