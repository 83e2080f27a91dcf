/* gy_rwlock: readers together, writers alone, nobody starves, discarded ones do not stand in the
 * way. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/rwlock.h"

static struct gy_rwlock lock;

static void readers_share_writers_do_not(void **state)
{
    struct seen r[3], w[2];
    (void)state;
    gy_rwlock_init(&lock, me());
    watch(gy_rwlock_read(&lock), &r[0]);
    watch(gy_rwlock_read(&lock), &r[1]);
    assert_ended(r[0], 0);
    assert_ended(r[1], 0);
    assert_int_equal(lock.readers, 2);
    watch(gy_rwlock_write(&lock), &w[0]);
    watch(gy_rwlock_write(&lock), &w[1]);
    assert_pending(w[0]);
    assert_int_equal(gy_rwlock_read_unlock(&lock), 0);
    assert_pending(w[0]);
    assert_int_equal(gy_rwlock_write_unlock(&lock), -EPERM);
    assert_int_equal(gy_rwlock_read_unlock(&lock), 0);
    assert_ended(w[0], 0);
    assert_pending(w[1]);
    watch(gy_rwlock_read(&lock), &r[2]);
    assert_pending(r[2]);
    assert_int_equal(gy_rwlock_read_unlock(&lock), -EPERM);
    assert_int_equal(gy_rwlock_write_unlock(&lock), 0);
    assert_ended(w[1], 0);
    assert_pending(r[2]);
    assert_int_equal(gy_rwlock_write_unlock(&lock), 0);
    assert_ended(r[2], 0);
    assert_int_equal(gy_rwlock_read_unlock(&lock), 0);
}

static void writer_in_line_keeps_readers_out(void **state)
{
    struct seen first, writer, late;
    (void)state;
    gy_rwlock_init(&lock, me());
    watch(gy_rwlock_read(&lock), &first);
    watch(gy_rwlock_write(&lock), &writer);
    watch(gy_rwlock_read(&lock), &late);
    assert_ended(first, 0);
    assert_pending(late); /* or readers could keep the writer out for ever */
    gy_rwlock_read_unlock(&lock);
    assert_ended(writer, 0);
    assert_pending(late);
    gy_rwlock_write_unlock(&lock);
    assert_ended(late, 0);
}

static void run_of_readers_goes_in_together(void **state)
{
    struct seen w[2], r[4];
    (void)state;
    gy_rwlock_init(&lock, me());
    watch(gy_rwlock_write(&lock), &w[0]);
    for (unsigned i = 0; i < 3; i++)
        watch(gy_rwlock_read(&lock), &r[i]);
    watch(gy_rwlock_write(&lock), &w[1]);
    watch(gy_rwlock_read(&lock), &r[3]);
    assert_ended(w[0], 0);
    gy_rwlock_write_unlock(&lock);
    for (unsigned i = 0; i < 3; i++)
        assert_ended(r[i], 0);
    assert_int_equal(lock.readers, 3);
    assert_pending(w[1]);
    assert_pending(r[3]);
    gy_rwlock_fini(&lock);
    assert_ended(w[1], -ECANCELED);
    assert_ended(r[3], -ECANCELED);
}

/* At each place of reader, writer, reader, writer, reader. */
static void discarded_waiters_do_not_stand_in_the_way(void **state)
{
    (void)state;
    gy_rwlock_init(&lock, me());
    for (unsigned gone = 0; gone < 5; gone++) {
        struct seen holder, seen[5];
        gy_fut futs[5];
        watch(gy_rwlock_write(&lock), &holder);
        for (unsigned i = 0; i < 5; i++)
            watch(futs[i] = i % 2 ? gy_rwlock_write(&lock) : gy_rwlock_read(&lock), &seen[i]);
        assert_ended(holder, 0);
        gy_discard(futs[gone]);
        assert_ended(seen[gone], -ECANCELED);
        gy_rwlock_write_unlock(&lock);
        for (unsigned i = 0; i < 5;) {
            unsigned together = 0;
            if (i == gone) {
                i++;
                continue;
            }
            settle();
            for (unsigned j = 0; j < 5; j++)
                together += j != gone && seen[j].times == 1;
            if (lock.writer) {
                assert_int_equal(lock.readers, 0);
                gy_rwlock_write_unlock(&lock);
            } else {
                assert_true(lock.readers > 0);
                while (lock.readers > 0)
                    gy_rwlock_read_unlock(&lock);
            }
            for (i = 0; i < 5 && (i == gone || seen[i].times == 1); i++)
                ;
            assert_true(together > 0);
        }
        settle();
        assert_int_equal(lock.readers + lock.writer, 0);
    }
}

/* The writer at the head gives up: readers behind it join those that read, at once. */
static void discarded_writer_lets_readers_in(void **state)
{
    struct seen first, writer, late;
    struct guest *dying = guest_new(), *host = (struct guest *)(void *)me();
    (void)state;
    gy_rwlock_init(&lock, me());
    watch(gy_rwlock_read(&lock), &first);
    gy_fut fut = gy_rwlock_write(&lock);
    watch(fut, &writer);
    watch(gy_rwlock_read(&lock), &late);
    assert_pending(late);
    gy_discard(fut);
    assert_ended(late, 0);
    as(dying);
    watch(gy_rwlock_write(&lock), &writer);
    as(host);
    watch(gy_rwlock_read(&lock), &late);
    assert_pending(late);
    guest_end(dying);
    assert_ended(late, 0);
    assert_int_equal(lock.readers, 3);
}

static void lock_on_its_way_to_nobody_comes_back(void **state)
{
    struct seen next;
    (void)state;
    gy_rwlock_init(&lock, me());
    gy_fut fut = gy_rwlock_write(&lock);
    watch(gy_rwlock_read(&lock), &next);
    gy_discard(fut);
    assert_ended(next, 0);
    gy_discard(gy_rwlock_read(&lock));
    assert_int_equal(lock.readers, 1);
    gy_rwlock_read_unlock(&lock);
    assert_int_equal(lock.readers + lock.writer, 0);
}

static void end_of_the_owner_ends_waiting(void **state)
{
    struct seen seen[2];
    struct guest *owner = guest_new();
    (void)state;
    gy_rwlock_init(&lock, &owner->actor);
    watch(gy_rwlock_write(&lock), &seen[0]);
    watch(gy_rwlock_read(&lock), &seen[1]);
    guest_end(owner);
    assert_ended(seen[0], 0);
    assert_ended(seen[1], -EOWNERDEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_share_writers_do_not),
        TEST(writer_in_line_keeps_readers_out),
        TEST(run_of_readers_goes_in_together),
        TEST(discarded_waiters_do_not_stand_in_the_way),
        TEST(discarded_writer_lets_readers_in),
        TEST(lock_on_its_way_to_nobody_comes_back),
        TEST(end_of_the_owner_ends_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
