/* gyre-file - reads and writes a file through gyre/file.h, and says how fast and at what cost.
 *
 *     gyre-file WORK FILE [--depth=N] [--block=BYTES] [--time=TIME] [--buffered] [gyre's own options]
 *
 * WORK: randread; read and write, from front to back and again, by gy_file_next() and gy_file_put(). One
 * actor on one shard keeps N operations under way on a file that exists (write: overwrites it). The result
 * is a line of JSON: operations and bytes per second; CPU time of the process per operation, user and
 * kernel; and for randread `depth_min`, the fewest that were asked for and not answered, and `kernel_min`,
 * the fewest that the kernel had whenever its ring had been entered. perf/file/run compares all this with fio. */
#include "core/kernel.h"
#include "gyre/args.h"
#include "gyre/buf.h"
#include "gyre/file.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct options {
    const char *work, *path;
    uint32_t depth, block;
    uint64_t time_ns;
    bool buffered;
} options = {.depth = 32, .block = 4096, .time_ns = 2 * GY_S};

static const struct gy_option rows[] = {
    {"depth", NULL, GY_OPTION_U32, .offset = offsetof(struct options, depth), .min = 1, .max = 1024,
     .value = "N", .help = "operations under way"},
    {"block", NULL, GY_OPTION_U32, .offset = offsetof(struct options, block), .min = 512,
     .max = 1u << 24, .value = "BYTES", .help = "of one operation"},
    {"time", NULL, GY_OPTION_TIME, .offset = offsetof(struct options, time_ns), .max = 3600 * GY_S,
     .value = "TIME", .help = "how long to measure"},
    {"buffered", NULL, GY_OPTION_SWITCH, .offset = offsetof(struct options, buffered),
     .help = "through the page cache"},
};

static struct result {
    uint64_t operations, bytes, begin_ns, end_ns;
    double cpu_begin, cpu_end;
    uint32_t depth_min, kernel_min;
    int error;
} result;

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct bench_args {
    uint32_t unused;
};
GY_ACTOR(bench);
struct bench {
    struct gy_actor actor;
    gy_file file;
    uint64_t blocks;      /* of the file */
    uint64_t block;       /* read, write: the next one */
    uint32_t under_way;
    bool warm, over;      /* measuring has begun, has ended */
    uint64_t completions; /* told until the last turn in which we ran */
};

static void end(struct bench *self, int error)
{
    self->over = true;
    result.error = error < 0 && result.error == 0 ? error : result.error;
    if (self->under_way == 0)
        gy_stop(gy_runtime_of_shard());
}

/* ---- randread ---- */

GY_THEN_BUF(bench, bench_on_read);

static void read_one(struct bench *self)
{
    uint64_t block = gy_random() % self->blocks;
    gy_fut fut = gy_file_read(self->file, block * options.block, options.block);
    self->under_way++;
    (void)gy_then(self, fut, bench_on_read, 0);
}

/* When completions have come since we ran last, then what was under way as the kernel was entered is
 * what is under way now, before we add to it, and those. */
static void look_at_depth(struct bench *self)
{
    const struct gy_shard *shard = gy__self();
    uint64_t completions = atomic_load_explicit(&shard->core_counters[GY__COUNT_COMPLETIONS],
                                                memory_order_relaxed);
    uint64_t depth = shard->ops_in_flight + completions - self->completions;
    if (self->warm && !self->over && completions != self->completions && depth < result.kernel_min)
        result.kernel_min = (uint32_t)depth;
    self->completions = completions;
}

static void bench_on_read(struct bench *self, uint64_t ctx, int res, struct gy_buf *buf)
{
    (void)ctx;
    gy_buf_release(buf);
    look_at_depth(self);
    self->under_way--;
    if (self->warm && !self->over && self->under_way < result.depth_min)
        result.depth_min = self->under_way;
    if (res < 0) {
        end(self, res);
        return;
    }
    if (self->over) {
        end(self, 0);
        return;
    }
    result.operations += self->warm;
    result.bytes += self->warm ? (uint64_t)res : 0;
    read_one(self);
}

static void randread_begin(struct bench *self)
{
    while (self->under_way < options.depth)
        read_one(self);
}

/* ---- read ---- */

GY_THEN_BUF(bench, bench_on_next);

static void next_one(struct bench *self)
{
    if (self->block == 0) {
        int err = gy_file_ahead(self->file, 0, self->blocks * options.block, options.block,
                                options.depth < 32 ? options.depth : 32);
        if (err < 0) {
            end(self, err);
            return;
        }
    }
    self->block = (self->block + 1) % self->blocks;
    self->under_way = 1;
    (void)gy_then(self, gy_file_next(self->file), bench_on_next, 0);
}

static void bench_on_next(struct bench *self, uint64_t ctx, int res, struct gy_buf *buf)
{
    (void)ctx;
    gy_buf_release(buf);
    self->under_way = 0;
    if (res < 0 || self->over) {
        end(self, res);
        return;
    }
    result.operations += self->warm;
    result.bytes += self->warm ? (uint64_t)res : 0;
    next_one(self);
}

/* ---- write ---- */

GY_THEN_RES(bench, bench_on_put);

static void put_one(struct bench *self)
{
    struct gy_buf *buf = gy_buf_take(options.block);
    if (buf == NULL) {
        end(self, -EAGAIN);
        return;
    }
    buf->len = options.block;
    self->under_way = 1;
    (void)gy_then(self, gy_file_put(self->file, buf), bench_on_put, 1);
}

/* ctx: 1 put, 0 flushed. */
static void bench_on_put(struct bench *self, uint64_t ctx, int res)
{
    self->under_way = 0;
    if (res < 0 || self->over) {
        end(self, res);
        return;
    }
    if (ctx == 1) {
        result.operations += self->warm;
        result.bytes += self->warm ? options.block : 0;
        self->block = (self->block + 1) % self->blocks;
    }
    if (ctx == 1 && self->block == 0) {
        self->under_way = 1;
        (void)gy_then(self, gy_file_flush(self->file), bench_on_put, 0);
        return;
    }
    if (self->block == 0)
        res = gy_file_behind(self->file, 0, (uint64_t)(options.depth - 1) * options.block);
    if (res < 0)
        end(self, res);
    else
        put_one(self);
}

/* ---- the run ---- */

static const struct work {
    const char *name;
    unsigned how;
    void (*begin)(struct bench *self);
} *work_of(void);

GY_THEN_RES(bench, bench_on_end)
{
    (void)ctx, (void)res;
    result.end_ns = gy_now();
    result.cpu_end = cpu_seconds();
    end(self, 0);
}
GY_THEN_RES(bench, bench_on_warm)
{
    (void)ctx, (void)res;
    self->warm = true;
    result.depth_min = result.kernel_min = UINT32_MAX;
    result.begin_ns = gy_now();
    result.cpu_begin = cpu_seconds();
    (void)gy_then(self, gy_after(options.time_ns), bench_on_end, 0);
}
GY_THEN_RES(bench, bench_on_open)
{
    struct stat stat;
    (void)ctx;
    if (res < 0) {
        end(self, res);
        return;
    }
    self->file = gy_file_of(res);
    self->blocks = lstat(options.path, &stat) == 0 ? (uint64_t)stat.st_size / options.block : 0;
    if (self->blocks == 0) {
        end(self, -ENODATA);
        return;
    }
    work_of()->begin(self);
    (void)gy_then(self, gy_after(200 * GY_MS), bench_on_warm, 0);
}
static int bench_start(struct bench *self, const struct bench_args *args)
{
    unsigned how = work_of()->how | (options.buffered ? 0 : GY_FILE_DIRECT);
    (void)args;
    return gy_then(self, gy_file_open(options.path, how, 0), bench_on_open, 0);
}
static void bench_stop(struct bench *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(bench, bench_start, bench_stop);

static void write_begin(struct bench *self)
{
    int err = gy_file_behind(self->file, 0, (uint64_t)(options.depth - 1) * options.block);
    if (err < 0)
        end(self, err);
    else
        put_one(self);
}

static const struct work works[] = {
    {"randread", GY_FILE_READ, randread_begin},
    {"read", GY_FILE_READ, next_one},
    {"write", GY_FILE_WRITE, write_begin},
};

static const struct work *work_of(void)
{
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
        if (strcmp(works[i].name, options.work) == 0)
            return &works[i];
    return NULL;
}

static int boot(unsigned shard, void *arg)
{
    bench_pid pid;
    (void)arg;
    return shard > 0 ? 0 : bench_spawn(&pid, &(struct bench_args){0});
}

int main(int argc, char **argv)
{
    struct gy_config config;
    gy_config_init(&config);
    config.shards = 1;
    config.handle_signals = true;
    const struct gy_program program = {
        .name = "gyre-file", .about = "Reads and writes a file, and says at what cost.",
        .arguments = "randread|read|write FILE", .options = rows,
        .options_n = sizeof(rows) / sizeof(rows[0]), .fields = &options,
    };
    int err = gy_args(&config, &program, &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    if (argc != 3) {
        fprintf(stderr, "gyre-file: what to do, and with which file: randread FILE\n");
        return 2;
    }
    options.work = argv[1];
    options.path = argv[2];
    if (work_of() == NULL) {
        fprintf(stderr, "gyre-file: %s: allowed are randread, read and write\n", options.work);
        return 2;
    }
    err = gy_run(&config, boot, NULL);
    if (err < 0 || result.error < 0) {
        fprintf(stderr, "gyre-file: %s: %s\n", options.path, strerror(err < 0 ? -err : -result.error));
        return 1;
    }
    double seconds = (double)(result.end_ns - result.begin_ns) / 1e9;
    double operations = (double)result.operations;
    printf("{\"work\": \"%s\", \"iops\": %.0f, \"mb_per_s\": %.1f, \"cpu_us_per_op\": %.3f, "
           "\"cpu\": %.3f, \"depth_min\": %u, \"kernel_min\": %u}\n",
           options.work, operations / seconds, (double)result.bytes / seconds / 1e6,
           (result.cpu_end - result.cpu_begin) / operations * 1e6,
           (result.cpu_end - result.cpu_begin) / seconds, result.depth_min, result.kernel_min);
    return 0;
}
