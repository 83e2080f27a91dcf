/* Processes in core, against the fake driver: what a spec may be, the copy of it, the one operation from start to
 * end, signals before and after the birth, and who is cancelled when. */
#include "fake_driver.h"
#include "runner.h"

#include "core/bufs.h"
#include "core/process.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define KILL 9
#define TERM 15

static struct fake_driver fake;
static runner_pid runner;

static int boot(unsigned shard, void *arg)
{
    (void)shard, (void)arg;
    return runner_spawn(&runner, &(struct runner_args){0});
}

static void begin(void)
{
    struct gy_config config;
    gy_config_init(&config);
    config.futures = 64;
    fake_open(&fake, &config, 1, boot, NULL);
}

static void tell(struct run *run, enum runner_what what, uint32_t number)
{
    fake_enter(&fake, 0);
    assert_int_equal(runner_do(runner, (struct runner_do_msg){run, what, number}), 0);
    fake_leave();
    fake_settle(&fake);
}

static struct gy_op *op(void)
{
    struct gy_op *found = fake_op(&fake, 0, GY_OP_PROCESS, 0);
    assert_non_null(found);
    return found;
}

static void prepare(struct run *run, const char *path)
{
    memset(run, 0, sizeof(*run));
    gy_process_spec_init(&run->spec, path);
}

/* It runs, with handles from 100 on for its pipes. */
static void born(void)
{
    struct gy_spawned *out = op()->u.process.out;
    const struct gy_process_spec *spec = op()->u.process.spec;
    const struct gy_process_io *ios[] = {&spec->in, &spec->out, &spec->err};
    for (int i = 0; i < GY_SPAWN_FDS_MAX; i++)
        out->handles[i] = i < 3 && (ios[i]->kind == GY_IO_TO || ios[i]->kind == GY_IO_FROM) ? 100 + i
                                                                                            : -1;
    out->pid = 4711;
    fake_complete(&fake, 0, op(), 0, true);
    fake_settle(&fake);
}

static void ends(int32_t code, int32_t signal)
{
    struct gy_spawned *out = op()->u.process.out;
    out->code = code;
    out->signal = signal;
    out->known = 1;
    fake_complete(&fake, 0, op(), 0, false);
    fake_settle(&fake);
}

static void a_life(void **state)
{
    (void)state;
    struct run run;
    char path[] = "/bin/program", argument[] = "argument", entry[] = "A=b", cwd[] = "/tmp", file[] = "in";
    const char *argv[] = {path, argument, NULL}, *env[] = {entry, NULL};
    begin();
    prepare(&run, path);
    run.spec.argv = argv;
    run.spec.env = env;
    run.spec.cwd = cwd;
    run.spec.in.kind = GY_IO_READ;
    run.spec.in.path = file;
    run.spec.out.kind = GY_IO_FROM;
    tell(&run, RUNNER_START, 0);
    /* The copy does not see what becomes of the original. */
    path[0] = argument[0] = entry[0] = cwd[0] = file[0] = 'X';
    argv[1] = env[0] = NULL;
    const struct gy_process_spec *spec = op()->u.process.spec;
    assert_string_equal(spec->path, "/bin/program");
    assert_string_equal(spec->argv[0], "/bin/program");
    assert_string_equal(spec->argv[1], "argument");
    assert_null(spec->argv[2]);
    assert_string_equal(spec->env[0], "A=b");
    assert_null(spec->env[1]);
    assert_string_equal(spec->cwd, "/tmp");
    assert_string_equal(spec->in.path, "in");
    assert_int_equal(op()->handle, -1);
    born();
    assert_int_equal(run.started, 1);
    assert_int_equal(run.pid, 4711);
    assert_int_equal(run.opened, 1);
    struct gy_op *receive = fake_op_of(&fake, 0, GY_OP_RECV_MULTI, 101);
    assert_non_null(receive);
    fake_receive(&fake, 0, receive, "hello", 5, true);
    ends(7, 0);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.exit.code, 7);
    assert_int_equal(run.exit.pid, 4711);
    assert_int_equal(run.got_len, 5);
    assert_int_equal(run.closed, 0); /* its pipe has not come to its end */
    fake_complete(&fake, 0, receive, 0, false);
    fake_settle(&fake);
    fake_complete(&fake, 0, fake_op_of(&fake, 0, GY_OP_CLOSE, 101), 0, false);
    fake_settle(&fake);
    assert_int_equal(run.closed, 1);
    run_free(&run);
    fake_close(&fake);
}

static void bad_specs_are_named(void **state)
{
    (void)state;
    struct run run;
    struct gy_process_io more[2] = {{.kind = GY_IO_NULL, .number = 2}, {.kind = GY_IO_NULL, .number = 5}};
    begin();
    prepare(&run, "/bin/x");
    run.spec.size = 8;
    tell(&run, RUNNER_START, 0);
    assert_int_equal(run.refused, -EINVAL);
    assert_true(fake_logged(&fake, "gy_process_spec_init"));
    prepare(&run, "");
    tell(&run, RUNNER_START, 0);
    assert_int_equal(run.refused, -EINVAL);
    prepare(&run, "/bin/x");
    run.spec.in.kind = GY_IO_READ;
    tell(&run, RUNNER_START, 0);
    assert_true(fake_logged(&fake, "process /bin/x: descriptor 0: a file needs a path"));
    prepare(&run, "/bin/x");
    run.spec.err.kind = GY_IO_KINDS;
    tell(&run, RUNNER_START, 0);
    assert_true(fake_logged(&fake, "descriptor 2: no such kind"));
    prepare(&run, "/bin/x");
    run.spec.more = more;
    run.spec.more_count = 1;
    tell(&run, RUNNER_START, 0);
    assert_true(fake_logged(&fake, "have numbers from 3 to 1023"));
    more[0].number = 5;
    run.spec.more_count = 2;
    tell(&run, RUNNER_START, 0);
    assert_true(fake_logged(&fake, "descriptor 5: a number is given twice"));
    run.spec.more_count = 14;
    tell(&run, RUNNER_START, 0);
    assert_true(fake_logged(&fake, "14 more descriptors, allowed are 13"));
    assert_int_equal(fake_count(&fake, 0, GY_OP_PROCESS), 0);
    fake_close(&fake);
}

static void a_failed_birth_is_told_and_logged(void **state)
{
    (void)state;
    struct run run;
    begin();
    prepare(&run, "/x/y");
    tell(&run, RUNNER_START, 0);
    op()->u.process.out->step = "exec";
    op()->u.process.out->subject = -1;
    fake_complete(&fake, 0, op(), -ENOENT, false);
    fake_settle(&fake);
    assert_int_equal(run.exits, 1);
    assert_int_equal(run.res, -ENOENT);
    assert_int_equal(run.started, 0);
    assert_true(fake_logged(&fake, "exec /x/y: No such file or directory"));
    fake_close(&fake);
}

static void signals_before_and_after_the_birth(void **state)
{
    (void)state;
    struct run run;
    struct fake_shard *shard = &fake.shard[0];
    begin();
    prepare(&run, "/bin/x");
    tell(&run, RUNNER_START, 0);
    tell(&run, RUNNER_KILL, 1);
    tell(&run, RUNNER_KILL, 65);
    assert_int_equal(runner_results[RUNNER_KILL], -EINVAL);
    tell(&run, RUNNER_KILL, 10);
    assert_int_equal(shard->signal_count, 0); /* there is nobody yet */
    born();
    assert_int_equal(shard->signal_count, 1); /* the last one counts */
    assert_int_equal(shard->signals[0], 10);
    tell(&run, RUNNER_END, 100);
    assert_int_equal(shard->signals[1], TERM);
    fake_advance(&fake, 99 * GY_MS);
    assert_int_equal(shard->signal_count, 2);
    fake_advance(&fake, 2 * GY_MS);
    assert_int_equal(shard->signal_count, 3);
    assert_int_equal(shard->signals[2], KILL);
    fake.signal_result = -EPERM;
    tell(&run, RUNNER_KILL, 1);
    assert_int_equal(runner_results[RUNNER_KILL], -EPERM);
    ends(0, KILL);
    assert_int_equal(run.exit.signal, KILL);
    tell(&run, RUNNER_KILL, 1);
    assert_int_equal(runner_results[RUNNER_KILL], -ESRCH);
    tell(&run, RUNNER_END, 1);
    assert_int_equal(runner_results[RUNNER_END], -ESRCH);
    fake_advance(&fake, GY_S);
    assert_int_equal(shard->signal_count, 4);
    fake_close(&fake);
}

static void who_is_cancelled(void **state)
{
    (void)state;
    struct run killed, left;
    begin();
    prepare(&killed, "/bin/x");
    killed.spec.in.kind = GY_IO_TO;
    killed.keep_input = true;
    tell(&killed, RUNNER_START, 0);
    tell(&killed, RUNNER_DISCARD, 0);
    assert_int_equal(killed.res, -ECANCELED);
    assert_true(op()->canceled);
    /* It was born all the same: its pipe goes to nobody. */
    born();
    assert_int_equal(killed.started, 0);
    assert_int_equal(killed.opened, 0);
    assert_non_null(fake_op_of(&fake, 0, GY_OP_CLOSE, 100));
    fake_complete(&fake, 0, fake_op_of(&fake, 0, GY_OP_CLOSE, 100), 0, false);
    ends(0, KILL);
    assert_int_equal(killed.exits, 1);

    prepare(&left, "/bin/x");
    left.spec.flags = GY_PROCESS_LEAVE;
    tell(&left, RUNNER_START, 0);
    born();
    tell(&left, RUNNER_DISCARD, 0);
    assert_false(op()->canceled);
    ends(0, 0);

    /* Forgotten, it ends with its actor. */
    prepare(&killed, "/bin/x");
    killed.forget = true;
    tell(&killed, RUNNER_START, 0);
    born();
    assert_false(op()->canceled);
    tell(NULL, RUNNER_DIE, 0);
    assert_true(op()->canceled);
    ends(0, KILL);
    fake_close(&fake);
}

/* One that is left lives on without its actor, whose place is another's meanwhile. */
static void a_left_one_keeps_nothing_of_its_actor(void **state)
{
    (void)state;
    for (unsigned forgotten = 0; forgotten < 2; forgotten++) {
        struct run run;
        runner_pid next;
        begin();
        prepare(&run, "/bin/x");
        run.spec.flags = GY_PROCESS_LEAVE;
        run.spec.out.kind = forgotten == 1 ? GY_IO_NULL : GY_IO_FROM;
        run.forget = forgotten == 1;
        tell(&run, RUNNER_START, 0);
        if (forgotten == 1)
            born();
        tell(NULL, RUNNER_DIE, 0);
        if (forgotten == 0) {
            born(); /* its pipe goes to nobody */
            fake_complete(&fake, 0, fake_op_of(&fake, 0, GY_OP_CLOSE, 101), 0, false);
            fake_settle(&fake);
        }
        assert_false(op()->canceled);
        fake_enter(&fake, 0);
        assert_int_equal(runner_spawn(&next, &(struct runner_args){0}), 0);
        fake_leave();
        assert_int_equal(next.pid.bits >> 32, runner.pid.bits >> 32); /* shard and slot */
        ends(0, 0);
        fake_settle(&fake);
        assert_int_equal(fake.shard[0].shard->opfuts_live, 0);
        fake_close(&fake);
    }
}

/* ---- output that is collected ---- */

static struct collected {
    unsigned times;
    int res;
    struct gy_process_output_reply reply;
    char text[64];
} collected;

static void on_output(struct gy_actor *self, const struct gy_done *done)
{
    (void)self;
    collected.times++;
    collected.res = done->res;
    memset(collected.text, 0, sizeof(collected.text));
    if (done->res >= 0)
        memcpy(&collected.reply, done->value, sizeof(collected.reply));
    if (done->buf != NULL)
        memcpy(collected.text, done->buf->data,
               done->buf->len < sizeof(collected.text) ? done->buf->len : sizeof(collected.text) - 1);
    gy_buf_release(done->buf);
}

static gy_fut collect(uint32_t max)
{
    struct gy_process_spec spec;
    gy_process_spec_init(&spec, "/bin/x");
    spec.flags = GY_PROCESS_LEAVE; /* which it has not */
    fake_enter(&fake, 0);
    struct gy_actor *self = gy__actor_find(fake.shard[0].shard, runner.pid.bits);
    struct gy__context saved = gy__actor_enter(fake.shard[0].shard, self);
    gy_fut fut = gy_process_output_raw(self, &spec, max).fut;
    collected = (struct collected){0};
    assert_int_equal(gy_then_raw(self, fut, on_output, 0), 0);
    gy__actor_leave(fake.shard[0].shard, saved);
    fake_leave();
    fake_settle(&fake);
    born();
    return fut;
}

static void writes(int32_t handle, const char *text)
{
    struct gy_op *receive = fake_op_of(&fake, 0, GY_OP_RECV_MULTI, handle);
    assert_non_null(receive);
    fake_receive(&fake, 0, receive, text, strlen(text), true);
    fake_settle(&fake);
}

/* Its end, or what comes of a cancel. */
static void shuts(int32_t handle, int32_t res)
{
    struct gy_op *receive = fake_op_of(&fake, 0, GY_OP_RECV_MULTI, handle);
    assert_non_null(receive);
    fake_complete(&fake, 0, receive, res, false);
    fake_settle(&fake);
    fake_complete(&fake, 0, fake_op_of(&fake, 0, GY_OP_CLOSE, handle), 0, false);
    fake_settle(&fake);
}

static void output_comes_with_the_end(void **state)
{
    (void)state;
    begin();
    for (unsigned order = 0; order < 2; order++) {
        (void)collect(20);
        writes(101, "out ");
        writes(102, "err");
        writes(101, "more");
        if (order == 0)
            ends(3, 0);
        shuts(101, 0);
        shuts(102, 0);
        if (order == 1)
            ends(3, 0);
        assert_int_equal(collected.times, 1);
        assert_int_equal(collected.res, 0);
        assert_int_equal(collected.reply.code, 3);
        assert_int_equal(collected.reply.pid, 4711);
        assert_int_equal(collected.reply.out, 8);
        assert_int_equal(collected.reply.err, 3);
        assert_string_equal(collected.text, "out moreerr");
    }
    (void)collect(0);
    shuts(101, 0);
    shuts(102, 0);
    ends(0, 9);
    assert_int_equal(collected.reply.signal, 9);
    assert_int_equal(collected.reply.out + collected.reply.err, 0);
    assert_string_equal(collected.text, "");
    fake_close(&fake);
}

/* No more memory is taken than may be needed, so that what is allowed can be had. */
static void output_up_to_the_limit(void **state)
{
    enum { PIECE = 200, PIECES = 600 };
    char piece[PIECE + 1];
    struct gy_process_spec spec;
    (void)state;
    begin();
    memset(piece, 'x', PIECE);
    piece[PIECE] = 0;
    (void)collect(PIECE * PIECES);
    for (unsigned i = 0; i < PIECES; i++)
        writes(101, piece);
    assert_in_range(fake.shard[0].shard->bufs->large_bytes, PIECE * PIECES, PIECE * PIECES + 4095);
    shuts(101, 0);
    shuts(102, 0);
    ends(0, 0);
    assert_int_equal(collected.res, 0);
    assert_int_equal(collected.reply.out, PIECE * PIECES);
    gy_process_spec_init(&spec, "/bin/x");
    fake_enter(&fake, 0);
    assert_int_equal(gy_refused(gy_process_output_raw(NULL, &spec, (256 << 20) + 1).fut), -EINVAL);
    fake_leave();
    fake_close(&fake);
}

static void too_much_output_kills(void **state)
{
    (void)state;
    begin();
    for (unsigned after_end = 0; after_end < 2; after_end++) {
        (void)collect(7);
        writes(101, "1234");
        if (after_end == 1)
            ends(0, 0);
        writes(102, "5678");
        if (after_end == 0) {
            assert_int_equal(collected.times, 0);
            assert_true(op()->canceled);
        }
        shuts(101, -ECANCELED);
        shuts(102, -ECANCELED);
        if (after_end == 0)
            ends(0, KILL);
        assert_int_equal(collected.times, 1);
        assert_int_equal(collected.res, -EMSGSIZE);
    }
    fake_close(&fake);
}

static void collecting_is_given_up(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        begin();
        gy_fut fut = collect(100);
        writes(101, "some");
        if (how % 2 == 1)
            ends(0, 0); /* it waits for the ends only */
        if (how < 2) {
            fake_enter(&fake, 0);
            gy_discard(fut);
            fake_leave();
            fake_settle(&fake);
        } else {
            tell(NULL, RUNNER_DIE, 0);
        }
        shuts(101, -ECANCELED);
        shuts(102, -ECANCELED);
        if (how % 2 == 0) {
            assert_true(op()->canceled);
            ends(0, KILL);
        }
        assert_int_equal(collected.times, how < 2);
        assert_int_equal(collected.res, how < 2 ? -ECANCELED : 0);
        assert_int_equal(fake.shard[0].shard->opfuts_live, 0);
        fake_close(&fake); /* and no buffer is left */
    }
}

/* What is left of one that has ended are the ends of its output, which take no signals: its pid may be a stranger's. */
static void no_signal_reaches_who_has_ended(void **state)
{
    (void)state;
    begin();
    gy_process_exit_fut fut = {collect(100)};
    fake_enter(&fake, 0);
    assert_int_equal(gy_process_end(fut, GY_S), 0);
    fake_leave();
    assert_int_equal(fake.shard[0].signal_count, 1);
    ends(0, 0);
    fake_enter(&fake, 0);
    assert_int_equal(gy_process_kill(fut, KILL), -ESRCH);
    assert_int_equal(gy_process_end(fut, GY_S), -ESRCH);
    fake_leave();
    fake_advance(&fake, 2 * GY_S);
    assert_int_equal(fake.shard[0].signal_count, 1);
    shuts(101, 0);
    shuts(102, 0);
    assert_int_equal(collected.times, 1);
    assert_int_equal(collected.res, 0);
    fake_close(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life),
        cmocka_unit_test(bad_specs_are_named),
        cmocka_unit_test(a_failed_birth_is_told_and_logged),
        cmocka_unit_test(signals_before_and_after_the_birth),
        cmocka_unit_test(who_is_cancelled),
        cmocka_unit_test(a_left_one_keeps_nothing_of_its_actor),
        cmocka_unit_test(output_comes_with_the_end),
        cmocka_unit_test(output_up_to_the_limit),
        cmocka_unit_test(too_much_output_kills),
        cmocka_unit_test(collecting_is_given_up),
        cmocka_unit_test(no_signal_reaches_who_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
