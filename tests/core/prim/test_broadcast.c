/* gy_broadcast: to all, in order; full and dead subscribers. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/broadcast.h"

GY_SUBSCRIBE(guest, tell);

static struct gy_broadcast broadcast;
static struct gy_subscriber memory[3];

static int subscribe(struct guest *guest)
{
    return gy_broadcast_subscribe(&broadcast, guest, tell, ((guest_pid){ guest->actor.pid }));
}
static int publish(uint64_t word)
{
    struct guest_tell_msg msg = { word };
    return gy_broadcast_publish(&broadcast, &msg, sizeof(msg));
}

static void all_get_it_in_order(void **state)
{
    struct guest *g[4];
    (void)state;
    gy_broadcast_init(&broadcast, memory, 3, sizeof(struct guest_tell_msg));
    assert_int_equal(publish(0), 0);
    for (unsigned i = 0; i < 4; i++) {
        g[i] = guest_new();
        assert_int_equal(subscribe(g[i]), i < 3 ? 0 : -EAGAIN);
    }
    assert_int_equal(subscribe(g[0]), 0); /* once is enough */
    for (uint64_t i = 1; i < 4; i++)
        assert_int_equal(publish(i), 3);
    settle();
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(g[i]->tells, i < 3 ? 3 : 0);
        for (unsigned j = 0; j < g[i]->tells; j++)
            assert_int_equal(g[i]->told[j], j + 1);
    }
    assert_int_equal(gy_broadcast_unsubscribe(&broadcast, g[1]->actor.pid), 0);
    assert_int_equal(gy_broadcast_unsubscribe(&broadcast, g[1]->actor.pid), -ENOENT);
    assert_int_equal(subscribe(g[3]), 0);
    assert_int_equal(publish(9), 3);
    settle();
    assert_int_equal(g[1]->tells, 3);
    assert_int_equal(g[2]->told[3], 9);
    assert_int_equal(g[3]->told[0], 9);
}

static void dead_subscribers_are_taken_off(void **state)
{
    (void)state;
    for (unsigned gone = 0; gone < 3; gone++) {
        struct guest *g[3];
        gy_broadcast_init(&broadcast, memory, 3, sizeof(struct guest_tell_msg));
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(subscribe(g[i] = guest_new()), 0);
        guest_end(g[gone]);
        assert_int_equal(publish(1), 2);
        assert_int_equal(broadcast.count, 2);
        settle();
        for (unsigned i = 0; i < 3; i++)
            if (i != gone)
                assert_int_equal(g[i]->tells, 1);
        assert_int_equal(broadcast.missed, 0);
    }
}

static void full_subscriber_misses_and_the_others_do_not(void **state)
{
    struct guest *full = guest_new(), *other = guest_new();
    unsigned n = 0;
    (void)state;
    gy_broadcast_init(&broadcast, memory, 3, sizeof(struct guest_tell_msg));
    assert_int_equal(subscribe(full), 0);
    assert_int_equal(subscribe(other), 0);
    while (guest_tell((guest_pid){ full->actor.pid }, (struct guest_tell_msg){ 5 }) == 0)
        n++;
    assert_int_equal(publish(1), 1);
    assert_int_equal(broadcast.missed, 1);
    settle();
    assert_int_equal(full->tells, n);
    assert_int_equal(other->tells, 1);
    assert_int_equal(publish(2), 2);
}

static void wrong_verbs_and_sizes_are_refused(void **state)
{
    uint32_t small = 0;
    (void)state;
    gy_broadcast_init(&broadcast, memory, 3, sizeof(small));
    assert_int_equal(subscribe(guest_new()), -EINVAL);
    assert_int_equal(publish(1), -EINVAL);
    gy_broadcast_init(&broadcast, memory, 3, sizeof(struct guest_tell_msg));
    assert_int_equal(gy_broadcast_subscribe_raw(&broadcast, (gy_pid){ UINT64_C(1) << 54 | 1 },
                                                &guest_tell_verb), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_get_it_in_order),
        TEST(dead_subscribers_are_taken_off),
        TEST(full_subscriber_misses_and_the_others_do_not),
        TEST(wrong_verbs_and_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
