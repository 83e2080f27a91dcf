/* test_hits.c - the tutorial's service under the simulator: two shards, a network and a clock in one
 * thread, for a hundred seeds. hits.c is compiled as it is; boot is the program's. */
#include "hits.h"

#include <gyre/http.h>
#include <gyre/sim.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int boot(unsigned shard, void *arg)
{
    struct hits_table *all = arg;
    struct gy_http_config http = GY_HTTP_CONFIG_INIT(all->listen);
    int err = gy_http_listen(&http);
    if (err == 0)
        err = hits_spawn(&all->on[shard], &(struct hits_args){ .all = all });
    return err;
}

/* A connection of its own for each request. */
static struct gy_sim_conn *ask(struct gy_sim *sim, const char *method_and_path)
{
    struct gy_sim_conn *client = gy_sim_connect(sim, 0, 8080);
    gy_sim_send(client, method_and_path, strlen(method_and_path));
    gy_sim_send(client, " HTTP/1.1\r\nHost: sim\r\n\r\n", 25);
    return client;
}

/* What came back: 0, nothing yet; otherwise the status, and a number that the body begins with. */
static int answer(struct gy_sim_conn *client, unsigned long *number)
{
    char text[512] = "";
    size_t len;
    const uint8_t *data = gy_sim_received(client, &len);
    if (len > 0)
        memcpy(text, data, len < sizeof(text) ? len : sizeof(text) - 1);
    const char *body = strstr(text, "\r\n\r\n");
    if (number != NULL && body != NULL)
        *number = strtoul(body, NULL, 10);
    return len > 12 ? atoi(text + 9) : 0;
}

static void hits_survive_a_stuck_shard(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct hits_table all = { .listen = "127.0.0.1:8080" };
        struct gy_sim_config config;
        struct gy_sim *sim;
        struct gy_sim_conn *adds[10], *total;
        unsigned long sum = 0;

        gy_sim_config_init(&config, seed, calloc, free, puts, abort);
        config.shards = 2;
        config.command = "test_hits, seed "; /* a failure prints it, and the seed */
        assert_int_equal(gy_sim_open(&sim, &config, boot, &all), 0);
        for (int i = 0; i < 10; i++) /* whichever shard accepts each of them */
            adds[i] = ask(sim, "POST /hits/add");
        gy_sim_settle(sim); /* until nothing is under way any more */
        for (int i = 0; i < 10; i++)
            assert_int_equal(answer(adds[i], NULL), 204);

        gy_sim_pause_shard(sim, 1); /* it takes no step from here on */
        total = ask(sim, "GET /hits/total");
        gy_sim_advance(sim, 200 * GY_MS); /* the service waits 100 ms for a shard */
        int status = answer(total, NULL);
        assert_true(status == 504 || status == 0); /* 0: shard 1 has to accept it */
        gy_sim_resume_shard(sim, 1);

        total = ask(sim, "GET /hits/total");
        gy_sim_settle(sim);
        assert_int_equal(answer(total, &sum), 200);
        assert_int_equal(sum, 10);
        assert_int_equal(gy_sim_leaks(sim), 0); /* no call, promise, buffer or operation is left */
        assert_int_equal(gy_sim_close(sim), 0); /* stops it, and checks that it ends cleanly */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(hits_survive_a_stuck_shard) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
