/* http/files.c - the actor of gyre/http_files.h.
 *
 * Each request is a task in the actor's table: stat, open, stat, judge by the conditions, then either read
 * once and answer, or give the connection the file itself, a part at a time. A task owns its file, the
 * copy of its request and, until it has answered, the promise. Its number is the context of all its
 * continuations; a task is free again only when none is under way. */
#include "http/carry.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/file.h"
#include "gyre/http.h"
#include "gyre/http_content.h"
#include "gyre/http_files.h"
#include "gyre/http_stream.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Up to here a file is read and answered at once; larger ones the system sends (gyre/file.h), which costs as much
 * at this size, two thirds at twice this, and 0.4 of it from 1 MiB on. */
#define WHOLE_MAX (64u << 10)
#define PART_MAX (1u << 30)
#define AT_ONCE_MAX 4096u

struct task {
    gy_http_promise reply;
    gy_http_stream stream;
    struct gy_buf *request; /* a copy: it is looked at when the file is known */
    gy_file file;
    struct gy_file_info info;
    struct gy_http_range range; /* what is still to be sent */
    int status;
    bool used, is_index;
    char etag[GY_HTTP_ETAG_SIZE], path[GY_PATH_MAX];
};

struct files_args {
    struct gy_http_files options;
};
GY_ACTOR(files);
struct files {
    struct gy_actor actor;
    struct gy_http_files options;
    struct gy_buf *table; /* at_once places of struct gy_buf *, each NULL or a task */
};
GY_ACTOR_TYPE(files, files_start, files_stop);
GY_HTTP(files, files_get);
GY_THEN_RES(files, files_on_open);
GY_THEN_RES(files, files_on_written);
GY_HTTP_PIECE(files, files_on_whole);

/* ---- tasks ------------------------------------------------------------------------------- */

static struct gy_buf **places_of(const struct files *self)
{
    return (struct gy_buf **)(void *)self->table->data;
}

static struct task *task_of(const struct files *self, uint64_t i)
{
    return (struct task *)(void *)places_of(self)[i]->data;
}

/* -> its number; -EAGAIN. */
static int task_begin(struct files *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_buf *buf;
    struct task *task;
    uint32_t i = 0;

    while (i < self->options.at_once && places_of(self)[i] != NULL)
        i++;
    if (i == self->options.at_once || (buf = gy_buf_take(sizeof(struct task))) == NULL)
        return -EAGAIN;
    task = (struct task *)(void *)buf->data;
    memset(task, 0, offsetof(struct task, path));
    task->request = gy__http_pack(req, NULL, req->gy__shard != 0 ? req->gy__shard - 1u : gy_shard(),
                                  req->gy__ticket);
    if (task->request == NULL || gy_http_keep(reply) < 0) {
        gy_buf_release(task->request);
        gy_buf_release(buf);
        return -EAGAIN;
    }
    task->reply = reply;
    task->stream = gy_http_stream_of(req);
    task->path[0] = '\0';
    places_of(self)[i] = buf;
    return (int)i;
}

static void close_file(struct task *task)
{
    if (task->file.n != 0)
        gy_forget(gy_file_close(task->file));
    task->file.n = 0;
}

static void task_end(struct files *self, uint64_t i)
{
    struct task *task = task_of(self, i);

    close_file(task);
    gy_buf_release(task->request);
    gy_buf_release(places_of(self)[i]);
    places_of(self)[i] = NULL;
}

static const struct gy_http_req *request_of(const struct task *task)
{
    return (const struct gy_http_req *)(const void *)task->request->data;
}

/* What cannot be reached is not there; what the system has no room for is said. */
static void task_fail(struct files *self, uint64_t i, int err)
{
    bool busy = err == -EAGAIN || err == -ENOMEM || err == -EMFILE || err == -ENFILE;

    gy_http_fail(task_of(self, i)->reply, err == -EACCES || err == -EPERM ? -EACCES
                                          : busy                         ? -EAGAIN
                                          : err == -EIO                  ? -EIO
                                                                         : -ENOENT);
    task_end(self, i);
}

/* ---- paths ------------------------------------------------------------------------------- */

/* No segment leads out of the root, or to what is hidden. rest: decoded, but for %2F. */
static bool path_clean(const char *rest, bool hidden)
{
    while (*rest != '\0') {
        size_t len = strcspn(rest, "/");

        if (len == 0 || (rest[0] == '.' && !hidden) || (len == 1 && rest[0] == '.') ||
            (len == 2 && rest[0] == '.' && rest[1] == '.'))
            return false;
        for (size_t i = 0; i + 2 < len; i++)
            if (rest[i] == '%' && rest[i + 1] == '2' && (rest[i + 2] | 0x20) == 'f')
                return false;
        rest += len;
        rest += *rest == '/';
    }
    return true;
}

/* -> 0; -ENOENT. */
static int make_path(const struct files *self, struct task *task)
{
    char rest[GY_PATH_MAX];
    int len = gy_http_param(request_of(task), "path", rest, sizeof(rest));

    if (len < 0 || !path_clean(rest, self->options.hidden))
        return -ENOENT;
    if (len > 0 && rest[len - 1] == '/') /* a directory's index; the slash is no part of its name */
        rest[--len] = '\0';
    return snprintf(task->path, sizeof(task->path), "%s%s%s", self->options.root, len > 0 ? "/" : "", rest) <
                   (int)sizeof(task->path)
               ? 0
               : -ENOENT;
}

static bool asks_for_directory(const struct task *task)
{
    const struct gy_slice *path = &request_of(task)->path;

    return path->len > 0 && path->ptr[path->len - 1] == '/';
}

/* ---- answers ----------------------------------------------------------------------------- */

static void begin_answer(const struct files *self, const struct task *task, struct gy_http_res *res)
{
    char date[GY_HTTP_DATE_SIZE];

    gy_http_begin(res, task->status);
    if (task->status == 200 || task->status == 206) {
        (void)gy_http_set(res, "Content-Type", gy_http_type(task->path));
        (void)gy_http_set(res, "Accept-Ranges", "bytes");
    }
    gy_http_date(task->info.modified_ns / (uint64_t)GY_S, date);
    (void)gy_http_set(res, "ETag", task->etag);
    (void)gy_http_set(res, "Last-Modified", date);
    (void)gy_http_set(res, "X-Content-Type-Options", "nosniff");
    if (self->options.caching != NULL)
        (void)gy_http_set(res, "Cache-Control", self->options.caching);
    if (task->status == 206)
        (void)gy_http_set_range(res, &task->range, task->info.size);
    if (task->status == 416)
        (void)gy_http_set_range(res, NULL, task->info.size);
}

/* The connection's shard sends it, and the file stays open for it as long as that takes: only here it is over with the
 * last write. */
static void write_part(struct files *self, uint64_t i)
{
    struct task *task = task_of(self, i);
    uint32_t len = task->range.len < PART_MAX ? (uint32_t)task->range.len : PART_MAX;
    struct gy_buf *part = gy_file_part(task->file, task->range.first, len);

    task->range.first += len;
    task->range.len -= len;
    if (part == NULL || gy_then(self, gy_http_write(task->stream, part), files_on_written, i) < 0) {
        (void)!gy_http_abort(task->stream); /* or its time runs out */
        task_end(self, i);
    }
}

/* The file is known: what does the request get of it? */
static void answer(struct files *self, uint64_t i)
{
    struct task *task = task_of(self, i);
    const struct gy_http_req *req = request_of(task);
    uint64_t modified_s = task->info.modified_ns / (uint64_t)GY_S;
    bool head = gy_slice_equal(req->method, "HEAD");
    struct gy_http_res res;

    gy_http_etag(task->info.size, task->info.modified_ns, task->etag);
    task->status = gy_http_condition(req, task->etag, modified_s);
    if (task->status == 0)
        task->status = gy_http_range(req, task->info.size, task->etag, modified_s, &task->range);
    if (task->status == 200 || task->status == 206) {
        if (!head && task->range.len > 0 && task->range.len <= WHOLE_MAX) {
            gy_fut fut = gy_file_read(task->file, task->range.first, (uint32_t)task->range.len);
            int err = gy_then(self, fut, files_on_whole, i);

            if (err < 0)
                task_fail(self, i, err);
            return;
        }
        begin_answer(self, task, &res);
        if (gy_http_end_stream(&res, task->reply, task->range.len) == 0 && !head && task->range.len > 0) {
            write_part(self, i);
            return;
        }
        if (!head)
            (void)!gy_http_finish(task->stream); /* an empty file */
    } else {
        begin_answer(self, task, &res);
        (void)gy_http_end(&res, task->reply, NULL, 0);
    }
    task_end(self, i);
}

static void files_on_whole(struct files *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = task_of(self, i);
    struct gy_http_res answer_res;

    if (res < 0 || (uint64_t)res != task->range.len) {
        gy_buf_release(buf);
        task_fail(self, i, res < 0 ? res : -EIO);
        return;
    }
    begin_answer(self, task, &answer_res);
    (void)gy_http_end_buf(&answer_res, task->reply, buf);
    task_end(self, i);
}

static void files_on_written(struct files *self, uint64_t i, int res)
{
    struct task *task = task_of(self, i);

    if (res >= 0 && task->range.len > 0) {
        write_part(self, i);
        return;
    }
    /* Refused, perhaps because its shard is busy: what comes would not be what is missing. */
    if (res < 0 || gy_http_finish(task->stream) < 0)
        (void)!gy_http_abort(task->stream);
    task_end(self, i);
}

/* ---- finding the file -------------------------------------------------------------------- */

static void redirect(struct files *self, uint64_t i)
{
    struct task *task = task_of(self, i);
    const struct gy_http_req *req = request_of(task);
    char location[GY_PATH_MAX];
    const char *path = req->path.ptr;
    size_t len = req->path.len;

    while (len > 1 && path[0] == '/' && path[1] == '/') /* "//host" would be another host */
        path++, len--;
    if (snprintf(location, sizeof(location), "%.*s/%s%.*s", (int)len, path, req->query.len > 0 ? "?" : "",
                 (int)req->query.len, req->query.len > 0 ? req->query.ptr : "") < (int)sizeof(location))
        (void)gy_http_redirect(task->reply, 301, location);
    else
        gy_http_fail(task->reply, -ENOENT);
    task_end(self, i);
}

static void look_up(struct files *self, uint64_t i);

static void found_directory(struct files *self, uint64_t i)
{
    struct task *task = task_of(self, i);
    size_t len = strlen(task->path);

    if (task->is_index || self->options.index == NULL) {
        task_fail(self, i, -ENOENT);
    } else if (!asks_for_directory(task)) {
        redirect(self, i);
    } else if (snprintf(task->path + len, sizeof(task->path) - len, "/%s", self->options.index) >=
               (int)(sizeof(task->path) - len)) {
        task_fail(self, i, -ENOENT);
    } else {
        task->is_index = true;
        look_up(self, i);
    }
}

/* What a stat says. -> 0; -errno. */
static int info_of(struct task *task, const struct gy_done *done)
{
    if (done->res < 0)
        return done->res;
    if (done->value == NULL || done->size != sizeof(task->info))
        return -EIO;
    memcpy(&task->info, done->value, sizeof(task->info));
    return 0;
}

static bool is_file(const struct task *task)
{
    return (task->info.mode & 0170000) == 0100000;
}

/* Of the file that is open: what its name meant before may be another by now. */
static void on_file_stat(struct gy_actor *actor, const struct gy_done *done)
{
    struct files *self = (struct files *)(void *)actor;
    struct task *task = task_of(self, done->ctx);
    int err = info_of(task, done);

    if (err == 0 && !is_file(task))
        err = -ENOENT;
    if (err < 0)
        task_fail(self, done->ctx, err);
    else
        answer(self, done->ctx);
}

static void files_on_open(struct files *self, uint64_t i, int res)
{
    struct task *task = task_of(self, i);

    if (res >= 0) {
        task->file = gy_file_of(res);
        res = gy_then_raw(&self->actor, gy_file_stat(task->file), on_file_stat, i);
    }
    if (res < 0)
        task_fail(self, i, res);
}

/* Before anything is opened: opening a pipe would wait for its other end. */
static void on_path_stat(struct gy_actor *actor, const struct gy_done *done)
{
    struct files *self = (struct files *)(void *)actor;
    struct task *task = task_of(self, done->ctx);
    int err = info_of(task, done);

    if (err == 0 && gy_file_is_directory(&task->info)) {
        found_directory(self, done->ctx);
        return;
    }
    if (err == 0 && (!is_file(task) || (asks_for_directory(task) && !task->is_index)))
        err = -ENOENT;
    if (err == 0)
        err = gy_then(self, gy_file_open(task->path, GY_FILE_READ, 0), files_on_open, done->ctx);
    if (err < 0)
        task_fail(self, done->ctx, err);
}

static void look_up(struct files *self, uint64_t i)
{
    int err = gy_then_raw(&self->actor, gy_path_stat(task_of(self, i)->path), on_path_stat, i);

    if (err < 0)
        task_fail(self, i, err);
}

static void files_get(struct files *self, const struct gy_http_req *req, gy_http_promise reply)
{
    int i = task_begin(self, req, reply);

    if (i < 0)
        gy_http_fail(reply, i);
    else if (make_path(self, task_of(self, (uint64_t)i)) < 0)
        task_fail(self, (uint64_t)i, -ENOENT);
    else
        look_up(self, (uint64_t)i);
}

/* ---- life -------------------------------------------------------------------------------- */

static int files_start(struct files *self, const struct files_args *args)
{
    const char *route = args->options.route;
    char text[1024];
    size_t size;

    self->options = args->options;
    if (snprintf(text, sizeof(text), "GET %s/*path", strcmp(route, "/") == 0 ? "" : route) >=
        (int)sizeof(text))
        return -EINVAL;
    size = self->options.at_once * sizeof(struct gy_buf *);
    self->table = gy_buf_take(size);
    if (self->table == NULL)
        return -EAGAIN;
    memset(self->table->data, 0, size);
    return gy_http_route(self, text, files_get);
}

static void files_stop(struct files *self, int why)
{
    (void)why;
    for (uint32_t i = 0; self->table != NULL && i < self->options.at_once; i++)
        if (places_of(self)[i] != NULL) {
            task_of(self, i)->file.n = 0; /* its end closes them */
            task_end(self, i);
        }
    gy_buf_release(self->table);
}

/* -> NULL, or what is wrong and what is allowed. */
static const char *options_wrong(const struct gy_http_files *options)
{
    if (options->size != sizeof(*options))
        return "size is not sizeof the struct: GY_HTTP_FILES_INIT sets it";
    if (options->root == NULL || options->root[0] == '\0')
        return "root: a directory is wanted, \".\" is one";
    if (options->route == NULL || options->route[0] != '/')
        return "route: a path is wanted, without a method: \"/static\" is one";
    if (options->at_once == 0 || options->at_once > AT_ONCE_MAX)
        return "at_once: allowed are 1 to 4096";
    if (options->index != NULL && (options->index[0] == '\0' || strchr(options->index, '/') != NULL))
        return "index: a name without a slash is wanted, or NULL";
    return NULL;
}
GY_STATIC_ASSERT(AT_ONCE_MAX == 4096, "the message above names it");

int gy_http_files_spawn(gy_pid *out, const struct gy_http_files *options)
{
    struct files_args args = { *options };
    const char *wrong = options_wrong(options);
    files_pid pid;
    int err;

    if (wrong != NULL) {
        gy_log("http files: %s", wrong);
        return -EINVAL;
    }
    err = files_spawn(&pid, &args);
    if (err == 0)
        *out = pid.pid;
    return err;
}
