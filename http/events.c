/* http/events.c - server-sent events: text/event-stream of the HTML standard, 9.2. */
#include "http/shard.h"

#include "gyre/buf.h"
#include "gyre/http_stream.h"

#include <errno.h>
#include <string.h>

int gy_http_end_events(struct gy_http_res *res, gy_http_promise reply)
{
    (void)gy_http_set(res, "Content-Type", "text/event-stream");
    (void)gy_http_set(res, "Cache-Control", "no-store");
    (void)gy_http_set(res, "X-Accel-Buffering", "no"); /* proxies that buffer would hold events back */
    return gy_http_end_stream(res, reply, GY_HTTP_UNKNOWN);
}

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    return to + len;
}

static char *put_field(char *to, const char *name, const char *value)
{
    if (value == NULL)
        return to;
    to = put(to, name, strlen(name));
    to = put(to, value, strlen(value));
    return put(to, "\n", 1);
}

static bool one_line(const char *text)
{
    return text == NULL || strpbrk(text, "\r\n") == NULL;
}

/* Line ends of all three kinds end a line; the text may be anything else. */
static char *put_data(char *to, const char *data)
{
    for (;;) {
        size_t len = strcspn(data, "\r\n");

        to = put(to, "data: ", 6);
        to = put(to, data, len);
        to = put(to, "\n", 1);
        data += len;
        if (*data == '\0')
            return to;
        data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
    }
}

gy_fut gy_http_event(gy_http_stream stream, const char *event, const char *id, const char *data)
{
    size_t size = 32, lines = 1;
    struct gy_buf *buf;
    char *to;

    if (!one_line(event) || !one_line(id))
        return gy__http_refused(-EINVAL);
    if (data == NULL)
        return gy_http_write_bytes(stream, ":\n\n", 3);
    for (const char *at = data; *at != '\0'; at++)
        lines += *at == '\n' || *at == '\r';
    size += strlen(data) + 7 * lines + (event != NULL ? strlen(event) : 0) + (id != NULL ? strlen(id) : 0);
    buf = gy_buf_take(size);
    if (buf == NULL)
        return gy__http_refused(-EAGAIN);
    to = put_field((char *)buf->data, "event: ", event);
    to = put_field(to, "id: ", id);
    to = put(put_data(to, data), "\n", 1);
    buf->len = (uint32_t)(to - (char *)buf->data);
    return gy_http_write(stream, buf);
}
