/* core/process.c - other programs: see gyre/process.h.
 *
 * One use of core/opfut.h. The operation lasts from submit to the reaped end, with one completion in
 * between that says that the program runs. What must last as long lies in an array beside that of
 * the records, since it does not fit into one; the copy of the spec, in a buffer, only until it runs.
 *
 * Invariants: a process is in the list of its shard from start to end. Nobody kills but the driver,
 * asked by a cancel or a signal; a cancel leaves the operation to end as all do, when the process was
 * reaped. Handles that come with the start go to streams at once, or are closed. */
#include "core/process.h"
#include "core/failed.h"
#include "core/streams.h"
#include "core/text.h"

#include <errno.h>
#include <string.h>

#define SIGNAL_KILL 9 /* on every Linux */
#define SIGNAL_TERM 15
#define SIGNALS_MAX 64
#define NUMBER_MAX 1023
_Static_assert(GY_SPAWN_FDS_MAX == 3 + GY_PROCESS_MORE_MAX, "in, out, err and more");

static const struct gy__opfut_use use;

int gy__processes_open(struct gy_shard *shard)
{
    size_t count = (size_t)shard->runtime->config.futures + 1;
    shard->processes = gy__shard_memory(shard, count * sizeof(struct gy__process));
    return shard->processes == NULL ? -ENOMEM : 0;
}

static uint32_t index_of(const struct gy_shard *shard, const struct gy__opfut *record)
{
    return (uint32_t)(record - shard->opfuts);
}

static struct gy__opfut *record_of(struct gy_shard *shard, const struct gy__process *process)
{
    return &shard->opfuts[process - shard->processes];
}

/* The record of a process that has not ended, or NULL. */
static struct gy__opfut *find(struct gy_shard *shard, gy_process_exit_fut f)
{
    uint32_t slot = gy__fut_slot(f.fut.bits);
    if (f.fut.bits >> GY__SHARD_SHIFT != shard->index || slot == 0 || slot > shard->futures_count)
        return NULL;
    struct gy__opfut *record = &shard->opfuts[slot];
    return record->fut == f.fut.bits && record->use == &use && !record->over ? record : NULL;
}

struct gy__process *gy__process_of(struct gy_shard *shard, gy_process_exit_fut f)
{
    const struct gy__opfut *record = find(shard, f);
    return record == NULL ? NULL : &shard->processes[index_of(shard, record)];
}

/* ---- the copy of a spec ---- */

struct copier {
    uint8_t *at; /* NULL: only counts */
    size_t bytes;
};

static void *put(struct copier *to, const void *from, size_t bytes)
{
    void *place = to->at != NULL ? to->at + to->bytes : NULL;
    if (place != NULL && bytes > 0)
        memcpy(place, from, bytes);
    to->bytes += bytes;
    return place;
}

static const char *put_text(struct copier *to, const char *text)
{
    return text == NULL ? NULL : put(to, text, strlen(text) + 1);
}

static size_t count_of(const char *const *texts)
{
    size_t n = 0;
    while (texts != NULL && texts[n] != NULL)
        n++;
    return n;
}

static void put_texts(struct copier *to, const char **out, const char *const *texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        const char *text = put_text(to, texts[i]);
        if (out != NULL)
            out[i] = text;
    }
}

/* First all that must be aligned, then the texts. */
static struct gy_process_spec *put_spec(struct copier *to, const struct gy_process_spec *spec)
{
    struct gy_process_spec *copy = put(to, spec, sizeof(*spec));
    struct gy_process_io *more = put(to, spec->more, spec->more_count * sizeof(spec->more[0]));
    const char **argv = NULL, **env = NULL;
    if (spec->argv != NULL)
        argv = put(to, spec->argv, (count_of(spec->argv) + 1) * sizeof(argv[0]));
    if (spec->env != NULL)
        env = put(to, spec->env, (count_of(spec->env) + 1) * sizeof(env[0]));
    put_texts(to, argv, spec->argv);
    put_texts(to, env, spec->env);
    const char *texts[5] = {spec->path, spec->cwd, spec->in.path, spec->out.path, spec->err.path};
    for (unsigned i = 0; i < 5; i++)
        texts[i] = put_text(to, texts[i]);
    for (uint32_t i = 0; i < spec->more_count; i++) {
        const char *path = put_text(to, spec->more[i].path);
        if (more != NULL)
            more[i].path = path;
    }
    if (copy == NULL)
        return NULL;
    copy->more = more;
    copy->argv = argv;
    copy->env = env;
    copy->path = texts[0];
    copy->cwd = texts[1];
    copy->in.path = texts[2];
    copy->out.path = texts[3];
    copy->err.path = texts[4];
    return copy;
}

static struct gy_buf *spec_copy(const struct gy_process_spec *spec)
{
    struct copier counts = {NULL, 0};
    (void)put_spec(&counts, spec);
    struct gy_buf *buf = gy_buf_take(counts.bytes);
    if (buf == NULL)
        return NULL;
    struct copier to = {buf->base, 0};
    (void)put_spec(&to, spec);
    return buf;
}

static const struct gy_process_spec *spec_of(const struct gy__process *process)
{
    return process->copy == NULL ? NULL : (const struct gy_process_spec *)(void *)process->copy->base;
}

/* ---- what a spec must be ---- */

static const struct gy_process_io *io_at(const struct gy_process_spec *spec, uint32_t place)
{
    const struct gy_process_io *const standard[] = {&spec->in, &spec->out, &spec->err};
    return place < 3 ? standard[place] : &spec->more[place - 3];
}

static int32_t number_at(const struct gy_process_spec *spec, uint32_t place)
{
    return place < 3 ? (int32_t)place : spec->more[place - 3].number;
}

static bool is_pipe(const struct gy_process_io *io)
{
    return io->kind == GY_IO_TO || io->kind == GY_IO_FROM;
}

/* -> what is wrong with a descriptor, or NULL. */
static const char *io_wrong(const struct gy_process_spec *spec, uint32_t place)
{
    const struct gy_process_io *io = io_at(spec, place);
    int32_t number = number_at(spec, place);
    if (place >= 3 && (number < 3 || number > NUMBER_MAX))
        return "more descriptors have numbers from 3 to 1023";
    for (uint32_t other = 3; other < place; other++)
        if (number_at(spec, other) == number)
            return "a number is given twice";
    if (io->kind >= GY_IO_KINDS)
        return "no such kind of descriptor";
    if (is_pipe(io) && (io->events == NULL || io->events->data == NULL || io->events->closed == NULL))
        return "a pipe needs events with data and closed";
    if (io->kind >= GY_IO_READ && io->kind <= GY_IO_APPEND && io->path == NULL)
        return "a file needs a path";
    return io->kind == GY_IO_FD && io->fd < 0 ? "fd is negative" : NULL;
}

static int check(const struct gy_process_spec *spec)
{
    const char *wrong = NULL;
    if (spec == NULL || spec->size != sizeof(*spec)) {
        gy__complain("process: the spec's size is wrong: call gy_process_spec_init() first");
        return -EINVAL;
    }
    if (spec->path == NULL || spec->path[0] == 0) {
        gy__complain("process: no path");
        return -EINVAL;
    }
    if (spec->more_count > GY_PROCESS_MORE_MAX) {
        gy__complain("process %s: %u more descriptors, allowed are %u", spec->path,
                     spec->more_count, GY_PROCESS_MORE_MAX);
        return -EINVAL;
    }
    for (uint32_t place = 0; place < 3 + spec->more_count; place++) {
        wrong = io_wrong(spec, place);
        if (wrong != NULL) {
            gy__complain("process %s: descriptor %d: %s", spec->path, number_at(spec, place), wrong);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- start ---- */

static void list(struct gy_shard *shard, struct gy__process *process)
{
    uint32_t index = (uint32_t)(process - shard->processes);
    process->next = shard->processes_first;
    if (process->next != 0)
        shard->processes[process->next].prev = index;
    shard->processes_first = index;
    gy__count(&shard->processes_live, 1);
}

static void unlist(struct gy_shard *shard, struct gy__process *process)
{
    if (process->next != 0)
        shard->processes[process->next].prev = process->prev;
    if (process->prev != 0)
        shard->processes[process->prev].next = process->next;
    else
        shard->processes_first = process->next;
    gy__count(&shard->processes_live, UINT64_MAX);
}

static void on_done(struct gy_op *op, const struct gy_completion *completion);

static struct gy__process *begin(struct gy_shard *shard, struct gy_actor *self,
                                 struct gy__opfut **out)
{
    struct gy__opfut *record = gy__opfut_take(shard, self, &use);
    if (record == NULL)
        return NULL;
    struct gy__process *process = &shard->processes[index_of(shard, record)];
    *process = (struct gy__process){0};
    record->op.done = on_done;
    record->op.kind = GY_OP_PROCESS;
    record->op.handle = -1;
    record->op.u.process.out = &process->out;
    *out = record;
    return process;
}

static gy_process_exit_fut refused(int err)
{
    return (gy_process_exit_fut){gy__fut_refused(err)};
}

gy_process_exit_fut gy_process_start_raw(struct gy_actor *self, const struct gy_process_spec *spec)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__opfut *record;
    if (check(spec) < 0)
        return refused(-EINVAL);
    if (shard->phase >= GY__PHASE_STOP)
        return refused(-ECANCELED);
    struct gy_buf *copy = spec_copy(spec);
    struct gy__process *process = copy == NULL ? NULL : begin(shard, self, &record);
    if (process == NULL) {
        gy_buf_release(copy);
        gy__count(&shard->processes_failed, 1);
        return refused(-EAGAIN);
    }
    process->copy = copy;
    record->op.u.process.spec = spec_of(process);
    record->op.u.process.leave = (spec->flags & GY_PROCESS_LEAVE) != 0;
    record->op.u.process.group = (spec->flags & (GY_PROCESS_GROUP | GY_PROCESS_SESSION)) != 0;
    list(shard, process);
    return (gy_process_exit_fut){gy__opfut_start(shard, record)};
}

gy_process_exit_fut gy_process_watch_raw(struct gy_actor *self, int32_t pid)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__opfut *record;
    if (pid <= 0)
        return refused(-ESRCH);
    if (shard->phase >= GY__PHASE_STOP)
        return refused(-ECANCELED);
    struct gy__process *process = begin(shard, self, &record);
    if (process == NULL)
        return refused(-EAGAIN);
    process->out.pid = pid;
    process->watched = true;
    record->op.u.process.leave = 1;
    list(shard, process);
    return (gy_process_exit_fut){gy__opfut_start(shard, record)};
}

/* ---- it runs ---- */

static struct gy_actor *owner_of(struct gy_shard *shard, const struct gy__opfut *record,
                                 const struct gy__process *process)
{
    struct gy_actor *actor = record->actor == 0 ? NULL : gy__actor_at(shard, record->actor);
    return process->unwanted || actor == NULL || actor->gy__state != GY__ACTOR_LIVE ? NULL : actor;
}

/* Its pipes become streams; what nobody takes is closed. */
static void open_pipes(struct gy_shard *shard, struct gy__opfut *record, struct gy__process *process)
{
    const struct gy_process_spec *spec = spec_of(process);
    for (uint32_t place = 0; place < 3 + spec->more_count; place++) {
        const struct gy_process_io *io = io_at(spec, place);
        struct gy_actor *owner = owner_of(shard, record, process);
        int32_t handle = process->out.handles[place];
        bool collects = process->output.on && (place == 1 || place == 2);
        struct gy_stream *stream = NULL;
        if (!is_pipe(io))
            continue;
        GY_ASSERT(handle >= 0);
        if (owner != NULL)
            stream = gy__stream_open_fd(shard, owner, handle, io->kind == GY_IO_FROM,
                                        io->kind == GY_IO_TO, io->events,
                                        collects ? process : io->context);
        if (stream == NULL)
            gy__streams_shut(shard, handle);
        if (stream == NULL && owner != NULL)
            process->err = -EAGAIN; /* it cannot be had as it was described */
        if (collects)
            process->output.streams[place - 1] = stream;
    }
}

static void runs(struct gy_shard *shard, struct gy__opfut *record, struct gy__process *process)
{
    const struct gy_process_spec *spec = spec_of(process);
    struct gy_buf *copy = process->copy;
    process->runs = true;
    gy__count(&shard->processes_started, 1);
    /* What it calls may end the actor, and cancel: the operation goes on all the same. */
    if (spec != NULL) {
        open_pipes(shard, record, process);
        struct gy_actor *owner = owner_of(shard, record, process);
        if (spec->started != NULL && owner != NULL) {
            struct gy__context saved = gy__actor_enter(shard, owner);
            spec->started(owner, spec->context, process->out.pid);
            gy__actor_leave(shard, saved);
        }
    }
    process->copy = NULL;
    record->op.u.process.spec = NULL;
    gy_buf_release(copy);
    if (process->err < 0) {
        gy__process_give_up(shard, process, process->err);
    } else if (process->signal != 0) {
        (void)shard->driver->process_signal(shard->ctx, &record->op, process->signal);
    }
}

/* ---- the end ---- */

/* What a process was to be, before its spec is gone; then only its number. */
static void say_why(struct gy_shard *shard, const struct gy__process *process, int32_t err)
{
    const struct gy_process_spec *spec = spec_of(process);
    const char *step = process->out.step, *subject;
    char name[GY__SUBJECT_MAX];
    struct gy__text text;
    gy__text_init(&text, name, sizeof(name));
    if (spec == NULL || step == NULL) {
        gy__text_printf(&text, "%d", (int)process->out.pid);
        gy__failed_because(shard, GY_OP_PROCESS, err, process->watched ? "watch process" : NULL,
                           spec == NULL ? name : spec->path, NULL);
        return;
    }
    subject = strcmp(step, "chdir") == 0 ? spec->cwd : spec->path;
    for (uint32_t place = 0; place < 3 + spec->more_count; place++)
        if (number_at(spec, place) == process->out.subject && io_at(spec, place)->path != NULL)
            subject = io_at(spec, place)->path;
    gy__text_string(&text, subject);
    if (process->out.subject >= 0)
        gy__text_printf(&text, ": descriptor %d of the process", (int)process->out.subject);
    gy__failed_because(shard, GY_OP_PROCESS, err, step, name, NULL);
}

void gy__process_finish(struct gy_shard *shard, struct gy__process *process, int32_t res)
{
    struct gy__opfut_answer answer = {.res = res};
    if (res >= 0 && process->output.on) {
        gy__output_answer(process, &answer);
    } else if (res >= 0) {
        const struct gy_process_exit_reply reply = {process->out.pid, process->out.code,
                                                    process->out.signal, process->out.core,
                                                    process->out.known};
        answer.size = sizeof(reply);
        memcpy(answer.word, &reply, sizeof(reply));
    }
    gy__output_drop(shard, process);
    gy__timer_cancel(&shard->wheel, &process->grace);
    unlist(shard, process);
    gy_buf_release(process->copy);
    process->copy = NULL;
    gy__opfut_end(shard, record_of(shard, process), &answer);
}

void gy__process_give_up(struct gy_shard *shard, struct gy__process *process, int err)
{
    struct gy__opfut *record = record_of(shard, process);
    process->err = err;
    record->op.u.process.leave = 0;
    gy__op_cancel(shard, &record->op);
}

static void on_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy__opfut *record = GY__CONTAINER(op, struct gy__opfut, op);
    struct gy__process *process = &shard->processes[index_of(shard, record)];
    int32_t res = completion->res;
    if (completion->flags & GY_COMPLETION_MORE) {
        runs(shard, record, process);
        return;
    }
    if (res < 0)
        say_why(shard, process, res);
    /* One that runs can only be let go. */
    if (res < 0 && !process->runs)
        gy__count(&shard->processes_failed, 1);
    else if (process->err < 0)
        res = process->err;
    process->output.ended = true;
    if (res < 0 || !gy__output_waits(process))
        gy__process_finish(shard, process, res);
}

/* Nobody waits any more. */
static void on_cancel(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy__process *process = &shard->processes[index_of(shard, record)];
    process->unwanted = true;
    gy__output_drop(shard, process);
    if (process->output.on && process->output.ended)
        gy__process_finish(shard, process, -ECANCELED);
    else if (!record->op.u.process.leave || process->watched)
        gy__op_cancel(shard, &record->op);
    else
        gy__opfut_orphan(shard, record); /* it may live long */
}

static const struct gy__opfut_use use = {.cancel = on_cancel, .waits_outside = true};

void gy__processes_stop(struct gy_shard *shard)
{
    for (uint32_t index = shard->processes_first; index != 0; index = shard->processes[index].next)
        gy__op_cancel(shard, &record_of(shard, &shard->processes[index])->op);
}

/* ---- signals ---- */

static int signal_to(struct gy_shard *shard, struct gy__opfut *record, int32_t number)
{
    struct gy__process *process = &shard->processes[index_of(shard, record)];
    if (number <= 0 || number > SIGNALS_MAX)
        return -EINVAL;
    if (process->output.ended)
        return -ESRCH;
    if (process->runs)
        return shard->driver->process_signal(shard->ctx, &record->op, number);
    process->signal = number;
    return 0;
}

int gy_process_kill(gy_process_exit_fut f, int number)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__opfut *record = find(shard, f);
    return record == NULL ? -ESRCH : signal_to(shard, record, number);
}

static void grace_over(struct gy__timer *timer)
{
    struct gy_shard *shard = gy__self();
    struct gy__process *process = GY__CONTAINER(timer, struct gy__process, grace);
    (void)signal_to(shard, record_of(shard, process), SIGNAL_KILL);
}

int gy_process_end(gy_process_exit_fut f, uint64_t grace_ns)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__opfut *record = find(shard, f);
    if (record == NULL)
        return -ESRCH;
    struct gy__process *process = &shard->processes[index_of(shard, record)];
    int err = signal_to(shard, record, SIGNAL_TERM);
    if (err < 0)
        return err;
    uint64_t left_ns = UINT64_MAX - shard->now_ns;
    process->grace.fire = grace_over;
    gy__timer_arm(&shard->wheel, &process->grace,
                  grace_ns < left_ns ? shard->now_ns + grace_ns : UINT64_MAX);
    return 0;
}

/* ---- counters ---- */

void gy__process_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct {
        const char *name, *help;
        bool gauge;
        const gy__counter *counter;
    } rows[] = {
        {"gyre_processes", "Processes that were started or are watched, and have not ended", true,
         &shard->processes_live},
        {"gyre_processes_started_total", "Processes that ran", false, &shard->processes_started},
        {"gyre_processes_failed_total", "Processes that could not be started", false,
         &shard->processes_failed},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct gy__stat stat = {rows[i].name, rows[i].help, NULL, rows[i].gauge, 1,
                                atomic_load_explicit(rows[i].counter, memory_order_relaxed)};
        each(arg, &stat);
    }
}
