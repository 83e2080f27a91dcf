/* core/watch.c - watches: files from which events are read.
 *
 * Events come as the kernel's inotify(7) writes them, from both drivers; here they get this library's
 * names. A read waits for as long as nothing happens, so it holds no drain.
 *
 * What the kernel has told it tells no second time. So events that reach nobody, because their future ended before
 * them, or before anybody took them out of it, are kept in the watch for the next one, oldest first. */
#include "core/file.h"
#include "core/future.h"
#include "core/text.h"
#include "gyre/buf.h"
#include "gyre/watch.h"

#include <errno.h>
#include <string.h>

#define EVENTS_BYTES 4096u

static const struct {
    uint32_t event, what;
} table[] = {
    { GY_EVENT_MODIFY, GY_WATCH_CHANGED },          { GY_EVENT_ATTRIB, GY_WATCH_ATTRIBUTES },
    { GY_EVENT_CLOSE_WRITE, GY_WATCH_WRITTEN },     { GY_EVENT_CREATE, GY_WATCH_CREATED },
    { GY_EVENT_DELETE, GY_WATCH_REMOVED },          { GY_EVENT_MOVED_FROM, GY_WATCH_MOVED_FROM },
    { GY_EVENT_MOVED_TO, GY_WATCH_MOVED_TO },       { GY_EVENT_DELETE_SELF, GY_WATCH_GONE },
    { GY_EVENT_MOVE_SELF, GY_WATCH_GONE },          { GY_EVENT_UNMOUNT, GY_WATCH_GONE },
    { GY_EVENT_Q_OVERFLOW, GY_WATCH_LOST },
};

static uint32_t mask_of(unsigned what)
{
    uint32_t mask = GY_EVENT_DELETE_SELF | GY_EVENT_MOVE_SELF;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (what & table[i].what)
            mask |= table[i].event;
    return mask;
}

gy_fut gy_watch_open(const char *path, unsigned what)
{
    (void)gy__here(__func__);
    if (what == 0 || what > GY_WATCH_ALL)
        return gy__fut_refused(-EINVAL);
    return gy__file_open(GY_OP_WATCH, path, mask_of(what), 0);
}

/* ---- one path more ---- */

struct pins {
    struct gy__file *file;
    struct gy_buf *path;
};
static bool add_finish(struct gy_shard *shard, struct gy__opfut *record,
                       const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    (void)shard, (void)record;
    answer->res = completion->res;
    return true;
}
static void add_release(struct gy_shard *shard, struct gy__opfut *record)
{
    const struct pins *pins = GY__OPFUT_PINS(record, struct pins);
    gy_buf_release(pins->path);
    gy__file_let_go(shard, pins->file);
}
static void add_subject(struct gy_shard *shard, const struct gy__opfut *record,
                        struct gy__text *text)
{
    (void)shard;
    gy__text_string(text, (const char *)GY__OPFUT_PINS(record, const struct pins)->path->data);
}
static const struct gy__opfut_use adding = { .finish = add_finish,
                                             .release = add_release,
                                             .subject = add_subject };

gy_fut gy_watch_add(gy_file watch, const char *path, unsigned what)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, watch);
    int err = file == NULL ? -EBADF : -EINVAL;
    struct gy_buf *copy =
        file == NULL || what == 0 || what > GY_WATCH_ALL ? NULL : gy__path_copy(path, NULL, &err);
    struct gy__opfut *record =
        copy == NULL ? NULL : gy__opfut_take(shard, shard->context.actor, &adding);
    if (record == NULL) {
        gy_buf_release(copy);
        return gy__fut_refused(err);
    }
    gy__file_hold(file);
    *GY__OPFUT_PINS(record, struct pins) = (struct pins){ file, copy };
    record->op.kind = GY_OP_WATCH;
    record->op.handle = file->handle;
    record->op.u.path.path = (const char *)copy->data;
    record->op.u.path.how = mask_of(what);
    return gy__opfut_start(shard, record);
}

/* ---- events ---- */

/* A record's word, of events that were answered; the driver's buffer is the future's then. */
enum { BUF, GENERATION };

static void give(const struct gy__file *file, struct gy__opfut_answer *answer, struct gy_buf *events)
{
    answer->res = (int)events->len;
    answer->buf = events;
    answer->word[BUF] = (uint64_t)(uintptr_t)events;
    answer->word[GENERATION] = file->generation;
}

static struct gy_buf *kept_pop(struct gy__file *file)
{
    struct gy_buf *first = file->kept;
    file->kept = first->next;
    return first;
}

static void keep(struct gy__file *file, struct gy__opfut_answer *answer)
{
    struct gy_buf **last = &file->kept;
    while (*last != NULL)
        last = &(*last)->next;
    *last = answer->buf;
    answer->buf->next = NULL;
    *answer = (struct gy__opfut_answer){ .res = -ECANCELED };
}

static void keep_first(struct gy__file *file, struct gy_buf *events)
{
    events->next = file->kept;
    file->kept = events;
}

/* There is something for who waits for the kernel. */
static void wake_reader(struct gy_shard *shard, struct gy__file *file)
{
    if (file->reader != NULL)
        gy__op_cancel(shard, &file->reader->op);
}

/* -> false: it has not ended. */
static bool read_again(struct gy_shard *shard, struct gy__file *file, struct gy__opfut *record)
{
    if (file->reader == NULL)
        file->reader = record;
    gy__opfut_submit(shard, record);
    return false;
}

/* What came although its reader had given up is the next one's, who may wait already: its own read is then
 * cancelled, so that it ends and takes what is kept. If somebody else has taken that first, it reads again. */
static bool waiting_finish(struct gy_shard *shard, struct gy__opfut *record,
                           const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct gy__file *file = GY__OPFUT_PINS(record, struct gy__file_io)->file;
    if (!gy__file_io_finish(shard, record, completion, answer))
        return false;
    bool wanted = gy__opfut_wanted(shard, record);
    if (file->reader == record)
        file->reader = NULL;
    if (file->state != GY__FILE_OPEN)
        return true;
    if (answer->buf != NULL && (!wanted || file->kept != NULL))
        keep(file, answer);
    if (file->kept == NULL) {
        if (answer->buf != NULL)
            give(file, answer, answer->buf);
        else if (wanted && completion->res == -ECANCELED)
            return read_again(shard, file, record);
        return true;
    }
    if (wanted)
        give(file, answer, kept_pop(file));
    else
        wake_reader(shard, file);
    return true;
}

/* Where what was answered is now, if nobody has taken it: in the future, or, if that had ended before, in the
 * answer that comes too late. Whoever calls releases it. */
static const struct gy_buf *untaken(const struct gy_shard *shard, const struct gy__opfut *record)
{
    const struct gy__future *future = &shard->futures[record - shard->opfuts];
    if (future->state == GY__FUTURE_DONE && future->res >= 0)
        return future->has_buf ? future->value.with.buf : NULL;
    return (const struct gy_buf *)(uintptr_t)record->word[BUF];
}

static void waiting_lost(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy__file *file = GY__OPFUT_PINS(record, struct gy__file_io)->file;
    const struct gy_buf *events = untaken(shard, record);
    if (events == NULL || file->state != GY__FILE_OPEN || file->generation != record->word[GENERATION])
        return;
    struct gy_buf *copy = gy_buf_take(events->len);
    if (copy == NULL) {
        file->lost = true;
        return;
    }
    memcpy(copy->data, events->data, events->len);
    copy->len = events->len;
    keep_first(file, copy);
    wake_reader(shard, file);
}

static const struct gy__opfut_use waiting = { .finish = waiting_finish,
                                              .release = gy__file_io_release,
                                              .lost = waiting_lost,
                                              .subject = gy__file_io_subject,
                                              .waits_outside = true };

/* Those that are kept are as good as read: by a record that ends at once, so that they can be lost once more. */
static gy_fut kept_next(struct gy_shard *shard, struct gy__file *file)
{
    struct gy__opfut_answer answer = { 0 };
    struct gy__opfut *record = gy__opfut_take(shard, shard->context.actor, &waiting);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    gy__file_hold(file);
    *GY__OPFUT_PINS(record, struct gy__file_io) = (struct gy__file_io){ .file = file };
    gy_fut fut = gy__opfut_begin(shard, record);
    give(file, &answer, kept_pop(file));
    gy__opfut_end(shard, record, &answer);
    return fut;
}

/* Some could not be kept: the reader is told as the kernel tells of what it had no room for. */
static void say_lost(struct gy__file *file)
{
    const struct gy_event event = { .id = -1, .mask = GY_EVENT_Q_OVERFLOW };
    struct gy_buf *buf = gy_buf_take(sizeof(event));
    if (buf == NULL)
        return;
    memcpy(buf->data, &event, sizeof(event));
    buf->len = sizeof(event);
    keep_first(file, buf);
    file->lost = false;
}

gy_fut gy_watch_next(gy_file watch)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, watch);
    if (file != NULL && file->lost)
        say_lost(file);
    if (file != NULL && file->kept != NULL)
        return kept_next(shard, file);
    struct gy_buf *buf = gy_buf_take(EVENTS_BYTES);
    if (buf == NULL)
        return gy__fut_refused(-EAGAIN);
    gy_fut fut = gy__file_io(watch, GY_FILE_HERE, buf, EVENTS_BYTES, false, &waiting);
    if (gy_refused(fut) == 0)
        file->reader = &shard->opfuts[gy__fut_slot(fut.bits)];
    return fut;
}

bool gy_watch_event_at(const struct gy_buf *events, uint32_t *at, struct gy_watch_event *out)
{
    while (events != NULL && events->len >= sizeof(struct gy_event) &&
           *at <= events->len - sizeof(struct gy_event)) {
        struct gy_event event;
        const uint8_t *from = events->data + *at;
        memcpy(&event, from, sizeof(event));
        if (event.len > events->len - *at - sizeof(event))
            return false;
        *at += (uint32_t)sizeof(event) + event.len;
        *out = (struct gy_watch_event){ .id = event.id,
                                        .pair = event.pair,
                                        .directory = (event.mask & GY_EVENT_IS_DIR) != 0,
                                        .name = event.len > 0 ? (const char *)from + sizeof(event) :
                                                                "" };
        for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
            if (event.mask & table[i].event)
                out->what |= table[i].what;
        /* What is left out says nothing that was not said before: a watch has been taken away. */
        if (out->what != 0)
            return true;
    }
    return false;
}
