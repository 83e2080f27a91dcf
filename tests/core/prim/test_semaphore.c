/* gy_semaphore: order, discards, and that permits are neither lost nor made. */
#include "tests/core/prim/prim_fixture.h"

#include "gyre/semaphore.h"

static void gives_what_there_is(void **state)
{
    static struct gy_semaphore semaphore;
    struct seen seen[4];
    (void)state;
    gy_semaphore_init(&semaphore, me(), 3);
    watch(gy_semaphore_acquire(&semaphore, 2), &seen[0]);
    watch(gy_semaphore_acquire(&semaphore, 2), &seen[1]); /* too many now */
    watch(gy_semaphore_acquire(&semaphore, 1), &seen[2]); /* does not overtake */
    assert_ended(seen[0], 0);
    assert_int_equal(seen[0].word, 2);
    assert_pending(seen[1]);
    assert_pending(seen[2]);
    assert_int_equal(gy_semaphore_try_acquire(&semaphore, 1), -EAGAIN);
    assert_int_equal(gy_semaphore_release(&semaphore, 1), 0);
    assert_ended(seen[1], 0);
    assert_pending(seen[2]);
    assert_int_equal(gy_semaphore_release(&semaphore, 2), 0);
    assert_ended(seen[2], 0);
    assert_int_equal(semaphore.permits, 1);
    assert_int_equal(gy_semaphore_try_acquire(&semaphore, 2), -EAGAIN);
    assert_int_equal(gy_semaphore_try_acquire(&semaphore, 1), 0);
    assert_int_equal(gy_semaphore_release(&semaphore, UINT64_MAX), 0);
    assert_int_equal(gy_semaphore_release(&semaphore, 1), -EOVERFLOW);
    gy_semaphore_fini(&semaphore);
}

static void discarded_waiter_lets_others_go(void **state)
{
    static struct gy_semaphore semaphore;
    struct seen big, small;
    (void)state;
    gy_semaphore_init(&semaphore, me(), 2);
    gy_fut fut = gy_semaphore_acquire(&semaphore, 5);
    watch(fut, &big);
    watch(gy_semaphore_acquire(&semaphore, 2), &small);
    assert_pending(small);
    gy_discard(fut);
    assert_ended(big, -ECANCELED);
    assert_ended(small, 0);
}

static void ends_with_fini_and_owner(void **state)
{
    static struct gy_semaphore semaphore;
    struct seen seen;
    struct guest *owner = guest_new();
    (void)state;
    gy_semaphore_init(&semaphore, me(), 0);
    watch(gy_semaphore_acquire(&semaphore, 1), &seen);
    gy_semaphore_fini(&semaphore);
    assert_ended(seen, -ECANCELED);
    gy_semaphore_init(&semaphore, &owner->actor, 0);
    watch(gy_semaphore_acquire(&semaphore, 1), &seen);
    guest_end(owner);
    assert_ended(seen, -EOWNERDEAD);
}

/* Random acquires, discards, deadlines and deaths: what is free and what continuations have seen
 * and not released is always the same sum, and at the end all is free. */
#define HOLDERS 40
static void permits_are_conserved(void **state)
{
    static struct gy_semaphore semaphore;
    struct guest *host = (struct guest *)(void *)me();
    struct seen seen[HOLDERS];
    gy_fut futs[HOLDERS];
    struct guest *guests[HOLDERS];
    uint64_t wants[HOLDERS];
    uint64_t random = 88172645463325252u;
    (void)state;
    gy_semaphore_init(&semaphore, me(), 10);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t held = 0;
        for (unsigned i = 0; i < HOLDERS; i++) {
            guests[i] = guest_new();
            as(guests[i]);
            wants[i] = 1 + (random = random * 6364136223846793005u + 1442695040888963407u) % 6;
            futs[i] = gy_semaphore_acquire(&semaphore, wants[i]);
            if (random >> 40 & 1)
                watch(futs[i], &seen[i]);
            else
                seen[i] = (struct seen){ 0 };
        }
        for (unsigned step = 0; step < 200; step++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            unsigned i = (unsigned)(random >> 33) % HOLDERS;
            if (guests[i] == NULL)
                continue;
            as(guests[i]);
            switch (random >> 60) {
            case 0:
            case 1:
                gy_discard(futs[i]);
                break;
            case 2: /* its stop function gives back what it knows that it has */
                if (seen[i].times == 1 && seen[i].res == 0)
                    gy_semaphore_release(&semaphore, wants[i]);
                seen[i].times = 2;
                guest_end(guests[i]);
                guests[i] = NULL;
                break;
            case 3:
                as(host);
                settle();
                break;
            default:
                if (seen[i].times == 1 && seen[i].res == 0) {
                    gy_semaphore_release(&semaphore, wants[i]);
                    seen[i].times = 2;
                }
                break;
            }
        }
        as(host);
        settle();
        for (unsigned i = 0; i < HOLDERS; i++)
            held += seen[i].times == 1 && seen[i].res == 0 ? wants[i] : 0;
        /* Those that are granted but that nobody looks at are neither free nor seen. */
        for (unsigned i = 0; i < HOLDERS; i++)
            if (guests[i] != NULL) {
                as(guests[i]);
                guest_end(guests[i]);
            }
        as(host);
        settle();
        assert_int_equal(semaphore.permits + held, 10);
        gy_semaphore_release(&semaphore, held);
        assert_int_equal(gy_waits_count(&semaphore.waits) + gy_waits_given(&semaphore.waits), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_what_there_is),
        TEST(discarded_waiter_lets_others_go),
        TEST(ends_with_fini_and_owner),
        TEST(permits_are_conserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
