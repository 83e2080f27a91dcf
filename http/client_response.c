/* http/client_response.c - answers as their askers see them: the value of a future, and the bytes
 * in its buffer. */
#include "http/client.h"

#include "gyre/future.h"
#include "http/head.h"

#include <errno.h>
#include <string.h>

/* An answer as the future's value. */
struct value {
    uint32_t head_at, body_at, body_len;
    uint16_t status;
    uint8_t minor;
    uint8_t mark; /* so that no other value is taken for one */
};
#define MARK 0xA5

void gy__client_response_give(gy_fut fut, struct gy__http_inbound *inbound)
{
    struct value value = {
        inbound->head_at, inbound->head_len, inbound->buf->len - inbound->head_len,
        inbound->status,  inbound->minor,    MARK};

    (void)gy_waits_answer(fut, value.status, &value, sizeof(value), inbound->buf);
    inbound->buf = NULL;
}

struct gy_slice gy__client_line_of(const char *head, size_t len, const char *name)
{
    struct gy_http_header header;
    size_t at = 0, name_len = strlen(name);

    while (at < len && gy__http_line_next(head, len, &at, &header)) {
        bool same = header.name.len == name_len;

        for (size_t i = 0; same && i < name_len; i++) {
            char a = header.name.ptr[i], b = name[i];

            same = a == b || ((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z');
        }
        if (same)
            return header.value;
    }
    return (struct gy_slice){NULL, 0};
}

static int respond(struct gy_http_response *out, const struct value *value, struct gy_buf *buf)
{
    const char *bytes = (const char *)buf->data;

    if (value->mark != MARK || value->body_at > buf->len) {
        gy_buf_release(buf);
        return -EINVAL;
    }
    out->status = value->status;
    out->minor = value->minor;
    out->head = (struct gy_slice){bytes + value->head_at, value->body_at - 2 - value->head_at};
    out->body = (struct gy_slice){bytes + value->body_at, value->body_len};
    out->buf = buf;
    return 0;
}

int gy_http_response_of(struct gy_http_response *out, const struct gy_done *done)
{
    memset(out, 0, sizeof(*out));
    if (done->res < 0)
        return done->res;
    if (done->buf == NULL || done->size != sizeof(struct value)) {
        gy_buf_release(done->buf);
        return -EINVAL;
    }
    return respond(out, done->value, done->buf);
}

int gy_http_response_value(gy_fut fut, struct gy_http_response *out)
{
    struct value value;
    struct gy_buf *buf;
    int res = gy_value_raw(fut, &value, sizeof(value));

    memset(out, 0, sizeof(*out));
    if (res < 0)
        return res;
    buf = gy_value_buf(fut);
    return buf != NULL ? respond(out, &value, buf) : -EINVAL;
}

void gy_http_response_release(struct gy_http_response *response)
{
    gy_buf_release(response->buf);
    memset(response, 0, sizeof(*response));
}

struct gy_slice gy_http_response_header(const struct gy_http_response *response, const char *name)
{
    return gy__client_line_of(response->head.ptr, response->head.len, name);
}

bool gy_http_response_next(const struct gy_http_response *response, size_t *at,
                           struct gy_http_header *out)
{
    return *at < response->head.len &&
           gy__http_line_next(response->head.ptr, response->head.len, at, out);
}
