/* gyre/json.h - writing JSON (RFC 8259) into a buffer. There is no reader here.
 *
 *     struct gy_json json = GY_JSON_INIT;
 *     gy_json_object(&json);
 *     gy_json_key(&json, "name"), gy_json_str(&json, name);
 *     gy_json_key(&json, "sizes"), gy_json_array(&json);
 *     gy_json_u64(&json, 7), gy_json_u64(&json, 8);
 *     gy_json_end(&json);
 *     gy_json_end(&json);
 *     gy_http_json(reply, 200, &json);                 takes it
 *
 * Commas, quotes and escapes come by themselves. The first mistake (a value where a key must be, a
 * second root, one end too many, more than 64 levels: -EINVAL; no memory: -EAGAIN) is remembered, all
 * that follows is ignored, and the end tells. Only on shards: the buffer is one of theirs. */
#ifndef GYRE_JSON_H
#define GYRE_JSON_H

#include "gyre/base.h"
#include "gyre/buf.h"
#include "gyre/http.h"

GY_BEGIN_DECLS

struct gy_json {
    struct gy_buf *gy__buf;
    uint64_t gy__objects; /* bit i: level i is an object */
    int gy__err;
    uint8_t gy__depth, gy__more, gy__keyed, gy__done;
};
#define GY_JSON_INIT { NULL, 0, 0, 0, 0, 0, 0 }

GY_API void gy_json_object(struct gy_json *json);
GY_API void gy_json_array(struct gy_json *json);
/* Of the object or array that was opened last. */
GY_API void gy_json_end(struct gy_json *json);
GY_API void gy_json_key(struct gy_json *json, const char *key);
/* Bytes that are no UTF-8 become U+FFFD, one each. */
GY_API void gy_json_str(struct gy_json *json, const char *text);
GY_API void gy_json_strn(struct gy_json *json, const char *text, size_t len);
GY_API void gy_json_u64(struct gy_json *json, uint64_t value);
GY_API void gy_json_i64(struct gy_json *json, int64_t value);
/* The shortest digits that read back as the same number; null for what JSON has no number for. */
GY_API void gy_json_double(struct gy_json *json, double value);
GY_API void gy_json_bool(struct gy_json *json, int value);
GY_API void gy_json_null(struct gy_json *json);

/* The finished text, given to the caller in *out (gy_buf_release); json is empty again.
 * -> 0; the error remembered, or -EINVAL if something is still open or nothing was written: *out is
 * untouched. */
GY_API GY_MUST_CHECK int gy_json_take(struct gy_json *json, struct gy_buf **out);
/* Forget what was written. Fine when empty. */
GY_API void gy_json_drop(struct gy_json *json);
/* Answer with it, as application/json; json is empty again. -> as gy_http_reply; the error
 * remembered, and 503 (no memory) or 500 has been answered. */
GY_API int gy_http_json(gy_http_promise reply, int status, struct gy_json *json);

GY_END_DECLS

#endif
