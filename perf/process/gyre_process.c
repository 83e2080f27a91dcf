/* How soon the end of a process is noticed, and how many can be started in a second.
 *
 *     gyre-process gyre|roof [COUNT [AT_ONCE]]
 *
 * Each child is this program again: it lives for 2 ms, so that all is over that belongs to its birth, then as
 * its last act writes the time to its standard output, a pipe, and ends. "noticed" is from then until an actor's continuation runs (gyre), or until waitpid() has
 * returned in a loop that does nothing else (roof): so it contains what the kernel needs to take a
 * process down. One line of figures: times in us, and processes per second. */
#include "gyre/buf.h"
#include "gyre/process.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 100000

static uint64_t noticed_ns[COUNT_MAX];
static unsigned count = 1000, at_once = 8;
static const char *const child_argv[] = {"gyre-process", "child", NULL};

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int child(void)
{
    const struct timespec life = {.tv_nsec = 2000000};
    (void)nanosleep(&life, NULL);
    uint64_t now_ns = clock_ns();
    ssize_t written = write(STDOUT_FILENO, &now_ns, sizeof(now_ns));
    _exit(written == (ssize_t)sizeof(now_ns) ? 0 : 1);
}

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void report(const char *what, uint64_t took_ns)
{
    qsort(noticed_ns, count, sizeof(noticed_ns[0]), by_size);
    printf("%s count %u at-once %u p50 %.1f p99 %.1f max %.1f per-second %.0f\n", what, count,
           at_once, (double)noticed_ns[count / 2] / 1e3, (double)noticed_ns[count * 99 / 100] / 1e3,
           (double)noticed_ns[count - 1] / 1e3, (double)count * 1e9 / (double)took_ns);
}

/* ---- gyre ---- */

struct one {
    uint64_t ended_ns;   /* as it wrote */
    uint64_t noticed_ns; /* here */
    unsigned got;        /* bytes of ended_ns */
    unsigned parts;      /* of exit and end of output: how many have come */
};
static struct one ones[COUNT_MAX];
static unsigned begun, over;
static int failed;

struct starter_args {
    uint32_t unused;
};
GY_ACTOR(starter);
struct starter {
    struct gy_actor actor;
};
static void start_one(struct starter *self);

static void part(struct gy_actor *self, struct one *one)
{
    if (++one->parts < 2)
        return;
    if (one->got != sizeof(one->ended_ns) || one->noticed_ns < one->ended_ns)
        failed = EPROTO;
    noticed_ns[over++] = one->noticed_ns - one->ended_ns;
    if (over == count)
        gy_stop(gy_runtime_of_shard());
    else if (begun < count)
        start_one((struct starter *)(void *)self);
}

GY_THEN(starter, on_exit_of_one, gy_process, exit)
{
    struct one *one = &ones[ctx];
    one->noticed_ns = clock_ns();
    if (res < 0 || value->code != 0 || value->signal != 0) {
        failed = res < 0 ? -res : EPROTO;
        gy_stop(gy_runtime_of_shard());
        return;
    }
    part(&self->actor, one);
}

static void out_data(struct gy_actor *self, struct gy_stream *s, struct gy_buf *buf)
{
    struct one *one = gy_stream_context(s);
    (void)self;
    for (uint32_t i = 0; i < buf->len && one->got < sizeof(one->ended_ns); i++)
        ((uint8_t *)&one->ended_ns)[one->got++] = buf->data[i];
    gy_buf_release(buf);
}
static void out_closed(struct gy_actor *self, struct gy_stream *s, int why)
{
    (void)why;
    part(self, gy_stream_context(s));
}
static const struct gy_stream_events out_events = {.data = out_data, .closed = out_closed};

static void start_one(struct starter *self)
{
    struct gy_process_spec spec;
    gy_process_spec_init(&spec, "/proc/self/exe");
    spec.argv = child_argv;
    spec.in.kind = GY_IO_NULL;
    spec.out.kind = GY_IO_FROM;
    spec.out.events = &out_events;
    spec.out.context = &ones[begun];
    (void)gy_then(self, gy_process_start(self, &spec), on_exit_of_one, begun++);
}

static int starter_start(struct starter *self, const struct starter_args *args)
{
    (void)args;
    while (begun < at_once && begun < count)
        start_one(self);
    return 0;
}
static void starter_stop(struct starter *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(starter, starter_start, starter_stop);

static int boot(unsigned shard, void *arg)
{
    starter_pid pid;
    (void)arg;
    return shard > 0 ? 0 : starter_spawn(&pid, &(struct starter_args){0});
}

static int run_gyre(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.pin = false;
    uint64_t begun_ns = clock_ns();
    int rc = gy_run(&config, boot, NULL);
    if (rc < 0)
        return -rc;
    if (failed == 0 && over == count)
        report("gyre", clock_ns() - begun_ns);
    return failed != 0 ? failed : over == count ? 0 : EPROTO;
}

/* ---- the roof ---- */

static int spawn_one(pid_t *pid, int *out)
{
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int err = posix_spawn(pid, "/proc/self/exe", &actions, NULL,
                          (char *const *)(uintptr_t)child_argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *out = ends[0];
    return err;
}

static int run_roof(void)
{
    static pid_t pids[COUNT_MAX];
    static int outs[COUNT_MAX];
    uint64_t begun_ns = clock_ns();
    while (over < count) {
        while (begun < count && begun - over < at_once) {
            int err = spawn_one(&pids[begun], &outs[begun]);
            if (err != 0)
                return err;
            begun++;
        }
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        uint64_t now_ns = clock_ns(), ended_ns = 0;
        unsigned i = over;
        while (i < begun && pids[i] != pid)
            i++;
        if (i == begun || status != 0 ||
            read(outs[i], &ended_ns, sizeof(ended_ns)) != (ssize_t)sizeof(ended_ns))
            return EPROTO;
        close(outs[i]);
        pids[i] = pids[over];
        outs[i] = outs[over];
        noticed_ns[over++] = now_ns - ended_ns;
    }
    report("roof", clock_ns() - begun_ns);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "child") == 0)
        return child();
    if (argc > 2)
        count = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        at_once = (unsigned)strtoul(argv[3], NULL, 10);
    int err = EINVAL;
    if (count > 0 && count <= COUNT_MAX && at_once > 0 && strcmp(what, "gyre") == 0)
        err = run_gyre();
    else if (count > 0 && count <= COUNT_MAX && at_once > 0 && strcmp(what, "roof") == 0)
        err = run_roof();
    if (err != 0)
        fprintf(stderr, "gyre-process: %s; usage: gyre-process gyre|roof [COUNT up to %d [AT_ONCE]]\n",
                strerror(err), COUNT_MAX);
    return err != 0;
}
