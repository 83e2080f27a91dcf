/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy_wall */
/* Any credentials, and any token that is signed. Input: 8 bytes, of which the first says which realm and the others
 * what is broken, then the value of Authorization; or, for a token, its header, a line end and its claims, which are
 * signed here. A name and its password are taken when a decoder written here finds them; a token when its signature is
 * right and its claims are what the realm wants, by the members that fuzz_http_members checks; one bit
 * changed in it and it is none. */
#include "gyre/core.h"
#include "gyre/http_access.h"
#include "http/members.h"

#include "tests/fuzz/fuzz.h"
#include "tests/http/fake_bufs.c"

#include <errno.h>
#include <strings.h>

#if GY__OPENSSL
#include <openssl/evp.h>
#include <openssl/hmac.h>
#endif

#define INPUT_MAX 2048
#define NOW_S 1700000000u
#define LEEWAY_S 30u

uint64_t __wrap_gy_wall(void);
uint64_t __wrap_gy_wall(void)
{
    return NOW_S * (uint64_t)GY_S + 5;
}

/* -> what the authenticator says of that value, which is memory of exactly its size. */
static int ask(int (*authenticate)(const struct gy_http_realm *realm, const struct gy_http_req *req,
                                   struct gy_http_identity *out),
               const void *arg, const void *value, size_t len, struct gy_http_identity *out)
{
    struct gy_http_realm realm = { .name = "r", .challenge = "x", .authenticate = authenticate, .arg = arg };
    struct gy_http_header header = {{"Authorization", 13}, {NULL, len}};
    struct gy_http_req req = {.method = {"GET", 3}, .headers = &header, .header_count = 1, .minor = 1};
    char *copy = malloc(len > 0 ? len : 1);
    int err;

    require(copy != NULL);
    memcpy(copy, value, len);
    header.value.ptr = copy;
    memset(out, 0xAA, sizeof(*out));
    out->claims = NULL;
    err = authenticate(&realm, &req, out);
    require(err == 0 || (err == -EACCES && out->claims == NULL));
    free(copy);
    return err;
}

/* ---- names and passwords ---- */

static const struct gy_http_user users[] = {{"alice", "open sesame"}, {"bob", ""}, {"", "nobody"}, {"a:b", "never"}};
static const struct gy_http_users known = {users, 4};

/* -> length; -1: it is no base64 of the plain alphabet, padded, in its one form. */
static int decode(const uint8_t *text, size_t len, uint8_t *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int n = 0;

    if (len % 4 != 0)
        return -1;
    for (size_t at = 0; at < len; at += 4) {
        uint32_t bits = 0;
        unsigned pads = 0;

        for (unsigned i = 0; i < 4; i++) {
            const char *found = text[at + i] != 0 ? strchr(alphabet, text[at + i]) : NULL;

            if (text[at + i] == '=' && at + 4 == len && i >= 2)
                pads++;
            else if (found == NULL || pads > 0)
                return -1;
            bits = bits << 6 | (found != NULL ? (uint32_t)(found - alphabet) : 0);
        }
        if ((pads == 1 && bits & 0xFF) || (pads == 2 && bits & 0xFFFF))
            return -1;
        for (unsigned i = 0; i < 3 - pads; i++)
            out[n++] = (uint8_t)(bits >> (16 - 8 * i));
    }
    return n;
}

static const char *who(const uint8_t *value, size_t len)
{
    uint8_t plain[INPUT_MAX];
    size_t at = 6;
    int n;

    if (len < 7 || strncasecmp((const char *)value, "basic ", 6) != 0)
        return NULL;
    while (at < len && value[at] == ' ')
        at++;
    n = decode(value + at, len - at, plain);
    for (unsigned i = 0; n > 0 && i < 3; i++) { /* not the last: a name ends at the first colon */
        size_t name = strlen(users[i].name), password = strlen(users[i].password);

        if ((size_t)n == name + 1 + password && memcmp(plain, users[i].name, name) == 0 && plain[name] == ':' &&
            memcmp(plain + name + 1, users[i].password, password) == 0)
            return users[i].name;
    }
    return NULL;
}

static void basic(const uint8_t *data, size_t len)
{
    struct gy_http_identity identity;
    const char *expected = who(data, len);
    int err = ask(gy_http_basic, &known, data, len, &identity);

    require((err == 0) == (expected != NULL));
    require(expected == NULL || strcmp(identity.principal, expected) == 0);
}

/* ---- tokens ---- */

#if GY__OPENSSL

static const struct gy_http_tokens kinds[] = {
    {GY_HTTP_HS256, "a key of some length", 20, NULL, NULL, NULL, LEEWAY_S, 0},
    {GY_HTTP_HS256, "k", 1, NULL, "me", "you", LEEWAY_S, 1},
    {GY_HTTP_HS256, "", 0, NULL, NULL, NULL, LEEWAY_S, 1}, /* takes none */
};

static size_t encode(const uint8_t *bytes, size_t len, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = 0, bits = 8 * len;

    for (size_t i = 0; i < bits; i += 6) {
        unsigned two = bytes[i / 8] * 256u + (i / 8 + 1 < len ? bytes[i / 8 + 1] : 0);

        out[n++] = alphabet[two >> (10 - i % 8) & 63];
    }
    return n;
}

/* Whole seconds of a number that has no exponent. -> false: it is no such number, or beyond all times. */
static bool seconds(struct gy_slice value, uint64_t *out)
{
    size_t i = 0;

    for (*out = 0; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9'; i++)
        if (*out >= UINT64_MAX / 100)
            return false;
        else
            *out = *out * 10 + (uint64_t)(value.ptr[i] - '0');
    return i > 0 && (i == value.len || value.ptr[i] == '.') && memchr(value.ptr, 'e', value.len) == NULL &&
           memchr(value.ptr, 'E', value.len) == NULL;
}

/* Is a token of these parts to be taken? name: of whom. */
static bool is_taken(const struct gy_http_tokens *tokens, struct gy_slice header, struct gy_slice claims, char *name)
{
    struct gy_slice value;
    uint64_t at;
    int count;

    if (tokens->secret_len == 0 || !gy__members_valid(header) || !gy__members_valid(claims))
        return false;
    if (gy__members_find(header, "alg", &value) != 1 || !gy__string_is(value, "HS256") ||
        gy__members_find(header, "crit", &value) > 0)
        return false;
    count = gy__members_find(claims, "exp", &value);
    if (count > 1 || (count == 0 && !tokens->may_last) ||
        (count == 1 && (!seconds(value, &at) || NOW_S >= at + LEEWAY_S)))
        return false;
    count = gy__members_find(claims, "nbf", &value);
    if (count > 1 || (count == 1 && (!seconds(value, &at) || NOW_S + LEEWAY_S < at)))
        return false;
    if (tokens->issuer != NULL && (gy__members_find(claims, "iss", &value) != 1 || (value.ptr[0] == '['
                                       ? !gy__array_has(value, tokens->issuer) : !gy__string_is(value, tokens->issuer))))
        return false;
    if (tokens->audience != NULL && (gy__members_find(claims, "aud", &value) != 1 || (value.ptr[0] == '['
                                         ? !gy__array_has(value, tokens->audience) : !gy__string_is(value, tokens->audience))))
        return false;
    name[0] = '\0';
    count = gy__members_find(claims, "sub", &value);
    return count != 1 || gy__string_copy(value, name, GY_HTTP_PRINCIPAL_SIZE);
}

static void token(const struct gy_http_tokens *tokens, const uint8_t *data, size_t len, uint64_t seed)
{
    static char value[3 * INPUT_MAX];
    const uint8_t *line = memchr(data, '\n', len);
    size_t header_len = line != NULL ? (size_t)(line - data) : len, n = 7, dots;
    struct gy_slice claims = {(const char *)(line != NULL ? line + 1 : data + len), 0};
    struct gy_http_identity identity;
    char name[GY_HTTP_PRINCIPAL_SIZE];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    bool taken;

    claims.len = (size_t)((const char *)data + len - claims.ptr);
    taken = is_taken(tokens, (struct gy_slice){(const char *)data, header_len}, claims, name);
    memcpy(value, "Bearer ", 7);
    n += encode(data, header_len, value + n);
    value[n++] = '.';
    n += encode((const uint8_t *)claims.ptr, claims.len, value + n);
    require(HMAC(EVP_sha256(), tokens->secret, (int)tokens->secret_len, (const uint8_t *)value + 7, n - 7, digest,
                 &digest_len) != NULL);
    value[n++] = '.';
    dots = n;
    n += encode(digest, digest_len, value + n);
    require((ask(gy_http_bearer, tokens, value, n, &identity) == 0) == taken);
    if (taken) {
        require(strcmp(identity.principal, name) == 0 && identity.claims->len == claims.len);
        require(memcmp(identity.claims->data, claims.ptr, claims.len) == 0);
        gy_buf_release(identity.claims);
    }
    /* With one bit changed, or cut anywhere, it is none. */
    value[7 + draw(&seed) % (n - 7)] ^= (char)(1 << draw(&seed) % 8);
    require(ask(gy_http_bearer, tokens, value, n, &identity) == -EACCES);
    require(ask(gy_http_bearer, tokens, value, draw(&seed) % dots, &identity) == -EACCES);
}

#else

static const struct gy_http_tokens kinds[1];

static void token(const struct gy_http_tokens *tokens, const uint8_t *data, size_t len, uint64_t seed)
{
    (void)tokens, (void)data, (void)len, (void)seed;
}

#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct gy_http_identity identity;
    uint64_t seed;
    unsigned kind;

    if (len < sizeof(seed) || len > INPUT_MAX)
        return 0;
    memcpy(&seed, data, sizeof(seed));
    kind = data[0] % 5;
    data += sizeof(seed);
    len -= sizeof(seed);
    fake_bufs_reset();
    if (kind == 0)
        basic(data, len);
    else if (kind == 1) /* which nobody has signed */
        require(!gy_http_has_tokens() || ask(gy_http_bearer, &kinds[0], data, len, &identity) == -EACCES);
    else
        token(&kinds[gy_http_has_tokens() ? kind - 2 : 0], data, len, seed);
    require(fake_bufs.out == 0);
    return 0;
}
