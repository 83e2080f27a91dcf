/* Any query and any parameters of a path, decoded into memory of any size. Input: a name, a line end,
 * a query. What gy_http_query says is compared with a decoder that first decodes everything, and
 * every size of memory must give the same text or -ENOBUFS. */
#include "gyre/http.h"

#include "tests/fuzz/fuzz.h"

#include <errno.h>

#define INPUT_MAX 512

struct text {
    int len; /* or -EINVAL */
    char bytes[INPUT_MAX];
};

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at == NULL ? -1 : (int)(at - digits) % 16;
}

static struct text decode(const char *at, size_t len)
{
    struct text text = {0};

    for (size_t i = 0; i < len; i++) {
        char c = at[i];

        if (c == '+')
            c = ' ';
        if (c == '%') {
            if (len - i < 3 || digit(at[i + 1]) < 0 || digit(at[i + 2]) < 0) {
                text.len = -EINVAL;
                return text;
            }
            c = (char)(digit(at[i + 1]) * 16 + digit(at[i + 2]));
            i += 2;
        }
        text.bytes[text.len++] = c;
    }
    return text;
}

/* The last parameter of that name. */
static struct text expected(const char *name, const char *query, size_t len)
{
    struct text found = {.len = -ENOENT};
    size_t at = 0, name_len = strlen(name);

    while (at < len) {
        size_t stop = at, equals;
        struct text key;

        while (stop < len && query[stop] != '&')
            stop++;
        for (equals = at; equals < stop && query[equals] != '=';)
            equals++;
        key = decode(query + at, equals - at);
        if (key.len == (int)name_len && memcmp(key.bytes, name, name_len) == 0)
            found = equals < stop ? decode(query + equals + 1, stop - equals - 1) : (struct text){0};
        at = stop + 1;
    }
    return found;
}

/* Memory of that size: the text, or -ENOBUFS and nothing behind it. */
static void ask(const struct gy_http_req *req, const char *name, size_t size,
                const struct text *expected)
{
    char *out = malloc(size > 0 ? size : 1);
    int len;

    require(out != NULL);
    len = gy_http_query(req, name, out, size);
    if (expected->len >= 0 && size <= (size_t)expected->len) {
        require(len == -ENOBUFS);
    } else if (expected->len >= 0) {
        require(len == expected->len && out[len] == '\0');
        require(memcmp(out, expected->bytes, (size_t)len) == 0);
    } else { /* a text that is broken behind what fits */
        require(len == expected->len || (len == -ENOBUFS && expected->len == -EINVAL));
    }
    free(out);
}

/* Numbers never come from what is no number: what is taken is what strtoull would read. */
static void ask_numbers(const struct gy_http_req *req, const char *name, const struct text *expected)
{
    uint64_t u64 = 7;
    int64_t i64 = 7;
    int yes = 7;

    if (gy_http_query_u64(req, name, &u64) == 0)
        require(expected->len > 0 && digit(expected->bytes[0]) >= 0 &&
                u64 == strtoull(expected->bytes, NULL, 10));
    else
        require(u64 == 7);
    if (gy_http_query_i64(req, name, &i64) == 0)
        require(expected->len > 0 && i64 == strtoll(expected->bytes, NULL, 10));
    else
        require(i64 == 7);
    if (gy_http_query_bool(req, name, &yes) == 0)
        require(expected->len >= 0 && (yes == 0 || yes == 1));
    else
        require(yes == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *line = len > 0 ? memchr(data, '\n', len) : NULL;
    struct gy_http_req req = {.minor = 1};
    struct text text;
    char *name, *query;
    size_t query_len;

    if (line == NULL || len > INPUT_MAX)
        return 0;
    name = text_of(data, (size_t)(line - data));
    query_len = len - (size_t)(line - data) - 1;
    query = malloc(query_len > 0 ? query_len : 1); /* not ended by 0 */
    require(query != NULL);
    memcpy(query, line + 1, query_len);
    req.query = (struct gy_slice){query, query_len};
    text = expected(name, query, query_len);
    for (size_t size = 0; size < 40; size++)
        ask(&req, name, size, &text);
    ask(&req, name, INPUT_MAX, &text);
    ask_numbers(&req, name, &text);
    free(query);
    free(name);
    return 0;
}
