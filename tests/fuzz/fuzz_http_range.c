/* Any Range, If-Range and conditions. Input: 8 bytes of a size, then lines: the values of Range,
 * If-Range, If-None-Match, If-Match and If-Modified-Since. A part lies within what there is, begins
 * where the request says, and everything else is all of it. */
#include "gyre/http_content.h"

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 512
#define HEADERS 5

static const char *const names[HEADERS] = {"Range", "If-Range", "If-None-Match", "If-Match",
                                           "If-Modified-Since"};

/* The value between two line ends, in memory of its size; an empty one is no header. */
static void take_headers(struct gy_http_req *req, struct gy_http_header *headers, const uint8_t *data,
                         size_t len)
{
    for (unsigned i = 0; i < HEADERS && len > 0; i++) {
        const uint8_t *line = memchr(data, '\n', len);
        size_t n = line != NULL ? (size_t)(line - data) : len;
        char *value = malloc(n > 0 ? n : 1);

        require(value != NULL);
        memcpy(value, data, n);
        headers[req->header_count].name = (struct gy_slice){names[i], strlen(names[i])};
        headers[req->header_count].value = (struct gy_slice){value, n};
        if (n > 0)
            req->header_count++;
        else
            free(value);
        data += n + (line != NULL);
        len -= n + (line != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct gy_http_header headers[HEADERS];
    struct gy_http_req req = {.method = {"GET", 3}, .headers = headers, .minor = 1};
    struct gy_http_range range = {7, 7};
    uint64_t size;
    int status;

    if (len < sizeof(size) || len > INPUT_MAX)
        return 0;
    memcpy(&size, data, sizeof(size));
    take_headers(&req, headers, data + sizeof(size), len - sizeof(size));
    status = gy_http_range(&req, size, "\"a-b\"", 784111777, &range);
    if (status == 206)
        require(range.len > 0 && range.first < size && range.len <= size - range.first);
    else
        require((status == 200 || status == 416) && range.first == 0 && range.len == size);
    if (status != 200) { /* only bytes=FIRST-LAST, bytes=FIRST- and bytes=-SUFFIX are parts */
        const struct gy_slice *value = gy_http_header(&req, "range");
        char *text;

        require(value != NULL && value->len > 6);
        text = text_of((const uint8_t *)value->ptr + 6, value->len - 6);
        if (status == 206 && text[strspn(text, " \t,")] != '-')
            require(range.first == strtoull(text + strspn(text, " \t,"), NULL, 10));
        free(text);
    }
    status = gy_http_condition(&req, "\"a-b\"", 784111777);
    require(status == 0 || status == 304 || status == 412);
    while (req.header_count > 0)
        free((char *)(uintptr_t)headers[--req.header_count].value.ptr);
    return 0;
}
