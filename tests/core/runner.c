/* See runner.h. */
#include "runner.h"

#include "gyre/buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Atomic int runner_results[16];

void run_shell(struct run *run, const char **argv, const char *script)
{
    memset(run, 0, sizeof(*run));
    gy_process_spec_init(&run->spec, "/bin/sh");
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = NULL;
    run->spec.argv = argv;
    run->spec.in.kind = GY_IO_NULL;
}

void run_free(struct run *run)
{
    free(run->got);
    run->got = NULL;
}

/* ---- its pipes ---- */

static void feed(struct run *run)
{
    while (run->sent < run->input_len && !gy_stream_full(run->in)) {
        size_t len = run->input_len - run->sent;
        struct gy_buf *buf = gy_buf_take(4096);
        if (buf == NULL)
            break;
        len = len < 4096 ? len : 4096;
        memcpy(buf->data, run->input + run->sent, len);
        buf->len = (uint32_t)len;
        run->sent += len;
        if (gy_stream_send(run->in, buf) < 0)
            return;
    }
    if (run->sent == run->input_len && !run->keep_input)
        gy_stream_close(run->in);
}

static void in_opened(struct gy_actor *self, struct gy_stream *s)
{
    struct run *run = gy_stream_context(s);
    (void)self;
    run->in = s;
    run->opened++;
    feed(run);
}
static void in_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    (void)self, (void)s;
    gy_buf_release(buf);
}
static void in_drained(struct gy_actor *self, struct gy_stream *s)
{
    (void)self;
    feed(gy_stream_context(s));
}
static void in_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct run *run = gy_stream_context(s);
    (void)self;
    run->in = NULL;
    run->in_why = why;
    run->closed++;
}
static const struct gy_stream_events in_events = {.opened = in_opened,
                                                  .data = in_data,
                                                  .drained = in_drained,
                                                  .closed = in_closed};

static void out_opened(struct gy_actor *self, struct gy_stream *s)
{
    struct run *run = gy_stream_context(s);
    (void)self;
    run->out = s;
    run->opened++;
}
static void out_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct run *run = gy_stream_context(s);
    (void)self;
    if (run->got == NULL)
        run->got = malloc(RUN_GOT_MAX);
    if (run->got == NULL || run->got_len + buf->len > RUN_GOT_MAX)
        abort();
    memcpy(run->got + run->got_len, buf->data, buf->len);
    run->got_len += buf->len;
    gy_buf_release(buf);
}
static void out_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct run *run = gy_stream_context(s);
    (void)self;
    run->out = NULL;
    run->out_why = why;
    run->closed++;
}
static const struct gy_stream_events out_events = {.opened = out_opened,
                                                   .data = out_data,
                                                   .closed = out_closed};

/* ---- the process ---- */

static void started(struct gy_actor *self, void *context, int32_t pid)
{
    struct run *run = context;
    (void)self;
    run->pid = pid;
    run->started++;
}

GY_THEN(runner, on_exit_of, gy_process, exit)
{
    struct run *run = (struct run *)(uintptr_t)ctx;
    (void)self;
    run->res = res;
    if (value != NULL)
        run->exit = *value;
    run->exits++;
}

static void connect_pipe(struct gy_process_io *io, struct run *run)
{
    io->context = run;
    if (io->kind == GY_IO_TO)
        io->events = &in_events;
    else if (io->kind == GY_IO_FROM)
        io->events = &out_events;
}

static void start(struct runner *self, struct run *run)
{
    connect_pipe(&run->spec.in, run);
    connect_pipe(&run->spec.out, run);
    connect_pipe(&run->spec.err, run);
    run->spec.started = started;
    run->spec.context = run;
    run->fut = run->watch != 0 ? gy_process_watch(self, run->watch) :
                                 gy_process_start(self, &run->spec);
    run->refused = gy_refused(run->fut.fut);
    if (run->forget) {
        gy_forget(run->fut.fut);
        return;
    }
    if (run->deadline_ns > 0)
        (void)gy_deadline(run->fut.fut, run->deadline_ns);
    if (gy_then(self, run->fut, on_exit_of, (uintptr_t)run) < 0)
        run->exits++;
}

void runner_on_do(struct runner *self, const struct runner_do_msg *msg)
{
    struct run *run = msg->run;
    int result = 0;
    switch ((enum runner_what)msg->what) {
    case RUNNER_START:
        start(self, run);
        break;
    case RUNNER_KILL:
        result = gy_process_kill(run->fut, (int)msg->number);
        break;
    case RUNNER_END:
        result = gy_process_end(run->fut, msg->number * (uint64_t)GY_MS);
        break;
    case RUNNER_DISCARD:
        gy_discard(run->fut.fut);
        break;
    case RUNNER_PAUSE:
        gy_stream_pause(run->out);
        break;
    case RUNNER_RESUME:
        gy_stream_resume(run->out);
        break;
    case RUNNER_CLOSE:
        gy_stream_close(run->in);
        break;
    case RUNNER_DIE:
        gy_fail(&self->actor, -EPROTO);
        break;
    case RUNNER_LET_GO:
        gy_stream_close(run->out);
        break;
    }
    runner_results[msg->what] = result;
}

static int runner_start(struct runner *self, const struct runner_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void runner_stop(struct runner *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(runner, runner_start, runner_stop);
GY_VERB(runner, do);
