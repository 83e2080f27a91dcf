/* Starting, watching and ending gyre-demo or another program (see server.h). */
#include "server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 16
#define START_MS 30000

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sleep_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static void child(const struct server_options *options, int out, int err)
{
    char path[4096];
    const char *argv[ARGS_MAX + 3] = {path};
    const char *bin = getenv("GYRE_BIN");
    unsigned n = 1;
    (void)snprintf(path, sizeof(path), "%s/%s", bin != NULL ? bin : "build/dev/bin",
                   options->program != NULL ? options->program : "gyre-demo");
    if (options->program == NULL)
        argv[n++] = "--listen=127.0.0.1:0";
    for (unsigned i = 0; options->args != NULL && options->args[i] != NULL && i < ARGS_MAX; i++)
        argv[n++] = options->args[i];
    /* A test that dies takes its server with it. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options->files_max > 0) {
        struct rlimit limit = {options->files_max, options->files_max};
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(err, STDERR_FILENO);
    (void)close_range(3, ~0U, 0); /* what whoever runs the tests left open is not the server's */
    (void)execv(path, (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

/* Reads its output up to the line that names the port. -> the port; 0: it ended or took too long. */
static unsigned read_port(int out)
{
    char text[1024];
    size_t len = 0;
    uint64_t until = now_ms() + START_MS;
    while (now_ms() < until && len < sizeof(text) - 1) {
        struct pollfd p = {.fd = out, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        ssize_t n = read(out, text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        const char *line = strstr(text, "listening on http://");
        if (line == NULL || strchr(line, '\n') == NULL)
            continue;
        const char *colon = strchr(line + strlen("listening on http://"), ':');
        return colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
    }
    return 0;
}

/* The same from its log. */
static unsigned read_log_port(int err)
{
    uint64_t until = now_ms() + START_MS;
    while (now_ms() < until) {
        static const char what[] = "listening on 127.0.0.1:";
        char text[4096];
        ssize_t n = pread(err, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        const char *line = strstr(text, what);
        if (line != NULL && strchr(line, '\n') != NULL)
            return (unsigned)strtoul(line + sizeof(what) - 1, NULL, 10);
        sleep_ms(10);
    }
    return 0;
}

void server_start(struct server *s, const struct server_options *options)
{
    static const struct server_options none;
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    *s = (struct server){.out = out[0], .err = memfd_create("stderr", MFD_CLOEXEC)};
    assert_true(s->err >= 0);
    (void)fflush(NULL);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0)
        child(options != NULL ? options : &none, out[1], s->err);
    (void)close(out[1]);
    bool logs = options != NULL && options->program != NULL;
    s->port = logs ? read_log_port(s->err) : read_port(s->out);
    if (s->port == 0) {
        server_end(s, true);
        fail_msg("%s does not say what it listens on", logs ? options->program : "gyre-demo");
    }
}

void server_signal(const struct server *s, int signal)
{
    assert_int_equal(kill(s->pid, signal), 0);
}

int server_wait(struct server *s, unsigned timeout_ms)
{
    uint64_t until = now_ms() + timeout_ms;
    int status = 0;
    for (;;) {
        pid_t got = waitpid(s->pid, &status, WNOHANG);
        assert_true(got >= 0);
        if (got == s->pid)
            break;
        if (now_ms() >= until)
            return -1;
        sleep_ms(5);
    }
    s->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void server_stop(struct server *s)
{
    server_signal(s, SIGTERM);
    int status = server_wait(s, 30000);
    if (status != 0) {
        server_end(s, true);
        fail_msg("gyre-demo ended with %d", status);
    }
    server_end(s, false);
}

static void print_log(int fd)
{
    char text[4096];
    off_t end = lseek(fd, 0, SEEK_END);
    off_t at = end > (off_t)sizeof(text) ? end - (off_t)sizeof(text) : 0;
    ssize_t n = pread(fd, text, sizeof(text), at);
    print_message("the server's log%s:\n%.*s\n", at > 0 ? " ends with" : "", n > 0 ? (int)n : 0,
                  text);
}

void server_end(struct server *s, bool tell)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
    if (tell && s->err > 0)
        print_log(s->err);
    if (s->out > 0)
        (void)close(s->out);
    if (s->err > 0)
        (void)close(s->err);
    s->out = s->err = 0;
}

long server_rss_kib(const struct server *s)
{
    char path[64];
    long total, resident = -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)s->pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &total, &resident), 2);
    (void)fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

unsigned server_files(const struct server *s)
{
    char path[64];
    unsigned n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)s->pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}
