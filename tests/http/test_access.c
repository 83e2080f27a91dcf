/* Addresses, networks, and the limits for each peer. */
#include "http/access.h"
#include "gyre/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t bytes)
{
    return calloc(1, bytes);
}

static void test_addresses(void **state)
{
    static const char *const good[] = { "127.0.0.1", "127.0.0.1:80", "::1", "[::1]:80", "[fe80::1]", "::ffff:1.2.3.4" };
    static const char *const bad[] = { "", "x", "1.2.3", "1.2.3.4.5", "[::1", ":80", "unix", "1.2.3.4x",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    struct gy__http_address a, b;

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(gy__http_address_parse(good[i], &a));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__http_address_parse(bad[i], &a))
            fail_msg("takes %s", bad[i]);
    assert_true(gy__http_address_parse("1.2.3.4", &a) && gy__http_address_parse("::ffff:1.2.3.4", &b));
    assert_memory_equal(&a, &b, sizeof(a));
}

static int enters(const char *const *allow, const char *const *deny, const char *text)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct gy__http_peers peers = { 0 };
    struct gy__http_peer *peer;

    access.allow = allow;
    access.deny = deny;
    assert_int_equal(gy__http_access_check(&access), 0);
    assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
    return gy__http_peers_enter(&peers, text, 0, &peer);
}

static void test_networks(void **state)
{
    static const char *const v4[] = { "10.0.0.0/8", "192.168.1.128/25", "1.2.3.4", NULL };
    static const char *const v6[] = { "fd00::/8", "2001:db8::/33", "::1", NULL };
    static const char *const all4[] = { "0.0.0.0/0", NULL }, *const all[] = { "::/0", NULL };
    static const char *const bad[] = { "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10/8", "",
                                       "[::1]", "10.0.0.0/0008", "1.2.3.4:80", "host" };
    struct gy__http_address network;
    unsigned bits;

    (void)state;
    assert_int_equal(enters(v4, NULL, "10.255.0.1:5"), 0);
    assert_int_equal(enters(v4, NULL, "11.0.0.1:5"), -EACCES);
    assert_int_equal(enters(v4, NULL, "192.168.1.127"), -EACCES);
    assert_int_equal(enters(v4, NULL, "192.168.1.200"), 0);
    assert_int_equal(enters(v4, NULL, "1.2.3.4"), 0);
    assert_int_equal(enters(v4, NULL, "1.2.3.5"), -EACCES);
    assert_int_equal(enters(v4, NULL, "[::1]:80"), -EACCES);
    assert_int_equal(enters(v4, NULL, "[::ffff:10.1.1.1]:80"), 0); /* the same by another name */
    assert_int_equal(enters(v6, NULL, "[fdff::1]:80"), 0);
    assert_int_equal(enters(v6, NULL, "[fe80::1]:80"), -EACCES);
    assert_int_equal(enters(v6, NULL, "[2001:db8:7fff::]:80"), 0);
    assert_int_equal(enters(v6, NULL, "[2001:db8:8000::]:80"), -EACCES);
    assert_int_equal(enters(NULL, v4, "10.0.0.1"), -EACCES);
    assert_int_equal(enters(NULL, v4, "12.0.0.1"), 0);
    assert_int_equal(enters(all, v4, "1.2.3.4"), -EACCES);
    assert_int_equal(enters(all4, NULL, "[::1]:80"), -EACCES);
    assert_int_equal(enters(all, NULL, "9.9.9.9"), 0);
    assert_int_equal(enters(v4, NULL, "unix:"), 0);
    assert_int_equal(enters(v4, v4, "unix:/run/x"), 0);
    /* Whose address cannot be told may not come, wherever it is from. */
    assert_int_equal(enters(v4, NULL, "unknown"), -EACCES);
    assert_int_equal(enters(NULL, v4, "unknown"), -EACCES);
    assert_int_equal(enters(NULL, v4, "[fe80::1%2]:80"), -EACCES);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (gy__http_network_parse(bad[i], &network, &bits) == 0)
            fail_msg("takes %s", bad[i]);
}

static void test_connections(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct gy__http_peers peers = { 0 };
    struct gy__http_peer *peer[4], *other;

    (void)state;
    access.peer_connections_max = 3;
    assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gy__http_peers_enter(&peers, "1.2.3.4:1", 0, &peer[i]), 0);
    assert_int_equal(gy__http_peers_enter(&peers, "1.2.3.4:2", 0, &peer[3]), -EMFILE);
    assert_null(peer[3]);
    assert_int_equal(gy__http_peers_enter(&peers, "1.2.3.5:2", 0, &other), 0);
    gy__http_peers_leave(peer[0]);
    assert_int_equal(gy__http_peers_enter(&peers, "1.2.3.4:2", 0, &peer[3]), 0);
    /* One network of a host counts as one. */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gy__http_peers_enter(&peers, i == 0 ? "[2001:db8::1]:1" : "[2001:db8::ffff]:1", 0, &other), 0);
    assert_int_equal(gy__http_peers_enter(&peers, "[2001:db8::2]:1", 0, &other), -EMFILE);
    assert_int_equal(gy__http_peers_enter(&peers, "[2001:db8:0:1::2]:1", 0, &other), 0);
    free(peers.table);
}

/* Listening anew with a smaller table: those that are known are not more than it, ever. */
static void test_fewer(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct gy__http_peers peers = { 0 };
    struct gy__http_peer *peer;
    char text[32];

    (void)state;
    access.peer_connections_max = 1;
    access.peers_max = 20;
    assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
    for (unsigned i = 0; i < 200; i++) {
        sprintf(text, "10.0.0.%u:1", i);
        assert_int_equal(gy__http_peers_enter(&peers, text, 0, &peer), 0);
        if (i == 10) {
            access.peers_max = 5;
            assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
        }
        assert_true(peers.count <= 11); /* a table that is full has no end */
    }
    free(peers.table);
}

static void test_rate(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct gy__http_peers peers = { 0 };
    struct gy__http_peer *peer;
    uint64_t now = 1000 * GY_S, granted = 0;

    (void)state;
    access.peer_requests_per_s = 10;
    access.peer_burst = 5;
    assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
    assert_int_equal(gy__http_peers_enter(&peers, "1.2.3.4:1", now, &peer), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_true(gy__http_peers_request(&peers, peer, now));
    assert_false(gy__http_peers_request(&peers, peer, now));
    assert_false(gy__http_peers_request(&peers, peer, now + 100 * GY_MS - 1));
    assert_true(gy__http_peers_request(&peers, peer, now + 100 * GY_MS));
    assert_false(gy__http_peers_request(&peers, peer, now + 100 * GY_MS));
    /* However often it asks, ten a second. */
    for (unsigned i = 0; i < 10000; i++)
        granted += gy__http_peers_request(&peers, peer, now + 200 * GY_MS + i * GY_MS);
    assert_in_range(granted, 100, 101);
    assert_true(gy__http_peers_request(&peers, NULL, now));
    free(peers.table);
}

/* More addresses than are known: limits hold for those that are; those that are idle make room. */
static void test_many(void **state)
{
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;
    struct gy__http_peers peers = { 0 };
    struct gy__http_peer *peer, *known[100];
    char text[32];
    unsigned limited = 0;

    (void)state;
    access.peer_connections_max = 1;
    access.peers_max = 100;
    assert_int_equal(gy__http_peers_open(&peers, &access, memory), 0);
    for (unsigned i = 0; i < 100; i++) {
        sprintf(text, "10.0.%u.%u:1", i / 10, i);
        assert_int_equal(gy__http_peers_enter(&peers, text, 0, &known[i]), 0);
        assert_non_null(known[i]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        sprintf(text, "11.0.%u.%u:1", i / 200, i % 200);
        assert_int_equal(gy__http_peers_enter(&peers, text, 0, &peer), 0);
        assert_null(peer); /* not limited */
    }
    for (unsigned i = 0; i < 100; i++) {
        sprintf(text, "10.0.%u.%u:1", i / 10, i);
        assert_int_equal(gy__http_peers_enter(&peers, text, 0, &peer), -EMFILE);
        gy__http_peers_leave(known[i]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        sprintf(text, "12.0.%u.%u:1", i / 200, i % 200);
        assert_int_equal(gy__http_peers_enter(&peers, text, 0, &peer), 0);
        if (peer != NULL) {
            struct gy__http_peer *second;
            limited++;
            assert_int_equal(gy__http_peers_enter(&peers, text, 0, &second), -EMFILE);
            gy__http_peers_leave(peer);
        }
    }
    assert_true(limited > 100); /* places were taken again and again */
    assert_int_equal(peers.count, 100);
    free(peers.table);
}

static void test_disabled(void **state)
{
    static const char *const paths[] = { "/a/b", "/c", NULL }, *const root[] = { "/", NULL };
    struct gy_http_access access = GY_HTTP_ACCESS_INIT;

    (void)state;
    access.disabled = paths;
    assert_true(gy__http_access_disabled(&access, "/a/b", 4));
    assert_true(gy__http_access_disabled(&access, "/a/b/c", 6));
    assert_true(gy__http_access_disabled(&access, "/c/", 3));
    assert_false(gy__http_access_disabled(&access, "/a/bc", 5));
    assert_false(gy__http_access_disabled(&access, "/a", 2));
    assert_false(gy__http_access_disabled(&access, "/", 1));
    access.disabled = root;
    assert_true(gy__http_access_disabled(&access, "/x", 2));
    access.disabled = NULL;
    assert_false(gy__http_access_disabled(&access, "/x", 2));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_networks), cmocka_unit_test(test_connections),
        cmocka_unit_test(test_fewer), cmocka_unit_test(test_rate),      cmocka_unit_test(test_many),     cmocka_unit_test(test_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
