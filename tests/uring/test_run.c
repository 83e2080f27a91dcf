/* Whole runtimes: started, used from inside and outside, ended. */
#include "child.h"
#include "fixture.h"
#include "hopper.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_config config_of(unsigned shards)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = shards;
    config.overprovisioned = true;
    config.pin = false;
    config.poll = GY_POLL_NEVER;
    config.actors_max = 4096;
    config.futures = 1024;
    config.fifo_cells = 4096;
    return config;
}

static void a_token_hops_over_all_shards(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 4; shards++) {
        struct gy_config config = config_of(shards);
        struct hopper_world world = {.fail_boot_on = -1, .stop_at_end = true};
        struct gy_runtime *runtime = NULL;
        assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
        assert_int_equal(hopper_hop_post(runtime, hopper_on(&world, 0),
                                         (struct hopper_hop_msg){1000}),
                         0);
        assert_int_equal(gy_wait(runtime), 0);
        assert_int_equal(world.hops, 1001);
        assert_int_equal(world.stops, shards);
    }
}

static void all_ways_to_wait(void **state)
{
    (void)state;
    for (int poll = GY_POLL_ADAPTIVE; poll <= GY_POLL_NEVER; poll++) {
        struct gy_config config = config_of(2);
        config.poll = (enum gy_poll)poll;
        config.overprovisioned = false;
        config.idle_spin_ns = 5000;
        struct hopper_world world = {.fail_boot_on = -1, .timer_ns = 1000000};
        struct gy_runtime *runtime = NULL;
        assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
        hopper_await(&world.timers, 20);
        assert_int_equal(hopper_hop_post(runtime, hopper_on(&world, 1),
                                         (struct hopper_hop_msg){200}),
                         0);
        hopper_await(&world.hops, 201);
        gy_stop(runtime);
        assert_int_equal(gy_wait(runtime), 0);
    }
}

static void a_drain_without_work_ends_at_once(void **state)
{
    (void)state;
    struct gy_config config = config_of(2);
    struct hopper_world world = {.fail_boot_on = -1};
    struct gy_runtime *runtime = NULL;
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(world.stops, 2);
}

static void a_failing_boot_function_undoes_the_start(void **state)
{
    (void)state;
    int before = open_descriptors();
    struct gy_config config = config_of(3);
    struct hopper_world world = {.fail_boot_on = 1};
    struct gy_runtime *runtime = NULL;
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), -EPROTO);
    assert_null(runtime);
    assert_int_equal(world.boots, 3);
    assert_int_equal(world.stops, 2); /* those that had started were stopped in order */
    assert_int_equal(open_descriptors(), before);
}

static void a_wrong_configuration_is_refused(void **state)
{
    (void)state;
    int before = open_descriptors();
    struct gy_config config = config_of(1);
    struct gy_runtime *runtime = NULL;
    struct hopper_world world = {.fail_boot_on = -1};
    config.ring_cells = 3;
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), -EINVAL);
    config = config_of(1);
    gy_cpuset_add(&config.cpuset, 1000);
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), -EINVAL);
    assert_int_equal(world.boots, 0);
    assert_int_equal(open_descriptors(), before);
}

static int start_more(unsigned shard, void *arg)
{
    struct gy_config config = config_of(1);
    struct gy_runtime *runtime = NULL;
    int *results = arg;
    (void)shard;
    results[0] = gy_run(&config, NULL, NULL);
    results[1] = gy_start(&runtime, &config, NULL, NULL);
    results[2] = gy_wait(gy_runtime_of_shard());
    return 0;
}

static void a_shard_neither_starts_nor_waits(void **state)
{
    (void)state;
    struct gy_config config = config_of(1);
    struct gy_runtime *runtime = NULL;
    int results[3] = {0};
    assert_int_equal(gy_start(&runtime, &config, start_more, results), 0);
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(results[i], -EINVAL);
}

static void two_runtimes_live_side_by_side(void **state)
{
    (void)state;
    int before = open_descriptors();
    struct gy_config config = config_of(2);
    struct hopper_world worlds[2] = {{.fail_boot_on = -1}, {.fail_boot_on = -1}};
    struct gy_runtime *runtimes[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(gy_start(&runtimes[i], &config, hopper_boot, &worlds[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hopper_hop_post(runtimes[i], hopper_on(&worlds[i], 0),
                                         (struct hopper_hop_msg){1000}),
                         0);
    hopper_await(&worlds[0].hops, 1001);
    gy_stop(runtimes[0]);
    assert_int_equal(gy_wait(runtimes[0]), 0);
    hopper_await(&worlds[1].hops, 1001);
    assert_int_equal(worlds[1].stops, 0);
    assert_int_equal(hopper_post_post(runtimes[1], hopper_on(&worlds[1], 1),
                                      (struct hopper_post_msg){7}),
                     0);
    hopper_await(&worlds[1].posts, 7);
    gy_stop(runtimes[1]);
    assert_int_equal(gy_wait(runtimes[1]), 0);
    assert_int_equal(worlds[0].hops + worlds[1].hops, 2002);
    assert_int_equal(open_descriptors(), before);
}

static int boot_where(unsigned shard, void *arg)
{
    cpu_set_t *where = arg;
    return sched_getaffinity(0, sizeof(where[shard]), &where[shard]) < 0 ? -errno : 0;
}

/* A pinned shard stays on the CPU of the list; others may use all of it. */
static void shards_run_where_they_are_told(void **state)
{
    (void)state;
    cpu_set_t ours, where[2];
    assert_int_equal(sched_getaffinity(0, sizeof(ours), &ours), 0);
    int cpu = 0;
    while (!CPU_ISSET(cpu, &ours))
        cpu++;
    for (int pin = 0; pin < 2; pin++) {
        struct gy_config config = config_of(2);
        struct gy_runtime *runtime = NULL;
        config.pin = pin;
        gy_cpuset_add(&config.cpuset, (unsigned)cpu);
        assert_int_equal(gy_start(&runtime, &config, boot_where, where), 0);
        gy_stop(runtime);
        assert_int_equal(gy_wait(runtime), 0);
        for (int shard = 0; shard < 2; shard++) {
            assert_int_equal(CPU_COUNT(&where[shard]), 1);
            assert_true(CPU_ISSET(cpu, &where[shard]));
        }
    }
    /* The control thread's own mask is as it was. */
    assert_int_equal(sched_getaffinity(0, sizeof(where[0]), &where[0]), 0);
    assert_true(CPU_EQUAL(&ours, &where[0]));
}

/* In a child with a filter as containers have it. */
static int start_refused(void *arg)
{
    struct gy_config config = config_of(2);
    struct hopper_world world = {.fail_boot_on = -1};
    int before = open_descriptors();
    if (child_deny_uring(*(int *)arg) < 0)
        return 77;
    int rc = gy_run(&config, hopper_boot, &world);
    return rc == -ENOSYS && world.boots == 0 && open_descriptors() == before ? 0 : 1;
}

static void refused_rings_are_told_once_with_the_cause(void **state)
{
    (void)state;
    static int errors[] = {EPERM, ENOSYS};
    static struct child child;
    for (int i = 0; i < 2; i++) {
        child_run(&child, start_refused, &errors[i]);
        if (child.status == 77)
            skip(); /* no filters here either */
        assert_int_equal(child.status, 0);
        char *line = strstr(child.err, "io_uring is not available");
        assert_non_null(line);
        assert_non_null(strstr(line, "seccomp"));
        assert_null(strstr(line + 1, "io_uring is not available"));
    }
}

struct poster {
    struct gy_runtime *runtime;
    struct hopper_world *world;
    unsigned n;
};

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (unsigned i = 0; i < poster->n; i++) {
        hopper_pid to = hopper_on(poster->world, i % 2);
        while (hopper_post_post(poster->runtime, to, (struct hopper_post_msg){1}) == -EAGAIN)
            usleep(100);
        if (i % 64 == 0)
            usleep(200); /* let them fall asleep */
    }
    return NULL;
}

static void posts_of_foreign_threads_all_arrive(void **state)
{
    (void)state;
    struct gy_config config = config_of(2);
    struct hopper_world world = {.fail_boot_on = -1};
    struct gy_runtime *runtime = NULL;
    assert_int_equal(gy_start(&runtime, &config, hopper_boot, &world), 0);
    struct poster poster = {runtime, &world, 5000};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &poster), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    hopper_await(&world.posts, 15000);
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(world.posts, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_hops_over_all_shards),
        cmocka_unit_test(all_ways_to_wait),
        cmocka_unit_test(a_drain_without_work_ends_at_once),
        cmocka_unit_test(a_failing_boot_function_undoes_the_start),
        cmocka_unit_test(a_wrong_configuration_is_refused),
        cmocka_unit_test(shards_run_where_they_are_told),
        cmocka_unit_test(refused_rings_are_told_once_with_the_cause),
        cmocka_unit_test(a_shard_neither_starts_nor_waits),
        cmocka_unit_test(two_runtimes_live_side_by_side),
        cmocka_unit_test(posts_of_foreign_threads_all_arrive),
    };
    fixture_need_io_uring();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
