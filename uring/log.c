/* Lines for standard error, each by one write, so that those of several shards do not mix. The way
 * out for a broken invariant is here too. */
#include "gyre/config.h"
#include "uring/uring.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX 1024

/* A reader that has gone must not kill the program: a SIGPIPE of this write is taken back, unless
 * one was pending already. */
static void write_line(const char *line, size_t len)
{
    sigset_t pipe_set, pending, old;
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
    ssize_t written = write(STDERR_FILENO, line, len);
    if (written < 0 && !sigismember(&pending, SIGPIPE)) {
        struct timespec now = {0, 0};
        (void)sigtimedwait(&pipe_set, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static size_t head(char *line, const struct gy__uring *u, int level)
{
    static const char *const levels[] = {"", "warning: ", "error: "};
    struct timespec now;
    struct tm utc;
    char who[32] = "gyre";
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    if (u && u->index < GY_SHARDS_MAX)
        snprintf(who, sizeof(who), "gyre[%u]", u->index);
    size_t at = strftime(line, LINE_MAX, "%Y-%m-%dT%H:%M:%S", &utc);
    int rest = snprintf(line + at, LINE_MAX - at, ".%03ldZ %s: %s", now.tv_nsec / 1000000, who,
                        levels[level < 0 || level > 2 ? 2 : level]);
    return at + (rest > 0 ? (size_t)rest : 0);
}

void gy__uring_log(void *ctx, int level, const char *text, size_t len)
{
    char line[LINE_MAX];
    size_t at = head(line, ctx, level);
    if (len > LINE_MAX - at - 1)
        len = LINE_MAX - at - 1;
    memcpy(line + at, text, len);
    line[at + len] = '\n';
    write_line(line, at + len + 1);
}

void gy__uring_logf(struct gy__uring *u, int level, const char *format, ...)
{
    char text[LINE_MAX];
    va_list values;
    va_start(values, format);
    int len = vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (len < 0)
        return;
    gy__uring_log(u, level, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

/* Of threads that are no shard: core/log.c names them weakly. */
void gy__shardless_log(const char *text, size_t len)
{
    gy__uring_log(NULL, 0, text, len);
}

_Noreturn void gy__shardless_panic(const char *text)
{
    gy__uring_panic(NULL, text);
}

_Noreturn void gy__uring_panic(void *ctx, const char *text)
{
    gy__uring_logf(ctx, 2, "panic: %s", text);
    abort();
}
