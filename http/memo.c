/* http/memo.c - see memo.h. A small table, direct-mapped by the hash of a head; whoever comes later
 * takes the place. A connection knows its entry by number and compares all bytes, so that a place
 * that was taken is a miss and never a mistake. It knows, too, which of those the place has had: with
 * another, which may hold somebody's credentials, nothing is compared. */
#include "http/memo.h"

#include "http/head.h"
#include "http/method.h"

#include <string.h>

struct gy__http_memo_entry *gy__http_memo_find(const struct gy__http_memo *memo,
                                               const struct gy__http_memo_mark *mark,
                                               const char *at, const char *end)
{
    struct gy__http_memo_entry *entry;

    if (mark->entry == 0)
        return NULL;
    entry = &memo->entries[mark->entry - 1];
    if (entry->taken != mark->taken || end - at < entry->len ||
        memcmp(at, entry->bytes, entry->len) != 0)
        return NULL;
    return entry;
}

static struct gy_slice slice_at(const char *at, struct gy__http_memo_slice slice)
{
    return (struct gy_slice){ at + slice.at, slice.len };
}

void gy__http_memo_fill(struct gy__http_memo_entry *entry, struct gy__http_slot *slot, const char *at)
{
    struct gy_http_header *header = slot->headers;
    struct gy_http_req *req = &slot->req;

    slot->start = at;
    slot->stop = at + entry->len;
    slot->method = entry->method;
    slot->flags |= entry->flags | GY__SLOT_BORROWED;
    slot->found = &entry->found;
    req->method = gy__http_method_names[entry->method];
    req->path = slice_at(at, entry->path);
    if (entry->query.at != 0)
        req->query = slice_at(at, entry->query);
    /* They are few, and of a loop that is counted compilers make one for many. */
    for (const struct gy__http_memo_slice *slice = entry->headers; slice->at != 0; slice += 2, header++) {
        header->name = slice_at(at, slice[0]);
        header->value = slice_at(at, slice[1]);
    }
    req->headers = slot->headers;
    req->header_count = entry->header_count;
    req->minor = entry->minor;
    req->keep_alive = entry->keep_alive;
}

/* ---- remembering ------------------------------------------------------------------------- */

static uint32_t hash_of(const char *bytes, size_t len)
{
    uint64_t hash = len, word = 0;

    for (; len >= 8; bytes += 8, len -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, bytes, len);
    return (uint32_t)(((hash ^ word) * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

static struct gy__http_memo_slice offset(const struct gy__http_slot *slot, struct gy_slice slice)
{
    return (struct gy__http_memo_slice){ (uint16_t)(slice.ptr - slot->start), (uint16_t)slice.len };
}

static void store(struct gy__http_memo_entry *entry, uint32_t hash,
                  const struct gy__http_slot *slot)
{
    const struct gy_http_req *req = &slot->req;

    entry->hash = hash;
    if (++entry->taken == 0)
        entry->taken = 1; /* 0 is of a place where nothing stands, which no mark may lead to */
    entry->found.target = NULL;
    entry->len = (uint16_t)(slot->stop - slot->start);
    entry->flags = slot->flags & GY__SLOT_DOTS;
    entry->method = slot->method;
    entry->minor = req->minor;
    entry->keep_alive = req->keep_alive;
    entry->header_count = (uint8_t)req->header_count;
    entry->path = offset(slot, req->path);
    entry->query = (struct gy__http_memo_slice){ 0, 0 };
    if (req->query.ptr != NULL)
        entry->query = offset(slot, req->query);
    for (unsigned i = 0; i < req->header_count; i++) {
        entry->headers[2 * i] = offset(slot, req->headers[i].name);
        entry->headers[2 * i + 1] = offset(slot, req->headers[i].value);
    }
    entry->headers[2 * req->header_count].at = 0;
    memcpy(entry->bytes, slot->start, entry->len);
}

/* All of it lies in one piece, is of a size to be kept, and means nothing for what comes behind. */
static bool memorable(const struct gy__http_slot *slot)
{
    const struct gy_http_req *req = &slot->req;

    return (slot->flags & GY__SLOT_BORROWED) && !(slot->flags & (GY__SLOT_BODY | GY__SLOT_EXPECTS | GY__SLOT_UPGRADE)) &&
           req->header_count <= GY__HTTP_INLINE_HEADERS &&
           slot->stop - slot->start <= (int64_t)GY__HTTP_MEMO_HEAD_MAX &&
           req->path.ptr >= slot->start && req->path.ptr < slot->stop;
}

void gy__http_memo_note(struct gy__http_memo *memo, struct gy__http_memo_mark *mark,
                        const struct gy__http_slot *slot)
{
    struct gy__http_memo_entry *entry;
    uint32_t hash;

    if (memo->entries == NULL || ++mark->misses < memo->interval)
        return;
    mark->misses = 0;
    if (!memorable(slot))
        return;
    hash = hash_of(slot->start, (size_t)(slot->stop - slot->start));
    entry = &memo->entries[hash % GY__HTTP_MEMO_ENTRIES];
    if (entry->hash != hash || entry->len != slot->stop - slot->start ||
        memcmp(entry->bytes, slot->start, entry->len) != 0)
        store(entry, hash, slot);
    mark->entry = (uint8_t)(hash % GY__HTTP_MEMO_ENTRIES + 1);
    mark->taken = entry->taken;
}

/* How long a comparison takes tells strangers something of what they are compared with: not of secrets. */
static bool is_personal(const struct gy_http_req *req)
{
    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "authorization", 13) ||
            gy__http_name_is(req->headers[i].name, "proxy-authorization", 19) ||
            gy__http_name_is(req->headers[i].name, "cookie", 6))
            return true;
    return false;
}

void gy__http_memo_note_first(struct gy__http_memo *memo, struct gy__http_memo_mark *mark,
                              const struct gy__http_slot *slot)
{
    if (memo->first.misses + 1u >= memo->interval && is_personal(&slot->req)) {
        gy__http_memo_note(memo, mark, slot);
        return;
    }
    gy__http_memo_note(memo, &memo->first, slot);
    if (memo->first.misses == 0) {
        mark->entry = memo->first.entry;
        mark->taken = memo->first.taken;
    }
}
