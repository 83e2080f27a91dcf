#include "tests/support/failure_tour.h"

#include "gyre/buf.h"
#include "gyre/datagram.h"
#include "gyre/file.h"
#include "gyre/flow.h"
#include "gyre/pipe.h"
#include "gyre/process.h"
#include "gyre/stream.h"
#include "gyre/watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What the log must have; %s stands for the directory. */
static const char *const wanted[] = {
    "open %s/none/x: No such file or directory",
    "read %s/x: Bad file descriptor",
    "write %s/x: Bad file descriptor",
    "allocate %s/x: Bad file descriptor",
    "rename %s/none to %s/other: No such file or directory",
    "remove %s: Directory not empty",
    "mkdir %s/none/y: No such file or directory",
    "list %s/none: No such file or directory",
    "watch %s/none: No such file or directory",
    "exec %s/none: No such file or directory",
    "redirect descriptor ",
    ": Broken pipe",
    "connect 127.0.0.1:1: Connection refused",
    "datagram socket 127.0.0.1:",
    ": Address already in use",
};
/* What it must not have. */
static const char *const unwanted[] = {" stat ", "mkdir %s:"};

struct failure_tour_actor {
    struct gy_actor actor;
    struct failure_tour *tour;
    struct gy_process_spec spec;
    char paths[2][256];
    struct gy_datagram_socket *first;
    int closed, why; /* of what is told by a call instead of a future */
};
struct steps {
    struct gy_flow flow;
    gy_fut fut;
    gy_file file;
    int32_t from[2], to[2];
};
GY_FLOW(failure_tour_actor, steps);


static const char *at(struct failure_tour_actor *self, const char *name)
{
    static unsigned next;
    char *path = self->paths[next++ % 2];
    snprintf(path, sizeof(self->paths[0]), "%s%s", self->tour->dir, name);
    return path;
}
static struct gy_buf *four(void)
{
    struct gy_buf *buf = gy_buf_take(4);
    memset(buf->data, 'x', 4);
    buf->len = 4;
    return buf;
}
static gy_fut start_process(struct failure_tour_actor *self, const char *path)
{
    gy_process_spec_init(&self->spec, path);
    return gy_process_start(self, &self->spec).fut;
}

/* ---- what has no future ---- */

static void on_data(struct failure_tour_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    gy_buf_release(buf);
}
static void on_opened(struct failure_tour_actor *self, struct gy_stream *s)
{
    (void)self, (void)s;
}
static void on_closed(struct failure_tour_actor *self, struct gy_stream *s, int why)
{
    (void)s;
    self->closed++;
    self->why = why;
}
GY_STREAM(failure_tour_actor, connection, on_opened, on_data, on_closed);

static int bind_to(struct failure_tour_actor *self, const char *addr);

/* A second one at the place of the first. */
static void on_bound(struct failure_tour_actor *self, struct gy_datagram_socket *s)
{
    char addr[GY_ADDR_TEXT_MAX];
    gy_addr_print(gy_datagram_local(s), addr, sizeof(addr));
    self->first = s;
    self->why = bind_to(self, addr);
}
static void on_datagram(struct failure_tour_actor *self, struct gy_datagram_socket *s,
                        struct gy_buf *buf, const struct gy_datagram_info *info)
{
    (void)self, (void)s, (void)info;
    gy_buf_release(buf);
}
static void on_unbound(struct failure_tour_actor *self, struct gy_datagram_socket *s, int why)
{
    if (s == self->first)
        return;
    gy_datagram_close(self->first);
    self->closed++;
    self->why = why;
}
GY_DATAGRAM(failure_tour_actor, datagrams, on_bound, on_datagram, on_unbound)

static int bind_to(struct failure_tour_actor *self, const char *addr)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    struct gy_datagram_socket *s;
    options.bind = addr;
    return gy_datagram_open(self, &datagrams, &options, &s);
}

static int put_into(struct failure_tour_actor *self, int32_t fd)
{
    struct gy_stream *s;
    int err = gy_stream_of_fd(self, fd, GY_FD_WRITES, &connection, NULL, &s);
    if (err < 0)
        return err;
    err = gy_stream_send(s, four());
    gy_stream_close(s);
    return err;
}

/* ---- the tour ---- */

#define EXPECT(error)                                                                              \
    if (f->flow.res != (error) && self->tour->line == 0) {                                         \
        self->tour->line = __LINE__;                                                               \
        self->tour->res = f->flow.res;                                                             \
    }
#define FAILS(expression, error)                                                                   \
    f->fut = (expression);                                                                         \
    GY_AWAIT(f, f->fut);                                                                           \
    EXPECT(error)

GY_FLOW_BEGIN(failure_tour_actor, self, steps, f)
    FAILS(gy_file_open(at(self, "/none/x"), GY_FILE_READ, 0), -ENOENT);
    FAILS(gy_path_stat(at(self, "/none/x")), -ENOENT); /* which is an answer */
    f->fut = gy_file_open(at(self, "/x"), GY_FILE_WRITE | GY_FILE_CREATE, 0600);
    GY_AWAIT(f, f->fut);
    f->file = gy_file_of(f->flow.res);
    FAILS(gy_file_read(f->file, 0, 10), -EBADF);
    FAILS(gy_file_close(f->file), 0);
    f->fut = gy_file_open(at(self, "/x"), GY_FILE_READ, 0);
    GY_AWAIT(f, f->fut);
    f->file = gy_file_of(f->flow.res);
    FAILS(gy_file_write(f->file, 0, four()), -EBADF);
    FAILS(gy_file_allocate(f->file, 0, 4096, 0), -EBADF);
    FAILS(gy_file_close(f->file), 0);
    FAILS(gy_path_rename(at(self, "/none"), at(self, "/other")), -ENOENT);
    FAILS(gy_path_mkdir(at(self, ""), 0700), -EEXIST); /* is another */
    FAILS(gy_path_mkdir(at(self, "/none/y"), 0700), -ENOENT);
    FAILS(gy_path_rmdir(at(self, "")), -ENOTEMPTY);
    FAILS(gy_path_list(at(self, "/none")), -ENOENT);
    FAILS(gy_watch_open(at(self, "/none"), GY_WATCH_ALL), -ENOENT);
    FAILS(start_process(self, at(self, "/none")), -ENOENT);

    f->flow.res = gy_pipe(f->from) < 0 ? -1 : gy_pipe(f->to);
    EXPECT(0);
    gy_fd_close(f->to[0]);
    f->flow.res = put_into(self, f->from[1]);
    EXPECT(0);
    FAILS(gy_redirect(self, f->from[0], f->to[1], 0), -EPIPE);
    gy_fd_close(f->from[0]);
    gy_fd_close(f->to[1]);

    f->flow.res = gy_connect(self, "127.0.0.1:1", &connection, NULL, NULL);
    EXPECT(0);
    GY_WHILE(self->closed == 1) /* after the pipe */
        f->fut = gy_after(GY_MS);
        GY_AWAIT(f, f->fut);
    GY_END
    f->flow.res = self->why;
    EXPECT(-ECONNREFUSED);
    f->flow.res = bind_to(self, "127.0.0.1:0");
    EXPECT(0);
    GY_WHILE(self->closed == 2)
        f->fut = gy_after(GY_MS);
        GY_AWAIT(f, f->fut);
    GY_END
    f->flow.res = self->why;
    EXPECT(-EADDRINUSE);
    FAILS(gy_path_unlink(at(self, "/x")), 0);
GY_CLEANUP(f)
    self->tour->ended = 1;
GY_FLOW_END(f)

static int tour_start(struct failure_tour_actor *self, const struct failure_tour_actor_args *args)
{
    self->tour = args->tour;
    gy_fut fut = steps_start(self, &(struct steps){ .fut = { 0 } });
    int err = gy_refused(fut);
    gy_forget(fut);
    return err;
}
static void tour_stop(struct failure_tour_actor *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(failure_tour_actor, tour_start, tour_stop);

/* ---- the log ---- */

static bool has(const struct failure_tour *tour, const char *log, const char *pattern)
{
    char text[1024] = "";
    for (const char *at = pattern, *next; at != NULL; at = next) {
        next = strstr(at, "%s");
        int len = next != NULL ? (int)(next - at) : (int)strlen(at);
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%.*s%s", len, at, next != NULL ? tour->dir : "");
        if (next != NULL)
            next += 2;
    }
    return strstr(log, text) != NULL;
}

void failure_tour_check(const struct failure_tour *tour, const char *log)
{
    if (tour->line != 0)
        fail_msg("line %d: outcome %d", tour->line, tour->res);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (!has(tour, log, wanted[i]))
            fail_msg("no line \"%s\" in:\n%s", wanted[i], log);
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
        if (has(tour, log, unwanted[i]))
            fail_msg("a line \"%s\" in:\n%s", unwanted[i], log);
}
