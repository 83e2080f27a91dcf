/* io_uring refused by a seccomp filter, as containers have them: the program says which cause and
 * what allows it, in one line, and ends with status 69. What needs no ring goes on working. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NO_FILTERS 97

/* The numbers are the same on all machines that io_uring is on. */
static int deny_uring(int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, __NR_io_uring_setup, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, __NR_io_uring_register, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)err & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0 ? -errno : 0;
}

/* Run gyre-demo with io_uring failing by err. -> its status; its standard error in text. */
static int run_refused(int err, const char *argument, char *text, size_t size)
{
    char path[4096];
    const char *bin = getenv("GYRE_BIN");
    int fds[2], status;
    size_t have = 0;
    (void)snprintf(path, sizeof(path), "%s/gyre-demo", bin != NULL ? bin : "build/dev/bin");
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)alarm(20);
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        if (deny_uring(err) < 0)
            _exit(NO_FILTERS);
        (void)execl(path, path, "--listen=127.0.0.1:0", argument, (char *)NULL);
        _exit(127);
    }
    (void)close(fds[1]);
    for (ssize_t n; have < size - 1 && (n = read(fds[0], text + have, size - 1 - have)) > 0;)
        have += (size_t)n;
    text[have] = '\0';
    (void)close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS) {
        print_message("skipped: seccomp filters are not allowed here\n");
        skip();
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void a_filter_is_named(void **state)
{
    (void)state;
    const int errs[] = {EPERM, ENOSYS};
    char text[4096];
    for (unsigned i = 0; i < 2; i++) {
        int status = run_refused(errs[i], "--shards=1", text, sizeof(text));
        print_message("%s", text);
        assert_int_equal(status, 69);
        assert_non_null(strstr(text, "io_uring is not available"));
        assert_non_null(strstr(text, "seccomp"));
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        assert_int_equal(strlen(end), 1); /* one line */
    }
}

static void pages_need_no_ring(void **state)
{
    (void)state;
    const char *const pages[] = {"--help", "--version", "--print-config", "--print-topology"};
    char text[4096];
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(run_refused(EPERM, pages[i], text, sizeof(text)), 0);
}

static void the_doctor_finds_it(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(run_refused(EPERM, "--doctor", text, sizeof(text)), 69);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_is_named),
        cmocka_unit_test(pages_need_no_ring),
        cmocka_unit_test(the_doctor_finds_it),
    };
    (void)alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
