/* GET /metrics: the exposition format, from invented figures and from a running server. */
#include "core/kernel.h"
#include "http/metrics.h"
#include "tests/http/app.h"
#include "tests/http/world.h"

#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world world;
static app_pid apps[8];

static int boot(unsigned shard, void *arg)
{
    int err = gy_http_listen(&((struct world *)arg)->http);

    return err < 0 ? err : app_spawn(&apps[shard], &(struct app_args){ NULL });
}

/* ---- a reader of the format ---- */

#define FAMILIES_MAX 200

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Fails the test unless text is a well-formed exposition: HELP, TYPE, then the lines of that family,
 * each family once, each line once. -> how many families. */
static unsigned check(const char *text, size_t len)
{
    static char families[FAMILIES_MAX][80], seen[20000][160];
    unsigned count = 0, lines = 0;
    const char *at = text, *end = text + len;

    assert_true(len > 0 && text[len - 1] == '\n');
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        char line[512];
        size_t n = (size_t)(stop - at), name = 0;

        assert_true(n > 0 && n < sizeof(line));
        memcpy(line, at, n);
        line[n] = '\0';
        at = stop + 1;
        if (strncmp(line, "# HELP ", 7) == 0) {
            while (name_char(line[7 + name]))
                name++;
            assert_true(count < FAMILIES_MAX && name > 0 && name < 80 && line[7 + name] == ' ');
            assert_true(strlen(line + 7 + name) > 3);
            memcpy(families[count], line + 7, name);
            families[count][name] = '\0';
            for (unsigned i = 0; i < count; i++)
                assert_string_not_equal(families[i], families[count]);
            count++;
            /* TYPE follows at once. */
            char type[200];
            snprintf(type, sizeof(type), "# TYPE %s ", families[count - 1]);
            assert_memory_equal(at, type, strlen(type));
            bool counter = strncmp(at + strlen(type), "counter\n", 8) == 0;
            assert_true(counter || strncmp(at + strlen(type), "gauge\n", 6) == 0);
            size_t l = strlen(families[count - 1]);
            assert_int_equal(counter, l > 6 && strcmp(families[count - 1] + l - 6, "_total") == 0);
            at = strchr(at, '\n') + 1;
            continue;
        }
        assert_true(line[0] != '#' && count > 0);
        while (name_char(line[name]))
            name++;
        assert_int_equal(name, strlen(families[count - 1]));
        assert_memory_equal(line, families[count - 1], name);
        assert_int_equal(line[name], '{');
        char *brace = strrchr(line, '}');
        assert_non_null(brace);
        assert_int_equal(brace[1], ' ');
        char *number_end;
        strtod(brace + 2, &number_end);
        assert_true(number_end > brace + 2 && *number_end == '\0');
        brace[1] = '\0';
        assert_true(lines < 20000 && strlen(line) < sizeof(seen[0]));
        for (unsigned i = 0; i < lines; i++)
            assert_string_not_equal(seen[i], line);
        strcpy(seen[lines++], line);
    }
    return count;
}

/* ---- invented figures ---- */

static void some(unsigned shard, void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    struct gy__stat stats[] = {
        { "gyre_a_total", "Things", NULL, false, 1, 10 + shard },
        { "gyre_b_seconds_total", "Time", NULL, false, 1e-9, 1500000000 },
        { "gyre_c", "Of types", "odd\"name\\", true, 1, 7 },
        { "gyre_c", "Of types", "two", true, 1, UINT64_MAX },
        { "gyre_d_total", "Last", NULL, false, 1, 0 },
    };

    for (unsigned i = 0; i < sizeof(stats) / sizeof(stats[0]); i++) {
        /* Types are known where such actors live. */
        if ((shard == 0 && i == 2) || (shard == 2 && i == 3) || (shard == 1 && (i == 2 || i == 3)))
            continue;
        each(arg, &stats[i]);
    }
}

static struct gy__http_stats invented[3];

static const struct gy__http_stats *some_http(unsigned shard)
{
    return &invented[shard];
}

static struct gy__client_stats invented_client[3];

static const struct gy__client_stats *some_client(unsigned shard)
{
    return &invented_client[shard];
}

static void test_format(void **state)
{
    struct gy__http_figures figures = { 3, some, some_http, some_client };
    struct gy__http_text text = { NULL, false };
    static const char core[] = "# HELP gyre_a_total Things\n"
                               "# TYPE gyre_a_total counter\n"
                               "gyre_a_total{shard=\"0\"} 10\n"
                               "gyre_a_total{shard=\"1\"} 11\n"
                               "gyre_a_total{shard=\"2\"} 12\n"
                               "# HELP gyre_b_seconds_total Time\n"
                               "# TYPE gyre_b_seconds_total counter\n"
                               "gyre_b_seconds_total{shard=\"0\"} 1.500000000\n"
                               "gyre_b_seconds_total{shard=\"1\"} 1.500000000\n"
                               "gyre_b_seconds_total{shard=\"2\"} 1.500000000\n"
                               "# HELP gyre_c Of types\n"
                               "# TYPE gyre_c gauge\n"
                               "gyre_c{shard=\"0\",type=\"two\"} 18446744073709551615\n"
                               "gyre_c{shard=\"2\",type=\"odd\\\"name\\\\\"} 7\n"
                               "# HELP gyre_d_total Last\n"
                               "# TYPE gyre_d_total counter\n"
                               "gyre_d_total{shard=\"0\"} 0\n"
                               "gyre_d_total{shard=\"1\"} 0\n"
                               "gyre_d_total{shard=\"2\"} 0\n";

    static const char idle[] = "\n# TYPE gyre_http_client_connections_idle gauge\n"
                               "gyre_http_client_connections_idle{shard=\"0\"} 0\n";
    static const char late[] =
        "\ngyre_http_client_errors_total{shard=\"2\",cause=\"timeout\"} 7\n";

    (void)state;
    world_init(&world);
    world_open(&world, 1, NULL);
    fake_enter(&world.fake, 0);
    invented[1].value[GY__HTTP_ANSWERS_4XX] = 42;
    gy__client_count(&invented_client[2], GY__CLIENT_FAILED_TIMEOUT, 7);
    gy__http_metrics_write(&text, &figures);
    assert_false(text.failed);
    assert_true(check((const char *)text.buf->data, text.buf->len) > 10);
    assert_memory_equal(text.buf->data, core, sizeof(core) - 1);
    assert_non_null(memmem(text.buf->data, text.buf->len,
                           "\ngyre_http_answers_total{shard=\"1\",class=\"4xx\"} 42\n", 50));
    assert_non_null(memmem(text.buf->data, text.buf->len, idle, sizeof(idle) - 1));
    assert_non_null(memmem(text.buf->data, text.buf->len, late, sizeof(late) - 1));
    gy__http_text_drop(&text);
    fake_leave();
    world_close(&world);
}

/* ---- a running server ---- */

static void test_served(void **state)
{
    struct peer_conn *c;
    const char *body;
    size_t len;

    (void)state;
    world_init(&world);
    world_open(&world, 3, boot);
    c = world_connect(&world, 1);
    for (unsigned i = 0; i < 5; i++)
        world_text(&world, c, "GET /app/hello HTTP/1.1\r\nHost: h\r\n\r\n");
    for (unsigned i = 0; i < 5; i++)
        world_expect(&world, c, 200, NULL);
    world_text(&world, c, "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    body = world_body(&world, c, &len);
    assert_true(check(body, len) > 40);
    assert_non_null(memmem(body, len, "\ngyre_http_answers_total{shard=\"1\",class=\"2xx\"} 5\n", 49));
    assert_non_null(memmem(body, len, "\ngyre_http_connections_open{shard=\"1\"} 1\n", 41));
    assert_non_null(memmem(body, len, "\ngyre_actor_messages_total{shard=\"1\",type=\"app\"} 5\n", 50));
    assert_non_null(memmem(body, len, "{shard=\"2\"", 10));
    world_close(&world);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
