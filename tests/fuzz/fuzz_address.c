/* Any text is an address, a name, or refused; what was read, written and read again is the same, and
 * numbers mean what they mean to the C library. Input: the text, up to its first NUL. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/addr.h"
#include "core/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_address(const char *text)
{
    struct gy_addr addr, again;
    char out[GY_ADDR_TEXT_MAX];

    if (gy_addr_parse(&addr, text) < 0)
        return;
    size_t n = gy_addr_print(&addr, out, sizeof(out));
    require(n == strlen(out) && n < sizeof(out));
    /* A path may have bytes that are written as question marks. */
    if (addr.family == GY_ADDR_UNIX)
        return;
    require(gy_addr_parse(&again, out) == 0 && memcmp(&addr, &again, sizeof(addr)) == 0);
    /* What one may listen at is an address; the other way round but for scopes. */
    require((gy__address_wrong(out) == NULL) == (addr.scope == 0));
}

static void check_numbers(const char *text, size_t len)
{
    struct gy_addr addr;
    uint8_t bytes[16];
    bool is = gy__addr_numeric(&addr, text, len);

    if (memchr(text, '%', len) == NULL && memchr(text, '[', len) == NULL) {
        require(is == (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1));
        require(!is || memcmp(bytes, addr.bytes, addr.len) == 0);
    }
    /* Nothing is both. */
    require(!is || !gy__name_valid(text, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    uint16_t port;

    memcpy(text, data, len);
    text[len] = 0;
    check_address(text);
    check_numbers(text, strlen(text));
    require(gy__name_split(text, &port) < strlen(text) + (*text == 0));
    require(gy__address_wrong(text) != NULL || gy_addr_parse(&(struct gy_addr){0}, text) == 0);
    free(text);
    return 0;
}
