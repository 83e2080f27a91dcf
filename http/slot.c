/* http/slot.c - the pool of requests in hand, and moving a request's bytes.
 *
 * They stay where they are for the shard's life, though memory of those long unused is given back
 * (core/slabs.h). Free slots are reused last in, first out, because the last one is the warmest; the
 * generation (32 bits, moved at each return) makes that safe for what still names the old request, and
 * reads as zero, which is nobody's, or as it was, when the memory is gone.
 *
 * Invariant: every slice of a request points into [start, stop), into `body`, or to constant text. */
#include "http/slot.h"

#include "http/wide.h"

#include <stddef.h>
#include <string.h>

static void init(struct gy__slabs *slabs, void *record, void *bytes, const struct gy__slabs_chunk *chunk)
{
    struct gy__http_slot *slot = record;

    (void)slabs, (void)bytes;
    slot->index = chunk->number + (uint32_t)(slot - (struct gy__http_slot *)(void *)chunk->records);
}

static void *plain_memory(void *arg, size_t bytes)
{
    return ((struct gy__http_slots *)arg)->memory(bytes);
}

static bool open_slabs(struct gy__http_slots *slots)
{
    static const struct gy__slabs_host plain = { plain_memory, NULL, NULL };
    struct gy__slabs *slabs = &slots->slabs;

    if (slabs->host == NULL) {
        slabs->host = &plain;
        slabs->arg = slots;
    }
    slabs->total_max = GY__HTTP_SLOTS_MAX;
    slabs->first = GY__HTTP_SLOTS_FIRST;
    slabs->record_size = sizeof(struct gy__http_slot);
    slabs->next_at = offsetof(struct gy__http_slot, next);
    slabs->generation_at = offsetof(struct gy__http_slot, generation);
    slabs->init = init;
    return gy__slabs_open(slabs);
}

static struct gy__http_slot *more(struct gy__http_slots *slots)
{
    bool grew;

    if (slots->slabs.total == 0 && !open_slabs(slots))
        return NULL;
    return gy__slabs_take(&slots->slabs, &grew);
}

struct gy__http_slot *gy__http_slot_take(struct gy__http_slots *slots)
{
    struct gy__http_slot *slot = slots->slabs.free;

    if (slot != NULL)
        slots->slabs.free = slot->next;
    else if ((slot = more(slots)) == NULL)
        return NULL;
    slots->used++;
    slot->next = NULL;
    slot->state = GY__SLOT_PARSING;
    slot->flags = 0;
    slot->status = 0;
    slot->allow = NULL;
    slot->line = NULL;
    slot->found = NULL;
    slot->headers = slot->inline_headers;
    slot->headers_room = GY__HTTP_INLINE_HEADERS;
    gy__wide_zero(&slot->req, sizeof(slot->req));
    return slot;
}

static void drop(struct gy_buf **buf)
{
    if (*buf != NULL) {
        gy_buf_release(*buf);
        *buf = NULL;
    }
}

/* One test of all, for most hold nothing. */
static bool holds(const struct gy__http_slot *slot)
{
    return ((uintptr_t)slot->bytes | (uintptr_t)slot->body | (uintptr_t)slot->more | (uintptr_t)slot->trailers |
            (uintptr_t)slot->identity | (uintptr_t)slot->claims | (uintptr_t)slot->answer) != 0;
}

static void drop_all(struct gy__http_slot *slot)
{
    drop(&slot->bytes);
    drop(&slot->body);
    drop(&slot->more);
    drop(&slot->trailers);
    drop(&slot->identity);
    drop(&slot->claims);
    drop(&slot->answer);
}

void gy__http_slot_give(struct gy__http_slots *slots, struct gy__http_slot *slot)
{
    if (holds(slot))
        drop_all(slot);
    slot->state = GY__SLOT_FREE;
    slot->conn = NULL;
    slot->generation++;
    slot->next = slots->slabs.free;
    slots->slabs.free = slot;
    slots->used--;
}

struct gy__http_slot *gy__http_slot_find(const struct gy__http_slots *slots, uint64_t ticket)
{
    /* Chunks have 64, 64, 128, 256, ... */
    uint32_t place = (uint32_t)ticket / GY__HTTP_SLOTS_FIRST;
    uint32_t chunk = 31 - (uint32_t)__builtin_clz(2 * place + 1);
    const struct gy__slabs_chunk *at;
    struct gy__http_slot *slot;

    if (chunk >= slots->slabs.chunk_count)
        return NULL;
    at = &slots->slabs.chunks[chunk];
    slot = (struct gy__http_slot *)(void *)at->records + ((uint32_t)ticket - at->number);
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
