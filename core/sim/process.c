/* Processes: programs that the test has written, as scripts of callbacks, and what a kernel does for
 * them.
 *
 * A process does everything from one event of its own, `run`: it hears of its start and of signals,
 * reads what arrived, writes what it has to write as far as pipes have room, and ends. Callbacks only
 * note down what they want (exit, crash, write), so a process is never gone while its code runs.
 *
 * A process that has ended waits, as a zombie does, until its operation has told of its start; then
 * the end is told and it is freed. One that was let go is freed when it ends. */
#include "core/sim/process.h"
#include "core/sim/sim.h"
#include "gyre/process.h"

#include <errno.h>
#include <string.h>

#define RUN_NS 50000 /* until it comes to run */
#define PID_FIRST 1000
#define SIGNAL_KILL 9
#define SIGNAL_PIPE 13
#define IGNORED ((UINT64_C(1) << 17) | (UINT64_C(1) << 18) | (UINT64_C(1) << 23) | (UINT64_C(1) << 28))
#define CHUNK 4096

struct gy__sim_fd {
    int32_t number;
    struct gy__sim_pipe *pipe; /* NULL: a file, nothing, or closed */
    uint8_t side;
    bool input_over; /* the end was told */
    bool closes;     /* when all is written */
    bool sink;       /* writing succeeds and goes nowhere */
    uint8_t *out;    /* to be written */
    uint32_t out_room, out_len;
};

struct gy_sim_process {
    struct gy_sim *sim;
    struct gy_sim_process *next, *prev; /* all */
    struct gy__machine *host;
    struct gy__flight *flight; /* NULL: nobody waits for it */
    const struct gy__sim_program *script;
    void *context;
    uint64_t number;
    int32_t pid;
    char *text;          /* all strings */
    const char **argv, **env; /* end with NULL */
    const char *cwd;
    struct gy__sim_fd fds[GY_SPAWN_FDS_MAX];
    uint32_t fds_n;
    struct gy__event run, later;
    void (*later_run)(void *arg, struct gy_sim_process *process);
    uint64_t signals; /* sent and not seen; bit n: signal n */
    bool begun;   /* its code has run */
    bool told;    /* its start was told */
    bool exits;   /* when all is written */
    bool crashes;
    bool ended;
    int32_t code, signal;
};

static void end(struct gy_sim_process *p, int32_t code, int32_t signal);

/* ---- programs ---- */

void gy_sim_program(struct gy_sim *sim, const struct gy_sim_program *program, void *arg)
{
    struct gy__sim_program *script = gy__sim_take(sim, sizeof(*script));

    *script = (struct gy__sim_program){sim->programs, program, arg};
    sim->programs = script;
}

static const char *base_name(const char *path)
{
    const char *base = path;

    for (; *path != 0; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

static const struct gy__sim_program *find_program(struct gy_sim *sim, const char *path)
{
    const char *name = base_name(path);
    const struct gy__sim_program *script = sim->programs;

    while (script != NULL && strcmp(script->program->name, name) != 0)
        script = script->next;
    return script;
}

/* ---- its strings ---- */

static size_t count_of(const char *const *texts, size_t *bytes)
{
    size_t n = 0;

    for (; texts != NULL && texts[n] != NULL; n++)
        *bytes += strlen(texts[n]) + 1;
    return n;
}

static const char *put(char **at, const char *text)
{
    char *place = *at;
    size_t bytes = strlen(text) + 1;

    memcpy(place, text, bytes);
    *at += bytes;
    return place;
}

static void take_strings(struct gy_sim_process *p, const struct gy_process_spec *spec)
{
    const char *alone[2] = {spec->path, NULL};
    const char *const *argv = spec->argv != NULL ? spec->argv : alone;
    size_t bytes = spec->cwd != NULL ? strlen(spec->cwd) + 1 : 0;
    size_t argc = count_of(argv, &bytes), envc = count_of(spec->env, &bytes);

    p->argv = gy__sim_take(p->sim, (argc + 1) * sizeof(p->argv[0]));
    p->env = gy__sim_take(p->sim, (envc + 1) * sizeof(p->env[0]));
    p->text = gy__sim_take(p->sim, bytes + 1);
    char *at = p->text;
    for (size_t i = 0; i < argc; i++)
        p->argv[i] = put(&at, argv[i]);
    for (size_t i = 0; i < envc; i++)
        p->env[i] = put(&at, spec->env[i]);
    if (spec->cwd != NULL)
        p->cwd = put(&at, spec->cwd);
}

/* ---- birth ---- */

static void run_fire(struct gy_sim *sim, struct gy__event *event);
static void later_fire(struct gy_sim *sim, struct gy__event *event);

static const struct gy_process_io *io_at(const struct gy_process_spec *spec, uint32_t place)
{
    const struct gy_process_io *const standard[] = {&spec->in, &spec->out, &spec->err};

    return place < 3 ? standard[place] : &spec->more[place - 3];
}

static void free_process(struct gy_sim_process *p)
{
    struct gy_sim *sim = p->sim;

    gy__event_drop(sim, &p->run);
    gy__event_drop(sim, &p->later);
    if (p->prev != NULL)
        p->prev->next = p->next;
    else
        sim->processes = p->next;
    if (p->next != NULL)
        p->next->prev = p->prev;
    for (uint32_t i = 0; i < p->fds_n; i++)
        gy__sim_give(sim, p->fds[i].out);
    gy__sim_give(sim, p->argv);
    gy__sim_give(sim, p->env);
    gy__sim_give(sim, p->text);
    gy__sim_give(sim, p);
}

/* Both ends of a new pipe: one for a handle of the host, the other for the process. */
static int32_t connect_pipe(struct gy_sim_process *p, struct gy__sim_fd *fd, bool to_process)
{
    int32_t handle = gy__handle_take(p->host);

    if (handle < 0)
        return handle;
    fd->pipe = gy__sim_pipe_open(p->sim);
    fd->side = to_process ? GY__SIM_PIPE_READS : GY__SIM_PIPE_WRITES;
    fd->pipe->ends[fd->side] =
        (struct gy__sim_pipe_end){.owner = GY__SIM_PIPE_PROCESS, .process = p};
    fd->pipe->ends[!fd->side] = (struct gy__sim_pipe_end){.owner = GY__SIM_PIPE_HANDLE};
    p->host->handles[handle] = (struct gy__handle){.pipe = fd->pipe, .end = !fd->side};
    return handle;
}

static int32_t open_fds(struct gy_sim_process *p, const struct gy_process_spec *spec,
                        struct gy_spawned *out)
{
    for (uint32_t place = 0; place < 3 + spec->more_count; place++) {
        const struct gy_process_io *io = io_at(spec, place);
        struct gy__sim_fd *fd = &p->fds[p->fds_n++];
        *fd = (struct gy__sim_fd){.number = place < 3 ? (int32_t)place : io->number, .sink = true};
        if (io->kind != GY_IO_TO && io->kind != GY_IO_FROM)
            continue;
        fd->sink = false;
        out->handles[place] = connect_pipe(p, fd, io->kind == GY_IO_TO);
        if (out->handles[place] < 0) {
            out->subject = fd->number;
            return out->handles[place];
        }
    }
    return 0;
}

/* Nothing is left of one that could not be started. */
static void undo(struct gy_sim_process *p, struct gy_spawned *out)
{
    for (uint32_t i = 0; i < p->fds_n; i++) {
        if (p->fds[i].pipe == NULL)
            continue;
        gy__handle_give(p->host, out->handles[i]);
        out->handles[i] = -1;
        p->fds[i].pipe->pins++;
        gy__sim_pipe_let_go(p->fds[i].pipe, !p->fds[i].side);
        gy__sim_pipe_let_go(p->fds[i].pipe, p->fds[i].side);
        gy__sim_pipe_unpin(p->fds[i].pipe);
    }
    free_process(p);
}

static int32_t fault(struct gy_sim *sim, struct gy_spawned *out)
{
    static const struct {
        int32_t err;
        const char *step;
    } faults[] = {{-EAGAIN, "clone"}, {-ENOMEM, "memory"}, {-ENOENT, "exec"}, {-EMFILE, "pipe"}};
    struct gy__random *random = gy__rng(sim, GY__RANDOM_PROCESSES);

    if (!gy__random_chance(random, sim->config.faults.process_fail_ppm))
        return 0;
    uint64_t which = gy__random_below(random, sizeof(faults) / sizeof(faults[0]));
    out->step = faults[which].step;
    return faults[which].err;
}

static struct gy_sim_process *process_new(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    struct gy_sim_process *p = gy__sim_take(sim, sizeof(*p));

    p->sim = sim;
    p->host = flight->place->host;
    p->number = ++sim->process_number;
    p->pid = PID_FIRST + (int32_t)p->number;
    p->run.fire = run_fire;
    p->later.fire = later_fire;
    p->next = sim->processes;
    if (p->next != NULL)
        p->next->prev = p;
    sim->processes = p;
    return p;
}

/* One that was let go may be found again by its pid. */
static int32_t watch(struct gy__flight *flight)
{
    struct gy_sim_process *p = flight->place->sim->processes;

    while (p != NULL && (p->pid != flight->op->u.process.out->pid ||
                         p->host != flight->place->host || p->ended))
        p = p->next;
    if (p == NULL || p->flight != NULL)
        return -ESRCH;
    p->flight = flight;
    p->told = false;
    flight->process = p;
    return 0;
}

int32_t gy__sim_process_spawn(struct gy__flight *flight)
{
    struct gy_sim *sim = flight->place->sim;
    struct gy_op *op = flight->op;
    const struct gy_process_spec *spec = op->u.process.spec;
    struct gy_spawned *out = op->u.process.out;

    for (unsigned i = 0; i < GY_SPAWN_FDS_MAX; i++)
        out->handles[i] = -1;
    out->subject = -1;
    if (spec == NULL)
        return watch(flight);
    const struct gy__sim_program *script = find_program(sim, spec->path);
    int32_t err = fault(sim, out);
    if (err == 0 && script == NULL) {
        out->step = "exec";
        err = -ENOENT;
    }
    if (err < 0)
        return err;
    struct gy_sim_process *p = process_new(flight);
    p->script = script;
    out->step = "pipe";
    err = open_fds(p, spec, out);
    if (err < 0) {
        undo(p, out);
        return err;
    }
    take_strings(p, spec);
    p->flight = flight;
    flight->process = p;
    out->pid = p->pid;
    gy__trace(sim, flight->place, GY__TRACE_PROCESS, p->number, 0, 0);
    gy__sim_process_runs(p);
    return 0;
}

/* ---- its life ---- */

void gy__sim_process_runs(struct gy_sim_process *p)
{
    struct gy_sim *sim = p->sim;

    if (!p->ended && !gy__event_planned(&p->run))
        gy__event_plan(sim, &p->run,
                       sim->now_ns + 1 +
                           gy__random_spread(gy__rng(sim, GY__RANDOM_PROCESSES), RUN_NS),
                       true);
}

static bool over(const struct gy_sim_process *p)
{
    return p->ended || p->crashes;
}

static void take_signals(struct gy_sim_process *p)
{
    const struct gy_sim_program *program = p->script->program;

    for (int32_t number = 1; number < 64 && p->signals != 0 && !over(p); number++) {
        if ((p->signals >> number & 1) == 0)
            continue;
        p->signals &= ~(UINT64_C(1) << number);
        if (number != SIGNAL_KILL && program->signaled != NULL)
            program->signaled(p->script->arg, p, number);
        else if ((IGNORED >> number & 1) == 0)
            end(p, 0, number);
    }
}

/* As much of what it has to write as the pipe takes now. */
static void write_some(struct gy_sim_process *p, struct gy__sim_fd *fd)
{
    if (fd->pipe != NULL && fd->out_len > 0) {
        if (!gy__sim_pipe_open_at(fd->pipe, GY__SIM_PIPE_READS)) {
            p->signals |= UINT64_C(1) << SIGNAL_PIPE;
            fd->out_len = 0;
            gy__sim_process_runs(p);
            return;
        }
        uint32_t room = gy__sim_pipe_room(fd->pipe);
        uint32_t len = fd->out_len < room ? fd->out_len : room;
        if (len == 0)
            return;
        len = gy__sim_pipe_piece(fd->pipe, len);
        gy__sim_pipe_write(fd->pipe, fd->out, len);
        fd->out_len -= len;
        memmove(fd->out, fd->out + len, fd->out_len);
        if (fd->out_len > 0)
            gy__sim_process_runs(p);
    }
    if (fd->out_len == 0 && fd->closes && fd->pipe != NULL) {
        struct gy__sim_pipe *pipe = fd->pipe;
        fd->pipe = NULL;
        gy__sim_pipe_let_go(pipe, fd->side);
    }
}

static void read_some(struct gy_sim_process *p, struct gy__sim_fd *fd)
{
    const struct gy_sim_program *program = p->script->program;
    uint8_t bytes[CHUNK];

    if (fd->pipe == NULL || fd->side != GY__SIM_PIPE_READS || program->input == NULL)
        return;
    uint32_t len = gy__sim_pipe_ready(fd->pipe);
    if (len > 0) {
        len = gy__sim_pipe_piece(fd->pipe, len < CHUNK ? len : CHUNK);
        gy__sim_pipe_read(fd->pipe, bytes, len);
        program->input(p->script->arg, p, fd->number, bytes, len);
        gy__sim_process_runs(p);
    } else if (!gy__sim_pipe_open_at(fd->pipe, GY__SIM_PIPE_WRITES) && !fd->input_over) {
        fd->input_over = true;
        program->input(p->script->arg, p, fd->number, NULL, 0);
    }
}

static bool has_written(const struct gy_sim_process *p)
{
    for (uint32_t i = 0; i < p->fds_n; i++)
        if (p->fds[i].out_len > 0)
            return false;
    return true;
}

static void run(struct gy_sim_process *p)
{
    const struct gy_sim_program *program = p->script->program;

    if (!p->begun) {
        p->begun = true;
        if (program->started != NULL)
            program->started(p->script->arg, p);
    }
    take_signals(p);
    for (uint32_t i = 0; i < p->fds_n && !over(p); i++) {
        write_some(p, &p->fds[i]);
        /* A program that is about to end reads no more. */
        if (!p->exits)
            read_some(p, &p->fds[i]);
    }
    if (p->ended)
        return;
    if (p->crashes)
        end(p, 0, p->signal);
    else if (p->exits && has_written(p))
        end(p, p->code, 0);
}

/* Told, if its start was; freed when nobody will ask for it any more. */
static void bury(struct gy_sim_process *p)
{
    struct gy__flight *flight = p->flight;

    if (flight != NULL && !p->told)
        return;
    if (flight != NULL) {
        struct gy_spawned *out = flight->op->u.process.out;
        out->code = p->code;
        out->signal = p->signal;
        out->known = 1;
        flight->process = NULL;
        flight->op->handle = -1;
        gy__flight_tell(flight, 0, false);
    }
    free_process(p);
}

static void run_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy_sim_process *p = GY__CONTAINER(event, struct gy_sim_process, run);

    (void)sim;
    run(p);
    if (p->ended)
        bury(p);
}

static void later_fire(struct gy_sim *sim, struct gy__event *event)
{
    struct gy_sim_process *p = GY__CONTAINER(event, struct gy_sim_process, later);

    (void)sim;
    if (!over(p))
        p->later_run(p->script->arg, p);
}

/* From its own event only. */
static void end(struct gy_sim_process *p, int32_t code, int32_t signal)
{
    p->ended = true;
    p->code = code;
    p->signal = signal;
    gy__event_drop(p->sim, &p->run);
    gy__event_drop(p->sim, &p->later);
    gy__trace(p->sim, NULL, GY__TRACE_PROCESS, p->number, (uint64_t)(int64_t)code,
              0x80000000u | (uint32_t)signal);
    if (p->script->program->ended != NULL)
        p->script->program->ended(p->script->arg, p);
    for (uint32_t i = 0; i < p->fds_n; i++) {
        struct gy__sim_pipe *pipe = p->fds[i].pipe;
        p->fds[i].pipe = NULL;
        if (pipe != NULL)
            gy__sim_pipe_let_go(pipe, p->fds[i].side);
    }
}

/* ---- for flight.c, blocking.c, driver.c, machine.c ---- */

void gy__sim_process_started(struct gy__flight *flight)
{
    struct gy_sim_process *p = flight->process;

    p->told = true;
    flight->op->handle = p->pid;
    gy__flight_tell(flight, 0, true);
    if (flight->canceled)
        gy__sim_process_cancel(flight);
    else if (p->ended)
        bury(p);
}

void gy__sim_process_cancel(struct gy__flight *flight)
{
    struct gy_sim_process *p = flight->process;

    /* Not born yet, or being born: gy__sim_process_started() comes back to it. */
    if (p == NULL || !p->told)
        return;
    if (p->ended) {
        bury(p);
    } else if (!flight->op->u.process.leave) {
        p->signals |= UINT64_C(1) << SIGNAL_KILL;
        gy__sim_process_runs(p);
    } else {
        p->flight = NULL;
        flight->process = NULL;
        flight->op->handle = -1;
        gy__flight_tell(flight, -ECANCELED, false);
    }
}

int gy__sim_process_signal(void *ctx, const struct gy_op *op, int number)
{
    struct gy__place *place = ctx;
    struct gy__flight *flight = (struct gy__flight *)(uintptr_t)op->gy__driver[1];
    struct gy_sim_process *p = flight->process;

    GY__SIM_CHECK(place->sim, op->in_flight && flight->op == op,
                  "a signal to a process that has no operation");
    if (number < 1 || number >= 64)
        return -EINVAL;
    /* Ended, which is not known yet: a zombie takes any signal. */
    if (p == NULL || p->ended)
        return 0;
    p->signals |= UINT64_C(1) << number;
    gy__sim_process_runs(p);
    return 0;
}

void gy__sim_process_orphan(struct gy__flight *flight)
{
    struct gy_sim_process *p = flight->process;

    flight->process = NULL;
    if (p == NULL)
        return;
    p->flight = NULL;
    if (p->ended)
        free_process(p);
}

void gy__sim_processes_vanish(struct gy__machine *host)
{
    struct gy_sim *sim = host->sim;

    for (struct gy_sim_process *p = sim->processes, *next; p != NULL; p = next) {
        next = p->next;
        if (p->host != host)
            continue;
        GY__SIM_CHECK(sim, p->flight == NULL, "a machine is gone before its operations");
        if (!p->ended)
            end(p, 0, SIGNAL_KILL);
        free_process(p);
    }
}

/* ---- for the test ---- */

static struct gy__sim_fd *fd_of(struct gy_sim_process *p, int32_t number)
{
    for (uint32_t i = 0; i < p->fds_n; i++)
        if (p->fds[i].number == number)
            return &p->fds[i];
    return NULL;
}

int gy_sim_process_write(struct gy_sim_process *p, int32_t number, const void *data, size_t len)
{
    struct gy__sim_fd *fd = fd_of(p, number);

    if (fd == NULL || fd->closes || (!fd->sink && (fd->pipe == NULL || fd->side != GY__SIM_PIPE_WRITES)))
        return -EBADF;
    if (fd->sink || len == 0)
        return 0;
    fd->out = gy__sim_grown(p->sim, fd->out, &fd->out_room, fd->out_len + (uint32_t)len, 1);
    memcpy(fd->out + fd->out_len, data, len);
    fd->out_len += (uint32_t)len;
    gy__sim_process_runs(p);
    return 0;
}

void gy_sim_process_close(struct gy_sim_process *p, int32_t number)
{
    struct gy__sim_fd *fd = fd_of(p, number);

    if (fd == NULL)
        return;
    fd->closes = true;
    gy__sim_process_runs(p);
}

void gy_sim_process_exit(struct gy_sim_process *p, int32_t code)
{
    if (p->exits || over(p))
        return;
    p->exits = true;
    p->code = code & 255;
    gy__sim_process_runs(p);
}

void gy_sim_process_crash(struct gy_sim_process *p, int32_t signal)
{
    if (over(p))
        return;
    p->crashes = true;
    p->signal = signal;
    gy__sim_process_runs(p);
}

void gy_sim_process_later(struct gy_sim_process *p, uint64_t after_ns,
                          void (*run_fn)(void *arg, struct gy_sim_process *process))
{
    if (over(p))
        return;
    p->later_run = run_fn;
    gy__event_plan(p->sim, &p->later, p->sim->now_ns + after_ns, false);
}

int32_t gy_sim_process_pid(const struct gy_sim_process *p)
{
    return p->pid;
}

const char *gy_sim_process_argument(const struct gy_sim_process *p, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (p->argv[i] == NULL)
            return NULL;
    return p->argv[index];
}

const char *gy_sim_process_env(const struct gy_sim_process *p, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *entry = p->env; *entry != NULL; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=')
            return *entry + len + 1;
    return NULL;
}

const char *gy_sim_process_cwd(const struct gy_sim_process *p)
{
    return p->cwd;
}

void gy_sim_process_set_context(struct gy_sim_process *p, void *context)
{
    p->context = context;
}

void *gy_sim_process_context(const struct gy_sim_process *p)
{
    return p->context;
}

uint32_t gy_sim_processes(const struct gy_sim *sim)
{
    uint32_t n = 0;

    for (const struct gy_sim_process *p = sim->processes; p != NULL; p = p->next)
        n++;
    return n;
}
