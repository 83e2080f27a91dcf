/* Files on the real ring, in a directory of the test's own. */
#include "child.h"
#include "fixture.h"
#include "hopper.h"

#include "gyre/file.h"
#include "tests/support/failure_tour.h"
#include "tests/support/file_tour.h"
#include "tests/support/watch_tour.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
    config.actors_max = 1024;
    config.fifo_cells = 4096;
    return config;
}

static char *make_dir(char *out)
{
    strcpy(out, "/tmp/gyre-test-file-XXXXXX");
    assert_non_null(mkdtemp(out));
    return out;
}

static int tour_boot(unsigned shard, void *arg)
{
    file_tour_actor_pid pid;
    return shard > 0 ? 0 : file_tour_actor_spawn(&pid, &(struct file_tour_actor_args){ arg });
}

static void it_has_all_of_it(void **state)
{
    char dir[64];
    struct file_tour tour = { .dir = make_dir(dir) };
    struct gy_runtime *runtime = NULL;
    struct gy_config config = config_of(1);
    int before = open_descriptors();
    (void)state;
    assert_int_equal(gy_start(&runtime, &config, tour_boot, &tour), 0);
    hopper_await(&tour.ended, 1);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    if (tour.line != 0)
        fail_msg("line %d: %s, outcome %d", tour.line, tour.what, tour.res);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(rmdir(dir), 0);
}

static int failure_boot(unsigned shard, void *arg)
{
    failure_tour_actor_pid pid;
    (void)shard;
    return failure_tour_actor_spawn(&pid, &(struct failure_tour_actor_args){ arg });
}
static int fail_all(void *arg)
{
    struct failure_tour *tour = arg;
    struct gy_runtime *runtime = NULL;
    struct gy_config config = config_of(1);
    if (gy_start(&runtime, &config, failure_boot, tour) < 0)
        return 1;
    hopper_await(&tour->ended, 1);
    gy_drain(runtime);
    if (gy_wait(runtime) != 0)
        return 2;
    if (tour->line != 0)
        printf("line %d, outcome %d\n", tour->line, tour->res);
    return tour->line != 0 ? 3 : 0;
}

static void failures_name_what_they_were_about(void **state)
{
    static struct child child;
    char dir[64], kept[80];
    struct failure_tour tour = { .dir = make_dir(dir) };
    (void)state;
    snprintf(kept, sizeof(kept), "%s/y", dir);
    fclose(fopen(kept, "w")); /* so that the directory cannot be removed */
    child_run(&child, fail_all, &tour);
    unlink(kept);
    assert_int_equal(rmdir(dir), 0);
    if (child.status != 0)
        fail_msg("status %d: %s", child.status, child.out);
    failure_tour_check(&tour, child.err);
}

static int watch_boot(unsigned shard, void *arg)
{
    watch_tour_actor_pid pid;
    (void)shard;
    return watch_tour_actor_spawn(&pid, &(struct watch_tour_actor_args){ arg });
}

static void changes_are_heard_of(void **state)
{
    char dir[64];
    struct watch_tour tour = { .dir = make_dir(dir) };
    struct gy_runtime *runtime = NULL;
    struct gy_config config = config_of(1);
    int before = open_descriptors();
    (void)state;
    assert_int_equal(gy_start(&runtime, &config, watch_boot, &tour), 0);
    hopper_await(&tour.ended, 1);
    gy_drain(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(tour.line, 0);
    assert_string_equal(tour.seen, watch_tour_wanted);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- what a discard leaves behind ---- */

struct reader_args {
    struct reader_world *world;
};
GY_ACTOR(reader);
struct reader_world {
    const char *path;       /* of a pipe in the file system */
    unsigned each;          /* reads per file */
    bool dies;              /* instead of discarding */
    _Atomic uint64_t asked; /* all reads are under way, or it is told to give up */
    _Atomic uint64_t ended, canceled, closed;
    _Atomic uint64_t pid;
};
struct reader {
    struct gy_actor actor;
    struct reader_world *world;
    gy_file file;
    gy_fut reads[10000];
};
GY_THEN_RES(reader, reader_on_read)
{
    (void)ctx;
    self->world->canceled += res == -ECANCELED;
    self->world->ended++;
}
GY_THEN_RES(reader, reader_on_closed)
{
    (void)ctx;
    self->world->closed += res == 0;
}
GY_THEN_RES(reader, reader_on_time)
{
    (void)ctx, (void)res;
    if (self->world->dies) {
        self->world->closed = 1;
        gy_fail(&self->actor, -EPIPE);
        return;
    }
    for (unsigned i = 0; i < self->world->each; i++)
        gy_discard(self->reads[i]);
    (void)gy_then(self, gy_file_close(self->file), reader_on_closed, 0);
}
GY_THEN_RES(reader, reader_on_open)
{
    (void)ctx;
    assert_true(res > 0);
    self->file = gy_file_of(res);
    for (unsigned i = 0; i < self->world->each; i++) {
        self->reads[i] = gy_file_read(self->file, GY_FILE_HERE, 100);
        assert_int_equal(gy_refused(self->reads[i]), 0);
        (void)gy_then(self, self->reads[i], reader_on_read, 0);
    }
    self->world->asked = self->world->each;
    /* Some are with the kernel by then, some are not. */
    (void)gy_then(self, gy_after(self->world->each % 2 ? 0 : 20 * GY_MS), reader_on_time, 0);
}
static int reader_start(struct reader *self, const struct reader_args *args)
{
    self->world = args->world;
    /* Both ends, so that opening does not wait for another. */
    (void)gy_then(self, gy_file_open(args->world->path, GY_FILE_READ | GY_FILE_WRITE, 0),
                  reader_on_open, 0);
    return 0;
}
static void reader_stop(struct reader *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(reader, reader_start, reader_stop);

static int reader_boot(unsigned shard, void *arg)
{
    reader_pid pid;
    (void)shard;
    return reader_spawn(&pid, &(struct reader_args){ arg });
}

static void run_reader(unsigned each, bool dies, bool stop_at_once)
{
    char dir[64], path[96];
    struct reader_world world = { .path = path, .each = each, .dies = dies };
    struct gy_runtime *runtime = NULL;
    struct gy_config config = config_of(1);
    int before = open_descriptors();
    snprintf(path, sizeof(path), "%s/pipe", make_dir(dir));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(gy_start(&runtime, &config, reader_boot, &world), 0);
    if (stop_at_once) {
        hopper_await(&world.asked, each);
    } else {
        hopper_await(&world.closed, 1);
        if (!dies) {
            hopper_await(&world.ended, each);
            assert_int_equal(world.canceled, each);
        }
    }
    gy_stop(runtime);
    assert_int_equal(gy_wait(runtime), 0);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void discards_take_back_what_waits(void **state)
{
    (void)state;
    run_reader(100, false, false);
    run_reader(101, false, false);
}
static void ten_thousand_reads_are_cancelled(void **state)
{
    (void)state;
    run_reader(10000, false, false);
}
static void an_actor_s_end_takes_back_what_waits(void **state)
{
    (void)state;
    run_reader(1000, true, false);
    run_reader(1001, true, false);
}
static void a_stop_takes_back_what_waits(void **state)
{
    (void)state;
    run_reader(1000, false, true);
    run_reader(1001, true, true);
}

/* ---- the driver alone ---- */

static void a_truncate_without_the_ring(void **state)
{
    char dir[64], path[96];
    struct fixture *f = fixture_open(&fixture_tiny);
    struct gy_op op = { .kind = GY_OP_OPEN };
    (void)state;
    f->host.pool.threads_max = f->host.pool.queue_max = 1;
    snprintf(path, sizeof(path), "%s/file", make_dir(dir));
    op.u.path.path = path;
    op.u.path.how = GY_FILE_READ | GY_FILE_WRITE | GY_FILE_CREATE;
    op.u.path.mode = 0600;
    fixture_submit(f, &op);
    int fd = fixture_finish(f, &op);
    assert_true(fd >= 0);
    for (unsigned with = 0; with < 2; with++) {
        f->u->ring.has_ftruncate = f->u->ring.has_ftruncate && with;
        op = (struct gy_op){ .kind = GY_OP_TRUNCATE, .handle = fd };
        op.u.span.len = 1000 + with;
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), 0);
        struct stat stat;
        assert_int_equal(fstat(fd, &stat), 0);
        assert_int_equal(stat.st_size, 1000 + with);
    }
    close(fd);
    unlink(path);
    rmdir(dir);
    fixture_close(f);
}

/* Four entries in the queue, and more operations than that: they wait for room, in order. */
static void a_full_queue_delays(void **state)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    static struct gy_op ops[200];
    static char bytes[200];
    static struct gy_iov iov[200];
    (void)state;
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 200; i++) {
        bytes[i] = (char)i;
        iov[i] = (struct gy_iov){ &bytes[i], 1 };
        ops[i] = (struct gy_op){ .kind = GY_OP_WRITE, .handle = fd };
        ops[i].u.io.iov = &iov[i];
        ops[i].u.io.n = 1;
        ops[i].u.io.offset = i;
        if (i % 7 == 0)
            f->u->refuse_entries = 3;
        fixture_submit(f, &ops[i]);
    }
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(fixture_finish(f, &ops[i]), 1);
    char back[200];
    assert_int_equal(pread(fd, back, sizeof(back), 0), 200);
    assert_memory_equal(back, bytes, 200);
    close(fd);
    fixture_close(f);
}

/* Memory that is registered is read and written all the same; what cannot be is not. */
static void fixed_buffers(void **state)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    (void)state;
    char *memory = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(fd >= 0);
    uint32_t fixed = gy__file_pin(f->u, memory, 8192);
    if (fixed == 0)
        print_message("locked memory is short: nothing can be registered\n");
    memset(memory, 7, 4096);
    for (unsigned i = 0; i < 2; i++) {
        struct gy_iov iov = { memory + 4096 * i, 4096 };
        struct gy_op op = { .kind = i == 0 ? GY_OP_WRITE : GY_OP_READ, .handle = fd };
        op.u.io.iov = &iov;
        op.u.io.n = 1;
        op.u.io.fixed = fixed;
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), 4096);
    }
    assert_memory_equal(memory, memory + 4096, 4096);
    /* The first refusal is the last try. */
    assert_int_equal(gy__file_pin(f->u, (void *)4096, 4096), 0);
    assert_int_equal(gy__file_pin(f->u, memory + 8192, 8192), 0);
    close(fd);
    fixture_close(f);
    munmap(memory, 16384);
}

/* Whatever the kernel answers is what its submitter is told, once. */
static void every_result_is_told(void **state)
{
    static const int32_t results[] = { 0, 100, -EIO, -ENOSPC, -EINTR, -ECANCELED, -EAGAIN, -EDQUOT };
    struct fixture *f = fixture_open(&fixture_tiny);
    (void)state;
    for (uint8_t kind = GY_OP_OPEN; kind <= GY_OP_MKDIR; kind++) {
        for (unsigned i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
            uint64_t info[GY_STAT_MEMORY / 8] = {0};
            struct gy_op op = { .kind = kind };
            if (kind == GY_OP_STAT)
                op.u.stat.info = info;
            f->told_n = 0;
            fixture_inject(f, &op, results[i]);
            int32_t told = kind == GY_OP_CLOSE_FILE && results[i] == -EINTR ? 0 : results[i];
            assert_int_equal(fixture_finish(f, &op), told);
            assert_int_equal(fixture_count(f, &op), 1);
        }
    }
    fixture_close(f);
}

static void no_descriptor_is_left(void **state)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    struct rlimit before, low;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)open_descriptors() + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int32_t res = 0;
    int fds[64], n = 0;
    while (n < 64 && res >= 0) {
        struct gy_op op = { .kind = GY_OP_OPEN, .handle = -1 };
        op.u.path.path = "/dev/null";
        op.u.path.how = GY_FILE_READ;
        fixture_submit(f, &op);
        res = fixture_finish(f, &op);
        if (res >= 0)
            fds[n++] = res;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(res, -EMFILE);
    for (int i = 0; i < n; i++) {
        struct gy_op op = { .kind = GY_OP_CLOSE_FILE, .handle = fds[i] };
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), 0);
    }
    fixture_close(f);
}

static void a_full_disk_and_a_bad_descriptor(void **state)
{
    struct fixture *f = fixture_open(&fixture_tiny);
    struct gy_iov iov = { "x", 1 };
    struct gy_op op = { .kind = GY_OP_WRITE };
    (void)state;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 2; i++) {
        op = (struct gy_op){ .kind = GY_OP_WRITE, .handle = i == 0 ? fd : 9999 };
        op.u.io.iov = &iov;
        op.u.io.n = 1;
        fixture_submit(f, &op);
        assert_int_equal(fixture_finish(f, &op), i == 0 ? -ENOSPC : -EBADF);
    }
    close(fd);
    fixture_close(f);
}

int main(void)
{
    fixture_need_io_uring();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_all_of_it),
        cmocka_unit_test(failures_name_what_they_were_about),
        cmocka_unit_test(changes_are_heard_of),
        cmocka_unit_test(discards_take_back_what_waits),
        cmocka_unit_test(ten_thousand_reads_are_cancelled),
        cmocka_unit_test(an_actor_s_end_takes_back_what_waits),
        cmocka_unit_test(a_stop_takes_back_what_waits),
        cmocka_unit_test(a_truncate_without_the_ring),
        cmocka_unit_test(a_full_queue_delays),
        cmocka_unit_test(fixed_buffers),
        cmocka_unit_test(every_result_is_told),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(a_full_disk_and_a_bad_descriptor),
    };
    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
