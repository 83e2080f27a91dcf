/* See prim_fixture.h. */
#include "tests/core/prim/prim_fixture.h"

struct fake_driver prim_fake;
static struct guest *current;
static unsigned orders;

GY_ACTOR_TYPE(guest, guest_start, guest_stop);
GY_VERB(guest, tell);
static int guest_start(struct guest *self, const struct guest_args *args)
{
    (void)self, (void)args;
    return 0;
}
static void guest_stop(struct guest *self, int why)
{
    (void)self, (void)why;
}
void guest_on_tell(struct guest *self, const struct guest_tell_msg *msg)
{
    assert_true(self->tells < GUEST_TOLD_MAX);
    self->told[self->tells++] = msg->word;
}

static struct gy_shard *shard(void)
{
    return prim_fake.shard[0].shard;
}

int prim_set_up(void **state)
{
    struct gy_config config;
    (void)state;
    gy_config_init(&config);
    config.actors_max = 4096;
    config.futures = 4096;
    config.mailbox = 32;
    orders = 0;
    fake_open(&prim_fake, &config, 1, NULL, NULL);
    fake_enter(&prim_fake, 0);
    as(guest_new());
    return 0;
}

int prim_tear_down(void **state)
{
    (void)state;
    settle();
    for (uint32_t slot = GY__FIRST_FREE_SLOT; slot < shard()->granules_used; slot++)
        if (shard()->slots[slot].generation & 1)
            guest_end((struct guest *)(void *)gy__actor_at(shard(), slot));
    current = NULL;
    settle();
    assert_int_equal(shard()->futures_live, 0);
    assert_int_equal(shard()->kept_live, 0);
    assert_int_equal(shard()->wheel.armed, 0);
    fake_leave();
    fake_close(&prim_fake);
    return 0;
}

struct guest *guest_new(void)
{
    guest_pid pid;
    assert_int_equal(guest_spawn(&pid, &(struct guest_args){ 0 }), 0);
    return (struct guest *)(void *)gy__actor_find(shard(), pid.pid.bits);
}

void guest_end(struct guest *guest)
{
    gy__actor_finish(shard(), &guest->actor, 0);
}

struct gy_actor *me(void)
{
    return current == NULL ? &shard()->nobody : &current->actor;
}

void as(struct guest *guest)
{
    current = guest;
    shard()->context = (struct gy__context){ me(), 0 };
}

void settle(void)
{
    fake_leave();
    fake_settle(&prim_fake);
    fake_enter(&prim_fake, 0);
    as(current);
}

void advance(uint64_t ns)
{
    fake_leave();
    fake_advance(&prim_fake, ns);
    fake_enter(&prim_fake, 0);
    as(current);
}

static void on_seen(struct gy_actor *self, const struct gy_done *done)
{
    struct seen *seen = (struct seen *)(uintptr_t)done->ctx;
    (void)self;
    seen->res = done->res;
    seen->word = done->value != NULL ? *(const uint64_t *)done->value : 0;
    seen->times++;
    seen->order = ++orders;
}

void watch(gy_fut fut, struct seen *seen)
{
    *seen = (struct seen){ 999, 0, 0, 0 };
    assert_int_equal(gy_then_raw(me(), fut, on_seen, (uint64_t)(uintptr_t)seen), 0);
    assert_int_equal(seen->times, 0);
}
