/* Any bytes as lines of X-Forwarded-For or Forwarded. The first byte says which header, and where the lines are cut.
 * Of a list without quotes, one split from the left here must lead to the same address; and whatever the input is, what a
 * proxy writes behind it is what counts. */
#include "http/from.h"

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 1024
#define LINES_MAX 4

static const char *const proxies[] = {"10.0.0.0/8", "fd00::/8", NULL};
static struct gy_http_access options = GY_HTTP_ACCESS_INIT;
static struct gy_http_header headers[LINES_MAX]; /* of the input fewer, so that one can be added */
static struct gy_addr proxy = {.family = GY_ADDR_IPV4, .len = 4, .port = 1, .bytes = {10, 0, 0, 1}};
static struct gy_addr other = {.family = GY_ADDR_IPV4, .len = 4, .port = 2, .bytes = {10, 0, 0, 2}};

static bool trusted(const struct gy_addr *addr)
{
    return addr->family == GY_ADDR_IPV4 ? addr->bytes[0] == 10 : addr->bytes[0] == 0xfd;
}

static struct gy_addr walk_from(const struct gy_addr *peer, const struct gy_http_header *lines, unsigned count)
{
    struct gy_http_req req = {.headers = lines, .header_count = (uint16_t)count};
    struct gy_addr addr = *peer;

    gy__http_forwarded(&req, &options, &addr);
    require(addr.family == GY_ADDR_IPV4 ? addr.len == 4 : addr.family == GY_ADDR_IPV6 && addr.len == 16);
    for (unsigned i = addr.len; i < GY_ADDR_BYTES; i++)
        require(addr.bytes[i] == 0);
    require(addr.scope == 0);
    return addr;
}

static struct gy_addr walk(unsigned count)
{
    return walk_from(&proxy, headers, count);
}

/* One line more, by the proxy that is asked, or the same behind the last line. */
static void check_behind(unsigned count, const char *own, uint16_t port, const uint8_t bytes[4])
{
    struct gy_http_header before = headers[count - 1];
    struct gy_addr addr;
    char *longer;
    size_t len = before.value.len;

    headers[count] = (struct gy_http_header){before.name, {own, strlen(own)}};
    addr = walk(count + 1);
    require(addr.family == GY_ADDR_IPV4 && addr.port == port && memcmp(addr.bytes, bytes, 4) == 0);
    longer = malloc(len + 2 + strlen(own));
    require(longer != NULL);
    memcpy(longer, before.value.ptr, len);
    memcpy(longer + len, ", ", 2);
    memcpy(longer + len + 2, own, strlen(own));
    headers[count - 1].value = (struct gy_slice){longer, len + 2 + strlen(own)};
    addr = walk(count);
    require(addr.family == GY_ADDR_IPV4 && addr.port == port && memcmp(addr.bytes, bytes, 4) == 0);
    headers[count - 1] = before;
    free(longer);
}

/* X-Forwarded-For, all elements of all lines: the same by splitting from the left. */
static void check_list(unsigned count)
{
    static struct gy_slice elements[INPUT_MAX + LINES_MAX];
    unsigned n = 0;
    struct gy_addr at = proxy, addr = walk(count);

    for (unsigned i = 0; i < count; i++) {
        const char *from = headers[i].value.ptr, *end = from + headers[i].value.len;

        for (;;) {
            const char *to = from;

            while (to < end && *to != ',')
                to++;
            elements[n++] = (struct gy_slice){from, (size_t)(to - from)};
            if (to == end)
                break;
            from = to + 1;
        }
    }
    while (n > 0 && trusted(&at)) {
        struct gy_http_header alone = {headers[0].name, elements[--n]};
        struct gy_addr one = walk_from(&proxy, &alone, 1), two = walk_from(&other, &alone, 1);
        bool blank = true;

        for (size_t i = 0; i < alone.value.len; i++)
            blank &= alone.value.ptr[i] == ' ' || alone.value.ptr[i] == '\t';
        if (blank)
            continue;
        if (gy_addr_equal(&one, &proxy) && gy_addr_equal(&two, &other))
            break; /* it says nothing */
        at = gy_addr_equal(&one, &proxy) ? two : one;
    }
    require(gy_addr_equal(&at, &addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const names[] = {"X-Forwarded-For", "Forwarded"};
    static const uint8_t client[4] = {192, 0, 2, 1};
    unsigned count = 0;
    const uint8_t *end = data + len;
    char *lines[LINES_MAX];

    if (len == 0 || len > INPUT_MAX)
        return 0;
    options.proxies = proxies;
    options.forwarded = *data++ & 1;
    for (bool more = true; more && count < LINES_MAX - 1; count++) {
        const uint8_t *to = memchr(data, '\n', (size_t)(end - data));

        more = to != NULL;
        to = more ? to : end;
        lines[count] = malloc((size_t)(to - data) + 1);
        require(lines[count] != NULL);
        memcpy(lines[count], data, (size_t)(to - data));
        headers[count].name = (struct gy_slice){names[options.forwarded], strlen(names[options.forwarded])};
        headers[count].value = (struct gy_slice){lines[count], (size_t)(to - data)};
        data = more ? to + 1 : end;
    }
    (void)walk(count);
    if (options.forwarded == GY_HTTP_FORWARDED) {
        check_behind(count, "for=192.0.2.1", 0, client);
        check_behind(count, "for=\"192.0.2.1:7\";host=\"a\\\"b,c\"", 7, client);
    } else {
        check_behind(count, "192.0.2.1", 0, client);
        check_behind(count, "192.0.2.1:7", 7, client);
        check_list(count);
    }
    while (count > 0)
        free(lines[--count]);
    return 0;
}
