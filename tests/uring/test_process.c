/* Processes, operation by operation, on the real kernel: birth, what a child has and has not, every
 * step that can fail, the end, signals, cancelling. */
#include "child.h"
#include "fixture.h"
#include "uring/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct process {
    struct gy_op op;
    struct gy_process_spec spec;
    struct gy_spawned out;
    const char *argv[8];
    unsigned started; /* how often it was told to run */
    unsigned kill_at_start;
    int32_t poll_fails; /* its first poll ends with that */
    struct fixture *f;
};

static void told(struct gy_op *op, const struct gy_completion *completion)
{
    struct process *p = (struct process *)(void *)op;
    if (!(completion->flags & GY_COMPLETION_MORE))
        return;
    assert_int_equal(completion->res, 0);
    assert_true(p->out.pid > 0);
    p->started++;
    if (p->kill_at_start)
        gy__uring_cancel(p->f->u, op);
    if (p->poll_fails < 0) {
        assert_ptr_equal(gy__uring_take(&p->f->u->unsent), op);
        fixture_inject(p->f, op, p->poll_fails);
    }
}

static void process_init(struct process *p, const char *path)
{
    memset(p, 0, sizeof(*p));
    gy_process_spec_init(&p->spec, path);
    p->op.kind = GY_OP_PROCESS;
    p->op.handle = -1;
    p->op.done = told;
    p->op.u.process.spec = &p->spec;
    p->op.u.process.out = &p->out;
    p->spec.in.kind = GY_IO_NULL;
}

static void shell(struct process *p, const char *script)
{
    process_init(p, "/bin/sh");
    p->argv[0] = "sh";
    p->argv[1] = "-c";
    p->argv[2] = script;
    p->spec.argv = p->argv;
}

static void submit(struct fixture *f, struct process *p)
{
    p->f = f;
    p->op.u.process.leave = (p->spec.flags & GY_PROCESS_LEAVE) != 0;
    p->op.u.process.group = (p->spec.flags & (GY_PROCESS_GROUP | GY_PROCESS_SESSION)) != 0;
    fixture_submit(f, &p->op);
}

static void await_start(struct fixture *f, struct process *p)
{
    fixture_until(f, f->told_n + 1);
    assert_int_equal(p->started, 1);
}

static struct fixture *open_pool(void)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    f->host.pool.threads_max = 2;
    f->host.pool.queue_max = 64;
    return f;
}

/* Reads a pipe of the process to its end. */
static size_t drain(struct process *p, unsigned place, char *out, size_t room)
{
    size_t len = 0;
    int fd = gy__handle_fd(p->out.handles[place]);
    for (ssize_t n; (n = read(fd, out + len, room - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = 0;
    close(fd);
    return len;
}

/* ---- ends ---- */

static void ends_are_told(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    int before = open_descriptors();
    shell(&p, "exit 42");
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.started, 1);
    assert_int_equal(p.out.known, 1);
    assert_int_equal(p.out.code, 42);
    assert_int_equal(p.out.signal, 0);

    shell(&p, "kill -USR1 $$");
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.signal, SIGUSR1);
    assert_int_equal(p.out.code, 0);
    assert_int_equal(open_descriptors(), before);
    /* Nobody is left to be reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    fixture_close(f);
}

static void many_at_once(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    enum { N = 40 };
    struct process p[N];
    for (int i = 0; i < N; i++) {
        shell(&p[i], "exit $N");
        p[i].argv[3] = NULL;
        static char env[N][16];
        static const char *envs[N][2];
        snprintf(env[i], sizeof(env[i]), "N=%d", i);
        envs[i][0] = env[i];
        p[i].spec.env = envs[i];
        submit(f, &p[i]);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(fixture_finish(f, &p[i].op), 0);
        assert_int_equal(p[i].out.code, i);
        assert_int_equal(fixture_count(f, &p[i].op), 2);
    }
    fixture_close(f);
}

/* ---- what fails, and where ---- */

static void fails_at(struct fixture *f, struct process *p, int32_t err, const char *step)
{
    submit(f, p);
    assert_int_equal(fixture_finish(f, &p->op), err);
    assert_string_equal(p->out.step, step);
    assert_int_equal(p->started, 0);
    assert_int_equal(p->op.handle, -1);
}

static void each_step_that_fails_is_named(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    int before = open_descriptors();
    process_init(&p, "/no/such/program");
    fails_at(f, &p, -ENOENT, "exec");
    process_init(&p, "no-such-program-in-the-path");
    fails_at(f, &p, -ENOENT, "exec");
    process_init(&p, "/dev/null");
    fails_at(f, &p, -EACCES, "exec");
    shell(&p, "exit 0");
    p.spec.cwd = "/no/such/directory";
    fails_at(f, &p, -ENOENT, "chdir");
    shell(&p, "exit 0");
    p.spec.out.kind = GY_IO_READ;
    p.spec.out.path = "/no/such/file";
    p.spec.in.kind = GY_IO_TO; /* made before, closed again */
    fails_at(f, &p, -ENOENT, "open");
    assert_int_equal(p.out.subject, 1);
    assert_int_equal(p.out.handles[0], -1);
    shell(&p, "exit 0");
    p.spec.err.kind = GY_IO_FD;
    p.spec.err.fd = 999999;
    fails_at(f, &p, -EBADF, "dup");
    assert_int_equal(p.out.subject, 2);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    fixture_close(f);
}

/* At the first pipe, the second, and for the process itself: nothing is left of any. */
static void no_descriptor_is_left(void **state)
{
    static const char *const steps[] = {"pipe", "pipe", "pipe", "pipe", "clone"};
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    struct rlimit before, low;
    shell(&p, "exit 0"); /* so that there is a thread */
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(0);
    close(lowest);
    for (int room = 0; room < 5; room++) {
        shell(&p, "exit 0");
        p.spec.in.kind = GY_IO_TO;
        p.spec.out.kind = GY_IO_FROM;
        low = before;
        low.rlim_cur = (rlim_t)lowest + (rlim_t)room;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
        submit(f, &p);
        int32_t res = fixture_finish(f, &p.op);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(res, -EMFILE);
        assert_string_equal(p.out.step, steps[room]);
        int now = dup(0);
        close(now);
        assert_int_equal(now, lowest);
    }
    fixture_close(f);
}

static void a_full_pool_is_eagain(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    f->host.pool.threads_max = 0;
    f->host.pool.queue_max = 0;
    shell(&p, "exit 0");
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), -EAGAIN);
    fixture_close(f);
}

/* ---- what a child has ---- */

static size_t run_and_read(struct fixture *f, struct process *p, char *out, size_t room)
{
    p->spec.out.kind = GY_IO_FROM;
    submit(f, p);
    await_start(f, p);
    assert_true(gy__handle_is_pipe(p->out.handles[1]));
    size_t len = drain(p, 1, out, room);
    assert_int_equal(fixture_finish(f, &p->op), 0);
    return len;
}

static void only_what_was_given_is_open(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char out[4096];
    /* Some without close-on-exec, low and high. */
    int plain = open("/dev/null", O_RDONLY), high = fcntl(plain, F_DUPFD, 700);
    assert_true(plain >= 0 && high >= 700);
    /* The directory of descriptors holds the one by which it is read, too. */
    shell(&p, "cd /proc/self/fd && for fd in *; do echo $fd; done");
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "0\n1\n2\n3\n");
    assert_int_equal(p.out.code, 0);

    struct gy_process_io more[2] = {{.kind = GY_IO_FD, .number = 9, .fd = high},
                                    {.kind = GY_IO_NULL, .number = 5}};
    shell(&p, "cd /proc/self/fd && for fd in *; do echo $fd; done");
    p.spec.more = more;
    p.spec.more_count = 2;
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "0\n1\n2\n3\n5\n9\n");
    close(plain);
    close(high);
    fixture_close(f);
}

/* What is to be inherited and is not open here is not open there: no file of another descriptor's is
 * taken for it. */
static void what_is_missing_stays_so(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char script[64];
    int lowest = dup(0);
    assert_true(lowest > 2);
    close(lowest);
    struct gy_process_io more = {.kind = GY_IO_INHERIT, .number = lowest};
    snprintf(script, sizeof(script), "[ ! -e /proc/self/fd/%d ]", lowest);
    shell(&p, script);
    p.spec.more = &more;
    p.spec.more_count = 1;
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.code, 0);
    fixture_close(f);
}

/* What this program has at 0 to 2 because nothing was open there, its ring or a pipe of this very birth, is
 * its own and not inherited. */
static int without_standard_descriptors(void *arg)
{
    (void)arg;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    struct fixture *f = open_pool();
    struct process p;
    for (unsigned round = 0; round < 2; round++) {
        shell(&p, round == 0 ? "[ ! -e /proc/self/fd/0 ] && [ ! -e /proc/self/fd/2 ]" :
                               "[ ! -e /proc/self/fd/0 ] && [ ! -e /proc/self/fd/1 ] &&"
                               "[ ! -e /proc/self/fd/2 ]");
        p.spec.in.kind = GY_IO_INHERIT;
        p.spec.out.kind = round == 0 ? GY_IO_FROM : GY_IO_INHERIT;
        submit(f, &p);
        if (fixture_finish(f, &p.op) != 0 || p.out.code != 0)
            return 10 + (int)round;
        if (round == 0)
            close(gy__handle_fd(p.out.handles[1]));
    }
    fixture_close(f);
    return 0;
}

static void low_numbers_of_ours_are_not_inherited(void **state)
{
    static struct child child;
    (void)state;
    child_run(&child, without_standard_descriptors, NULL);
    assert_int_equal(child.status, 0);
}

static void descriptors_may_change_places(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    int a[2], b[2];
    char got[8] = {0};
    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    /* Each is to get the number that the other has here. */
    struct gy_process_io more[2] = {{.kind = GY_IO_FD, .number = b[1], .fd = a[1]},
                                    {.kind = GY_IO_FD, .number = a[1], .fd = b[1]}};
    char script[64];
    snprintf(script, sizeof(script), "printf A >&%d; printf B >&%d", b[1], a[1]);
    shell(&p, script);
    p.spec.more = more;
    p.spec.more_count = 2;
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.code, 0);
    assert_int_equal(read(a[0], got, sizeof(got)), 1);
    assert_int_equal(got[0], 'A');
    assert_int_equal(read(b[0], got, sizeof(got)), 1);
    assert_int_equal(got[0], 'B');
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
    fixture_close(f);
}

static void files_are_opened(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char dir[] = "/tmp/gyre-process-XXXXXX", path[64], out[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
    for (int i = 0; i < 2; i++) { /* the second time it is emptied */
        shell(&p, "echo written");
        p.spec.cwd = dir;
        p.spec.out.kind = GY_IO_WRITE;
        p.spec.out.path = "file"; /* as seen from cwd */
        submit(f, &p);
        assert_int_equal(fixture_finish(f, &p.op), 0);
    }
    shell(&p, "echo added");
    p.spec.err.kind = GY_IO_NULL;
    p.spec.out.kind = GY_IO_APPEND;
    p.spec.out.path = path;
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    shell(&p, "cat");
    p.spec.in.kind = GY_IO_READ;
    p.spec.in.path = path;
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "written\nadded\n");
    unlink(path);
    rmdir(dir);
    fixture_close(f);
}

static void the_environment(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char out[4096];
    setenv("GYRE_TEST_KEPT", "kept", 1);
    setenv("GYRE_TEST_CHANGED", "before", 1);
    const char *const env[] = {"GYRE_TEST_CHANGED=a 'quoted' \"value\"", "GYRE_TEST_NEW=new", NULL};
    shell(&p, "printf '%s|%s|%s' \"$GYRE_TEST_KEPT\" \"$GYRE_TEST_CHANGED\" \"$GYRE_TEST_NEW\"");
    p.spec.env = env;
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "kept|a 'quoted' \"value\"|new");

    process_init(&p, "env"); /* found by the default PATH */
    p.spec.env = env;
    p.spec.flags = GY_PROCESS_ENV_ONLY;
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "GYRE_TEST_CHANGED=a 'quoted' \"value\"\nGYRE_TEST_NEW=new\n");
    unsetenv("GYRE_TEST_KEPT");
    unsetenv("GYRE_TEST_CHANGED");
    fixture_close(f);
}

static void no_signal_is_blocked_or_ignored(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char out[4096];
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* as on a shard: the pool's threads get it from here */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    process_init(&p, "/bin/grep");
    p.argv[0] = "grep";
    p.argv[1] = "-E";
    p.argv[2] = "^Sig(Blk|Ign)";
    p.argv[3] = "/proc/self/status";
    p.spec.argv = p.argv;
    run_and_read(f, &p, out, sizeof(out));
    assert_string_equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    signal(SIGPIPE, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    fixture_close(f);
}

static void a_session_of_its_own(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char out[256];
    int pid, group, session;
    const char *script = "read pid comm state parent group session rest < /proc/self/stat;"
                         " echo $pid $group $session";
    shell(&p, script);
    p.spec.flags = GY_PROCESS_SESSION;
    run_and_read(f, &p, out, sizeof(out));
    assert_int_equal(sscanf(out, "%d %d %d", &pid, &group, &session), 3);
    assert_int_equal(pid, p.out.pid);
    assert_int_equal(group, pid);
    assert_int_equal(session, pid);
    shell(&p, script);
    p.spec.flags = GY_PROCESS_GROUP;
    run_and_read(f, &p, out, sizeof(out));
    assert_int_equal(sscanf(out, "%d %d %d", &pid, &group, &session), 3);
    assert_int_equal(group, pid);
    assert_int_equal(session, getsid(0));
    fixture_close(f);
}

/* ---- pipes ---- */

static void it_reads_and_writes_pipes(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    f->keeps_buffers = true;
    struct process p;
    process_init(&p, "/bin/cat");
    p.spec.in.kind = GY_IO_TO;
    p.spec.out.kind = GY_IO_FROM;
    submit(f, &p);
    await_start(f, &p);
    enum { BYTES = 1 << 20 };
    static uint8_t bytes[BYTES];
    for (int i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    struct gy_iov iov[3] = {{bytes, 3}, {bytes + 3, 100000}, {bytes + 100003, BYTES - 100003}};
    struct gy_op send = {.kind = GY_OP_SEND_CLOSE, .handle = p.out.handles[0]};
    send.u.send.iov = iov;
    send.u.send.n = 3;
    struct gy_op receive = {.kind = GY_OP_RECV_MULTI, .handle = p.out.handles[1]};
    fixture_submit(f, &send);
    fixture_submit(f, &receive);
    size_t got = 0;
    unsigned seen = 1; /* the start */
    uint64_t until_ns = gy__uring_now() + UINT64_C(20000000000);
    while (receive.in_flight && gy__uring_now() < until_ns) {
        if (!gy__uring_poll(f->u))
            gy__uring_wait(f->u, gy__uring_now() + 5000000);
        for (; seen < f->told_n; seen++) {
            struct told *t = &f->told[seen];
            if (t->op != &receive || !(t->flags & GY_COMPLETION_BUF))
                continue;
            assert_int_equal(t->first, bytes[got]);
            got += (size_t)t->res;
            assert_true(gy__recv_bufs_give(&f->u->bufs, t->buffer));
        }
    }
    assert_int_equal(got, BYTES);
    assert_int_equal(fixture_finish(f, &receive), 0); /* the end */
    assert_int_equal(fixture_finish(f, &send), BYTES);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.code, 0);
    struct gy_op close_op = {.kind = GY_OP_CLOSE, .handle = p.out.handles[1]};
    fixture_submit(f, &close_op);
    assert_int_equal(fixture_finish(f, &close_op), 0);
    fixture_close(f);
}

static void a_pipe_without_reader_is_epipe(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    int ends[2];
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &before); /* as on a shard */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    struct gy_iov iov = {"x", 1};
    struct gy_op send = {.kind = GY_OP_SEND, .handle = ends[1] | GY__HANDLE_PIPE};
    send.u.send.iov = &iov;
    send.u.send.n = 1;
    fixture_submit(f, &send);
    assert_int_equal(fixture_finish(f, &send), -EPIPE);
    struct gy_op half = {.kind = GY_OP_HALF_CLOSE, .handle = ends[1] | GY__HANDLE_PIPE};
    fixture_submit(f, &half);
    assert_int_equal(fixture_finish(f, &half), -ENOTSOCK);
    send.kind = GY_OP_SEND_CLOSE;
    fixture_submit(f, &send);
    assert_int_equal(fixture_finish(f, &send), -EPIPE);
    assert_int_equal(fcntl(ends[1], F_GETFD), -1); /* closed all the same */
    struct timespec now = {0, 0};
    (void)sigtimedwait(&set, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    fixture_close(f);
}

static void single_reads_do_the_same(void **state)
{
    (void)state;
    struct gy__uring_want want = fixture_tiny;
    want.no_multishot = true;
    struct fixture *f = fixture_open(&want);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct gy_op receive = {.kind = GY_OP_RECV_MULTI, .handle = ends[0] | GY__HANDLE_PIPE};
    fixture_submit(f, &receive);
    fixture_settle(f);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(write(ends[1], "abc", 3), 3);
        fixture_until(f, i + 1);
        assert_int_equal(f->told[i].res, 3);
        assert_int_equal(f->told[i].first, 'a');
    }
    close(ends[1]);
    assert_int_equal(fixture_finish(f, &receive), 0);
    close(ends[0]);
    fixture_close(f);
}

/* ---- signals and cancelling ---- */

static void signals_reach_it(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    shell(&p, "exec sleep 60");
    submit(f, &p);
    await_start(f, &p);
    assert_int_equal(gy__process_signal(f->u, &p.op, 0), 0);
    assert_int_equal(gy__process_signal(f->u, &p.op, 12345), -EINVAL);
    assert_int_equal(gy__process_signal(f->u, &p.op, SIGTERM), 0);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.signal, SIGTERM);
    fixture_close(f);
}

/* What it writes to a pipe ends when the last who holds the pipe is gone. */
static void a_group_goes_together(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    char out[64];
    shell(&p, "sleep 60 & echo on; wait");
    p.spec.out.kind = GY_IO_FROM;
    p.spec.flags = GY_PROCESS_GROUP;
    submit(f, &p);
    await_start(f, &p);
    assert_int_equal(read(gy__handle_fd(p.out.handles[1]), out, 3), 3);
    fixture_cancel(f, &p.op);
    assert_int_equal(drain(&p, 1, out, sizeof(out)), 0);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.signal, SIGKILL);
    fixture_close(f);
}

static void cancelled_before_while_and_after_its_birth(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    unsigned unborn = 0, killed = 0;
    for (unsigned i = 0; i < 60; i++) {
        unsigned before = f->told_n;
        shell(&p, "exec sleep 60");
        p.kill_at_start = i % 3 == 0;
        submit(f, &p);
        for (volatile unsigned spin = 0; i % 3 == 1 && spin < i * 20000; spin++)
            ;
        if (i % 3 != 0)
            fixture_cancel(f, &p.op);
        int32_t res = fixture_finish(f, &p.op);
        if (res == -ECANCELED) {
            unborn++;
            assert_int_equal(f->told_n, before + 1);
        } else {
            killed++;
            assert_int_equal(res, 0);
            assert_int_equal(p.out.signal, SIGKILL);
            assert_int_equal(p.started, 1);
        }
    }
    assert_true(killed >= 20);
    assert_int_equal(killed + unborn, 60);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    fixture_close(f);
}

static void left_ones_live_on(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    int before = open_descriptors();
    shell(&p, "exec sleep 60");
    p.spec.flags = GY_PROCESS_LEAVE;
    submit(f, &p);
    await_start(f, &p);
    fixture_cancel(f, &p.op);
    assert_int_equal(fixture_finish(f, &p.op), -ECANCELED);
    assert_int_equal(open_descriptors(), before);
    pid_t left = p.out.pid;
    assert_int_equal(waitpid(left, NULL, WNOHANG), 0); /* it runs, and is ours again */

    /* By its pid it can be watched anew. */
    process_init(&p, NULL);
    p.op.u.process.spec = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    p.out.pid = pid;
    p.spec.flags = GY_PROCESS_LEAVE;
    submit(f, &p);
    await_start(f, &p);
    assert_int_equal(gy__process_signal(f->u, &p.op, SIGINT), 0);
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.known, 1);
    assert_int_equal(p.out.signal, SIGINT);
    fixture_close(f);
    assert_int_equal(waitpid(left, NULL, WNOHANG), 0);
    kill(left, SIGKILL);
    assert_int_equal(waitpid(left, NULL, 0), left);
}

/* A kernel that is short of memory refuses the poll: the child is waited for all the same, and killed if nobody
 * wants it any more. */
static void a_poll_that_fails_is_tried_again(void **state)
{
    static const int32_t errors[] = {-ENOMEM, -ECANCELED, -EINTR, -EINVAL};
    (void)state;
    struct fixture *f = open_pool();
    for (unsigned i = 0; i < 8; i++) {
        struct process p;
        shell(&p, i % 2 == 0 ? "sleep 0.05; exit 3" : "exec sleep 60");
        p.poll_fails = errors[i / 2];
        submit(f, &p);
        await_start(f, &p);
        if (i % 2 == 1)
            gy__uring_cancel(f->u, &p.op);
        assert_int_equal(fixture_finish(f, &p.op), 0);
        assert_int_equal(p.out.known, 1);
        assert_int_equal(p.out.code, i % 2 == 0 ? 3 : 0);
        assert_int_equal(p.out.signal, i % 2 == 0 ? 0 : SIGKILL);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
    fixture_close(f);
}

static void strangers_are_watched_but_not_known(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    int ends[2], pid;
    char text[16] = {0};
    assert_int_equal(pipe(ends), 0);
    /* A grandchild, whose end only its own parent may know. */
    char script[128];
    snprintf(script, sizeof(script), "sleep 0.05 & echo $! >&%d; wait", ends[1]);
    pid_t parent = fork();
    if (parent == 0) {
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(127);
    }
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    pid = atoi(text);
    process_init(&p, NULL);
    p.op.u.process.spec = NULL;
    p.out.pid = pid;
    p.spec.flags = GY_PROCESS_LEAVE;
    submit(f, &p);
    int32_t res = fixture_finish(f, &p.op);
    assert_true(res == 0 || res == -ESRCH); /* it may have been quick */
    assert_int_equal(p.out.known, 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);

    process_init(&p, NULL);
    p.op.u.process.spec = NULL;
    p.out.pid = parent; /* reaped */
    submit(f, &p);
    assert_int_equal(fixture_finish(f, &p.op), -ESRCH);
    close(ends[0]);
    close(ends[1]);
    fixture_close(f);
}

static void somebody_else_has_waited(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    shell(&p, "read line");
    p.spec.in.kind = GY_IO_TO;
    submit(f, &p);
    await_start(f, &p);
    close(gy__handle_fd(p.out.handles[0]));
    assert_int_equal(waitpid(-1, NULL, 0), p.out.pid); /* what a program must not do */
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.known, 0);
    fixture_close(f);
}

static void a_full_queue_of_entries(void **state)
{
    (void)state;
    struct fixture *f = open_pool();
    struct process p;
    shell(&p, "exit 7");
    submit(f, &p);
    f->u->refuse_entries = 3;
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.code, 7);
    /* Killed while it waits for one. */
    shell(&p, "exec sleep 60");
    submit(f, &p);
    f->u->refuse_entries = UINT32_MAX;
    await_start(f, &p);
    fixture_cancel(f, &p.op);
    for (int i = 0; i < 10; i++)
        (void)gy__uring_poll(f->u);
    assert_true(p.op.in_flight);
    f->u->refuse_entries = 0;
    assert_int_equal(fixture_finish(f, &p.op), 0);
    assert_int_equal(p.out.signal, SIGKILL);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_told),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(each_step_that_fails_is_named),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(a_full_pool_is_eagain),
        cmocka_unit_test(only_what_was_given_is_open),
        cmocka_unit_test(what_is_missing_stays_so),
        cmocka_unit_test(low_numbers_of_ours_are_not_inherited),
        cmocka_unit_test(descriptors_may_change_places),
        cmocka_unit_test(files_are_opened),
        cmocka_unit_test(the_environment),
        cmocka_unit_test(no_signal_is_blocked_or_ignored),
        cmocka_unit_test(a_session_of_its_own),
        cmocka_unit_test(it_reads_and_writes_pipes),
        cmocka_unit_test(a_pipe_without_reader_is_epipe),
        cmocka_unit_test(single_reads_do_the_same),
        cmocka_unit_test(signals_reach_it),
        cmocka_unit_test(a_group_goes_together),
        cmocka_unit_test(cancelled_before_while_and_after_its_birth),
        cmocka_unit_test(left_ones_live_on),
        cmocka_unit_test(a_poll_that_fails_is_tried_again),
        cmocka_unit_test(strangers_are_watched_but_not_known),
        cmocka_unit_test(somebody_else_has_waited),
        cmocka_unit_test(a_full_queue_of_entries),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
