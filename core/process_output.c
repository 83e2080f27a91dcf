/* core/process_output.c - processes whose output is collected: see gyre/process.h.
 *
 * The output and the errors of such a process are streams of its actor, with the process as their context. Its
 * future ends when the process was reaped and both are at their ends. What is given up, by whomever, lets go of
 * the streams first: their context is then nobody, so that none of them leads to a record that is used again.
 *
 * Invariant: a stream in output.streams[] lives, and has not told its end. */
#include "core/bufs.h"
#include "core/process.h"
#include "core/streams.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define TEXT_FIRST 4096u
/* While a text grows there are three buffers of up to this, as there are when both become one. */
#define TEXT_MAX (UINT32_C(256) << 20)
_Static_assert(3 * (uint64_t)TEXT_MAX <= GY__BUFS_LARGE_MAX, "what is allowed can be had");

bool gy__output_waits(const struct gy__process *process)
{
    return process->output.streams[0] != NULL || process->output.streams[1] != NULL;
}

void gy__output_drop(struct gy_shard *shard, struct gy__process *process)
{
    for (unsigned i = 0; i < 2; i++) {
        struct gy_stream *stream = process->output.streams[i];
        struct gy_buf *text = process->output.texts[i];
        process->output.streams[i] = NULL;
        process->output.texts[i] = NULL;
        if (stream != NULL) {
            stream->context = NULL;
            gy__stream_abort(shard, stream, 0);
        }
        gy_buf_release(text);
    }
}

/* ---- what comes ---- */

static uint32_t len_of(const struct gy_buf *text)
{
    return text == NULL ? 0 : text->len;
}

/* -> 0, or why not. */
static int append(struct gy__output *output, unsigned i, const struct gy_buf *more)
{
    struct gy_buf *text = output->texts[i];
    uint32_t len = len_of(text);
    uint64_t all = (uint64_t)len_of(output->texts[0]) + len_of(output->texts[1]) + more->len;
    if (all > output->max)
        return -EMSGSIZE;
    if (text == NULL || gy_buf_room(text) < more->len) {
        uint32_t size = len * 2 > TEXT_FIRST ? len * 2 : TEXT_FIRST;
        size = size < output->max ? size : output->max;
        struct gy_buf *larger = gy_buf_take(size > len + more->len ? size : len + more->len);
        if (larger == NULL)
            return -EAGAIN;
        if (len > 0)
            memcpy(larger->data, text->data, len);
        larger->len = len;
        gy_buf_release(text);
        output->texts[i] = text = larger;
    }
    memcpy(text->data + len, more->data, more->len);
    text->len += more->len;
    return 0;
}

static void fail(struct gy_shard *shard, struct gy__process *process, int err)
{
    gy__output_drop(shard, process);
    if (process->output.ended)
        gy__process_finish(shard, process, err);
    else
        gy__process_give_up(shard, process, err);
}

static void on_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct gy__process *process = s->context;
    (void)self;
    if (process != NULL) {
        int err = append(&process->output, process->output.streams[1] == s, buf);
        if (err < 0)
            fail(gy__self(), process, err);
    }
    gy_buf_release(buf);
}

static void on_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    struct gy__process *process = s->context;
    (void)self, (void)why; /* a pipe that is read from has no error but its end */
    if (process == NULL)
        return;
    process->output.streams[process->output.streams[1] == s] = NULL;
    if (process->output.ended && !gy__output_waits(process))
        gy__process_finish(gy__self(), process, 0);
}

const struct gy_stream_events gy__output_events = {.data = on_data, .closed = on_closed};

/* ---- the answer ---- */

void gy__output_answer(struct gy__process *process, struct gy__opfut_answer *answer)
{
    struct gy__output *output = &process->output;
    struct gy_buf *out = output->texts[0], *err = output->texts[1];
    const struct gy_process_output_reply reply = {
        .pid = process->out.pid,     .code = process->out.code,   .signal = process->out.signal,
        .core = process->out.core,   .known = process->out.known, .out = len_of(out),
        .err = len_of(err),
    };
    _Static_assert(sizeof(reply) <= GY_MSG_INLINE_WITH_BUF, "it goes beside the buffer");
    if (out != NULL && err != NULL) {
        struct gy_buf *both = gy_buf_take(out->len + err->len);
        if (both == NULL) {
            answer->res = -EAGAIN;
            return;
        }
        memcpy(both->data, out->data, out->len);
        memcpy(both->data + out->len, err->data, err->len);
        both->len = out->len + err->len;
        answer->buf = both;
    } else if (out != NULL || err != NULL) {
        answer->buf = out != NULL ? out : err;
        output->texts[out == NULL] = NULL;
    }
    answer->size = sizeof(reply);
    memcpy(answer->word, &reply, sizeof(reply));
}

gy_process_output_fut gy_process_output_raw(struct gy_actor *self,
                                            const struct gy_process_spec *spec, uint32_t max)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_process_spec mine;
    if (max > TEXT_MAX)
        return (gy_process_output_fut){gy__fut_refused(-EINVAL)};
    /* What is none is told of by who checks it. */
    if (spec == NULL || spec->size != sizeof(*spec))
        return (gy_process_output_fut){gy_process_start_raw(self, spec).fut};
    const struct gy_process_io collected = {.kind = GY_IO_FROM, .events = &gy__output_events};
    mine = *spec;
    mine.flags &= ~(uint32_t)GY_PROCESS_LEAVE;
    mine.out = mine.err = collected;
    gy_process_exit_fut exit = gy_process_start_raw(self, &mine);
    struct gy__process *process = gy__process_of(shard, exit);
    if (process != NULL) {
        process->output.on = true;
        process->output.max = max;
    }
    return (gy_process_output_fut){exit.fut};
}
