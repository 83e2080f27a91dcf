/* The birth of a process, on a thread of the pool: from its description to a pidfd.
 *
 * The thread makes everything ready that needs the library (paths to try, the environment, pipes),
 * in one block of memory and a stack, clones, and stands still until the child has run the program
 * or ended with what failed. Only then the child's ends of the pipes are closed here, and on failure
 * ours too: nothing of a process that did not start is left. Every descriptor made here is
 * close-on-exec from the beginning, so that no other child, of whatever thread, inherits it.
 *
 * A process that is only to be watched is "born" here, too, by being found. */
#include "uring/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)64 * 1024)
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"
_Static_assert(GY_SPAWN_FDS_MAX == 3 + GY_PROCESS_MORE_MAX, "in, out, err and more");

extern char **environ;

#if defined(__SANITIZE_THREAD__)
#define IS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define IS_TSAN 1
#endif
#endif
#ifdef IS_TSAN
/* Its clone() takes the child for a fork's, which has memory of its own, and leaves the thread that waits
 * unobserved from then on. */
int __clone(int (*run)(void *arg), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

struct birth {
    const struct gy_process_spec *spec;
    struct gy_spawned *out;
    struct gy__child child;
    struct gy__child_fd fds[GY_SPAWN_FDS_MAX];
    int theirs[GY_SPAWN_FDS_MAX]; /* the child's ends of pipes, -1: none */
    const char **env;
    const char **programs;
    char *paths; /* their texts */
    const char *self[2]; /* argv when the spec has none */
    char *stack;
};

/* ---- the environment ---- */

static size_t name_len(const char *entry)
{
    const char *end = strchr(entry, '=');
    return end != NULL ? (size_t)(end - entry) : strlen(entry);
}

static size_t count(const char *const *entries)
{
    size_t n = 0;
    while (entries != NULL && entries[n] != NULL)
        n++;
    return n;
}

static bool names(const char *const *entries, size_t n, const char *entry)
{
    size_t len = name_len(entry);
    for (size_t i = 0; i < n; i++)
        if (name_len(entries[i]) == len && memcmp(entries[i], entry, len) == 0)
            return true;
    return false;
}

static int make_env(struct birth *birth)
{
    const char *const *own = birth->spec->env;
    const char *const *ours = (const char *const *)environ;
    size_t own_n = count(own), n = own_n;
    size_t ours_n = birth->spec->flags & GY_PROCESS_ENV_ONLY ? 0 : count(ours);
    birth->env = calloc(own_n + ours_n + 1, sizeof(birth->env[0]));
    if (birth->env == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < own_n; i++)
        birth->env[i] = own[i];
    for (size_t i = 0; i < ours_n; i++)
        if (!names(birth->env, own_n, ours[i]))
            birth->env[n++] = ours[i];
    return 0;
}

static const char *find_path(const struct birth *birth)
{
    for (const char **entry = birth->env; *entry != NULL; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            return *entry + 5;
    return PATH_DEFAULT;
}

/* ---- the program ---- */

/* As execvp(3) looks for it; an empty directory is the current one. */
static int make_programs(struct birth *birth)
{
    const char *name = birth->spec->path;
    const char *dirs = strchr(name, '/') != NULL ? NULL : find_path(birth);
    size_t n = 1, bytes = 1, name_bytes = strlen(name) + 1;
    for (const char *at = dirs; at != NULL && *at != 0; at++)
        n += *at == ':';
    if (dirs != NULL)
        bytes = strlen(dirs) + n * (name_bytes + 1);
    birth->programs = calloc(n + 1, sizeof(birth->programs[0]));
    birth->paths = malloc(bytes);
    if (birth->programs == NULL || birth->paths == NULL)
        return -ENOMEM;
    if (dirs == NULL) {
        birth->programs[0] = name;
        return 0;
    }
    char *to = birth->paths;
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(dirs, ":");
        birth->programs[i] = to;
        memcpy(to, dirs, len);
        to += len;
        if (len > 0)
            *to++ = '/';
        memcpy(to, name, name_bytes);
        to += name_bytes;
        dirs += len + 1;
    }
    return 0;
}

/* ---- descriptors ---- */

static const struct gy_process_io *io_at(const struct gy_process_spec *spec, uint32_t place,
                                         int *number)
{
    const struct gy_process_io *const standard[] = {&spec->in, &spec->out, &spec->err};
    const struct gy_process_io *io = place < 3 ? standard[place] : &spec->more[place - 3];
    *number = place < 3 ? (int)place : io->number;
    return io;
}

static int make_pipe(struct birth *birth, uint32_t place, bool to_child)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    birth->theirs[place] = ends[to_child ? 0 : 1];
    birth->out->handles[place] = ends[to_child ? 1 : 0];
    return 0;
}

static int make_fd(struct birth *birth, uint32_t place, struct gy__child_fd *fd)
{
    static const struct {
        const char *path;
        int open_flags;
    } files[GY_IO_KINDS] = {
        [GY_IO_NULL] = {"/dev/null", O_RDWR},
        [GY_IO_READ] = {NULL, O_RDONLY},
        [GY_IO_WRITE] = {NULL, O_WRONLY | O_CREAT | O_TRUNC},
        [GY_IO_APPEND] = {NULL, O_WRONLY | O_CREAT | O_APPEND},
    };
    int number;
    const struct gy_process_io *io = io_at(birth->spec, place, &number);
    *fd = (struct gy__child_fd){.number = number, .from = -1};
    switch (io->kind) {
    case GY_IO_INHERIT:
        fd->from = number;
        fd->may_miss = true;
        return 0;
    case GY_IO_FD:
        fd->from = io->fd;
        return 0;
    case GY_IO_TO:
    case GY_IO_FROM: {
        int rc = make_pipe(birth, place, io->kind == GY_IO_TO);
        fd->from = birth->theirs[place];
        return rc;
    }
    default:
        fd->path = files[io->kind].path != NULL ? files[io->kind].path : io->path;
        fd->open_flags = files[io->kind].open_flags;
        return 0;
    }
}

static int by_number(const void *left, const void *right)
{
    const struct gy__child_fd *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int make_fds(struct birth *birth)
{
    uint32_t n = 3 + birth->spec->more_count;
    for (uint32_t place = 0; place < n; place++) {
        int rc = make_fd(birth, place, &birth->fds[place]);
        if (rc < 0) {
            birth->child.subject = birth->fds[place].number;
            return rc;
        }
    }
    qsort(birth->fds, n, sizeof(birth->fds[0]), by_number);
    birth->child.fds = birth->fds;
    birth->child.fds_n = n;
    return 0;
}

/* ---- birth ---- */

static int prepare(struct birth *birth)
{
    const struct gy_process_spec *spec = birth->spec;
    struct gy__child *child = &birth->child;
    child->step = "memory";
    int rc = make_env(birth);
    if (rc == 0)
        rc = make_programs(birth);
    birth->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (birth->stack == MAP_FAILED) {
        birth->stack = NULL;
        rc = -ENOMEM;
    }
    if (rc < 0)
        return rc;
    child->step = "pipe";
    rc = make_fds(birth);
    birth->self[0] = spec->path;
    child->programs = birth->programs;
    child->argv = (char *const *)(uintptr_t)(spec->argv != NULL ? spec->argv : birth->self);
    child->envp = (char *const *)(uintptr_t)birth->env;
    child->cwd = spec->cwd;
    child->flags = spec->flags;
    child->parent = getpid();
    return rc;
}

/* -> the pidfd of a child that runs the program, or -errno, with child.step. */
static int give_birth(struct birth *birth)
{
    struct gy__child *child = &birth->child;
    const uint64_t all = ~UINT64_C(0);
    uint64_t before = 0;
    int pidfd = -1;
    child->step = "clone";
    /* No handler of the program's may run in the child; the library's own two signals, too, are
     * blocked only so. */
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
    pid_t pid = clone(gy__child_main, birth->stack + STACK_BYTES,
                      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &pidfd);
    int err = pid < 0 ? -errno : child->err;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
    if (pid < 0)
        return err;
    birth->out->pid = pid;
    if (err == 0)
        return pidfd;
    siginfo_t info;
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    close(pidfd);
    return err;
}

static void close_all(int32_t *fds)
{
    for (unsigned i = 0; i < GY_SPAWN_FDS_MAX; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

int gy__process_spawn(const struct gy_op *op)
{
    struct birth birth = {.spec = op->u.process.spec, .out = op->u.process.out};
    struct gy_spawned *out = birth.out;
    birth.child.subject = -1;
    if (birth.spec == NULL) {
        int pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
        out->step = "pidfd_open";
        return pidfd < 0 ? -errno : pidfd;
    }
    for (unsigned i = 0; i < GY_SPAWN_FDS_MAX; i++)
        birth.theirs[i] = out->handles[i] = -1;
    int rc = prepare(&birth);
    if (rc == 0)
        rc = give_birth(&birth);
    close_all(birth.theirs);
    if (rc < 0) {
        out->step = birth.child.step;
        out->subject = birth.child.subject;
        close_all(out->handles);
    } else {
        for (unsigned i = 0; i < GY_SPAWN_FDS_MAX; i++)
            if (out->handles[i] >= 0)
                out->handles[i] |= GY__HANDLE_PIPE;
    }
    if (birth.stack != NULL)
        munmap(birth.stack, STACK_BYTES);
    free(birth.env);
    free(birth.programs);
    free(birth.paths);
    return rc;
}
