/* http/text.h - text that grows in one buffer: for answers whose length is not known before. */
#ifndef GYRE_HTTP_TEXT_H
#define GYRE_HTTP_TEXT_H

#include "gyre/base.h"
#include "gyre/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Zeroed: empty. When memory ends, failed is set and the rest is dropped. */
struct gy__http_text {
    struct gy_buf *buf;
    bool failed;
};

void gy__http_text_add(struct gy__http_text *text, const char *bytes, size_t len);
void gy__http_text_str(struct gy__http_text *text, const char *string);
void gy__http_text_f(struct gy__http_text *text, const char *format, ...) GY_PRINTF(2, 3);
/* Between quotes in JSON: `"`, `\` and control characters escaped. */
void gy__http_text_quoted(struct gy__http_text *text, const char *string);
/* Between quotes as the value of a metric's label: `"`, `\` and line ends escaped, nothing else. */
void gy__http_text_label(struct gy__http_text *text, const char *string);
void gy__http_text_drop(struct gy__http_text *text);

#endif
