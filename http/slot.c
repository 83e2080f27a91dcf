/* http/slot.c - the pool of requests in hand, and moving a request's bytes.
 *
 * Chunks, each twice as large as the one before, stay for the shard's life. Free slots are reused
 * last in, first out, because the last one is the warmest; the generation (32 bits, moved at each
 * return) makes that safe for what still names the old request.
 *
 * Invariant: every slice of a request points into [start, stop), into `body`, or to constant text. */
#include "http/slot.h"

#include <string.h>

static bool grow(struct gy__http_slots *slots)
{
    uint32_t count = GY__HTTP_SLOTS_FIRST << slots->chunk_count;
    struct gy__http_slot *slot;

    if (slots->chunk_count == GY__HTTP_CHUNKS_MAX)
        return false;
    slot = slots->memory(count * sizeof(*slot));
    if (slot == NULL)
        return false;
    for (uint32_t i = count; i-- > 0;) {
        slot[i].index = count - GY__HTTP_SLOTS_FIRST + i; /* the chunks before hold that many */
        slot[i].generation = 1;
        slot[i].next = slots->free;
        slots->free = &slot[i];
    }
    slots->chunks[slots->chunk_count++] = slot;
    return true;
}

struct gy__http_slot *gy__http_slot_take(struct gy__http_slots *slots)
{
    struct gy__http_slot *slot;

    if (slots->free == NULL && !grow(slots))
        return NULL;
    slot = slots->free;
    slots->free = slot->next;
    slots->used++;
    slot->next = NULL;
    slot->state = GY__SLOT_PARSING;
    slot->flags = 0;
    slot->status = 0;
    slot->text = NULL;
    slot->allow = NULL;
    slot->line = NULL;
    slot->headers = slot->inline_headers;
    slot->headers_room = GY__HTTP_INLINE_HEADERS;
    memset(&slot->req, 0, sizeof(slot->req));
    return slot;
}

static void drop(struct gy_buf **buf)
{
    if (*buf != NULL) {
        gy_buf_release(*buf);
        *buf = NULL;
    }
}

void gy__http_slot_give(struct gy__http_slots *slots, struct gy__http_slot *slot)
{
    drop(&slot->bytes);
    drop(&slot->body);
    drop(&slot->more);
    drop(&slot->trailers);
    drop(&slot->identity);
    drop(&slot->claims);
    drop(&slot->answer);
    slot->state = GY__SLOT_FREE;
    slot->conn = NULL;
    slot->generation++;
    slot->next = slots->free;
    slots->free = slot;
    slots->used--;
}

struct gy__http_slot *gy__http_slot_find(const struct gy__http_slots *slots, uint64_t ticket)
{
    uint32_t place = (uint32_t)ticket / GY__HTTP_SLOTS_FIRST + 1;
    uint32_t chunk = 31 - (uint32_t)__builtin_clz(place);
    struct gy__http_slot *slot;

    if (chunk >= slots->chunk_count)
        return NULL;
    slot = &slots->chunks[chunk][(uint32_t)ticket + GY__HTTP_SLOTS_FIRST -
                                 (GY__HTTP_SLOTS_FIRST << chunk)];
    return slot->generation == ticket >> 32 && slot->state != GY__SLOT_FREE ? slot : NULL;
}

bool gy__http_slot_more_headers(struct gy__http_slot *slot, uint32_t max)
{
    struct gy_buf *more = gy_buf_take(max * sizeof(slot->headers[0]));

    if (more == NULL)
        return false;
    memcpy(more->base, slot->headers, slot->headers_room * sizeof(slot->headers[0]));
    drop(&slot->more);
    slot->more = more;
    slot->headers = (struct gy_http_header *)(void *)more->base;
    slot->headers_room = max;
    return true;
}

static void move(struct gy_slice *slice, const struct gy__http_slot *slot, const char *to)
{
    if (slice->ptr >= slot->start && slice->ptr <= slot->stop)
        slice->ptr = to + (slice->ptr - slot->start);
}

/* Slices that point into [start, stop) now point to the same bytes at to. */
static void rebase(struct gy__http_slot *slot, const char *to)
{
    /* One more than is counted: a header whose value has not begun is not counted yet. */
    uint32_t headers = slot->req.header_count + 1u;

    if (headers > slot->headers_room)
        headers = slot->headers_room;
    for (uint32_t i = 0; i < headers; i++) {
        move(&slot->headers[i].name, slot, to);
        move(&slot->headers[i].value, slot, to);
    }
    move(&slot->req.path, slot, to);
    move(&slot->req.rest, slot, to);
    move(&slot->req.query, slot, to);
    if (slot->body == NULL)
        move(&slot->req.body, slot, to);
    slot->stop = to + (slot->stop - slot->start);
    slot->start = to;
}

bool gy__http_slot_own(struct gy__http_slot *slot, size_t size)
{
    size_t len = (size_t)(slot->stop - slot->start);
    struct gy_buf *bytes = gy_buf_take(size > len ? size : len);

    if (bytes == NULL)
        return false;
    memcpy(bytes->data, slot->start, len);
    bytes->len = (uint32_t)len;
    rebase(slot, (const char *)bytes->data);
    if (slot->bytes != NULL)
        gy_buf_release(slot->bytes);
    slot->bytes = bytes;
    slot->flags &= (uint16_t)~GY__SLOT_BORROWED;
    return true;
}

bool gy__http_slot_secure(struct gy__http_slot *slot)
{
    if ((slot->flags & GY__SLOT_BORROWED) && !gy__http_slot_own(slot, 0))
        return false;
    if (slot->flags & GY__SLOT_BORROWED_BODY) {
        slot->body = gy_buf_take(slot->req.body.len);
        if (slot->body == NULL)
            return false;
        memcpy(slot->body->data, slot->req.body.ptr, slot->req.body.len);
        slot->req.body.ptr = (const char *)slot->body->data;
        slot->flags &= (uint16_t)~GY__SLOT_BORROWED_BODY;
    }
    return true;
}

uint64_t gy__http_slot_held(const struct gy__http_slot *slot)
{
    return (slot->bytes != NULL ? slot->bytes->capacity : 0u) +
           (uint64_t)(slot->body != NULL ? slot->body->capacity : 0u);
}
