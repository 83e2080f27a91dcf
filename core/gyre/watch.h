/* gyre/watch.h - hearing of changes in the file system (inotify(7)).
 *
 * A watch is a file of gyre/file.h: it belongs to the actor that opened it, ends with it, and is closed by
 * gy_file_close(). It watches one or more paths, each a file or what is directly in a directory.
 *
 *     GY_AWAIT(f, f->fut = gy_watch_open("/etc/app", GY_WATCH_WRITTEN | GY_WATCH_MOVED_TO));
 *     f->watch = gy_file_of(f->flow.res);
 *     GY_WHILE(true)
 *         f->fut = gy_watch_next(f->watch);
 *         GY_AWAIT(f, f->fut);
 *         struct gy_buf *events = gy_value_buf(f->fut);
 *         struct gy_watch_event event;
 *         for (uint32_t at = 0; gy_watch_event_at(events, &at, &event);)
 *             ...
 *         gy_buf_release(events);
 *     GY_END
 *
 * It says that something has happened, not what is there now: look, and expect that it has changed again. Events
 * are seen in the order in which they happened; equal ones in a row are one. */
#ifndef GYRE_WATCH_H
#define GYRE_WATCH_H

#include "gyre/file.h"

GY_BEGIN_DECLS

enum gy_watch_what {
    /* To ask for, and what events tell. */
    GY_WATCH_CHANGED = 1,     /* bytes were written, or the file was truncated */
    GY_WATCH_ATTRIBUTES = 2,  /* permissions, times, number of links */
    GY_WATCH_WRITTEN = 4,     /* a file that was open for writing was closed */
    GY_WATCH_CREATED = 8,     /* a name in the directory: it is new, */
    GY_WATCH_REMOVED = 16,    /* gone, */
    GY_WATCH_MOVED_FROM = 32, /* renamed away (`pair` tells which MOVED_TO belongs to it), */
    GY_WATCH_MOVED_TO = 64,   /* renamed to here */
    GY_WATCH_ALL = 127,
    /* Told without being asked for. */
    GY_WATCH_GONE = 128, /* what is watched was removed or moved itself: at the path is something else
                          * now, or nothing */
    GY_WATCH_LOST = 256, /* more happened than was fetched, and is lost: look at everything */
};

struct gy_watch_event {
    uint32_t what; /* enum gy_watch_what */
    int32_t id;    /* of which path, as gy_watch_add() gave it; 1: that of gy_watch_open(); of LOST -1 */
    uint32_t pair; /* of MOVED_FROM and MOVED_TO: the same number for one rename */
    bool directory;
    const char *name; /* in the directory, ends with NUL; "" is the path itself. In the buffer */
};

/* Begin to watch a path. what: of enum gy_watch_what, up to ALL. -> res: the watch, for gy_file_of().
 * Refused as gy_file_open(). Cost: a thread of the pool for work that blocks, once; the kernel allows
 * some hundred watches (open ones) per user. */
GY_API GY_MUST_CHECK gy_fut gy_watch_open(const char *path, unsigned what);
/* One path more. -> res: its id, which is that of a path watched already if it is the same file; what is
 * asked for then replaces what was. */
GY_API GY_MUST_CHECK gy_fut gy_watch_add(gy_file watch, const char *path, unsigned what);
/* The next events, when there are any: the future's buffer, for gy_watch_event_at(). What nobody took out
 * of it, because it was discarded (a deadline does too), is kept for the next, also if it had come already;
 * GY_WATCH_LOST should there be no buffer to keep it in. Several may wait, each for events of its own, but
 * which of them gets what is not said: who needs the order asks for one at a time. A drain does not wait for it. */
GY_API GY_MUST_CHECK gy_fut gy_watch_next(gy_file watch);
/* The event at *at, which begins with 0 and is moved on. events: borrowed; NULL is none. -> false: there
 * is none any more. Any thread. */
GY_API bool gy_watch_event_at(const struct gy_buf *events, uint32_t *at,
                              struct gy_watch_event *out);

GY_END_DECLS

#endif
