/* http/transfer.c - requests and answers of the client in pieces.
 *
 * A transfer is an exchange with more futures: of its head, of a read and of a write that wait. All
 * are in the line of the client with the same ticket, so left() tells of each. Pieces that have
 * come belong to the link's inbound, and, when the answer is complete and the link was let go, to
 * the exchange. What fails when nobody waits is kept until somebody asks, or the actor ends: the
 * client monitors it. Functions that may end the exchange say so by false. */
#include "http/client.h"

#include "gyre/client_stream.h"
#include "http/gunzip.h"
#include "http/shard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WINDOW (64u << 10)
#define DECODED (32u << 10) /* at a time: what is not read stays small */

static const gy_fut none;

static bool is_none(gy_fut fut)
{
    return fut.bits == 0;
}

/* End a future of the exchange's. */
static void tell(gy_fut *fut, int res, struct gy_buf *buf)
{
    gy_fut told = *fut;

    *fut = none;
    if (is_none(told))
        gy_buf_release(buf);
    else
        (void)gy_waits_answer(told, res, NULL, 0, buf);
}

static gy_fut wait_for(struct gy__client_exchange *exchange, gy_fut *out)
{
    gy_fut fut = gy_waits_join(&exchange->client->waits, gy__client_exchange_ticket(exchange), 0);

    if (gy_refused(fut) == 0)
        (void)gy_waits_call(&exchange->client->waits, out, NULL, NULL);
    return fut;
}

/* ---- reading ----------------------------------------------------------------------------- */

static struct gy_buf **pieces_of(struct gy__client_exchange *exchange)
{
    return exchange->link != NULL ? &exchange->link->inbound.pieces : &exchange->pieces;
}

/* The first piece is read up to at. */
static void eat(struct gy__client_exchange *exchange, const char *at)
{
    struct gy_buf **first = pieces_of(exchange), *buf = *first;
    uint32_t n = (uint32_t)(at - (const char *)buf->data);

    if (exchange->link != NULL)
        exchange->link->inbound.waiting -= n;
    buf->data += n;
    buf->len -= n;
    /* It is not the last that grows: that one has bytes, or there is none. */
    if (buf->len > 0)
        return;
    *first = buf->next;
    if (exchange->link != NULL && *first == NULL)
        exchange->link->inbound.pieces_last = NULL;
    gy_buf_release(buf);
}

/* -> more than 0 bytes; NULL with 0: there is nothing (yet), or with an error. */
static struct gy_buf *next_decoded(struct gy__client_exchange *exchange, int *err)
{
    struct gy_buf *out = gy_buf_take(DECODED);
    int n;

    *err = out != NULL ? 0 : -ENOMEM;
    while (*err == 0 && out->len == 0) {
        struct gy_buf *in = *pieces_of(exchange);
        const char *at = in != NULL ? (const char *)in->data : NULL;

        n = gy__gunzip_feed(exchange->gunzip, &at, in != NULL ? at + in->len : NULL, out->data,
                            gy_buf_room(out));
        if (n < 0) {
            *err = n;
            break;
        }
        out->len = (uint32_t)n;
        if (in != NULL)
            eat(exchange, at);
        else if (n == 0)
            break;
    }
    if (*err == 0)
        exchange->decoded += out->len;
    if (*err == 0 && exchange->decoded > exchange->body_max)
        *err = -EMSGSIZE;
    if (*err == 0 && out->len == 0 && exchange->over)
        *err = gy__gunzip_end(exchange->gunzip);
    if (*err == 0 && out->len > 0)
        return out;
    gy_buf_release(out);
    return NULL;
}

static struct gy_buf *next_piece(struct gy__client_exchange *exchange)
{
    struct gy__http_inbound *in = exchange->link != NULL ? &exchange->link->inbound : NULL;
    struct gy_buf **first = in != NULL ? &in->pieces : &exchange->pieces;
    struct gy_buf *buf = *first;

    if (buf == NULL)
        return NULL;
    *first = buf->next;
    buf->next = NULL;
    if (in != NULL) {
        in->waiting -= buf->len;
        if (in->pieces == NULL)
            in->pieces_last = NULL;
    }
    return buf;
}

/* While much waits to be read the server is not; then it is not the server that takes its time. */
static void pause_or_resume(struct gy__client_exchange *exchange)
{
    struct gy__client_link *link = exchange->link;

    if (link == NULL || !link->opened)
        return;
    if (!exchange->paused && link->inbound.waiting > WINDOW) {
        exchange->paused = true;
        gy_stream_pause(link->stream);
    } else if (exchange->paused && link->inbound.waiting <= WINDOW / 2) {
        exchange->paused = false;
        gy_stream_resume(link->stream);
    }
}

/* Who is waited for, and until when? */
static void set_phase(struct gy__client_exchange *exchange)
{
    bool uploads = exchange->upload > GY__UPLOAD_DONE;
    uint64_t after_ns = UINT64_MAX;

    if (exchange->expect == GY__EXPECT_WAITS && exchange->failed == 0)
        return; /* its time runs already */
    if (exchange->over || exchange->failed < 0)
        after_ns = UINT64_MAX;
    else if (!is_none(exchange->writer) && exchange->link != NULL && exchange->link->opened)
        after_ns = exchange->between_ns;
    else if (!exchange->head_given && !uploads && exchange->link != NULL && exchange->link->opened)
        after_ns = exchange->first_byte_ns;
    else if (exchange->head_given && !is_none(exchange->reader))
        after_ns = exchange->between_ns;
    gy__client_exchange_phase(exchange, after_ns);
}

/* What is left cannot be read. The reader is told, and it is over. */
static void give_up(struct gy__client_exchange *exchange, int err)
{
    while (exchange->pieces != NULL) {
        struct gy_buf *buf = exchange->pieces;

        exchange->pieces = buf->next;
        gy_buf_release(buf);
    }
    gy__gunzip_free(exchange->gunzip);
    exchange->gunzip = NULL;
    gy__client_exchange_fail(exchange, err);
}

/* -> false: the exchange is over. */
static bool read_on(struct gy__client_exchange *exchange)
{
    struct gy_buf *buf;
    int err = 0;

    if (is_none(exchange->reader))
        return true;
    buf = exchange->gunzip != NULL ? next_decoded(exchange, &err) : next_piece(exchange);
    if (err < 0) {
        give_up(exchange, err);
        return false;
    }
    if (buf != NULL) {
        tell(&exchange->reader, (int)buf->len, buf);
        pause_or_resume(exchange);
    } else if (exchange->failed < 0 || exchange->over) {
        tell(&exchange->reader, exchange->failed, NULL);
        gy__client_exchange_end(exchange, -EPIPE);
        return false;
    }
    set_phase(exchange);
    return true;
}

void gy__client_transfer_head(struct gy__client_exchange *exchange)
{
    exchange->link->inbound.in_pieces = true;
    exchange->gunzip = exchange->link->inbound.gunzip;
    exchange->link->inbound.gunzip = NULL;
    if (exchange->expect == GY__EXPECT_ENDED) {
        gy_buf_release(exchange->held);
        exchange->held = NULL;
        exchange->upload = GY__UPLOAD_NONE;
    }
    /* First: who waits for both may discard the head's future when the writer's ends, and with it all. */
    gy__client_exchange_give_head(exchange, &exchange->link->inbound);
    if (exchange->expect == GY__EXPECT_ENDED)
        tell(&exchange->writer, -EPIPE, NULL);
}

void gy__client_transfer_heard(struct gy__client_exchange *exchange)
{
    pause_or_resume(exchange);
    set_phase(exchange);
    (void)read_on(exchange);
}

void gy__client_transfer_answer(struct gy__client_exchange *exchange,
                                struct gy__http_inbound *inbound)
{
    exchange->pieces = inbound->pieces;
    inbound->pieces = inbound->pieces_last = NULL;
    exchange->over = true;
    exchange->overall_ns = UINT64_MAX;
    tell(&exchange->writer, -EPIPE, NULL);
    gy_buf_release(exchange->held);
    exchange->held = NULL;
    set_phase(exchange);
    (void)read_on(exchange);
}

void gy__client_transfer_fail(struct gy__client_exchange *exchange, int err)
{
    gy_buf_release(exchange->held);
    exchange->held = NULL;
    exchange->failed = err;
    exchange->overall_ns = UINT64_MAX;
    exchange->upload = GY__UPLOAD_NONE;
    tell(&exchange->writer, err, NULL);
    set_phase(exchange);
    (void)read_on(exchange);
}

/* ---- writing ----------------------------------------------------------------------------- */

static struct gy_buf *text(const char *bytes, size_t len)
{
    struct gy_buf *buf = gy_buf_take(len);

    if (buf != NULL) {
        memcpy(buf->data, bytes, len);
        buf->len = (uint32_t)len;
    }
    return buf;
}

static void send(struct gy__client_exchange *exchange, struct gy_buf *buf)
{
    gy__client_count(&exchange->client->stats, GY__CLIENT_SENT_BYTES, buf->len);
    (void)gy_stream_send(exchange->link->stream, buf); /* refused: closed() follows */
}

/* buf: taken. -> 0; -ENOMEM and nothing was sent. */
static int send_piece(struct gy__client_exchange *exchange, struct gy_buf *buf)
{
    char size[16];

    if (exchange->upload == GY__UPLOAD_CHUNKED) {
        struct gy_buf *before =
            text(size, (size_t)snprintf(size, sizeof(size), "%x\r\n", buf->len));
        struct gy_buf *behind = text("\r\n", 2);

        if (before == NULL || behind == NULL) {
            gy_buf_release(before);
            gy_buf_release(behind);
            gy_buf_release(buf);
            return -ENOMEM;
        }
        send(exchange, before);
        send(exchange, buf);
        send(exchange, behind);
    } else {
        send(exchange, buf);
    }
    return 0;
}

/* -> 0; -ENOMEM. */
static int finish(struct gy__client_exchange *exchange)
{
    struct gy_buf *last = NULL;

    if (exchange->upload == GY__UPLOAD_CHUNKED) {
        last = text("0\r\n\r\n", 5);
        if (last == NULL)
            return -ENOMEM;
        send(exchange, last);
    }
    exchange->upload = GY__UPLOAD_DONE;
    return 0;
}

/* May the body leave? */
static bool sends(const struct gy__client_exchange *exchange)
{
    return exchange->link != NULL && exchange->link->opened && exchange->expect == GY__EXPECT_NONE;
}

/* What was written before it could leave is sent behind the head. */
void gy__client_transfer_opened(struct gy__client_exchange *exchange)
{
    struct gy_buf *buf = exchange->held;
    int err = 0;

    if (!sends(exchange))
        return;
    exchange->held = NULL;
    if (buf != NULL)
        err = send_piece(exchange, buf);
    if (err == 0 && exchange->finishing)
        err = finish(exchange);
    if (err < 0)
        gy__client_exchange_soon(exchange, err);
    else
        gy__client_transfer_drained(exchange);
}

void gy__client_transfer_drained(struct gy__client_exchange *exchange)
{
    if (exchange->held == NULL && sends(exchange) && !gy_stream_full(exchange->link->stream))
        tell(&exchange->writer, 0, NULL);
    set_phase(exchange);
}

/* ---- what programs call ------------------------------------------------------------------ */

static struct gy__client_exchange *transfer_find(gy_http_transfer transfer)
{
    struct gy__client *client = gy__http_client_here();
    struct gy__client_exchange *exchange =
        client != NULL && transfer.gy__ticket != 0
            ? gy__client_exchange_find(client, transfer.gy__ticket)
            : NULL;

    return exchange != NULL && exchange->piecewise ? exchange : NULL;
}

static bool takes(const struct gy__client_exchange *exchange)
{
    return exchange != NULL && !exchange->over && exchange->failed == 0 && !exchange->finishing &&
           (exchange->upload == GY__UPLOAD_LENGTH || exchange->upload == GY__UPLOAD_CHUNKED);
}

static gy_fut drop(struct gy_buf *buf, int err)
{
    gy_buf_release(buf);
    return gy__http_refused(err);
}

gy_fut gy_http_transfer_write(gy_http_transfer transfer, struct gy_buf *buf)
{
    struct gy__client_exchange *exchange = transfer_find(transfer);
    gy_fut fut;

    if (!takes(exchange))
        return drop(buf, -EPIPE);
    if (!is_none(exchange->writer) || exchange->held != NULL)
        return drop(buf, -EBUSY);
    if (exchange->upload == GY__UPLOAD_LENGTH && buf->len > exchange->upload_left) {
        gy_http_transfer_abort(transfer);
        return drop(buf, -EMSGSIZE);
    }
    fut = wait_for(exchange, &exchange->writer);
    if (gy_refused(fut) < 0)
        return drop(buf, gy_refused(fut));
    if (exchange->upload == GY__UPLOAD_LENGTH)
        exchange->upload_left -= buf->len;
    if (buf->len == 0) { /* an empty chunk would be the last */
        gy_buf_release(buf);
        buf = NULL;
    }
    if (!sends(exchange)) {
        exchange->held = buf;
    } else if (buf != NULL && send_piece(exchange, buf) < 0) {
        /* The body has a hole: it must not look whole. */
        gy__client_exchange_soon(exchange, -ENOMEM);
        return fut;
    }
    if (buf == NULL && exchange->held == NULL)
        tell(&exchange->writer, 0, NULL);
    else
        gy__client_transfer_drained(exchange);
    return fut;
}

int gy_http_transfer_finish(gy_http_transfer transfer)
{
    struct gy__client_exchange *exchange = transfer_find(transfer);
    int err = 0;

    if (!takes(exchange))
        return -EPIPE;
    if (exchange->upload == GY__UPLOAD_LENGTH && exchange->upload_left > 0) {
        gy_http_transfer_abort(transfer);
        return -EMSGSIZE;
    }
    if (sends(exchange))
        err = finish(exchange);
    if (err == 0)
        exchange->finishing = true; /* if not now, then behind the head */
    set_phase(exchange);
    return err;
}

gy_fut gy_http_transfer_read(gy_http_transfer transfer)
{
    struct gy__client_exchange *exchange = transfer_find(transfer);
    gy_fut fut;

    if (exchange == NULL)
        return gy__http_refused(-EPIPE);
    if (!is_none(exchange->reader))
        return gy__http_refused(-EBUSY);
    fut = wait_for(exchange, &exchange->reader);
    if (gy_refused(fut) == 0 && read_on(exchange))
        set_phase(exchange);
    return fut;
}

void gy_http_transfer_abort(gy_http_transfer transfer)
{
    struct gy__client_exchange *exchange = transfer_find(transfer);

    if (exchange != NULL)
        gy__client_exchange_leave(exchange, -ECANCELED);
}
