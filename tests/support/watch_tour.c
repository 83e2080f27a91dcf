#include "tests/support/watch_tour.h"

#include "gyre/buf.h"
#include "gyre/flow.h"
#include "gyre/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* + created, ~ changed, w written, < > moved, - removed, ! gone; the id if it is not 1. */
const char watch_tour_wanted[] = " +x ~x wx ~x 2~ <x >y pair 2! +d/ wy 2! -y -d/ !";

struct watch_tour_actor {
    struct gy_actor actor;
    struct watch_tour *tour;
    char paths[4][256];
    uint32_t pair;
};
struct walk {
    struct gy_flow flow;
    gy_fut fut, next;
    gy_file watch, file;
};
GY_FLOW(watch_tour_actor, walk);
struct listen {
    struct gy_flow flow;
    gy_fut fut;
    gy_file watch;
};
GY_FLOW(watch_tour_actor, listen);

static const char *at(struct watch_tour_actor *self, const char *name)
{
    static unsigned next;
    char *path = self->paths[next++ % 4];
    snprintf(path, sizeof(self->paths[0]), "%s/%s", self->tour->dir, name);
    return path;
}
static struct gy_buf *bytes_of(const char *text)
{
    struct gy_buf *buf = gy_buf_take(strlen(text));
    memcpy(buf->data, text, strlen(text));
    buf->len = (uint32_t)strlen(text);
    return buf;
}

static void note(struct watch_tour_actor *self, const struct gy_watch_event *event)
{
    static const struct {
        uint32_t what;
        char letter;
    } letters[] = {
        { GY_WATCH_CREATED, '+' },    { GY_WATCH_CHANGED, '~' },  { GY_WATCH_WRITTEN, 'w' },
        { GY_WATCH_MOVED_FROM, '<' }, { GY_WATCH_MOVED_TO, '>' }, { GY_WATCH_REMOVED, '-' },
        { GY_WATCH_GONE, '!' },       { GY_WATCH_LOST, '?' },
    };
    char *out = self->tour->seen;
    size_t size = sizeof(self->tour->seen);
    /* Kernels tell attributes of a file whose last name goes: not everywhere at the same moment. */
    if (event->what == GY_WATCH_ATTRIBUTES)
        return;
    snprintf(out + strlen(out), size - strlen(out), " ");
    if (event->id != 1)
        snprintf(out + strlen(out), size - strlen(out), "%d", event->id);
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
        if (event->what & letters[i].what)
            snprintf(out + strlen(out), size - strlen(out), "%c", letters[i].letter);
    snprintf(out + strlen(out), size - strlen(out), "%s%s", event->name,
             event->directory ? "/" : "");
    if (event->what == GY_WATCH_MOVED_FROM)
        self->pair = event->pair;
    if (event->what == GY_WATCH_MOVED_TO && event->pair == self->pair && self->pair != 0)
        snprintf(out + strlen(out), size - strlen(out), " pair");
}

/* The other half of the actor: it hears while the walk goes on. */
GY_FLOW_BEGIN(watch_tour_actor, self, listen, f)
    GY_WHILE(strstr(self->tour->seen, " !") == NULL)
        f->fut = gy_watch_next(f->watch);
        GY_AWAIT(f, f->fut);
        if (f->flow.res < 0)
            GY_LEAVE(f, f->flow.res);
        struct gy_buf *events = gy_value_buf(f->fut);
        struct gy_watch_event event;
        for (uint32_t from = 0; gy_watch_event_at(events, &from, &event);)
            note(self, &event);
        gy_buf_release(events);
    GY_END
    GY_AWAIT(f, gy_file_close(f->watch));
GY_CLEANUP(f)
    self->tour->ended = 1;
GY_FLOW_END(f)

#define DO(expression)                                                                             \
    f->fut = (expression);                                                                         \
    GY_AWAIT(f, f->fut);                                                                           \
    if (f->flow.res < 0) {                                                                         \
        self->tour->line = __LINE__;                                                               \
        GY_LEAVE(f, f->flow.res);                                                                  \
    }

GY_FLOW_BEGIN(watch_tour_actor, self, walk, f)
    f->fut = gy_watch_open(at(self, "nothing"), GY_WATCH_ALL);
    GY_AWAIT(f, f->fut);
    if (f->flow.res != -ENOENT || gy_refused(gy_watch_open("x", 0)) != -EINVAL)
        self->tour->line = __LINE__;
    DO(gy_path_mkdir(at(self, "w"), 0700))
    DO(gy_watch_open(at(self, "w"), GY_WATCH_ALL))
    f->watch = gy_file_of(f->flow.res);
    /* One that was taken back, and is by the time that something happens, has no part in it. */
    f->next = gy_watch_next(f->watch);
    gy_discard(f->next);
    DO(gy_after(50 * GY_MS))
    DO(gy_file_open(at(self, "w/x"), GY_FILE_WRITE | GY_FILE_CREATE, 0600))
    f->file = gy_file_of(f->flow.res);
    DO(gy_file_write(f->file, 0, bytes_of("1")))
    DO(gy_file_write(f->file, 1, bytes_of("2"))) /* the same event once more */
    DO(gy_file_close(f->file))
    DO(gy_watch_add(f->watch, at(self, "w/x"), GY_WATCH_CHANGED))
    if (f->flow.res != 2)
        self->tour->line = __LINE__;
    DO(gy_watch_add(f->watch, at(self, "w/x"), GY_WATCH_CHANGED)) /* once more is the same */
    if (f->flow.res != 2)
        self->tour->line = __LINE__;
    f->fut = gy_watch_add(f->watch, at(self, "w/y"), GY_WATCH_CHANGED);
    GY_AWAIT(f, f->fut);
    if (f->flow.res != -ENOENT)
        self->tour->line = __LINE__;
    gy_forget(listen_start(self, &(struct listen){ .watch = f->watch }));
    DO(gy_file_open(at(self, "w/x"), GY_FILE_READ | GY_FILE_WRITE, 0600))
    f->file = gy_file_of(f->flow.res);
    DO(gy_file_truncate(f->file, 1))
    DO(gy_path_rename(at(self, "w/x"), at(self, "w/y")))
    DO(gy_path_mkdir(at(self, "w/d"), 0700))
    DO(gy_file_close(f->file))
    DO(gy_path_unlink(at(self, "w/y")))
    DO(gy_path_rmdir(at(self, "w/d")))
    DO(gy_path_rmdir(at(self, "w")))
GY_FLOW_END(f)

static int tour_start(struct watch_tour_actor *self, const struct watch_tour_actor_args *args)
{
    self->tour = args->tour;
    gy_forget(walk_start(self, &(struct walk){ .fut = { 0 } }));
    return 0;
}
static void tour_stop(struct watch_tour_actor *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(watch_tour_actor, tour_start, tour_stop);
