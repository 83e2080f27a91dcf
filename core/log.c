/* core/log.c - lines for the log, and the end when an invariant is broken. */
#include "core/kernel.h"
#include "core/text.h"

#include <stdarg.h>

#define LINE_MAX_BYTES 1024

void gy_log(const char *format, ...)
{
    struct gy_shard *shard = gy__self();
    if (shard == NULL)
        return;
    char line[LINE_MAX_BYTES];
    struct gy__text text;
    va_list args;
    gy__text_init(&text, line, sizeof(line));
    va_start(args, format);
    gy__text_vprintf(&text, format, args);
    va_end(args);
    shard->driver->log(shard->ctx, 0, line, text.len);
}

_Noreturn void gy__panic(const char *file, int line, const char *condition)
{
    struct gy_shard *shard = gy__self();
    char message[LINE_MAX_BYTES];
    struct gy__text text;
    gy__text_init(&text, message, sizeof(message));
    gy__text_printf(&text, "broken invariant at %s:%d: %s", file, line, condition);
    if (shard != NULL)
        shard->driver->panic(shard->ctx, message);
    __builtin_trap();
}
