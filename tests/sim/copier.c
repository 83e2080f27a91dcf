#include "tests/sim/copier.h"

#include "gyre/http_stream.h"

#include <errno.h>
#include <stdio.h>

#define TASKS_MAX 64

char copier_byte(uint32_t id, uint64_t i)
{
    return (char)('a' + (id * 7 + i * 11 + i / 251) % 26);
}

void copier_event(char *out, uint32_t id, uint64_t n)
{
    snprintf(out, 64, "%u: %llu more, %.*s", id, (unsigned long long)n, (int)(id % 30), "..............................");
}

struct copier {
    struct gy_actor actor;
    struct task {
        gy_http_promise reply;
        gy_http_stream stream;
        uint64_t total, left;
        uint32_t id;
        bool used, copies, events;
    } tasks[TASKS_MAX];
};
uint64_t copier_begun, copier_watched;

GY_ACTOR_TYPE(copier, copier_start, copier_stop);
GY_HTTP(copier, copier_copy);
GY_HTTP(copier, copier_count);
GY_HTTP(copier, copier_drip);
GY_HTTP(copier, copier_events);
GY_HTTP(copier, copier_refuse);
GY_HTTP(copier, copier_lazy);
GY_HTTP(copier, copier_sleepy);
GY_HTTP_PIECE(copier, copier_on_piece);
GY_THEN_RES(copier, copier_on_written);
GY_THEN_RES(copier, copier_on_end);
GY_THEN_RES(copier, copier_on_time);

static const struct gy_http_route_options plain = {.size = sizeof(plain)};
static const struct gy_http_route_options streams = {.size = sizeof(streams), .body_max = COPIER_BODY_MAX, .stream = 1};

static int copier_start(struct copier *self, const struct copier_args *args)
{
    const char *where = args->far ? "/far" : "/near";
    char route[64];
    int err = 0;

#define ROUTE(line, handler, with)                                                                 \
    if (err == 0) {                                                                                \
        snprintf(route, sizeof(route), line, where);                                               \
        err = gy_http_route_with(self, route, handler, with);                                      \
    }
    ROUTE("POST %s/copy", copier_copy, &streams)
    ROUTE("POST %s/count", copier_count, &streams)
    ROUTE("POST %s/refuse", copier_refuse, &streams)
    ROUTE("POST %s/lazy", copier_lazy, &streams)
    ROUTE("GET %s/drip/:id/:n", copier_drip, &plain)
    ROUTE("GET %s/events/:id/:n", copier_events, &plain)
    ROUTE("GET %s/sleepy", copier_sleepy, &plain)
#undef ROUTE
    return err;
}

static void copier_stop(struct copier *self, int why)
{
    (void)self, (void)why;
}

enum answer { WHOLE, PIECES, EVENTS };

static struct task *task_begin(struct copier *self, const struct gy_http_req *req,
                               gy_http_promise reply, enum answer answer)
{
    uint32_t i = 0;

    while (i < TASKS_MAX && self->tasks[i].used)
        i++;
    if (i == TASKS_MAX || (answer == WHOLE && gy_http_keep(reply) < 0)) {
        gy_http_fail(reply, -EAGAIN);
        return NULL;
    }
    self->tasks[i] = (struct task){reply, gy_http_stream_of(req), 0, 0, 0, true, answer != WHOLE, answer == EVENTS};
    if (answer != WHOLE) {
        struct gy_http_res res;
        gy_http_begin(&res, 200);
        if ((answer == EVENTS ? gy_http_end_events(&res, reply)
                              : gy_http_end_stream(&res, reply, GY_HTTP_UNKNOWN)) < 0) {
            self->tasks[i].used = false;
            return NULL;
        }
        if (gy_then(self, gy_http_watch(self->tasks[i].stream), copier_on_end, i) == 0)
            copier_begun++;
    }
    return &self->tasks[i];
}

static void copier_on_end(struct copier *self, uint64_t i, int res)
{
    (void)self, (void)i, (void)res;
    copier_watched++;
}

static void task_end(struct copier *self, struct task *task)
{
    (void)self;
    task->used = false;
}

/* A full queue on the way: the answer is given up, and the client sees it. */
static void task_fail(struct copier *self, struct task *task, int err)
{
    if (!task->copies)
        gy_http_fail(task->reply, err);
    else
        (void)!gy_http_abort(task->stream); /* or its time runs out */
    task_end(self, task);
}

static void read_on(struct copier *self, struct task *task)
{
    int err = gy_then(self, gy_http_read(task->stream), copier_on_piece,
                      (uint64_t)(task - self->tasks));

    if (err < 0)
        task_fail(self, task, err);
}

static void copier_copy(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, PIECES);

    if (task != NULL)
        read_on(self, task);
}

static void copier_count(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, WHOLE);

    if (task != NULL)
        read_on(self, task);
}

static void finish(struct copier *self, struct task *task)
{
    if (gy_http_finish(task->stream) < 0)
        task_fail(self, task, -EAGAIN);
    else
        task_end(self, task);
}

static void copier_on_piece(struct copier *self, uint64_t i, int res, struct gy_buf *buf)
{
    struct task *task = &self->tasks[i];

    if (res <= 0) {
        gy_buf_release(buf);
        if (res < 0 && task->copies)
            task_fail(self, task, res);
        else if (task->copies)
            finish(self, task);
        else {
            if (res == 0)
                gy_http_replyf(task->reply, 200, "%llu", (unsigned long long)task->total);
            else
                gy_http_fail(task->reply, res);
            task_end(self, task);
        }
        return;
    }
    task->total += (uint64_t)res;
    if (!task->copies) {
        gy_buf_release(buf);
        read_on(self, task);
        return;
    }
    res = gy_then(self, gy_http_write(task->stream, buf), copier_on_written, i);
    if (res < 0)
        task_fail(self, task, res);
}

static void drip(struct copier *self, struct task *task)
{
    uint64_t n = 1 + gy_random() % 5000;
    struct gy_buf *buf;
    int err;

    if (task->left == 0) {
        finish(self, task);
        return;
    }
    if (n > task->left)
        n = task->left;
    buf = gy_buf_take(n);
    if (buf == NULL) {
        task_fail(self, task, -EAGAIN);
        return;
    }
    for (uint64_t k = 0; k < n; k++)
        buf->data[k] = (uint8_t)copier_byte(task->id, task->total + k);
    buf->len = (uint32_t)n;
    task->total += n;
    task->left -= n;
    err = gy_then(self, gy_http_write(task->stream, buf), copier_on_written,
                  (uint64_t)(task - self->tasks));
    if (err < 0)
        task_fail(self, task, err);
}

static void tell(struct copier *self, struct task *task)
{
    char number[24], text[64];
    int err;

    if (task->left == 0) {
        finish(self, task);
        return;
    }
    task->left--;
    copier_event(text, task->id, task->left);
    snprintf(number, sizeof(number), "%llu", (unsigned long long)task->left);
    err = gy_then(self, gy_http_event(task->stream, NULL, number, text), copier_on_written,
                  (uint64_t)(task - self->tasks));
    if (err < 0)
        task_fail(self, task, err);
}

static void copier_on_time(struct copier *self, uint64_t i, int res)
{
    if (res < 0)
        task_fail(self, &self->tasks[i], res);
    else
        tell(self, &self->tasks[i]);
}

static void copier_on_written(struct copier *self, uint64_t i, int res)
{
    struct task *task = &self->tasks[i];

    if (res < 0)
        task_fail(self, task, res);
    else if (task->events) {
        res = gy_then(self, gy_after(GY_MS), copier_on_time, i);
        if (res < 0)
            task_fail(self, task, res);
    } else if (task->id != 0)
        drip(self, task);
    else
        read_on(self, task);
}

static void copier_drip(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, PIECES);
    uint64_t id = 0;

    if (task == NULL)
        return;
    (void)gy_http_param_u64(req, "id", &id);
    (void)gy_http_param_u64(req, "n", &task->left);
    task->id = (uint32_t)id;
    drip(self, task);
}

static void copier_events(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, EVENTS);
    uint64_t id = 0;

    if (task == NULL)
        return;
    (void)gy_http_param_u64(req, "id", &id);
    (void)gy_http_param_u64(req, "n", &task->left);
    task->id = (uint32_t)id;
    tell(self, task);
}

static void copier_refuse(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    gy_http_replyf(reply, 403, "no");
}

static void copier_lazy(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self, (void)req;
    (void)!gy_http_keep(reply);
}

static void copier_sleepy(struct copier *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct task *task = task_begin(self, req, reply, PIECES);

    if (task != NULL)
        task_end(self, task);
}

int copier_boot(unsigned shard, void *arg)
{
    copier_pid pid;
    int err = gy_http_listen(arg);

    if (err == 0)
        err = copier_spawn(&pid, &(struct copier_args){false});
    if (err == 0 && shard == 0)
        err = copier_spawn(&pid, &(struct copier_args){true});
    return err;
}
