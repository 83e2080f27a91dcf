/* http/auth.c - authenticators: names and passwords, signed tokens.
 *
 * What a client sent is looked at only after its signature was found right; what little JSON a token
 * has is walked over strictly, and a claim that is there twice is no claim. */
#include "http/base64.h"
#include "http/head.h"
#include "http/members.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http_access.h"

#include <errno.h>
#include <string.h>

#if GY__OPENSSL
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#endif

#define CREDENTIALS_MAX 1024 /* of Basic, decoded */
#define TOKEN_MAX 8192
#define RSA_BITS_MIN 2048 /* RFC 7518 3.3 */

int gy_secret_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differs = 0;

    for (size_t i = 0; i < len; i++)
        differs |= x[i] ^ y[i];
    return differs == 0;
}

/* What stands behind the scheme in the one Authorization line; ptr NULL: nothing, or not that one. */
static struct gy_slice credentials_of(const struct gy_http_req *req, const char *scheme)
{
    struct gy_slice value = { NULL, 0 };
    size_t len = strlen(scheme);
    unsigned lines = 0;

    for (unsigned i = 0; i < req->header_count; i++)
        if (gy__http_name_is(req->headers[i].name, "authorization", 13)) {
            value = req->headers[i].value;
            lines++;
        }
    if (lines != 1 || value.len <= len || value.ptr[len] != ' ' ||
        !gy__http_name_is((struct gy_slice){ value.ptr, len }, scheme, len))
        return (struct gy_slice){ NULL, 0 };
    for (; len < value.len && value.ptr[len] == ' '; len++)
        ;
    return (struct gy_slice){ value.ptr + len, value.len - len };
}

/* ---- Basic ------------------------------------------------------------------------------- */

/* Is given what is expected? The time depends on what was given, not on what is expected. */
static unsigned same_text(const char *given, size_t len, const char *expected)
{
    size_t expected_len = strlen(expected);
    uint8_t differs = len != expected_len;

    for (size_t i = 0; i < len; i++) /* compared with itself where there is no more of it */
        differs |= (uint8_t)given[i] ^ (uint8_t)expected[expected_len > 0 ? i % expected_len : 0];
    return !differs;
}

int gy_http_basic(const struct gy_http_realm *realm, const struct gy_http_req *req,
                  struct gy_http_identity *out)
{
    const struct gy_http_users *users = realm->arg;
    struct gy_slice coded = credentials_of(req, "basic");
    uint8_t plain[CREDENTIALS_MAX + 3];
    const char *text = (const char *)plain, *colon;
    const struct gy_http_user *found = NULL;
    long len;

    if (coded.ptr == NULL || coded.len > CREDENTIALS_MAX / 3 * 4)
        return -EACCES;
    len = gy__base64_decode(coded.ptr, coded.len, 0, plain);
    colon = len > 0 ? memchr(plain, ':', (size_t)len) : NULL;
    if (colon == NULL)
        return -EACCES;
    /* All of them, so that the time does not tell whether there is such a name. */
    for (unsigned i = 0; i < users->count; i++) {
        unsigned name = same_text(text, (size_t)(colon - text), users->users[i].name);
        unsigned password = same_text(colon + 1, (size_t)(text + len - colon) - 1, users->users[i].password);

        if (name & password)
            found = &users->users[i];
    }
    if (found == NULL || strlen(found->name) >= sizeof(out->principal))
        return -EACCES;
    strcpy(out->principal, found->name);
    return 0;
}

/* ---- Bearer ------------------------------------------------------------------------------ */

int gy_http_has_tokens(void)
{
    return GY__OPENSSL;
}

#if GY__OPENSSL

struct token {
    struct gy_slice header, payload, signature; /* base64url */
    struct gy_slice signed_part;                /* the first two */
};

static bool split(struct gy_slice text, struct token *token)
{
    const char *end = text.ptr + text.len, *first, *second;

    first = memchr(text.ptr, '.', text.len);
    second = first != NULL ? memchr(first + 1, '.', (size_t)(end - first) - 1) : NULL;
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second) - 1) != NULL)
        return false;
    token->header = (struct gy_slice){ text.ptr, (size_t)(first - text.ptr) };
    token->payload = (struct gy_slice){ first + 1, (size_t)(second - first) - 1 };
    token->signature = (struct gy_slice){ second + 1, (size_t)(end - second) - 1 };
    token->signed_part = (struct gy_slice){ text.ptr, (size_t)(second - text.ptr) };
    return true;
}

static bool hs256_right(const struct gy_http_tokens *tokens, const struct token *token,
                        const uint8_t *signature, size_t len)
{
    uint8_t expected[EVP_MAX_MD_SIZE];
    unsigned expected_len = 0;

    /* An empty key is everybody's: one that was forgotten, and no secret. */
    return tokens->secret_len > 0 && tokens->secret_len <= INT32_MAX && len == 32 &&
           HMAC(EVP_sha256(), tokens->secret, (int)tokens->secret_len, (const uint8_t *)token->signed_part.ptr,
                token->signed_part.len, expected, &expected_len) != NULL &&
           expected_len == 32 && gy_secret_equal(expected, signature, 32);
}

/* A key of OpenSSL's is read by any number of threads at once. */
static bool rs256_right(const struct gy_http_tokens *tokens, const struct token *token,
                        const uint8_t *signature, size_t len)
{
    EVP_PKEY *key = (EVP_PKEY *)(uintptr_t)tokens->key;
    EVP_MD_CTX *ctx = key != NULL ? EVP_MD_CTX_new() : NULL;
    bool right = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
                 EVP_DigestVerify(ctx, signature, len, (const uint8_t *)token->signed_part.ptr,
                                  token->signed_part.len) == 1;

    EVP_MD_CTX_free(ctx);
    return right;
}

int gy_http_key_open(struct gy_http_key **out, const char *pem, size_t len)
{
    BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key;

    *out = NULL;
    if (bio == NULL)
        return len <= INT32_MAX ? -ENOMEM : -EINVAL;
    key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    if (key == NULL || EVP_PKEY_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_bits(key) < RSA_BITS_MIN) {
        EVP_PKEY_free(key);
        ERR_clear_error(); /* which is the thread's */
        return -EINVAL;
    }
    *out = (struct gy_http_key *)(void *)key;
    return 0;
}

void gy_http_key_close(struct gy_http_key *key)
{
    EVP_PKEY_free((EVP_PKEY *)(void *)key);
}

/* A claim that is a number of seconds. -> false: there is none, or it is none. */
static bool seconds_of(struct gy_slice json, const char *name, uint64_t *seconds)
{
    struct gy_slice value;
    uint64_t number = 0;
    size_t i = 0;

    if (gy__members_find(json, name, &value) != 1)
        return false;
    for (; i < value.len && value.ptr[i] >= '0' && value.ptr[i] <= '9' && number < UINT64_MAX / 100; i++)
        number = number * 10 + (uint64_t)(value.ptr[i] - '0');
    *seconds = number;
    if (i == 0 || i == value.len)
        return i > 0;
    /* Parts of a second do not matter; powers of ten would. */
    return value.ptr[i] == '.' && memchr(value.ptr, 'e', value.len) == NULL &&
           memchr(value.ptr, 'E', value.len) == NULL;
}

/* A claim that is that text, or, an array, has it. */
static bool says(struct gy_slice json, const char *name, const char *text)
{
    struct gy_slice value;

    if (gy__members_find(json, name, &value) != 1 || value.len == 0)
        return false;
    return value.ptr[0] == '[' ? gy__array_has(value, text) : gy__string_is(value, text);
}

/* What a token says of its algorithm decides nothing; but one that says another was not made for this
 * realm (RFC 7515 4.1.1, RFC 8725 3.1). */
static bool header_right(const struct gy_http_tokens *tokens, struct gy_slice header)
{
    const char *algorithm = tokens->algorithm == GY_HTTP_HS256 ? "HS256" : "RS256";
    struct gy_slice value;

    return gy__members_valid(header) && gy__members_find(header, "alg", &value) == 1 &&
           gy__string_is(value, algorithm) && gy__members_find(header, "crit", &value) == 0;
}

/* -> 0; -EACCES. now_s: the wall clock's. */
static int check_claims(const struct gy_http_tokens *tokens, struct gy_slice header, struct gy_slice json,
                        uint64_t now_s, struct gy_http_identity *out)
{
    struct gy_slice value;
    uint64_t at;
    int there;

    if (!header_right(tokens, header) || !gy__members_valid(json))
        return -EACCES;
    there = gy__members_find(json, "exp", &value);
    if (there != 0 ? !seconds_of(json, "exp", &at) || now_s >= at + tokens->leeway_s : !tokens->may_last)
        return -EACCES;
    if (gy__members_find(json, "nbf", &value) != 0 &&
        (!seconds_of(json, "nbf", &at) || now_s + tokens->leeway_s < at))
        return -EACCES;
    if ((tokens->issuer != NULL && !says(json, "iss", tokens->issuer)) ||
        (tokens->audience != NULL && !says(json, "aud", tokens->audience)))
        return -EACCES;
    out->principal[0] = '\0';
    if (gy__members_find(json, "sub", &value) == 1 &&
        !gy__string_copy(value, out->principal, sizeof(out->principal)))
        return -EACCES;
    return 0;
}

static int check_token(const struct gy_http_tokens *tokens, const struct token *token, uint8_t *room,
                       struct gy_http_identity *out)
{
    long len = gy__base64_decode(token->signature.ptr, token->signature.len, 1, room), payload_len;
    struct gy_slice header;
    int err;

    if (len < 0 || !(tokens->algorithm == GY_HTTP_HS256 ? hs256_right(tokens, token, room, (size_t)len)
                                                        : rs256_right(tokens, token, room, (size_t)len)))
        return -EACCES;
    len = gy__base64_decode(token->header.ptr, token->header.len, 1, room);
    if (len < 0)
        return -EACCES;
    header = (struct gy_slice){ (const char *)room, (size_t)len };
    out->claims = gy_buf_take(token->payload.len + 3);
    if (out->claims == NULL)
        return -EAGAIN;
    payload_len = gy__base64_decode(token->payload.ptr, token->payload.len, 1, out->claims->data);
    err = payload_len < 0 ? -EACCES : 0;
    if (err == 0) {
        out->claims->len = (uint32_t)payload_len;
        err = check_claims(tokens, header,
                           (struct gy_slice){ (const char *)out->claims->data, (size_t)payload_len },
                           gy_wall() / (uint64_t)GY_S, out);
    }
    if (err < 0) {
        gy_buf_release(out->claims);
        out->claims = NULL;
    }
    return err;
}

int gy_http_bearer(const struct gy_http_realm *realm, const struct gy_http_req *req,
                   struct gy_http_identity *out)
{
    struct gy_slice text = credentials_of(req, "bearer");
    uint8_t room[TOKEN_MAX];
    struct token token;

    if (text.ptr == NULL || text.len > TOKEN_MAX || !split(text, &token))
        return -EACCES;
    return check_token(realm->arg, &token, room, out);
}

#else

int gy_http_key_open(struct gy_http_key **out, const char *pem, size_t len)
{
    (void)pem, (void)len;
    *out = NULL;
    return -ENOTSUP;
}

void gy_http_key_close(struct gy_http_key *key)
{
    (void)key;
}

int gy_http_bearer(const struct gy_http_realm *realm, const struct gy_http_req *req,
                   struct gy_http_identity *out)
{
    (void)realm, (void)req, (void)out, (void)credentials_of;
    return -ENOTSUP;
}

#endif
