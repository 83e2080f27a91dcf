/* core/log.c - lines for the log, and the end when an invariant is broken.
 *
 * A shard's lines go to its driver. On a thread that is no shard there is none: the two weak
 * functions here are what remains, unless a driver that is linked too defines better ones. */
#include "core/kernel.h"
#include "core/text.h"

#include <stdarg.h>

#define LINE_MAX_BYTES 1024

__attribute__((weak)) void gy__shardless_log(const char *text, size_t len)
{
    (void)text, (void)len;
}

__attribute__((weak)) _Noreturn void gy__shardless_panic(const char *text)
{
    (void)text;
    __builtin_trap();
}

static void log_line(int level, const char *format, va_list args)
{
    struct gy_shard *shard = gy__self();
    char line[LINE_MAX_BYTES];
    struct gy__text text;
    gy__text_init(&text, line, sizeof(line));
    gy__text_vprintf(&text, format, args);
    if (shard == NULL)
        gy__shardless_log(line, text.len);
    else
        shard->driver->log(shard->ctx, level, line, text.len);
}

void gy_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(0, format, args);
    va_end(args);
}

void gy__warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(1, format, args);
    va_end(args);
}

void gy__complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(2, format, args);
    va_end(args);
    if (gy__self() != NULL)
        /* relaxed: whoever asks is the same thread, or asks later by other ways. */
        atomic_store_explicit(&gy__self()->runtime->complained, true, memory_order_relaxed);
}

static _Noreturn void end(const char *message)
{
    struct gy_shard *shard = gy__self();
    if (shard == NULL)
        gy__shardless_panic(message);
    shard->driver->panic(shard->ctx, message);
    __builtin_trap();
}

_Noreturn void gy__panic(const char *file, int line, const char *condition)
{
    char message[LINE_MAX_BYTES];
    struct gy__text text;
    gy__text_init(&text, message, sizeof(message));
    gy__text_printf(&text, "broken invariant at %s:%d: %s", file, line, condition);
    end(message);
}

_Noreturn void gy__no_shard(const char *function)
{
    char message[LINE_MAX_BYTES];
    struct gy__text text;
    gy__text_init(&text, message, sizeof(message));
    gy__text_printf(&text, "%s called on a thread that is no shard; from other threads use A_V_post()",
                    function);
    end(message);
}
