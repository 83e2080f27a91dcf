#include "tests/support/file_tour.h"

#include "gyre/buf.h"
#include "gyre/file.h"
#include "gyre/flow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct file_tour_actor {
    struct gy_actor actor;
    struct file_tour *tour;
    char paths[4][256];
};

/* Room for each step is the same frame. */
struct steps {
    struct gy_flow flow;
    gy_fut fut;
    gy_file file, other;
    struct gy_buf *list;
    uint64_t i;
};
GY_FLOW(file_tour_actor, steps);

static bool failed(struct file_tour_actor *self, int line, const char *what, int res)
{
    self->tour->line = line;
    self->tour->what = what;
    self->tour->res = res;
    return true;
}
/* An await, then what must hold; in the top block of the flow. */
#define DO(expression)                                                                             \
    f->fut = (expression);                                                                         \
    GY_AWAIT(f, f->fut)
#define EXPECT(condition)                                                                          \
    if (!(condition) && failed(self, __LINE__, #condition, f->flow.res))                           \
    GY_LEAVE(f, -EPROTO)

/* The path of a name in the tour's directory; four of them live at a time. */
static const char *at(struct file_tour_actor *self, const char *name)
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
static struct gy_buf *filled(uint32_t size, uint8_t with)
{
    struct gy_buf *buf = gy_buf_take(size);
    memset(buf->data, with, size);
    buf->len = size;
    return buf;
}
static const unsigned sizes[4] = {1, 4096, 4097, 200000};
static bool all_are(gy_fut fut, uint8_t with, uint32_t len)
{
    struct gy_buf *buf = gy_value_buf(fut);
    bool same = buf != NULL && buf->len == len;
    for (uint32_t i = 0; same && i < len; i++)
        same = buf->data[i] == with;
    gy_buf_release(buf);
    return same;
}

/* The future's buffer holds exactly that, or zeros for NULL. */
static bool holds(gy_fut fut, const char *text, uint32_t len)
{
    struct gy_buf *buf = gy_value_buf(fut);
    bool same = buf != NULL && buf->len == len;
    for (uint32_t i = 0; same && i < len; i++)
        same = buf->data[i] == (text == NULL ? 0 : (uint8_t)text[i]);
    gy_buf_release(buf);
    return same;
}
static struct gy_file_info info_of(gy_fut fut)
{
    struct gy_file_info info = {0};
    (void)gy_value_raw(fut, &info, sizeof(info));
    return info;
}
/* The names of a list, each with a letter for its kind: "d:a f:b". */
static bool lists(gy_fut fut, const char *text)
{
    struct gy_buf *buf = gy_value_buf(fut);
    struct gy_path_entry entry;
    char out[512] = "";
    uint32_t from = 0;
    while (gy_path_next(buf, &from, &entry))
        snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%c:%s", out[0] ? " " : "",
                 entry.kind == GY_PATH_DIRECTORY ? 'd' : 'f', entry.name);
    gy_buf_release(buf);
    return strcmp(out, text) == 0;
}
static struct gy_buf *chain(struct gy_buf *a, struct gy_buf *b, struct gy_buf *c)
{
    a->next = b;
    b->next = c;
    c->next = NULL;
    return a;
}
static bool chain_holds(gy_fut fut, const uint32_t lens[3], uint8_t with)
{
    struct gy_buf *list = NULL;
    bool same = gy_value_raw(fut, &list, sizeof(list)) >= 0 && list != NULL;
    for (unsigned i = 0; list != NULL; i++) {
        struct gy_buf *next = list->next;
        same = same && i < 3 && list->len == lens[i];
        for (uint32_t n = 0; n < list->len; n++)
            same = same && list->data[n] == with;
        gy_buf_release(list);
        list = next;
    }
    return same;
}

#define RW (GY_FILE_READ | GY_FILE_WRITE)
#define NEW (RW | GY_FILE_CREATE | GY_FILE_EXCLUSIVE)

GY_FLOW_BEGIN(file_tour_actor, self, steps, f)
    /* Names. */
    DO(gy_path_mkdir(at(self, "a"), 0755));
    EXPECT(f->flow.res == 0);
    DO(gy_path_mkdir(at(self, "a"), 0755));
    EXPECT(f->flow.res == -EEXIST);
    DO(gy_path_stat(at(self, "a")));
    EXPECT(f->flow.res == 0);
    struct gy_file_info info = info_of(f->fut);
    EXPECT(gy_file_is_directory(&info) && (info.mode & 0777) == 0755);
    DO(gy_file_open(at(self, "a/x"), RW, 0));
    EXPECT(f->flow.res == -ENOENT);
    DO(gy_path_list(at(self, "a")));
    EXPECT(f->flow.res == 0 && lists(f->fut, ""));

    /* Bytes. */
    DO(gy_file_open(at(self, "a/x"), NEW, 0640));
    EXPECT(f->flow.res > 0);
    f->file = gy_file_of(f->flow.res);
    DO(gy_file_open(at(self, "a/x"), NEW, 0640));
    EXPECT(f->flow.res == -EEXIST);
    DO(gy_file_write(f->file, 0, bytes_of("hello world")));
    EXPECT(f->flow.res == 11);
    DO(gy_file_write(f->file, 100000, bytes_of("there")));
    EXPECT(f->flow.res == 5);
    DO(gy_file_stat(f->file));
    struct gy_file_info grown = info_of(f->fut);
    EXPECT(grown.size == 100005 && (grown.mode & 0170777) == 0100640 && grown.links == 1);
    EXPECT(grown.modified_ns > UINT64_C(1500000000) * 1000000000);
    DO(gy_file_read(f->file, 6, 5));
    EXPECT(f->flow.res == 5 && holds(f->fut, "world", 5));
    DO(gy_file_read(f->file, 11, 70000));
    EXPECT(f->flow.res == 70000 && holds(f->fut, NULL, 70000));
    DO(gy_file_read(f->file, 100000, 4096));
    EXPECT(f->flow.res == 5 && holds(f->fut, "there", 5));
    DO(gy_file_read(f->file, 200000, 10));
    EXPECT(f->flow.res == 0 && gy_value_buf(f->fut) == NULL);
    DO(gy_file_read(f->file, 0, 0));
    EXPECT(f->flow.res == 0);

    /* Into a buffer that has something already. */
    struct gy_buf *half = gy_buf_take(512);
    memcpy(half->data, ">", 1);
    half->len = 1;
    DO(gy_file_read_into(f->file, 99999, half));
    EXPECT(f->flow.res == 6 && holds(f->fut, ">\0there", 7));

    /* Lists. */
    DO(gy_file_writev(f->file, 10, chain(filled(512, 7), filled(70000, 7), filled(100, 7))));
    EXPECT(f->flow.res == 70612);
    DO(gy_file_readv(f->file, 10, chain(gy_buf_take(512), gy_buf_take(65536), gy_buf_take(16384))));
    EXPECT(f->flow.res == 512 + 65536 + 16384);
    f->list = NULL;
    EXPECT(gy_value_raw(f->fut, &f->list, sizeof(f->list)) > 0 && f->list != NULL);
    EXPECT(f->list->len == 512 && f->list->next->len == 65536 && f->list->next->next->len == 16384);
    EXPECT(f->list->data[0] == 7 && f->list->next->data[65535] == 7);
    EXPECT(f->list->next->next->data[4563] == 7 && f->list->next->next->data[4564] == 0);
    gy_buf_release(f->list->next->next);
    gy_buf_release(f->list->next);
    gy_buf_release(f->list);
    DO(gy_file_readv(f->file, 10, chain(gy_buf_take(512), gy_buf_take(4096), gy_buf_take(16384))));
    EXPECT(chain_holds(f->fut, (const uint32_t[]){ 512, 4096, 16384 }, 7));

    /* Sizes and space. */
    DO(gy_file_datasync(f->file));
    EXPECT(f->flow.res == 0);
    DO(gy_file_sync(f->file));
    EXPECT(f->flow.res == 0);
    DO(gy_file_truncate(f->file, 5));
    EXPECT(f->flow.res == 0);
    DO(gy_file_read(f->file, 0, 100));
    EXPECT(f->flow.res == 5 && holds(f->fut, "hello", 5));
    DO(gy_file_truncate(f->file, 4096));
    EXPECT(f->flow.res == 0);
    DO(gy_file_read(f->file, 5, 10000));
    EXPECT(f->flow.res == 4091 && holds(f->fut, NULL, 4091));
    DO(gy_file_allocate(f->file, 0, 65536, 0));
    EXPECT(f->flow.res == 0 || f->flow.res == -EOPNOTSUPP);
    GY_IF(f->flow.res == 0)
        DO(gy_file_stat(f->file));
        EXPECT(info_of(f->fut).size == 65536);
        DO(gy_file_allocate(f->file, 0, 1 << 20, GY_FILE_KEEP_SIZE));
        EXPECT(f->flow.res == 0);
        DO(gy_file_allocate(f->file, 0, 4096, GY_FILE_KEEP_SIZE | GY_FILE_PUNCH));
        EXPECT(f->flow.res == 0);
        DO(gy_file_read(f->file, 0, 65537));
        EXPECT(f->flow.res == 65536 && holds(f->fut, NULL, 65536));
    GY_END

    /* All at once. */
    GY_FOR(f->i = 0, f->i < 4, f->i++)
        DO(gy_file_truncate(f->file, 0));
        DO(gy_file_write(f->file, 0, filled((uint32_t)sizes[f->i], 7)));
        EXPECT(f->flow.res == (int)sizes[f->i]);
        DO(gy_path_read(at(self, "a/x"), (uint32_t)sizes[f->i]));
        EXPECT(f->flow.res == (int)sizes[f->i] && all_are(f->fut, 7, (uint32_t)sizes[f->i]));
        DO(gy_path_read(at(self, "a/x"), (uint32_t)sizes[f->i] - 1));
        EXPECT(f->flow.res == -EMSGSIZE);
    GY_END
    DO(gy_file_truncate(f->file, 0));
    DO(gy_path_read(at(self, "a/x"), 0));
    EXPECT(f->flow.res == 0 && gy_value_buf(f->fut) == NULL);
    DO(gy_path_read(at(self, "a/none"), 100));
    EXPECT(f->flow.res == -ENOENT);
    DO(gy_path_read(at(self, "a"), 1 << 20));
    EXPECT(f->flow.res == -EISDIR);
    f->fut = gy_path_read(at(self, "a/x"), 100);
    gy_discard(f->fut); /* it is closed all the same: the test looks for what is left */

    /* Where the file stands. */
    DO(gy_file_truncate(f->file, 0));
    DO(gy_file_write(f->file, GY_FILE_HERE, bytes_of("one ")));
    EXPECT(f->flow.res == 4);
    DO(gy_file_write(f->file, GY_FILE_HERE, bytes_of("two")));
    EXPECT(f->flow.res == 3);
    DO(gy_file_read(f->file, GY_FILE_HERE, 10));
    EXPECT(f->flow.res == 0);
    DO(gy_file_read(f->file, 0, 10));
    EXPECT(f->flow.res == 7 && holds(f->fut, "one two", 7));
    DO(gy_file_open(at(self, "a/x"), GY_FILE_WRITE | GY_FILE_APPEND | GY_FILE_DSYNC, 0));
    EXPECT(f->flow.res > 0);
    f->other = gy_file_of(f->flow.res);
    DO(gy_file_write(f->other, 0, bytes_of(" three")));
    EXPECT(f->flow.res == 6);
    DO(gy_file_read(f->other, 0, 10));
    EXPECT(f->flow.res == -EBADF);
    DO(gy_file_close(f->other));
    EXPECT(f->flow.res == 0);
    DO(gy_file_read(f->file, 0, 100));
    EXPECT(f->flow.res == 13 && holds(f->fut, "one two three", 13));

    /* From front to back. */
    DO(gy_file_open(at(self, "a/s"), NEW, 0600));
    f->other = gy_file_of(f->flow.res);
    EXPECT(gy_file_behind(f->other, 100, 60000) == 0);
    GY_FOR(f->i = 0, f->i < 50, f->i++)
        DO(gy_file_put(f->other, filled(9999, (uint8_t)f->i)));
        EXPECT(f->flow.res == 0);
    GY_END
    DO(gy_file_flush(f->other));
    EXPECT(f->flow.res == 0);
    DO(gy_file_stat(f->other));
    EXPECT(info_of(f->fut).size == 100 + 50 * 9999);
    EXPECT(gy_file_ahead(f->other, 100, UINT64_MAX, 9999, 7) == 0);
    GY_FOR(f->i = 0, f->i < 50, f->i++)
        DO(gy_file_next(f->other));
        EXPECT(f->flow.res == 9999);
        struct gy_buf *next = gy_value_buf(f->fut);
        EXPECT(next->len == 9999 && next->data[0] == f->i && next->data[9998] == f->i);
        gy_buf_release(next);
    GY_END
    DO(gy_file_next(f->other));
    EXPECT(f->flow.res == 0);
    EXPECT(gy_file_ahead(f->other, 0, 150, 100, 3) == 0);
    DO(gy_file_next(f->other));
    EXPECT(f->flow.res == 100 && holds(f->fut, NULL, 100));
    DO(gy_file_next(f->other));
    EXPECT(f->flow.res == 50 && holds(f->fut, NULL, 50));
    DO(gy_file_next(f->other));
    EXPECT(f->flow.res == 0);
    /* Closed with blocks read that nobody fetched, and a buffer put that nobody asked after. */
    EXPECT(gy_file_ahead(f->other, 0, UINT64_MAX, 4096, 32) == 0);
    f->fut = gy_file_put(f->other, filled(100, 1));
    gy_forget(f->fut);
    DO(gy_file_close(f->other));
    EXPECT(f->flow.res == 0);
    DO(gy_path_stat(at(self, "a/s")));
    EXPECT(info_of(f->fut).size == 100 + 50 * 9999 + 100);
    DO(gy_path_unlink(at(self, "a/s")));

    /* Renaming, listing, removing. */
    DO(gy_file_open(at(self, "a/Y"), NEW, 0600));
    EXPECT(f->flow.res > 0);
    DO(gy_file_close(gy_file_of(f->flow.res)));
    DO(gy_path_mkdir(at(self, "a/b"), 0700));
    DO(gy_path_list(at(self, "a")));
    EXPECT(f->flow.res > 0 && lists(f->fut, "f:Y d:b f:x"));
    DO(gy_path_rename(at(self, "a/x"), at(self, "a/b/z")));
    EXPECT(f->flow.res == 0);
    DO(gy_path_rename(at(self, "a/Y"), at(self, "a/b/z")));
    EXPECT(f->flow.res == 0);
    DO(gy_path_stat(at(self, "a/x")));
    EXPECT(f->flow.res == -ENOENT);
    DO(gy_path_stat(at(self, "a/b/z")));
    EXPECT(f->flow.res == 0 && info_of(f->fut).size == 0);
    DO(gy_path_rename(at(self, "a"), at(self, "a/b/c")));
    EXPECT(f->flow.res == -EINVAL);
    DO(gy_path_list(at(self, "a")));
    EXPECT(lists(f->fut, "d:b"));
    DO(gy_path_list(at(self, "a/b/z")));
    EXPECT(f->flow.res == -ENOTDIR);
    DO(gy_path_unlink(at(self, "a/b")));
    EXPECT(f->flow.res == -EISDIR || f->flow.res == -EPERM);
    DO(gy_path_rmdir(at(self, "a/b/z")));
    EXPECT(f->flow.res == -ENOTDIR);
    DO(gy_path_rmdir(at(self, "a")));
    EXPECT(f->flow.res == -ENOTEMPTY);
    /* One that has no name any more still is what it was. */
    DO(gy_file_read(f->file, 4, 3));
    EXPECT(f->flow.res == 3 && holds(f->fut, "two", 3));
    DO(gy_file_close(f->file));
    EXPECT(f->flow.res == 0);
    DO(gy_file_close(f->file));
    EXPECT(f->flow.res == -EBADF);
    DO(gy_file_read(f->file, 0, 10));
    EXPECT(f->flow.res == -EBADF);
    DO(gy_file_write(f->file, 0, bytes_of("x")));
    EXPECT(f->flow.res == -EBADF);

    /* A directory is synced like a file, and is none. */
    DO(gy_file_open(at(self, "a/b"), GY_FILE_READ, 0));
    EXPECT(f->flow.res > 0);
    f->file = gy_file_of(f->flow.res);
    DO(gy_file_sync(f->file));
    EXPECT(f->flow.res == 0);
    DO(gy_file_read(f->file, 0, 10));
    EXPECT(f->flow.res == -EISDIR);
    DO(gy_file_close(f->file));
    DO(gy_file_open(at(self, "a/b"), GY_FILE_WRITE, 0));
    EXPECT(f->flow.res == -EISDIR);

    /* Without the cache. */
    DO(gy_file_open(at(self, "a/d"), NEW | GY_FILE_DIRECT, 0600));
    self->tour->direct = f->flow.res > 0;
    f->file = gy_file_of(f->flow.res);
    EXPECT(f->flow.res > 0 || f->flow.res == -EINVAL);
    GY_IF(self->tour->direct)
        DO(gy_file_write(f->file, 0, filled(8192, 9)));
        EXPECT(f->flow.res == 8192);
        DO(gy_file_read(f->file, 4096, 4096));
        EXPECT(f->flow.res == 4096);
        DO(gy_file_readv(f->file, 0, chain(gy_buf_take(4096), gy_buf_take(4096), gy_buf_take(4096))));
        EXPECT(chain_holds(f->fut, (const uint32_t[]){ 4096, 4096, 0 }, 9));
        DO(gy_file_truncate(f->file, 8000));
        DO(gy_file_read(f->file, 0, 16384));
        EXPECT(f->flow.res == 8000);
        DO(gy_file_close(f->file));
        EXPECT(f->flow.res == 0);
        DO(gy_path_unlink(at(self, "a/d")));
    GY_END
    GY_IF(!self->tour->direct)
        DO(gy_path_unlink(at(self, "a/d")));
    GY_END

    /* What is refused. */
    EXPECT(gy_refused(gy_file_open("x", 0, 0)) == -EINVAL);
    EXPECT(gy_refused(gy_file_open("x", 1u << 20 | RW, 0)) == -EINVAL);
    static char endless[GY_PATH_MAX + 1];
    memset(endless, 'x', GY_PATH_MAX);
    EXPECT(gy_refused(gy_path_unlink(endless)) == -ENAMETOOLONG);
    EXPECT(gy_refused(gy_file_sync((gy_file){ 0 })) == -EBADF);
    EXPECT(gy_refused(gy_file_sync((gy_file){ -5 })) == -EBADF);
    EXPECT(gy_refused(gy_file_sync((gy_file){ INT32_MAX })) == -EBADF);
    DO(gy_file_open(at(self, "a/b/z"), RW, 0));
    f->file = gy_file_of(f->flow.res);
    EXPECT(gy_refused(gy_file_read(f->file, 0, (1u << 30) + 1)) == -EINVAL);
    EXPECT(gy_refused(gy_file_read(f->file, INT64_MAX, 1)) == -EINVAL);
    EXPECT(gy_refused(gy_file_truncate(f->file, UINT64_MAX)) == -EINVAL);
    EXPECT(gy_refused(gy_file_allocate(f->file, 0, 0, 0)) == -EINVAL);
    EXPECT(gy_refused(gy_file_readv(f->file, 0, NULL)) == -EINVAL);

    /* Many names: more than fit at first. */
    GY_FOR(f->i = 0, f->i < 1200, f->i++)
        char name[64];
        snprintf(name, sizeof(name), "a/b/a-name-of-some-length-%04u", (unsigned)f->i);
        DO(gy_file_open(at(self, name), NEW, 0600));
        EXPECT(f->flow.res > 0);
        DO(gy_file_close(gy_file_of(f->flow.res)));
    GY_END
    DO(gy_path_list(at(self, "a/b")));
    EXPECT(f->flow.res > 16384);
    f->list = gy_value_buf(f->fut);
    uint32_t from = 0, names = 0;
    struct gy_path_entry entry;
    while (gy_path_next(f->list, &from, &entry))
        names++;
    gy_buf_release(f->list);
    EXPECT(names == 1201);
    GY_FOR(f->i = 0, f->i < 1200, f->i++)
        char gone[64];
        snprintf(gone, sizeof(gone), "a/b/a-name-of-some-length-%04u", (unsigned)f->i);
        DO(gy_path_unlink(at(self, gone)));
        EXPECT(f->flow.res == 0);
    GY_END
    /* This one is left open: the end of the actor closes it. */
    DO(gy_path_unlink(at(self, "a/b/z")));
    DO(gy_path_rmdir(at(self, "a/b")));
    EXPECT(f->flow.res == 0);
    DO(gy_path_rmdir(at(self, "a")));
    EXPECT(f->flow.res == 0);
GY_CLEANUP(f)
    if (f->flow.why < 0 && self->tour->line == 0)
        (void)failed(self, -1, "left early", f->flow.why);
    self->tour->ended = 1;
GY_FLOW_END(f)

static int tour_start(struct file_tour_actor *self, const struct file_tour_actor_args *args)
{
    self->tour = args->tour;
    gy_fut fut = steps_start(self, &(struct steps){ .i = 0 });
    int err = gy_refused(fut);
    gy_forget(fut);
    return err;
}
static void tour_stop(struct file_tour_actor *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(file_tour_actor, tour_start, tour_stop);
