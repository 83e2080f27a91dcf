/* A directory served over HTTP, on the simulator's disks: what is answered with what, what is not
 * reached, and disks and clients that fail meanwhile. */
#include "core/kernel.h"
#include "core/streams.h"
#include "gyre/http.h"
#include "gyre/http_files.h"
#include "tests/sim/http_client.h"
#include "tests/sim/world.h"

#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT 80
#define BIG 300000u

static struct gy_http_files files;
static char big[BIG];

static int boot(unsigned shard, void *arg)
{
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT("127.0.0.1:80");
    gy_pid pid;
    int err = gy_http_listen(&http);

    (void)arg;
    return err < 0 || shard > 0 ? err : gy_http_files_spawn(&pid, &files);
}

static struct gy_sim *open_world(uint64_t seed, bool faults, uint32_t disk_error_ppm)
{
    static struct gy_sim_config config;
    struct gy_sim *sim;

    world_config(&config, seed);
    config.shards = 2;
    if (faults)
        gy_sim_faults_swarm(&config.faults, seed, false);
    config.faults.disk_error_ppm = disk_error_ppm;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)('a' + (i * 7 + i / 300) % 26);
    assert_int_equal(gy_sim_open(&sim, &config, boot, NULL), 0);
    gy_sim_file_put(sim, 0, "www/index.html", "<p>root", 7);
    gy_sim_file_put(sim, 0, "www/a.txt", "0123456789", 10);
    gy_sim_file_put(sim, 0, "www/empty.css", "", 0);
    gy_sim_file_put(sim, 0, "www/sub/index.html", "sub", 3);
    gy_sim_file_put(sim, 0, "www/sub/b c.js", "js", 2);
    gy_sim_file_put(sim, 0, "www/none/x", "x", 1);
    gy_sim_file_put(sim, 0, "www/.secret", "s", 1);
    gy_sim_file_put(sim, 0, "www/.git/config", "s", 1);
    gy_sim_file_put(sim, 0, "www/big", big, BIG);
    gy_sim_file_put(sim, 0, "outside", "o", 1);
    gy_sim_settle(sim);
    return sim;
}

static void close_world(struct gy_sim *sim)
{
    gy_sim_advance(sim, 200 * GY_S);
    gy_sim_settle(sim);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(gy_sim_runtime(sim, 0)->shards[i]->streams->open, 0);
    assert_int_equal(gy_sim_leaks(sim), 0);
    assert_int_equal(gy_sim_close(sim), 0);
}

/* One request on a connection of its own. -> its status; *answer points into memory of this function. */
static int ask(struct gy_sim *sim, const char *method, const char *path, const char *headers,
               struct http_answer *answer)
{
    static char copy[BIG + 4096];
    struct gy_sim_conn *conn = gy_sim_connect(sim, 0, PORT);
    char text[4096];
    const uint8_t *data;
    size_t len;
    long taken;

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n%s\r\n", method, path, headers);
    gy_sim_send(conn, text, strlen(text));
    gy_sim_settle(sim);
    data = gy_sim_received(conn, &len);
    assert_true(len <= sizeof(copy));
    if (len > 0)
        memcpy(copy, data, len);
    gy_sim_conn_free(conn);
    taken = http_read((const uint8_t *)copy, len, strcmp(method, "HEAD") == 0, answer);
    if (taken <= 0)
        return 0; /* cut */
    assert_int_equal(taken, len);
    return answer->status;
}

static const char *field(const struct http_answer *answer, const char *name)
{
    static char value[256];
    const char *at;
    char line[64];

    snprintf(line, sizeof(line), "\r\n%s: ", name);
    at = memmem(answer->head, answer->head_len, line, strlen(line));
    if (at == NULL)
        return NULL;
    at += strlen(line);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static void get(struct gy_sim *sim, const char *path, int status, const char *body)
{
    struct http_answer answer;
    int got = ask(sim, "GET", path, "", &answer);

    if (got != status)
        fail_msg("GET %s is %d, not %d", path, got, status);
    if (body != NULL && (answer.body_len != strlen(body) || memcmp(answer.body, body, answer.body_len) != 0))
        fail_msg("GET %s has the body %.*s", path, (int)answer.body_len, answer.body);
}

static void what_is_there(void **state)
{
    struct gy_sim *sim = open_world(1, false, 0);
    struct http_answer answer;

    (void)state;
    get(sim, "/s/a.txt", 200, "0123456789");
    get(sim, "/s/a%2etxt?x=y", 200, "0123456789");
    get(sim, "/s/sub/b%20c.js", 200, "js");
    get(sim, "/s/empty.css", 200, "");
    get(sim, "/s/", 200, "<p>root");
    get(sim, "/s/sub/", 200, "sub");
    get(sim, "/s/none/", 404, NULL);
    get(sim, "/s/nothing", 404, NULL);
    get(sim, "/s/a.txt/", 404, NULL);
    get(sim, "/s/a.txt/b", 404, NULL);
    assert_int_equal(ask(sim, "GET", "/s/sub?q=1", "", &answer), 301);
    assert_string_equal(field(&answer, "Location"), "/s/sub/?q=1");
    assert_int_equal(ask(sim, "GET", "/s", "", &answer), 301);
    assert_string_equal(field(&answer, "Location"), "/s/");
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "", &answer), 200);
    assert_string_equal(field(&answer, "Content-Type"), "text/plain; charset=utf-8");
    assert_string_equal(field(&answer, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(field(&answer, "Cache-Control"), "max-age=60");
    assert_int_equal(ask(sim, "HEAD", "/s/a.txt", "", &answer), 200);
    assert_string_equal(field(&answer, "Content-Length"), "10");
    assert_int_equal(ask(sim, "HEAD", "/s/big", "", &answer), 200);
    assert_string_equal(field(&answer, "Content-Length"), "300000");
    assert_int_equal(ask(sim, "PUT", "/s/a.txt", "", &answer), 405);
    close_world(sim);
}

static void what_is_not_reached(void **state)
{
    static const char *const paths[] = {
        "/s/../outside", "/s/%2e%2e/outside", "/s/..%2foutside", "/s/sub/../../outside", "/s/sub/..%2F..%2Foutside",
        "/s/.secret", "/s/%2esecret", "/s/.git/config", "/s/sub//b%20c.js", "/s//a.txt", "/s/./a.txt",
        "/s/a.txt%00", "/s/a.txt%00.html", "/s/%zz", "/s/sub%2Findex.html", "/s/%2fa.txt", "/s/\\..\\outside",
        "/s/...", "/s/..;/outside",
    };
    struct gy_sim *sim = open_world(2, false, 0);

    (void)state;
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct http_answer answer;
        int status = ask(sim, "GET", paths[i], "", &answer);
        if (status != 404 && status != 400) /* the latter before it gets here */
            fail_msg("GET %s is %d", paths[i], status);
    }
    close_world(sim);
    files.hidden = 1;
    sim = open_world(2, false, 0);
    get(sim, "/s/.secret", 200, "s");
    get(sim, "/s/.git/config", 200, "s");
    get(sim, "/s/../outside", 404, NULL);
    close_world(sim);
}

static void conditions_and_ranges(void **state)
{
    struct gy_sim *sim = open_world(3, false, 0);
    struct http_answer answer;
    char etag[256], date[256], headers[700];

    (void)state;
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "", &answer), 200);
    strcpy(etag, field(&answer, "ETag"));
    strcpy(date, field(&answer, "Last-Modified"));
    snprintf(headers, sizeof(headers), "If-None-Match: %s\r\n", etag);
    assert_int_equal(ask(sim, "GET", "/s/a.txt", headers, &answer), 304);
    assert_string_equal(field(&answer, "ETag"), etag);
    assert_null(field(&answer, "Content-Type"));
    /* What was put on the disk from outside is of 1970, which stands for no time. */
    assert_string_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT");
    snprintf(headers, sizeof(headers), "If-Modified-Since: %s\r\n", date);
    assert_int_equal(ask(sim, "GET", "/s/a.txt", headers, &answer), 200);
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "If-Match: \"other\"\r\n", &answer), 412);
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "Range: bytes=2-4\r\n", &answer), 206);
    assert_memory_equal(answer.body, "234", 3);
    assert_string_equal(field(&answer, "Content-Range"), "bytes 2-4/10");
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "Range: bytes=10-\r\n", &answer), 416);
    assert_string_equal(field(&answer, "Content-Range"), "bytes */10");
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n", &answer), 200);
    assert_int_equal(ask(sim, "GET", "/s/a.txt", "Range: bytes=0-1,3-4\r\n", &answer), 200);
    assert_int_equal(ask(sim, "GET", "/s/big", "Range: bytes=100000-299998\r\n", &answer), 206);
    assert_int_equal(answer.body_len, 199999);
    assert_memory_equal(answer.body, big + 100000, 199999);
    close_world(sim);
}

static void large_ones_come_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct gy_sim *sim = open_world(seed, seed % 2, 0);
        struct http_answer answer;
        int status = ask(sim, "GET", "/s/big", "", &answer);
        if (status == 200) {
            assert_int_equal(answer.body_len, BIG);
            assert_memory_equal(answer.body, big, BIG);
        } else {
            assert_true(seed % 2); /* the network lost it */
        }
        close_world(sim);
    }
}

/* A disk that fails: a status, or an answer that is cut, and nothing is left. */
static void failing_disks(void **state)
{
    unsigned right = 0, failed = 0, cut = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct gy_sim *sim = open_world(seed, true, 100000);
        struct http_answer answer;
        int status = ask(sim, "GET", "/s/big", "", &answer);
        right += status == 200;
        failed += status >= 400;
        cut += status == 0;
        if (status == 200)
            assert_memory_equal(answer.body, big, BIG);
        close_world(sim);
    }
    assert_int_equal(right + failed + cut, 60);
    assert_true(right > 0 && cut > 0);
}

/* A file that is cut while it is sent: the answer is whole, or it is the file's beginning and the connection ends. */
static void files_that_shrink(void **state)
{
    unsigned whole = 0, cut = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct gy_sim *sim = open_world(seed, seed % 2, 0);
        struct gy_sim_conn *conn = gy_sim_connect(sim, 0, PORT);
        const char *text = "GET /s/big HTTP/1.1\r\nHost: sim\r\n\r\n";
        const uint8_t *data, *body;
        size_t len, left;
        gy_sim_read_slowly(conn, 20000, GY_MS);
        gy_sim_send(conn, text, strlen(text));
        gy_sim_advance(sim, seed * 200 * GY_US);
        gy_sim_file_put(sim, 0, "www/big", big, 5000);
        gy_sim_settle(sim);
        gy_sim_advance(sim, GY_S);
        data = gy_sim_received(conn, &len);
        body = memmem(data, len, "\r\n\r\n", 4);
        if (body != NULL) {
            left = len - (size_t)(body + 4 - data);
            whole += left == BIG;
            if (memmem(data, len, "Content-Length: 300000", 22) != NULL && left < BIG) {
                assert_true(gy_sim_conn_has(conn, GY_SIM_ENDED) || gy_sim_conn_has(conn, GY_SIM_RESET));
                cut++;
            }
            assert_true(left <= BIG);
            assert_memory_equal(body + 4, big, left);
        }
        gy_sim_conn_free(conn);
        close_world(sim);
    }
    assert_true(whole > 0 && cut > 0);
}

static void clients_that_leave(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct gy_sim *sim = open_world(seed, seed % 2, 0);
        struct gy_sim_conn *conn = gy_sim_connect(sim, 0, PORT);
        const char *text = "GET /s/big HTTP/1.1\r\nHost: sim\r\n\r\n";
        gy_sim_send(conn, text, strlen(text));
        gy_sim_advance(sim, seed * 20 * GY_US);
        if (seed % 3 == 0)
            gy_sim_reset(conn);
        else
            gy_sim_disconnect(conn);
        gy_sim_settle(sim);
        gy_sim_conn_free(conn);
        close_world(sim);
    }
}

/* Stopped at every moment, on both shards: parts of the file that are on their way keep it open, and nothing longer. */
static void stopped_while_they_are_sent(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct gy_sim *sim = open_world(seed, seed % 2, 0);
        struct gy_sim_conn *conns[4];
        const char *text = "GET /s/big HTTP/1.1\r\nHost: sim\r\n\r\n";
        for (unsigned i = 0; i < 4; i++) {
            conns[i] = gy_sim_connect(sim, 0, PORT);
            gy_sim_read_slowly(conns[i], 20000, GY_MS);
            gy_sim_send(conns[i], text, strlen(text));
        }
        gy_sim_advance(sim, seed * 10 * GY_US);
        assert_int_equal(gy_sim_close(sim), 0);
    }
}

static void options(void **state)
{
    struct gy_http_files bad = files;
    gy_pid pid;

    (void)state;
    bad.size = 1;
    assert_int_equal(gy_http_files_spawn(&pid, &bad), -EINVAL);
    bad = files, bad.root = "";
    assert_int_equal(gy_http_files_spawn(&pid, &bad), -EINVAL);
    bad = files, bad.route = "s";
    assert_int_equal(gy_http_files_spawn(&pid, &bad), -EINVAL);
    bad = files, bad.at_once = 0;
    assert_int_equal(gy_http_files_spawn(&pid, &bad), -EINVAL);
    bad = files, bad.index = "../x";
    assert_int_equal(gy_http_files_spawn(&pid, &bad), -EINVAL);
}

static int setup(void **state)
{
    (void)state;
    files = (struct gy_http_files)GY_HTTP_FILES_INIT("www", "/s");
    files.caching = "max-age=60";
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
        T(what_is_there), T(what_is_not_reached), T(conditions_and_ranges), T(large_ones_come_whole),
        T(failing_disks), T(files_that_shrink), T(clients_that_leave), T(stopped_while_they_are_sent), T(options),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
