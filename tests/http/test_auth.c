/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy_wall */
/* Names and passwords, and signed tokens: right ones, and everything that is nearly right. */
#include "gyre/core.h"
#include "gyre/http_access.h"
#include "http/base64.h"
#include "http/members.h"
#include "tests/http/fake_bufs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if GY__OPENSSL
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#endif

static uint64_t now_s = 1000;
uint64_t __wrap_gy_wall(void);
uint64_t __wrap_gy_wall(void)
{
    return now_s * (uint64_t)GY_S;
}

static int setup(void **state)
{
    (void)state;
    fake_bufs_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_bufs.out, 0);
    return 0;
}

/* ---- base64 ---- */

static void test_base64(void **state)
{
    static const struct {
        const char *plain, *coded;
    } vectors[] = { { "", "" },         { "f", "Zg==" },         { "fo", "Zm8=" },        { "foo", "Zm9v" },
                    { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    static const char *const bad[] = { "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm9v=", "Zg==Zg==", "Z===", "====",
                                       "Zm 9v", "Zm9v\n", "Zm9-", "Zm9_" };
    char text[64];
    uint8_t bytes[64];

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        size_t len = gy__base64_encode((const uint8_t *)vectors[i].plain, strlen(vectors[i].plain), text);
        assert_int_equal(len, strlen(vectors[i].coded));
        assert_memory_equal(text, vectors[i].coded, len);
        assert_int_equal(gy__base64_decode(text, len, 0, bytes), strlen(vectors[i].plain));
        assert_memory_equal(bytes, vectors[i].plain, strlen(vectors[i].plain));
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__base64_decode(bad[i], strlen(bad[i]), 0, bytes) >= 0)
            fail_msg("takes %s", bad[i]);
    assert_int_equal(gy__base64_decode("-_-_", 4, 1, bytes), 3);
    assert_int_equal(gy__base64_decode("Zg", 2, 1, bytes), 1);
    assert_int_equal(gy__base64_decode("Zg==", 4, 1, bytes), -EINVAL);
    assert_int_equal(gy__base64_decode("+/+/", 4, 1, bytes), -EINVAL);
}

static void test_secret(void **state)
{
    (void)state;
    assert_true(gy_secret_equal("abc", "abc", 3));
    assert_false(gy_secret_equal("abc", "abd", 3));
    assert_false(gy_secret_equal("xbc", "abc", 3));
    assert_true(gy_secret_equal("x", "y", 0));
}

/* ---- Basic ---- */

static const struct gy_http_user users[] = { { "ann", "secret" }, { "bob", "" }, { "", "empty" }, { "carl", "a:b" } };
static const struct gy_http_users list = { users, 4 };
static const struct gy_http_realm basic = { .name = "r", .challenge = "Basic", .authenticate = gy_http_basic, .arg = &list };

static int ask(const struct gy_http_realm *realm, const char *value, struct gy_http_identity *who)
{
    struct gy_http_header header = { { "Authorization", 13 }, { value, value != NULL ? strlen(value) : 0 } };
    struct gy_http_req req = { .headers = &header, .header_count = value != NULL };

    memset(who, 0, sizeof(*who));
    return realm->authenticate(realm, &req, who);
}

static int login(const char *text)
{
    struct gy_http_identity who;
    char value[2000] = "Basic ";
    size_t len = 6 + gy__base64_encode((const uint8_t *)text, strlen(text), value + 6);
    int err;

    value[len] = '\0';
    err = ask(&basic, value, &who);
    if (err == 0)
        assert_int_equal(strcspn(text, ":"), strlen(who.principal));
    return err;
}

static void test_basic(void **state)
{
    struct gy_http_header twice[2] = { { { "Authorization", 13 }, { "Basic YW5uOnNlY3JldA==", 22 } },
                                       { { "authorization", 13 }, { "Basic YW5uOnNlY3JldA==", 22 } } };
    struct gy_http_req req = { .headers = twice, .header_count = 2 };
    struct gy_http_identity who;

    (void)state;
    assert_int_equal(login("ann:secret"), 0);
    assert_int_equal(login("bob:"), 0);
    assert_int_equal(login(":empty"), 0);
    assert_int_equal(login("carl:a:b"), 0);
    assert_int_equal(login("ann:secre"), -EACCES);
    assert_int_equal(login("ann:secrets"), -EACCES);
    assert_int_equal(login("ann:secretsecret"), -EACCES);
    assert_int_equal(login("ann:"), -EACCES);
    assert_int_equal(login("bob:x"), -EACCES);
    assert_int_equal(login("ann"), -EACCES);
    assert_int_equal(login(""), -EACCES);
    assert_int_equal(login("bob:secret"), -EACCES); /* another's password */
    assert_int_equal(login("Ann:secret"), -EACCES);
    assert_int_equal(ask(&basic, "basic   YW5uOnNlY3JldA==", &who), 0);
    assert_string_equal(who.principal, "ann");
    assert_int_equal(ask(&basic, NULL, &who), -EACCES);
    assert_int_equal(ask(&basic, "Basic", &who), -EACCES);
    assert_int_equal(ask(&basic, "Basic ", &who), -EACCES);
    assert_int_equal(ask(&basic, "BasicYW5uOnNlY3JldA==", &who), -EACCES);
    assert_int_equal(ask(&basic, "Bearer YW5uOnNlY3JldA==", &who), -EACCES);
    assert_int_equal(ask(&basic, "Basic YW5uOnNlY3JldA", &who), -EACCES);
    assert_int_equal(gy_http_basic(&basic, &req, &who), -EACCES); /* which of them? */
    req.header_count = 1;
    assert_int_equal(gy_http_basic(&basic, &req, &who), 0);
}

/* ---- members ---- */

static bool valid(const char *text)
{
    char *copy = malloc(strlen(text) + 1);
    bool is;

    memcpy(copy, text, strlen(text)); /* not ended */
    is = gy__members_valid((struct gy_slice){ copy, strlen(text) });
    free(copy);
    return is;
}

static void test_members(void **state)
{
    static const char *const good[] = { "{}", " { } ", "{\"a\":1}", "{\"a\":-1.5e+3,\"b\":[1,[],{}],\"c\":{\"d\":null}}",
                                        "{\"a\":\"\\u00e4\\n\\\"\",\"\":true}", "{\"\xc3\xa4\":0}" };
    static const char *const bad[] = { "", "1", "[]", "{", "}", "{}}", "{} x", "{a:1}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
                                       "{,}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}", "{\"a\":1e}", "{\"a\":tru}",
                                       "{\"a\":\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\n\"}", "{\"a\":\"\xff\"}",
                                       "{\"a\":[1,]}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":[1}", "{'a':1}",
                                       "{\"a\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}" };
    struct gy_slice json = { "{ \"a\" : 1 , \"b\":\"x\",\"a\":[\"p\", \"q\"], \"ab\":{\"a\":7}}", 50 }, value;

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!valid(good[i]))
            fail_msg("refuses %s", good[i]);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (valid(bad[i]))
            fail_msg("takes %s", bad[i]);
    json.len = strlen(json.ptr);
    assert_true(gy__members_valid(json));
    assert_int_equal(gy__members_find(json, "a", &value), 2);
    assert_true(gy__array_has(value, "q"));
    assert_false(gy__array_has(value, "r"));
    assert_int_equal(gy__members_find(json, "b", &value), 1);
    assert_true(gy__string_is(value, "x"));
    assert_int_equal(gy__members_find(json, "c", &value), 0);
    json = (struct gy_slice){ " {} ", 4 };
    assert_int_equal(gy__members_find(json, "a", &value), 0);
}

/* What a string of JSON says, RFC 8259 7 and 8.2. */
static void test_escapes(void **state)
{
    static const struct {
        const char *json, *said; /* NULL: nothing that a text could hold */
    } rows[] = {
        { "\"\"", "" },
        { "\"a\\/b\"", "a/b" },
        { "\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\b\f\n\r\t" },
        { "\"jos\\u00e9\"", "jos\xc3\xa9" },
        { "\"jos\xc3\xa9\"", "jos\xc3\xa9" },
        { "\"\\u0041\\u007f\\u0080\\u07FF\\u0800\\uFFff\"", "A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf" },
        { "\"\\uD83D\\uDE00\\ud800\\udc00\\uDBFF\\uDFFF\"", "\xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
        { "\"\\u0000\"", NULL },
        { "\"a\\uD83D\"", NULL },
        { "\"\\uD83Da\\uDE00\"", NULL },
        { "\"\\uD83D\\n12345\"", NULL },
        { "\"\\uD83D\\uD83D\"", NULL },
        { "\"\\uDE00\\uD83D\"", NULL },
        { "1", NULL },
        { "[\"\"]", NULL },
    };
    struct gy_slice json, value;

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = strlen(rows[i].json), said = rows[i].said != NULL ? strlen(rows[i].said) : 0;
        char *copy = malloc(len), *out = malloc(said + 1);

        memcpy(copy, rows[i].json, len); /* not ended */
        value = (struct gy_slice){ copy, len };
        assert_int_equal(gy__string_copy(value, out, said + 1), rows[i].said != NULL);
        assert_int_equal(gy__string_is(value, rows[i].said != NULL ? rows[i].said : ""), rows[i].said != NULL);
        assert_false(gy__string_is(value, "another"));
        if (rows[i].said != NULL)
            assert_string_equal(out, rows[i].said);
        if (said > 0)
            assert_false(gy__string_copy(value, out, said));
        free(out);
        free(copy);
    }
    /* A name is what it says, too: what is there twice is seen to be. */
    json.ptr = "{\"\\u0065xp\":1,\"exp\":2,\"x\":[\"\\u006De\"]}";
    json.len = strlen(json.ptr);
    assert_true(gy__members_valid(json));
    assert_int_equal(gy__members_find(json, "exp", &value), 2);
    assert_int_equal(gy__members_find(json, "x", &value), 1);
    assert_true(gy__array_has(value, "me"));
}

/* ---- tokens ---- */

#if GY__OPENSSL

static char made[4096];

static void to_url(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
    text[strcspn(text, "=")] = '\0';
}

static void put_part(const void *bytes, size_t len)
{
    char text[2048];

    text[gy__base64_encode(bytes, len, text)] = '\0';
    to_url(text);
    strcat(made, text);
}

static EVP_PKEY *rsa;
static char pem[2048];

/* "Bearer TOKEN", signed by key, or by rsa if that is NULL. */
static const char *token(const char *header, const char *payload, const char *key)
{
    uint8_t signature[512];
    size_t len = sizeof(signature);

    strcpy(made, "Bearer ");
    put_part(header, strlen(header));
    strcat(made, ".");
    put_part(payload, strlen(payload));
    if (key != NULL) {
        unsigned n;
        HMAC(EVP_sha256(), key, (int)strlen(key), (const uint8_t *)made + 7, strlen(made) - 7, signature, &n);
        len = n;
    } else {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, rsa), 1);
        assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)made + 7, strlen(made) - 7), 1);
        EVP_MD_CTX_free(ctx);
    }
    strcat(made, ".");
    put_part(signature, len);
    return made;
}

static struct gy_http_tokens tokens;
static const struct gy_http_realm bearer = { .name = "r", .challenge = "Bearer", .authenticate = gy_http_bearer, .arg = &tokens };
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define KEY "a secret of some length"

static int check(const char *value)
{
    struct gy_http_identity who;
    int err = ask(&bearer, value, &who);

    if (err == 0)
        assert_non_null(who.claims);
    else
        assert_null(who.claims);
    gy_buf_release(who.claims);
    return err;
}

static int claims(const char *payload)
{
    return check(token(HEADER, payload, KEY));
}

static void hs256(void)
{
    tokens = (struct gy_http_tokens){ GY_HTTP_HS256, KEY, strlen(KEY), NULL, NULL, NULL, 0, 0 };
}

static void test_tokens(void **state)
{
    struct gy_http_identity who;

    (void)state;
    hs256();
    assert_int_equal(ask(&bearer, token(HEADER, "{\"sub\":\"ann\",\"exp\":1001,\"x\":[1]}", KEY), &who), 0);
    assert_string_equal(who.principal, "ann");
    assert_memory_equal(who.claims->data, "{\"sub\":\"ann\",\"exp\":1001,\"x\":[1]}", who.claims->len);
    gy_buf_release(who.claims);
    assert_int_equal(claims("{\"exp\":1001}"), 0);
    assert_int_equal(claims("{\"exp\":1000.5}"), -EACCES); /* now is 1000 */
    assert_int_equal(claims("{\"exp\":1000}"), -EACCES);
    assert_int_equal(claims("{\"exp\":999}"), -EACCES);
    assert_int_equal(claims("{\"exp\":\"1001\"}"), -EACCES);
    assert_int_equal(claims("{\"exp\":-1}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1e9}"), -EACCES);
    assert_int_equal(claims("{\"exp\":99999999999999999999999}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1,\"exp\":2000}"), -EACCES);
    assert_int_equal(claims("{}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001"), -EACCES);
    assert_int_equal(claims("[]"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001,\"nbf\":1000}"), 0);
    assert_int_equal(claims("{\"exp\":1001,\"nbf\":1001}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001,\"nbf\":null}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001,\"nbf\":1.5E3}"), -EACCES); /* is 1500 */
    assert_int_equal(claims("{\"exp\":1001,\"sub\":7}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001,\"sub\":\"a\\u0000\"}"), -EACCES);
    assert_int_equal(ask(&bearer, token(HEADER, "{\"sub\":\"jos\\u00e9\\/x\",\"exp\":1001}", KEY), &who), 0);
    assert_string_equal(who.principal, "jos\xc3\xa9/x");
    gy_buf_release(who.claims);
    assert_int_equal(check(token("{\"alg\":\"HS256\",\"cr\\u0069t\":[]}", "{\"exp\":1001}", KEY)), -EACCES);
    tokens.secret_len = 0;
    assert_int_equal(check(token(HEADER, "{\"exp\":1001}", "")), -EACCES);
    tokens.secret_len = strlen(KEY);
    tokens.leeway_s = 5;
    assert_int_equal(claims("{\"exp\":996}"), 0);
    assert_int_equal(claims("{\"exp\":995}"), -EACCES);
    assert_int_equal(claims("{\"exp\":1001,\"nbf\":1005}"), 0);
    tokens.may_last = 1;
    assert_int_equal(claims("{}"), 0);
    assert_int_equal(claims("{\"exp\":1}"), -EACCES);
    tokens.issuer = "us";
    tokens.audience = "them";
    assert_int_equal(claims("{\"iss\":\"us\",\"aud\":\"them\"}"), 0);
    assert_int_equal(claims("{\"iss\":\"us\",\"aud\":[\"you\",\"them\"]}"), 0);
    assert_int_equal(claims("{\"iss\":\"us\",\"aud\":[\"you\"]}"), -EACCES);
    assert_int_equal(claims("{\"iss\":\"us\"}"), -EACCES);
    assert_int_equal(claims("{\"aud\":\"them\"}"), -EACCES);
    assert_int_equal(claims("{\"iss\":[\"us\"],\"aud\":\"them\"}"), 0);
}

/* RFC 7515, appendix A.1, which was right until 2011. */
static void test_vector(void **state)
{
    static const char value[] = "Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODA"
                                "sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFO"
                                "EjXk";
    static const char coded[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    uint8_t key[80];
    long len = gy__base64_decode(coded, strlen(coded), 1, key);

    (void)state;
    assert_int_equal(len, 64);
    tokens = (struct gy_http_tokens){ GY_HTTP_HS256, key, 64, NULL, "joe", NULL, 0, 0 };
    now_s = 1300819379;
    assert_int_equal(check(value), 0);
    now_s = 1300819380;
    assert_int_equal(check(value), -EACCES);
    now_s = 1000;
}

/* One bit anywhere, and every beginning. */
static void test_forged(void **state)
{
    char right[4096], wrong[4096];
    size_t len;

    (void)state;
    hs256();
    strcpy(right, token(HEADER, "{\"exp\":1001}", KEY));
    len = strlen(right);
    for (size_t i = 7; i < len; i++) {
        strcpy(wrong, right);
        wrong[i] = wrong[i] == 'A' ? 'B' : 'A';
        assert_int_equal(check(wrong), -EACCES);
        strcpy(wrong, right);
        wrong[i] = '\0';
        assert_int_equal(check(wrong), -EACCES);
    }
    strcat(strcpy(wrong, right), ".");
    assert_int_equal(check(wrong), -EACCES);
    assert_int_equal(check(token(HEADER, "{\"exp\":1001}", "another secret")), -EACCES);
    assert_int_equal(check(token("{\"alg\":\"HS256\",\"crit\":[\"x\"]}", "{\"exp\":1001}", KEY)), -EACCES);
    /* The signature is right, but for another algorithm, or none that is named, or two. */
    assert_int_equal(check(token("{\"alg\":\"none\"}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("{\"alg\":\"RS256\"}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("{\"alg\":\"hs256\"}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("{\"alg\":[\"HS256\"]}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("{\"typ\":\"JWT\"}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("{\"alg\":\"none\",\"alg\":\"HS256\"}", "{\"exp\":1001}", KEY)), -EACCES);
    assert_int_equal(check(token("rubbish", "{\"exp\":1001}", KEY)), -EACCES);
    /* "none", with no signature. */
    strcpy(made, "Bearer ");
    put_part("{\"alg\":\"none\"}", 14);
    strcat(made, ".");
    put_part("{\"exp\":1001}", 12);
    strcat(made, ".");
    assert_int_equal(check(made), -EACCES);
}

static void test_rs256(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct gy_http_key *key;
    int len;

    (void)state;
    rsa = EVP_RSA_gen(2048);
    assert_non_null(rsa);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, rsa), 1);
    len = BIO_read(bio, pem, sizeof(pem) - 1);
    assert_true(len > 0);
    pem[len] = '\0';
    BIO_free(bio);
    assert_int_equal(gy_http_key_open(&key, pem, (size_t)len), 0);
    tokens = (struct gy_http_tokens){ .algorithm = GY_HTTP_RS256, .key = key };
    assert_int_equal(check(token("{\"alg\":\"RS256\"}", "{\"exp\":1001}", NULL)), 0);
    assert_int_equal(check(token(HEADER, "{\"exp\":1001}", NULL)), -EACCES); /* says HS256 */
    assert_int_equal(check(token("{\"alg\":\"RS256\"}", "{\"exp\":1001}", NULL)), 0);
    made[strlen(made) - 5] ^= 1;
    assert_int_equal(check(made), -EACCES);
    /* The public key is no secret: what is signed with it is not taken for a token of it. */
    assert_int_equal(check(token(HEADER, "{\"exp\":1001}", pem)), -EACCES);
    tokens.key = NULL;
    assert_int_equal(check(token("{\"alg\":\"RS256\"}", "{\"exp\":1001}", NULL)), -EACCES);
    gy_http_key_close(key);
    EVP_PKEY_free(rsa);
    /* What is none is said when it is read. */
    assert_int_equal(gy_http_key_open(&key, "no key", 6), -EINVAL);
    assert_null(key);
    assert_int_equal(gy_http_key_open(&key, pem, (size_t)len - 40), -EINVAL);
    assert_int_equal(gy_http_key_open(&key, "", 0), -EINVAL);
    rsa = EVP_RSA_gen(1024);
    bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, rsa), 1);
    len = BIO_read(bio, pem, sizeof(pem) - 1);
    BIO_free(bio);
    EVP_PKEY_free(rsa);
    assert_int_equal(gy_http_key_open(&key, pem, (size_t)len), -EINVAL);
    gy_http_key_close(NULL);
}

#else

static void test_tokens(void **state)
{
    const struct gy_http_realm bearer = { .name = "r", .challenge = "Bearer", .authenticate = gy_http_bearer, .arg = NULL };
    struct gy_http_identity who;

    (void)state;
    assert_int_equal(gy_http_has_tokens(), 0);
    assert_int_equal(ask(&bearer, "Bearer a.b.c", &who), -ENOTSUP);
}
#define test_vector test_tokens
#define test_forged test_tokens
#define test_rs256 test_tokens

#endif

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_base64), T(test_secret), T(test_basic),  T(test_members), T(test_escapes),
        T(test_tokens), T(test_vector), T(test_forged), T(test_rs256),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
