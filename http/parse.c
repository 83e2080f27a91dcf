/* http/parse.c - the glue around llhttp.
 *
 * In place: a request that lies whole in the bytes given is not copied at all; its slices point
 * there (GY__SLOT_BORROWED). A head that is cut moves to a buffer of the slot and grows there, so
 * that its slices stay contiguous; a body in pieces is collected in another. When feed returns MORE
 * nothing points into the caller's bytes.
 *
 * A request is complete only when llhttp has ended the message: in several cases it finds the head
 * complete and refuses the framing one step later, so that nothing may be dispatched at the head's end.
 *
 * llhttp has no limits; they are checked where a slice ends and once more where bytes end, so that a
 * head that never ends is refused as soon as one that does. Of llhttp's lenient modes one is set: any
 * HTTP/D.D is a version to it, and which are served is decided here with the rest of the head. */
#include "http/parse.h"

#include "http/flow.h"
#include "http/head.h"
#include "http/method.h"
#include "http/wide.h"

#include <stddef.h>
#include <string.h>

#define VERSION_LEN 9            /* " HTTP/1.1" */
#define HEAD_BUF_MIN 1024        /* of a cut head */
#define FRAMING_MAX (16u << 10)  /* of a chunked body: extensions, trailers, zeros */
#define BLANK_MAX 8
#define SIZE_DIGITS_MAX 16 /* of a chunk */

static struct gy__http_parser *parser_of(llhttp_t *ll)
{
    return (struct gy__http_parser *)(void *)((char *)ll - offsetof(struct gy__http_parser, ll));
}

static int refuse(struct gy__http_parser *parser, int status, const char *why)
{
    parser->status = (uint16_t)status;
    parser->why = why;
    return -1;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* llhttp takes any number of zeros before a chunk's size, where others see an overflow. Look at the
 * size, if one is due, before llhttp does. */
static bool size_fits(struct gy__http_parser *parser, const char *at, const char *end)
{
    while (parser->in_size && at < end) {
        if (!is_hex(*at++))
            parser->in_size = 0;
        else if (++parser->size_digits > SIZE_DIGITS_MAX)
            return refuse(parser, 400, "A chunk's size has too many digits") == 0;
    }
    return true;
}

static void size_comes(struct gy__http_parser *parser)
{
    parser->in_size = 1;
    parser->size_digits = 0;
}

/* ---- head -------------------------------------------------------------------------------- */

static int on_url(llhttp_t *ll, const char *at, size_t len)
{
    struct gy__http_parser *parser = parser_of(ll);
    struct gy__http_slot *slot = parser->slot;

    if (slot->req.path.ptr == NULL)
        slot->req.path.ptr = at;
    slot->req.path.len += len;
    if ((size_t)(at + len - slot->start) + VERSION_LEN > parser->config->line_max) {
        refuse(parser, 414, "The request line is too long");
        return HPE_USER;
    }
    return 0;
}

static bool head_too_long(const struct gy__http_parser *parser, const char *at)
{
    const struct gy__http_slot *slot = parser->slot;

    return at - (slot->req.path.ptr + slot->req.path.len) > (int64_t)parser->config->head_max;
}

/* What trailers may cost is FRAMING_MAX. */
static int add_trailer(struct gy__http_parser *parser, const char *at, size_t len, bool name)
{
    struct gy_buf **text = parser->flow != NULL ? &parser->flow->trailers : NULL;
    bool first = parser->in_name != name;

    if (parser->discards)
        return 0;
    parser->in_name = name;
    if (text == NULL)
        text = &parser->slot->trailers;
    if (!gy__http_trailer_add(text, at, len, name, first)) {
        refuse(parser, 503, "No memory is left");
        return HPE_USER;
    }
    return 0;
}

static int on_header_field(llhttp_t *ll, const char *at, size_t len)
{
    struct gy__http_parser *parser = parser_of(ll);
    struct gy__http_slot *slot = parser->slot;
    struct gy_http_header *header;

    if (parser->phase == GY__HTTP_BODY)
        return add_trailer(parser, at, len, true);
    if (parser->in_name) {
        slot->headers[slot->req.header_count].name.len += len;
        return 0;
    }
    if (slot->req.header_count >= parser->config->headers_max) {
        refuse(parser, 431, "There are too many header lines");
        return HPE_USER;
    }
    if (slot->req.header_count == slot->headers_room &&
        !gy__http_slot_more_headers(slot, parser->config->headers_max)) {
        refuse(parser, 503, "No memory is left");
        return HPE_USER;
    }
    header = &slot->headers[slot->req.header_count];
    header->name.ptr = at;
    header->name.len = len;
    header->value.ptr = NULL;
    parser->in_name = 1;
    return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t len)
{
    struct gy__http_parser *parser = parser_of(ll);
    struct gy__http_slot *slot = parser->slot;
    struct gy_http_header *header;

    if (parser->phase == GY__HTTP_BODY)
        return add_trailer(parser, at, len, false);
    if (head_too_long(parser, at + len)) {
        refuse(parser, 431, "The header lines are too long");
        return HPE_USER;
    }
    if (parser->in_name) {
        header = &slot->headers[slot->req.header_count++];
        header->value.ptr = at;
        header->value.len = len;
        parser->in_name = 0;
    } else {
        slot->headers[slot->req.header_count - 1].value.len += len;
    }
    return 0;
}

/* The byte behind a complete head. Behind its last slice llhttp allows nothing but two line ends;
 * of an empty value it tells only behind the first of them. */
static const char *head_end_of(const struct gy__http_slot *slot)
{
    const struct gy_slice *value;

    if (slot->req.header_count == 0)
        return slot->req.path.ptr + slot->req.path.len + VERSION_LEN + 4;
    value = &slot->headers[slot->req.header_count - 1].value;
    return value->ptr + value->len + (value->len > 0 ? 4 : 2);
}

static int on_headers_complete(llhttp_t *ll)
{
    struct gy__http_parser *parser = parser_of(ll);
    struct gy__http_slot *slot = parser->slot;
    int status;

    parser->head_end = head_end_of(slot);
    if (slot->bytes == NULL)
        slot->stop = parser->head_end;
    slot->method = ll->method;
    status = gy__http_head_check(slot, parser->end, &parser->host, &parser->why);
    if (status != 0) {
        parser->status = (uint16_t)status;
        return -1;
    }
    /* Whether another protocol follows is the handler's to say; left set, llhttp would stop behind
     * this request. */
    if (ll->upgrade && !(ll->flags & F_CHUNKED) && ll->content_length == 0 && slot->req.minor == 1)
        slot->flags |= GY__SLOT_UPGRADE;
    ll->upgrade = 0;
    /* What was found here is what counts: llhttp reads nothing behind a message that closes. */
    parser->keep_alive = slot->req.keep_alive;
    ll->flags &= (uint16_t)~(F_CONNECTION_CLOSE | F_CONNECTION_KEEP_ALIVE);
    ll->flags |= parser->keep_alive ? F_CONNECTION_KEEP_ALIVE : F_CONNECTION_CLOSE;
    slot->req.headers = slot->headers;
    parser->phase = GY__HTTP_BODY;
    if (ll->flags & F_CHUNKED) {
        parser->body_total = UINT64_MAX;
        slot->flags |= GY__SLOT_BODY;
        size_comes(parser);
    } else {
        if (ll->content_length == UINT64_MAX) /* which means chunked below */
            return refuse(parser, 413, "The body is too long");
        parser->body_total = ll->content_length;
        if (ll->content_length != 0)
            slot->flags |= GY__SLOT_BODY;
    }
    if ((slot->flags & GY__SLOT_BODY) && parser->judged != NULL && *parser->judged) {
        parser->at_judge = 1;
        return HPE_PAUSED;
    }
    if (parser->body_total == UINT64_MAX)
        return size_fits(parser, parser->head_end, parser->end) ? 0 : -1;
    return gy__http_parser_admit(parser, parser->config->body_max) ? 0 : -1;
}

bool gy__http_parser_admit(struct gy__http_parser *parser, uint64_t body_max)
{
    uint64_t known = parser->body_total;

    if (known == UINT64_MAX) /* what came in chunks, and the rest of the one that has begun */
        known = parser->flow != NULL ? parser->flow->in_total + parser->ll.content_length : 0;
    parser->body_max = body_max;
    if (known <= body_max)
        return true;
    refuse(parser, 413, "The body is too long");
    return false;
}

/* ---- body -------------------------------------------------------------------------------- */

/* Append to the collected body, which grows by doubling: what a request announces is not yet memory
 * that it gets. */
static bool collect(struct gy__http_parser *parser, const char *at, size_t len)
{
    struct gy__http_slot *slot = parser->slot;
    size_t have = slot->req.body.len, want = have + len;

    if (slot->body == NULL || slot->body->capacity < want) {
        size_t size = 2 * want;
        struct gy_buf *body;

        if (size > parser->body_total)
            size = (size_t)parser->body_total;
        if (size > parser->body_max)
            size = (size_t)parser->body_max;
        body = gy_buf_take(size > want ? size : want);
        if (body == NULL)
            return false;
        if (have > 0)
            memcpy(body->base, slot->req.body.ptr, have);
        if (slot->body != NULL)
            gy_buf_release(slot->body);
        slot->body = body;
    }
    memcpy(slot->body->base + have, at, len);
    slot->req.body.ptr = (const char *)slot->body->base;
    slot->req.body.len = want;
    return true;
}

static int on_piece(struct gy__http_parser *parser, const char *at, size_t len)
{
    if (parser->discards)
        parser->discarded += len;
    else if (!gy__http_flow_receive(parser->flow, at, len)) {
        refuse(parser, 503, "No memory is left");
        return HPE_USER;
    }
    return 0;
}

/* Within body_max: Content-Length or the chunk's size was checked before. */
static int on_body(llhttp_t *ll, const char *at, size_t len)
{
    struct gy__http_parser *parser = parser_of(ll);
    struct gy__http_slot *slot = parser->slot;

    if (parser->flow != NULL || parser->discards)
        return on_piece(parser, at, len);
    if (slot->req.body.len == 0 && slot->body == NULL) {
        slot->req.body.ptr = at; /* perhaps all of it */
        slot->req.body.len = len;
        return 0;
    }
    if (!collect(parser, at, len)) {
        refuse(parser, 503, "No memory is left");
        return HPE_USER;
    }
    return 0;
}

static uint64_t body_so_far(const struct gy__http_parser *parser)
{
    if (parser->discards)
        return parser->discarded;
    return parser->flow != NULL ? parser->flow->in_total : parser->slot->req.body.len;
}

/* A chunk's size is known before its bytes come: too much is refused at once. */
static int on_chunk_header(llhttp_t *ll)
{
    struct gy__http_parser *parser = parser_of(ll);

    if (ll->content_length > parser->body_max - body_so_far(parser))
        return refuse(parser, 413, "The body is too long");
    return 0;
}

/* Pause where the next size begins; llhttp tells the end of the trailer as a chunk's too. */
static int on_chunk_complete(llhttp_t *ll)
{
    struct gy__http_parser *parser = parser_of(ll);

    if (ll->flags & F_TRAILING)
        return 0;
    size_comes(parser);
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

/* ---- driving llhttp ---------------------------------------------------------------------- */

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_chunk_complete = on_chunk_complete,
    .on_message_complete = on_message_complete,
};

void gy__http_parser_init(struct gy__http_parser *parser, const struct gy_http_config *config)
{
    gy__wide_zero(parser, offsetof(struct gy__http_parser, end));
    parser->config = config;
}

/* Not with a connection: most that send one request send one that is known. */
static void begin_to_parse(struct gy__http_parser *parser)
{
    size_t from = offsetof(struct gy__http_parser, end);

    memset((char *)parser + from, 0, offsetof(struct gy__http_parser, ll) - from);
    llhttp_init(&parser->ll, HTTP_REQUEST, &settings);
    llhttp_set_lenient_version(&parser->ll, 1);
    parser->parses = 1;
}

/* RFC 9112 2.2 asks that an empty line before a request is ignored. Only whole ones, and few: llhttp
 * would skip any mixture of CR and LF. */
const char *gy__http_parser_skip(struct gy__http_parser *parser, const char *at, const char *end)
{
    for (; at < end && (*at == '\r' || *at == '\n'); at++) {
        if (*at != (parser->blank % 2 == 0 ? '\r' : '\n') || parser->blank == BLANK_MAX)
            break;
        parser->blank++;
    }
    if (at == end)
        return at;
    if (parser->blank % 2 != 0 || *at == '\r' || *at == '\n') {
        refuse(parser, 400, "A request must not begin with empty space");
        return NULL;
    }
    return at;
}

void gy__http_parser_begin(struct gy__http_parser *parser, struct gy__http_slot *slot)
{
    if (!parser->parses)
        begin_to_parse(parser);
    parser->slot = slot;
    parser->phase = GY__HTTP_HEAD;
    parser->status = 0;
    parser->in_name = 0;
    parser->blank = 0;
    parser->framing = 0;
    parser->in_size = 0;
    parser->body_total = 0;
    parser->body_max = parser->config->body_max;
    slot->start = NULL;
}

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

/* llhttp said no: with which status? at: the byte it stopped at, maybe end. The head so far lies
 * contiguous before it. */
static void judge(struct gy__http_parser *parser, llhttp_errno_t err, const char *at)
{
    if (parser->status != 0)
        return; /* one of the functions above */
    parser->status = 400;
    parser->why = llhttp_get_error_reason(&parser->ll);
    if (err == HPE_INVALID_METHOD && at < parser->end &&
        (is_token_char(*at) || (*at == ' ' && at > parser->slot->start))) {
        parser->status = 501;
        parser->why = "This method is not served";
    } else if (err == HPE_PAUSED_H2_UPGRADE) {
        parser->status = 505;
        parser->why = "Only HTTP/1.x is served";
    }
}

/* Append bytes to the slot's own head, moving it when it must grow. -> how many fitted, 0: none. */
static size_t append(struct gy__http_slot *slot, const char *at, size_t len)
{
    struct gy_buf *bytes = slot->bytes;

    if (gy_buf_room(bytes) == 0) {
        if (!gy__http_slot_own(slot, 2 * (size_t)bytes->capacity))
            return 0;
        bytes = slot->bytes;
    }
    if (len > gy_buf_room(bytes))
        len = gy_buf_room(bytes);
    memcpy(bytes->data + bytes->len, at, len);
    bytes->len += (uint32_t)len;
    slot->stop = (const char *)bytes->data + bytes->len;
    return len;
}

/* The bytes given end inside a request: nothing may point to them any more. */
static bool keep(struct gy__http_parser *parser)
{
    struct gy__http_slot *slot = parser->slot;
    bool in_head = parser->phase == GY__HTTP_HEAD;

    if (slot->req.body.len > 0 && slot->body == NULL) {
        struct gy_slice piece = slot->req.body;

        slot->req.body.len = 0;
        if (!collect(parser, piece.ptr, piece.len))
            return false;
    }
    return slot->bytes != NULL || gy__http_slot_own(slot, in_head ? HEAD_BUF_MIN : 0);
}

/* Limits of what llhttp passes over without telling: spaces before a target or a value, the
 * beginning of a token that has not ended, extensions and zeros of chunks. */
static bool within_limits(struct gy__http_parser *parser)
{
    const struct gy__http_slot *slot = parser->slot;
    const struct gy_http_config *config = parser->config;

    if (parser->phase == GY__HTTP_BODY) {
        if (parser->framing > FRAMING_MAX + 16 * (uint64_t)slot->req.body.len)
            refuse(parser, 400, "The chunks have too much around them");
    } else if (slot->req.path.ptr == NULL) {
        if ((size_t)(slot->stop - slot->start) > config->line_max)
            refuse(parser, 414, "The request line is too long");
    } else if (head_too_long(parser, slot->stop - 4)) { /* the head's end may have begun */
        refuse(parser, 431, "The header lines are too long");
    }
    return parser->status == 0;
}

/* Where do the slices of a complete request point? read: behind it. */
static void complete(struct gy__http_slot *slot, const char *read)
{
    if (slot->trailers != NULL) {
        gy__http_trailer_end(slot->trailers);
        slot->req.trailers =
            (struct gy_slice){ (const char *)slot->trailers->data, slot->trailers->len };
    }
    if (slot->bytes == NULL) {
        slot->stop = read;
        slot->flags |= GY__SLOT_BORROWED;
    } else if (slot->req.body.len > 0 && slot->body == NULL &&
               !(slot->req.body.ptr >= slot->start && slot->req.body.ptr < slot->stop)) {
        slot->flags |= GY__SLOT_BORROWED_BODY;
    }
}

/* Give llhttp what comes next, from where it lies contiguous with the head so far. -> false: no
 * memory. *from: where it read; *read: how far. */
static bool execute(struct gy__http_parser *parser, const char *at, const char *end,
                    const char **from, const char **read, llhttp_errno_t *err)
{
    struct gy__http_slot *slot = parser->slot;

    *from = at;
    parser->end = end;
    if (slot->bytes != NULL && parser->phase == GY__HTTP_HEAD) {
        size_t added = append(slot, at, (size_t)(end - at));

        if (added == 0)
            return false;
        parser->end = (const char *)slot->bytes->data + slot->bytes->len;
        *from = parser->end - added;
    } else if (slot->bytes == NULL) {
        if (parser->phase == GY__HTTP_HEAD)
            slot->start = at;
        slot->stop = end;
    }
    *err = llhttp_execute(&parser->ll, *from, (size_t)(parser->end - *from));
    *read = *err == HPE_OK ? parser->end : llhttp_get_error_pos(&parser->ll);
    return true;
}

/* ---- a body in pieces -------------------------------------------------------------------- */

void gy__http_parser_stream(struct gy__http_parser *parser, struct gy__http_flow *flow)
{
    parser->flow = flow;
    if (parser->slot->bytes == NULL)
        parser->slot->flags |= GY__SLOT_BORROWED; /* its head; stop is the head's end */
}

void gy__http_parser_drop(struct gy__http_parser *parser, uint64_t max)
{
    parser->discarded = 0;
    parser->body_max = max;
    parser->discards = 1;
    parser->flow = NULL;
    parser->slot = NULL;
}

/* A body ends, by its length or by its last chunk: llhttp is ready for the next request. */
static void message_ends(struct gy__http_parser *parser)
{
    if (parser->body_total == UINT64_MAX)
        llhttp_reset(&parser->ll); /* it takes trailers for header lines */
    else
        llhttp_resume(&parser->ll);
    parser->phase = GY__HTTP_BETWEEN;
}

/* The bytes of pieces go elsewhere at once, so that nothing here needs them to be contiguous. */
static enum gy__http_parsed feed_pieces(struct gy__http_parser *parser, const char **at,
                                        const char *end)
{
    while (*at < end) {
        uint64_t before = body_so_far(parser);
        llhttp_errno_t err;
        const char *read;

        if (!size_fits(parser, *at, end))
            return GY__HTTP_REFUSED;
        parser->end = end;
        err = llhttp_execute(&parser->ll, *at, (size_t)(end - *at));
        read = err == HPE_OK ? end : llhttp_get_error_pos(&parser->ll);
        if (err != HPE_OK && err != HPE_PAUSED) {
            judge(parser, err, read);
            return GY__HTTP_REFUSED;
        }
        if (parser->body_total == UINT64_MAX)
            parser->framing += (uint64_t)(read - *at) - (body_so_far(parser) - before);
        *at = read;
        if (parser->framing > FRAMING_MAX + 16 * body_so_far(parser)) {
            refuse(parser, 400, "The chunks have too much around them");
            return GY__HTTP_REFUSED;
        }
        if (err == HPE_PAUSED && parser->in_size) {
            llhttp_resume(&parser->ll);
        } else if (err == HPE_PAUSED) {
            message_ends(parser);
            return GY__HTTP_REQUEST;
        }
    }
    return GY__HTTP_MORE;
}

uint64_t gy__http_parser_left(const struct gy__http_parser *parser)
{
    return parser->body_total == UINT64_MAX ? UINT64_MAX : parser->body_total - body_so_far(parser);
}

/* ---- all of it --------------------------------------------------------------------------- */

enum gy__http_parsed gy__http_parser_feed(struct gy__http_parser *parser, const char **at,
                                          const char *end)
{
    struct gy__http_slot *slot = parser->slot;

    if (parser->flow != NULL || parser->discards)
        return feed_pieces(parser, at, end);

    while (*at < end) {
        size_t body_before = slot->req.body.len;
        bool in_head = parser->phase == GY__HTTP_HEAD;
        const char *from, *read;
        llhttp_errno_t err;

        if (!size_fits(parser, *at, end))
            return GY__HTTP_REFUSED;
        if (!execute(parser, *at, end, &from, &read, &err)) {
            refuse(parser, 503, "No memory is left");
            return GY__HTTP_REFUSED;
        }
        *at += read - from;
        if (err != HPE_OK && err != HPE_PAUSED) {
            judge(parser, err, read);
            return GY__HTTP_REFUSED;
        }
        if (parser->at_judge) {
            parser->at_judge = 0;
            llhttp_resume(&parser->ll);
            return GY__HTTP_JUDGE;
        }
        if (parser->phase == GY__HTTP_BODY && parser->body_total == UINT64_MAX)
            parser->framing += (uint64_t)(read - (in_head ? parser->head_end : from)) -
                               (slot->req.body.len - body_before);
        if (!within_limits(parser))
            return GY__HTTP_REFUSED;
        if (err == HPE_PAUSED && parser->in_size) {
            llhttp_resume(&parser->ll); /* between two chunks */
        } else if (err == HPE_PAUSED) {
            complete(slot, read);
            message_ends(parser);
            return GY__HTTP_REQUEST;
        }
    }
    if (!keep(parser)) {
        refuse(parser, 503, "No memory is left");
        return GY__HTTP_REFUSED;
    }
    return GY__HTTP_MORE;
}

bool gy__http_parser_expects(const struct gy__http_parser *parser)
{
    const struct gy__http_slot *slot = parser->slot;

    return parser->phase == GY__HTTP_BODY && !parser->discards && (slot->flags & GY__SLOT_EXPECTS) &&
           (slot->flags & GY__SLOT_BODY) && body_so_far(parser) == 0 && parser->framing == 0;
}
