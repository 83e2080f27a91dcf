/* Children of tests (see child.h). */
#include "tests/uring/child.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Reads both pipes to their ends; neither can fill up while the other is waited for. */
static void collect(int out, int err, struct child *child)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    char *texts[2] = {child->out, child->err};
    size_t sizes[2] = {sizeof(child->out), sizeof(child->err)}, lens[2] = {0, 0};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        assert_true(poll(fds, 2, -1) > 0);
        for (int i = 0; i < 2; i++) {
            char scrap[512];
            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            size_t room = sizes[i] - 1 - lens[i];
            ssize_t n = room > 0 ? read(fds[i].fd, texts[i] + lens[i], room)
                                 : read(fds[i].fd, scrap, sizeof(scrap));
            if (n <= 0)
                fds[i].fd = -1;
            else if (room > 0)
                lens[i] += (size_t)n;
        }
    }
    texts[0][lens[0]] = texts[1][lens[1]] = '\0';
}

void child_run(struct child *child, int (*run)(void *arg), void *arg)
{
    int out[2], err[2], status;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        (void)dup2(err[1], STDERR_FILENO);
        (void)close(out[0]);
        (void)close(err[0]);
        status = run(arg);
        (void)fflush(NULL);
        _exit(status);
    }
    (void)close(out[1]);
    (void)close(err[1]);
    collect(out[0], err[0], child);
    (void)close(out[0]);
    (void)close(err[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    child->status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "name this machine's AUDIT_ARCH"
#endif

int child_deny_uring(int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)err & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0)
        return -errno;
    return 0;
}
