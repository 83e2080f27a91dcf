/* http/inbound.c - see inbound.h.
 *
 * Bytes are appended to the answer's buffer before llhttp sees them, so that a head is contiguous
 * whatever way it came; what turns out to belong to the body is taken out again and read from where
 * it came. llhttp is asked to stop at the head's end; the body's length is decided here. It goes on
 * only with chunks. Of its lenient modes only that of the version is set, which is judged here.
 *
 * What is refused although recipients may repair it: Transfer-Encoding beside Content-Length,
 * anything but one "chunked", and in HTTP/1.0; two lengths, also equal ones. An answer that two
 * recipients might end at different bytes is none. */
#include "http/inbound.h"

#include "http/gunzip.h"
#include "http/gzip.h"
#include "http/head.h"

#include <errno.h>
#include <string.h>

#define HEAD_BUF 2048
#define BODY_BUF_MIN 4096
#define FRAMING_MAX (16u << 10)
#define SIZE_DIGITS_MAX 16
#define INFORMED_MAX 32 /* of 1xx before an answer */

enum { HEAD, BODY, OVER };

static struct gy__http_inbound *inbound_of(llhttp_t *ll)
{
    return (struct gy__http_inbound *)(void *)ll;
}

static enum gy__http_read broken(struct gy__http_inbound *inbound, int err, const char *why)
{
    if (inbound->err == 0) {
        inbound->err = err;
        inbound->why = why;
    }
    return GY__READ_BROKEN;
}

/* For llhttp's functions: it stops with HPE_USER. */
static int stop(struct gy__http_inbound *inbound, int err, const char *why)
{
    (void)broken(inbound, err, why);
    return HPE_USER;
}

/* ---- lines ------------------------------------------------------------------------------- */

bool gy__http_line_next(const char *head, size_t len, size_t *at, struct gy_http_header *out)
{
    const char *line = head + *at, *end = head + len, *colon, *stop, *value;
    const char *cr = memchr(line, '\r', len - *at);

    if (cr == NULL || cr == line || cr + 1 == end || cr[1] != '\n' ||
        memchr(line, '\n', (size_t)(cr - line)) != NULL ||
        memchr(line, '\0', (size_t)(cr - line)) != NULL)
        return false;
    colon = memchr(line, ':', (size_t)(cr - line));
    if (colon == NULL || colon == line)
        return false;
    value = colon + 1;
    stop = cr;
    while (value < stop && (*value == ' ' || *value == '\t'))
        value++;
    while (value < stop && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    out->name = (struct gy_slice){line, (size_t)(colon - line)};
    out->value = (struct gy_slice){value, (size_t)(stop - value)};
    *at = (size_t)(cr + 2 - head);
    return true;
}

struct seen {
    struct gy_slice length, coding, content;
    unsigned lengths, codings, contents, lines;
    bool close, keep_alive;
};

static void look_at_connection(struct seen *seen, struct gy_slice value)
{
    const char *at = value.ptr, *end = value.ptr + value.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop_at;
        struct gy_slice token;

        comma = comma != NULL ? comma : end;
        for (stop_at = comma; at < stop_at && (*at == ' ' || *at == '\t');)
            at++;
        while (at < stop_at && (stop_at[-1] == ' ' || stop_at[-1] == '\t'))
            stop_at--;
        token = (struct gy_slice){at, (size_t)(stop_at - at)};
        seen->close |= gy__http_name_is(token, "close", 5);
        seen->keep_alive |= gy__http_name_is(token, "keep-alive", 10);
        at = comma + 1;
    }
}

/* "timeout=5, max=100" */
static uint32_t idle_of(struct gy_slice value)
{
    uint32_t seconds = 0;

    for (size_t i = 0; i + 8 < value.len; i++) {
        if (!gy__http_name_is((struct gy_slice){value.ptr + i, 7}, "timeout", 7) ||
            value.ptr[i + 7] != '=')
            continue;
        for (i += 8; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
            if (seconds < 100000)
                seconds = seconds * 10 + (uint32_t)(value.ptr[i] - '0');
        return seconds;
    }
    return 0;
}

static void look_at(struct gy__http_inbound *inbound, struct seen *seen,
                    const struct gy_http_header *header)
{
    seen->lines++;
    if (gy__http_name_is(header->name, "content-length", 14)) {
        seen->length = header->value;
        seen->lengths++;
    } else if (gy__http_name_is(header->name, "transfer-encoding", 17)) {
        seen->coding = header->value;
        seen->codings++;
    } else if (gy__http_name_is(header->name, "content-encoding", 16)) {
        seen->content = header->value;
        seen->contents++;
    } else if (gy__http_name_is(header->name, "connection", 10)) {
        look_at_connection(seen, header->value);
    } else if (gy__http_name_is(header->name, "keep-alive", 10)) {
        inbound->server_idle_s = idle_of(header->value);
    }
}

/* ---- a complete head --------------------------------------------------------------------- */

static bool parse_length(struct gy_slice text, uint64_t *out)
{
    *out = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return true;
}

/* A part of a coded body cannot be decoded by itself, and what is empty need not be. */
static bool is_coded(const struct gy__http_inbound *inbound, const struct seen *seen,
                     uint64_t length)
{
    return inbound->decodes && seen->contents == 1 && !inbound->to_head && inbound->status != 204 &&
           inbound->status != 206 && inbound->status != 304 && (seen->lengths == 0 || length > 0) &&
           gy__http_coding_of(seen->content) > 0;
}

/* RFC 9112 6.3, in its order. */
static int decide_body(struct gy__http_inbound *inbound, const struct seen *seen)
{
    uint64_t length = 0;

    if (inbound->to_connect && inbound->status < 300)
        return 0;
    if (seen->codings > 0 && seen->lengths > 0)
        return stop(inbound, -EPROTO, "The answer has a length and a transfer coding");
    if (seen->lengths > 1 || (seen->lengths == 1 && !parse_length(seen->length, &length)))
        return stop(inbound, -EPROTO, "The answer's length is none");
    if (seen->codings > 1 ||
        (seen->codings == 1 &&
         (inbound->minor == 0 || !gy__http_name_is(seen->coding, "chunked", 7))))
        return stop(inbound, -EPROTO, "The answer has a transfer coding besides chunked");
    inbound->coded = is_coded(inbound, seen, length) ? (char)gy__http_coding_of(seen->content) : 0;
    if (inbound->to_head || inbound->status == 204 || inbound->status == 304) {
        inbound->body = GY__BODY_NONE;
        inbound->withheld = seen->codings > 0 || length > 0;
        /* A server that adds what must not be there may also send it. */
        if (inbound->status == 204 && inbound->withheld)
            inbound->keep_alive = false;
    } else if (seen->codings == 1) {
        inbound->body = GY__BODY_CHUNKED;
    } else if (seen->lengths == 1) {
        inbound->body = length > 0 ? GY__BODY_LENGTH : GY__BODY_NONE;
        inbound->left = length;
        if (!inbound->coded && length > inbound->limits.body_max)
            return stop(inbound, -EMSGSIZE, "The answer's body is too long");
    } else {
        inbound->body = GY__BODY_UNTIL_CLOSE;
        inbound->keep_alive = false;
    }
    return 0;
}

/* llhttp stops here: what the head means is decided when it is known where that was. */
static int on_headers_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

/* The head ends at end, behind an empty line. */
static int judge_head(struct gy__http_inbound *inbound, const char *end)
{
    const char *start = (const char *)inbound->buf->data;
    const char *line = memchr(start, '\r', (size_t)(end - start));
    struct gy_http_header header;
    struct seen seen = {.lines = 0};
    llhttp_t *ll = &inbound->ll;
    size_t at = 0, len;

    if (end - start < 7 || memcmp(start, "HTTP/1.", 7) != 0 || ll->http_major != 1)
        return stop(inbound, -EPROTO, "The answer is not one of HTTP/1.x");
    if (line[1] != '\n' || memchr(start, '\n', (size_t)(line - start)) != NULL)
        return stop(inbound, -EPROTO, "The status line does not end by CR and LF");
    inbound->status = ll->status_code;
    inbound->minor = ll->http_minor > 0; /* a later one is read as 1.1, RFC 9110 2.5 */
    inbound->head_at = (uint32_t)(line + 2 - start);
    inbound->head_len = (uint32_t)(end - start);
    len = inbound->head_len - 2 - inbound->head_at;
    while (at < len && gy__http_line_next(line + 2, len, &at, &header))
        look_at(inbound, &seen, &header);
    if (at != len)
        return stop(inbound, -EPROTO, "A header line of the answer is none");
    if (seen.lines > inbound->limits.headers_max)
        return stop(inbound, -EMSGSIZE, "The answer's head is too long");
    if (inbound->status < 100 || inbound->status == 101 || inbound->status > 599)
        return stop(inbound, -EPROTO, "The answer has a status that was not asked for");
    inbound->keep_alive = !seen.close && (inbound->minor == 1 || seen.keep_alive);
    if (inbound->status < 200)
        return 0;
    if (decide_body(inbound, &seen) != 0)
        return HPE_USER;
    /* Both must agree on what chunked is. */
    if (inbound->body == GY__BODY_CHUNKED && !(ll->flags & F_CHUNKED))
        return stop(inbound, -EPROTO, "The answer has a transfer coding besides chunked");
    return 0;
}

/* ---- bodies ------------------------------------------------------------------------------ */

static bool grow(struct gy__http_inbound *inbound, size_t more)
{
    struct gy_buf *old = inbound->buf, *buf;
    size_t need = old->len + more, size = 2 * need;

    if (inbound->body == GY__BODY_LENGTH && !inbound->coded &&
        size > inbound->head_len + inbound->body_len + inbound->left)
        size = (size_t)(inbound->head_len + inbound->body_len + inbound->left);
    buf = gy_buf_take(size > need ? size : need);
    if (buf == NULL)
        return false;
    memcpy(buf->data, old->data, old->len);
    buf->len = old->len;
    gy_buf_release(old);
    inbound->buf = buf;
    return true;
}

static bool add_piece(struct gy__http_inbound *inbound, const char *at, size_t len)
{
    while (len > 0) {
        struct gy_buf *last = inbound->pieces_last;
        size_t n;

        if (last == NULL || gy_buf_room(last) == 0) {
            struct gy_buf *buf = gy_buf_take(len < BODY_BUF_MIN ? BODY_BUF_MIN : len);

            if (buf == NULL)
                return false;
            buf->next = NULL;
            *(last != NULL ? &last->next : &inbound->pieces) = buf;
            inbound->pieces_last = last = buf;
        }
        n = gy_buf_room(last) < len ? gy_buf_room(last) : len;
        memcpy(last->data + last->len, at, n);
        last->len += (uint32_t)n;
        inbound->waiting += n;
        at += n;
        len -= n;
    }
    return true;
}

static int too_long(struct gy__http_inbound *inbound)
{
    return stop(inbound, -EMSGSIZE, "The answer's body is too long");
}

/* It is undone as it comes, and no further than the limit. */
static int add_coded(struct gy__http_inbound *inbound, const char *at, size_t len)
{
    const char *end = at + len;

    for (;;) {
        uint64_t left = inbound->limits.body_max - inbound->decoded_len;
        size_t room;
        int n;

        if (gy_buf_room(inbound->buf) == 0 && !grow(inbound, BODY_BUF_MIN))
            return stop(inbound, -ENOMEM, "No memory is left");
        room = gy_buf_room(inbound->buf);
        if (room > left)
            room = (size_t)left + 1;
        n = gy__gunzip_feed(inbound->gunzip, &at, end, inbound->buf->data + inbound->buf->len,
                            room);
        if (n == -ENOMEM)
            return stop(inbound, -ENOMEM, "No memory is left");
        if (n < 0)
            return stop(inbound, -EPROTO, "The answer's body is not coded as it says");
        if (n == 0)
            return 0;
        if ((uint64_t)n > left)
            return too_long(inbound);
        inbound->buf->len += (uint32_t)n;
        inbound->decoded_len += (uint64_t)n;
    }
}

/* -> 0, or the error that it ends with. */
static int add(struct gy__http_inbound *inbound, const char *at, size_t len)
{
    bool fits = true;

    if (!inbound->coded && len > inbound->limits.body_max - inbound->body_len)
        return too_long(inbound);
    inbound->body_len += len;
    if (inbound->in_pieces) {
        fits = add_piece(inbound, at, len);
    } else if (inbound->coded && !inbound->drops) {
        return add_coded(inbound, at, len);
    } else if (!inbound->drops) {
        fits = gy_buf_room(inbound->buf) >= len || grow(inbound, len);
        if (fits) {
            memcpy(inbound->buf->data + inbound->buf->len, at, len);
            inbound->buf->len += (uint32_t)len;
        }
    }
    return fits ? 0 : stop(inbound, -ENOMEM, "No memory is left");
}

static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    return add(inbound_of(ll), at, len);
}

static int on_chunk_header(llhttp_t *ll)
{
    struct gy__http_inbound *inbound = inbound_of(ll);

    if (!inbound->coded && ll->content_length > inbound->limits.body_max - inbound->body_len)
        return too_long(inbound), -1;
    return 0;
}

static int on_chunk_complete(llhttp_t *ll)
{
    struct gy__http_inbound *inbound = inbound_of(ll);

    if (ll->flags & F_TRAILING)
        return 0;
    inbound->in_size = 1;
    inbound->size_digits = 0;
    return HPE_PAUSED;
}

/* Of chunks; llhttp is not asked about other bodies. */
static int on_message_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_chunk_complete = on_chunk_complete,
    .on_message_complete = on_message_complete,
};

/* ---- reading ----------------------------------------------------------------------------- */

static void begin_head(struct gy__http_inbound *inbound)
{
    llhttp_init(&inbound->ll, HTTP_RESPONSE, &settings);
    llhttp_set_lenient_version(&inbound->ll, 1);
}

void gy__http_inbound_begin(struct gy__http_inbound *inbound, const struct gy__http_limits *limits,
                            bool to_head)
{
    memset(inbound, 0, sizeof(*inbound));
    begin_head(inbound);
    inbound->limits = *limits;
    inbound->to_head = to_head;
}

void gy__http_inbound_fini(struct gy__http_inbound *inbound)
{
    gy_buf_release(inbound->buf);
    inbound->buf = NULL;
    while (inbound->pieces != NULL) {
        struct gy_buf *buf = inbound->pieces;

        inbound->pieces = buf->next;
        gy_buf_release(buf);
    }
    inbound->pieces_last = NULL;
    inbound->waiting = 0;
    gy__gunzip_free(inbound->gunzip);
    inbound->gunzip = NULL;
}

bool gy__http_inbound_begun(const struct gy__http_inbound *inbound)
{
    return inbound->phase != HEAD || inbound->informed > 0 ||
           (inbound->buf != NULL && inbound->buf->len > 0);
}

bool gy__http_inbound_headed(const struct gy__http_inbound *inbound)
{
    return inbound->phase != HEAD;
}

/* A 1xx is over, and the next head begins. */
static enum gy__http_read informed(struct gy__http_inbound *inbound)
{
    if (++inbound->informed > INFORMED_MAX)
        return broken(inbound, -EPROTO, "Too many answers come before the answer");
    begin_head(inbound);
    inbound->continued |= inbound->status == 100;
    inbound->buf->len = 0;
    inbound->server_idle_s = 0;
    return GY__READ_MORE;
}

/* The body that is given is not what these lines are about. */
static int decode(struct gy__http_inbound *inbound)
{
    char *head = (char *)inbound->buf->data + inbound->head_at, *to = head;
    size_t len = inbound->head_len - 2 - inbound->head_at, at = 0, before = 0;
    struct gy_http_header header;

    inbound->gunzip = gy__gunzip_new(inbound->coded);
    if (inbound->gunzip == NULL)
        return stop(inbound, -ENOMEM, "No memory is left");
    for (; gy__http_line_next(head, len, &at, &header); before = at) {
        if (gy__http_name_is(header.name, "content-encoding", 16) ||
            gy__http_name_is(header.name, "content-length", 14))
            continue;
        memmove(to, head + before, at - before);
        to += at - before;
    }
    memcpy(to, "\r\n", 2);
    inbound->head_len = (uint32_t)(to + 2 - (char *)inbound->buf->data);
    inbound->buf->len = inbound->head_len;
    return 0;
}

/* Make room for bytes of the head. -> how many, 0: not one. */
static size_t head_room(struct gy__http_inbound *inbound, size_t want)
{
    if (inbound->buf == NULL)
        inbound->buf = gy_buf_take(HEAD_BUF);
    if (inbound->buf == NULL ||
        (gy_buf_room(inbound->buf) == 0 && !grow(inbound, inbound->buf->len))) {
        (void)broken(inbound, -ENOMEM, "No memory is left");
        return 0;
    }
    if (want > gy_buf_room(inbound->buf))
        want = gy_buf_room(inbound->buf);
    /* No byte behind the limit is looked at, so that it does not matter how many came together. */
    return want < inbound->limits.head_max - inbound->buf->len
               ? want
               : inbound->limits.head_max - inbound->buf->len;
}

static enum gy__http_read read_head(struct gy__http_inbound *inbound, const char **at,
                                    const char *end)
{
    size_t len = head_room(inbound, (size_t)(end - *at));
    struct gy_buf *buf = inbound->buf;
    const char *end_of_head;
    llhttp_errno_t err;

    if (len == 0)
        return GY__READ_BROKEN;
    memcpy(buf->data + buf->len, *at, len);
    buf->len += (uint32_t)len;
    err = llhttp_execute(&inbound->ll, (const char *)buf->data + buf->len - len, len);
    if (err == HPE_OK) {
        *at += len;
        if (buf->len == inbound->limits.head_max)
            return broken(inbound, -EMSGSIZE, "The answer's head is too long");
        return GY__READ_MORE;
    }
    if (err != HPE_PAUSED)
        return broken(inbound, -EPROTO, llhttp_get_error_reason(&inbound->ll));
    /* Both must agree on where it ends: that no line before is empty is seen when they are read. What
     * was appended behind it comes again. */
    end_of_head = llhttp_get_error_pos(&inbound->ll);
    if (end_of_head - (const char *)buf->data < 4 || memcmp(end_of_head - 4, "\r\n\r\n", 4) != 0)
        return broken(inbound, -EPROTO, "The answer's head does not end its lines by CR and LF");
    if (judge_head(inbound, end_of_head) != 0)
        return GY__READ_BROKEN;
    *at += len - (buf->len - inbound->head_len);
    buf->len = inbound->head_len;
    if (inbound->status < 200)
        return informed(inbound);
    if (inbound->coded && decode(inbound) != 0)
        return GY__READ_BROKEN;
    inbound->phase = inbound->body == GY__BODY_NONE ? OVER : BODY;
    if (inbound->body == GY__BODY_CHUNKED) {
        inbound->ll.upgrade = 0;
        inbound->in_size = 1;
        inbound->size_digits = 0;
        llhttp_resume(&inbound->ll);
    }
    return GY__READ_HEAD;
}

/* llhttp takes any number of zeros before a chunk's size, where others see an overflow. */
static bool size_fits(struct gy__http_inbound *inbound, const char *at, const char *end)
{
    while (inbound->in_size && at < end) {
        char c = *at++;

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')))
            inbound->in_size = 0;
        else if (++inbound->size_digits > SIZE_DIGITS_MAX)
            return false;
    }
    return true;
}

/* The last of the body has come. */
static enum gy__http_read complete(struct gy__http_inbound *inbound)
{
    if (inbound->gunzip != NULL && !inbound->drops && gy__gunzip_end(inbound->gunzip) < 0)
        return broken(inbound, -EPROTO, "The answer's coded body is cut short");
    inbound->phase = OVER;
    return GY__READ_ANSWER;
}

static enum gy__http_read read_chunks(struct gy__http_inbound *inbound, const char **at,
                                      const char *end)
{
    while (*at < end) {
        uint64_t before = inbound->body_len;
        llhttp_errno_t err;
        const char *read;

        if (!size_fits(inbound, *at, end))
            return broken(inbound, -EPROTO, "A chunk's size has too many digits");
        err = llhttp_execute(&inbound->ll, *at, (size_t)(end - *at));
        read = err == HPE_OK ? end : llhttp_get_error_pos(&inbound->ll);
        if (err != HPE_OK && err != HPE_PAUSED)
            return broken(inbound, -EPROTO, llhttp_get_error_reason(&inbound->ll));
        inbound->framing += (uint64_t)(read - *at) - (inbound->body_len - before);
        *at = read;
        if (inbound->framing > FRAMING_MAX + 16 * inbound->body_len)
            return broken(inbound, -EPROTO, "The chunks have too much around them");
        if (err == HPE_PAUSED && !inbound->in_size)
            return complete(inbound);
        if (err == HPE_PAUSED)
            llhttp_resume(&inbound->ll);
    }
    return GY__READ_MORE;
}

static enum gy__http_read read_body(struct gy__http_inbound *inbound, const char **at,
                                    const char *end)
{
    uint64_t len = (uint64_t)(end - *at);

    if (inbound->body == GY__BODY_CHUNKED)
        return read_chunks(inbound, at, end);
    if (inbound->body == GY__BODY_LENGTH && len > inbound->left)
        len = inbound->left;
    if (add(inbound, *at, (size_t)len) != 0)
        return GY__READ_BROKEN;
    *at += len;
    if (inbound->body == GY__BODY_UNTIL_CLOSE)
        return GY__READ_MORE;
    inbound->left -= len;
    return inbound->left > 0 ? GY__READ_MORE : complete(inbound);
}

enum gy__http_read gy__http_inbound_feed(struct gy__http_inbound *inbound, const char **at,
                                         const char *end)
{
    while (inbound->err == 0) {
        if (inbound->phase == OVER)
            return GY__READ_ANSWER;
        if (*at == end)
            return GY__READ_MORE;
        enum gy__http_read read =
            inbound->phase == HEAD ? read_head(inbound, at, end) : read_body(inbound, at, end);
        if (read != GY__READ_MORE)
            return read;
    }
    return GY__READ_BROKEN;
}

enum gy__http_read gy__http_inbound_end(struct gy__http_inbound *inbound)
{
    if (inbound->err == 0 && inbound->phase == BODY && inbound->body == GY__BODY_UNTIL_CLOSE)
        return complete(inbound);
    if (inbound->err == 0 && inbound->phase == OVER)
        return GY__READ_ANSWER;
    return broken(inbound, -ECONNRESET, "The connection ended inside the answer");
}
