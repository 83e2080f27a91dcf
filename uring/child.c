/* The newborn process, from clone(2) to execve(2).
 *
 * It shares memory with its parent, one of whose threads stands still until the exec, but neither
 * descriptors nor signal dispositions. It may therefore write only to its own stack and to the
 * struct gy__child, and calls nothing but the kernel: any function of the library might take a lock
 * that another thread holds, or leave something changed behind. errno is the waiting thread's, so
 * it may be used.
 *
 * All signals are blocked when it begins. Before it lets any in, no handler of the program's may be
 * left, which would run here: so dispositions are reset first, then the mask. */
#include "uring/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizers would look for the thread's own stack. */
#define CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

#define TIMER_SLACK_NS 50000 /* what Linux starts programs with; gyre's threads have less */
#define SIGNALS 64
#define SIGNAL_BYTES (SIGNALS / 8) /* of the kernel's set */

static CHILD _Noreturn void fails(struct gy__child *child, const char *step, int subject)
{
    child->err = -errno;
    child->step = step;
    child->subject = subject;
    for (;;)
        syscall(SYS_exit_group, 127);
}

static CHILD void enter(struct gy__child *child)
{
    if (child->flags & GY_PROCESS_SESSION) {
        if (syscall(SYS_setsid) < 0)
            fails(child, "setsid", -1);
    } else if (child->flags & GY_PROCESS_GROUP && syscall(SYS_setpgid, 0, 0) < 0) {
        fails(child, "setpgid", -1);
    }
    if (!(child->flags & GY_PROCESS_LEAVE)) {
        if (syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
            fails(child, "prctl", -1);
        /* The parent may have died before that. */
        if (syscall(SYS_getppid) != child->parent) {
            errno = ESRCH;
            fails(child, "the parent is gone", -1);
        }
    }
    (void)syscall(SYS_prctl, PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    if (child->cwd != NULL && syscall(SYS_chdir, child->cwd) < 0)
        fails(child, "chdir", -1);
}

/* To a number from free_from on; one that may miss: -1. What is close-on-exec is not inherited, as ever: where
 * the parent has nothing open, at 0 to 2 for instance, its ring or a pipe of this birth may be. */
static CHILD void move(struct gy__child *child, struct gy__child_fd *fd, int free_from)
{
    int from = fd->from;
    fd->moved = -1;
    if (fd->may_miss && (syscall(SYS_fcntl, from, F_GETFD) & FD_CLOEXEC) != 0)
        return; /* all bits are set if it is not open */
    if (fd->path != NULL) {
        from = (int)syscall(SYS_openat, AT_FDCWD, fd->path, fd->open_flags | O_CLOEXEC, 0666);
        if (from < 0)
            fails(child, "open", fd->number);
    }
    fd->moved = (int)syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, free_from);
    if (fd->moved < 0)
        fails(child, "dup", fd->number);
}

/* First each to a number that none of them is to have, then to its own: so none overwrites another
 * that is still needed. Files are opened when what is to be copied has been: they may get the number
 * of one that is missing. */
static CHILD void arrange(struct gy__child *child)
{
    int free_from = child->fds_n > 0 ? child->fds[child->fds_n - 1].number + 1 : 0;
    for (unsigned opened = 0; opened < 2; opened++)
        for (unsigned i = 0; i < child->fds_n; i++)
            if ((child->fds[i].path != NULL) == (opened == 1))
                move(child, &child->fds[i], free_from);
    int next = 0;
    for (unsigned i = 0; i < child->fds_n; i++) {
        const struct gy__child_fd *fd = &child->fds[i];
        if (fd->number > next &&
            syscall(SYS_close_range, next, fd->number - 1, CLOSE_RANGE_CLOEXEC) < 0)
            fails(child, "close_range", -1);
        if (fd->moved >= 0 && syscall(SYS_dup3, fd->moved, fd->number, 0) < 0)
            fails(child, "dup", fd->number);
        if (fd->moved < 0)
            (void)syscall(SYS_close, fd->number);
        next = fd->number + 1;
    }
    if (syscall(SYS_close_range, next, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        fails(child, "close_range", -1);
}

static CHILD void reset_signals(struct gy__child *child)
{
    /* As the kernel has it, all zero: the default action, no flags. Also for the two signals that
     * the library keeps to itself. */
    const uint64_t action[4] = {0};
    const uint64_t none = 0;
    for (int number = 1; number <= SIGNALS; number++)
        if (number != SIGKILL && number != SIGSTOP)
            (void)syscall(SYS_rt_sigaction, number, action, NULL, SIGNAL_BYTES);
    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SIGNAL_BYTES) < 0)
        fails(child, "sigprocmask", -1);
}

CHILD int gy__child_main(void *arg)
{
    struct gy__child *child = arg;
    bool denied = false;
    enter(child);
    arrange(child);
    reset_signals(child);
    for (const char *const *program = child->programs; *program != NULL; program++) {
        syscall(SYS_execve, *program, child->argv, child->envp);
        /* As execvp(3): what cannot be found or entered is passed over. */
        if (errno == EACCES)
            denied = true;
        else if (errno != ENOENT && errno != ENOTDIR)
            fails(child, "exec", -1);
    }
    errno = denied ? EACCES : ENOENT;
    fails(child, "exec", -1);
}
