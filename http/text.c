/* http/text.c - see text.h. The buffer is doubled when it is full. */
#include "http/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST 16384

static bool reserve(struct gy__http_text *text, size_t n)
{
    struct gy_buf *buf = text->buf, *larger;
    size_t size = buf != NULL ? 2 * (size_t)buf->capacity : FIRST;

    if (text->failed)
        return false;
    if (buf != NULL && gy_buf_room(buf) >= n)
        return true;
    size_t least = n + (buf != NULL ? buf->len : 0);
    larger = gy_buf_take(size > least ? size : least);
    if (larger == NULL) {
        text->failed = true;
        return false;
    }
    if (buf != NULL) {
        memcpy(larger->data, buf->data, buf->len);
        larger->len = buf->len;
        gy_buf_release(buf);
    }
    text->buf = larger;
    return true;
}

void gy__http_text_add(struct gy__http_text *text, const char *bytes, size_t len)
{
    if (len == 0 || !reserve(text, len))
        return;
    memcpy(text->buf->data + text->buf->len, bytes, len);
    text->buf->len += (uint32_t)len;
}

void gy__http_text_str(struct gy__http_text *text, const char *string)
{
    gy__http_text_add(text, string, strlen(string));
}

void gy__http_text_f(struct gy__http_text *text, const char *format, ...)
{
    char line[512];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line))
        text->failed = true;
    else
        gy__http_text_add(text, line, (size_t)len);
}

void gy__http_text_quoted(struct gy__http_text *text, const char *string)
{
    for (; *string != '\0'; string++) {
        unsigned char c = (unsigned char)*string;

        if (c == '"' || c == '\\')
            gy__http_text_f(text, "\\%c", c);
        else if (c == '\n')
            gy__http_text_str(text, "\\n");
        else if (c < ' ')
            gy__http_text_f(text, "\\u%04x", c);
        else
            gy__http_text_add(text, string, 1);
    }
}

void gy__http_text_label(struct gy__http_text *text, const char *string)
{
    for (; *string != '\0'; string++) {
        if (*string == '"' || *string == '\\')
            gy__http_text_str(text, "\\");
        if (*string == '\n')
            gy__http_text_str(text, "\\n");
        else
            gy__http_text_add(text, string, 1);
    }
}

void gy__http_text_drop(struct gy__http_text *text)
{
    gy_buf_release(text->buf);
    text->buf = NULL;
}
