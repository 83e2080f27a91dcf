/* statsd.c - counts what programs tell it in datagrams, on every shard.
 *
 * Shows datagram sockets: one per shard at the same port, among which the kernel shares the senders;
 * an answer to whoever asks; text read without a copy.
 *
 *     gyre-statsd --listen=127.0.0.1:8125
 *     printf 'page.hits:3|c' | nc -u -w0 127.0.0.1 8125      adds 3 to page.hits
 *     printf '?page.hits' | nc -u -w1 127.0.0.1 8125         what this sender's shard has counted
 *     SIGTERM or Ctrl-C ends it; status 0 */
#include "gyre/args.h"
#include "gyre/buf.h"
#include "gyre/datagram.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- the actor ---- */

#define NAMES_MAX 1024
#define NAME_MAX_LEN 63

struct statsd_args {
    const char *listen; /* borrowed, lives for ever */
};
GY_ACTOR(statsd);

struct statsd {
    struct gy_actor actor;
    struct gy_datagram_socket *socket;
    uint64_t lines, wrong;
    uint32_t names;
    struct {
        char name[NAME_MAX_LEN + 1];
        uint64_t value;
    } counters[NAMES_MAX];
};
GY_ACTOR_TYPE(statsd, statsd_start, statsd_stop);
GY_DATAGRAM(statsd, statsd_socket, statsd_opened, statsd_received, statsd_closed)

static int statsd_start(struct statsd *self, const struct statsd_args *args)
{
    struct gy_datagram_options options = GY_DATAGRAM_OPTIONS_INIT;
    options.bind = args->listen;
    options.shared = 1;
    options.receive_bytes = 1 << 20;
    return gy_datagram_open(self, &statsd_socket, &options, &self->socket);
}

static void statsd_stop(struct statsd *self, int why)
{
    (void)why;
    gy_log("shard %u counted %llu lines, %llu were wrong", gy_shard(),
           (unsigned long long)self->lines, (unsigned long long)self->wrong);
}

static void statsd_opened(struct statsd *self, struct gy_datagram_socket *s)
{
    char address[GY_ADDR_TEXT_MAX];
    (void)self;
    gy_addr_print(gy_datagram_local(s), address, sizeof(address));
    gy_log("listening on %s", address);
}

/* The counter of that name, made if there is room; NULL: none. */
static uint64_t *counter(struct statsd *self, const char *name, size_t len, bool make)
{
    uint32_t i = 0;
    while (i < self->names && (strlen(self->counters[i].name) != len ||
                               memcmp(self->counters[i].name, name, len) != 0))
        i++;
    if (i < self->names)
        return &self->counters[i].value;
    if (!make || i == NAMES_MAX || len == 0 || len > NAME_MAX_LEN)
        return NULL;
    memcpy(self->counters[i].name, name, len);
    self->names++;
    return &self->counters[i].value;
}

/* "name:3|c" */
static bool add(struct statsd *self, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *end = line + len;
    uint64_t n = 0;
    if (colon == NULL || end - colon < 4 || end[-2] != '|' || end[-1] != 'c')
        return false;
    for (const char *digit = colon + 1; digit < end - 2; digit++) {
        if (*digit < '0' || *digit > '9' || n > 1000000000)
            return false;
        n = n * 10 + (uint64_t)(*digit - '0');
    }
    uint64_t *value = counter(self, line, (size_t)(colon - line), true);
    if (value != NULL)
        *value += n;
    return value != NULL;
}

static void answer(struct statsd *self, const struct gy_addr *to, const char *name, size_t len)
{
    const uint64_t *value = counter(self, name, len, false);
    struct gy_buf *buf = gy_buf_take(32);
    if (buf == NULL)
        return;
    buf->len = (uint32_t)snprintf((char *)buf->data, 32, "%llu\n",
                                  value != NULL ? (unsigned long long)*value : 0);
    /* Nobody waits for a statistic: what finds no room is not sent. */
    if (gy_datagram_send(self->socket, to, buf) < 0)
        gy_buf_release(buf);
}

static void statsd_received(struct statsd *self, struct gy_datagram_socket *s, struct gy_buf *buf,
                            const struct gy_datagram_info *info)
{
    const char *line = (const char *)buf->data, *end = line + buf->len;
    (void)s;
    while (line < end && !info->truncated) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((next != NULL ? next : end) - line);
        self->lines++;
        if (len > 0 && line[0] == '?')
            answer(self, &info->from, line + 1, len - 1);
        else if (!add(self, line, len))
            self->wrong++;
        line += len + 1;
    }
    gy_buf_release(buf);
}

static void statsd_closed(struct statsd *self, struct gy_datagram_socket *s, int why)
{
    (void)s;
    /* The log says why it could not be opened. */
    if (why < 0 && why != -ECANCELED)
        gy_stop(gy_runtime_of_shard());
    self->socket = NULL;
}

/* ---- the program ---- */

struct program {
    const char *listen;
};

static const struct gy_option options[] = {
    {.name = "listen",
     .kind = GY_OPTION_ADDRESS,
     .offset = offsetof(struct program, listen),
     .value = "ADDR:PORT",
     .help = "where to receive datagrams",
     .group = "Server"},
};

static int boot(unsigned shard, void *arg)
{
    const struct program *program = arg;
    statsd_pid pid;
    (void)shard;
    return statsd_spawn(&pid, &(struct statsd_args){program->listen});
}

int main(int argc, char **argv)
{
    struct program program = {.listen = "127.0.0.1:8125"};
    const struct gy_program about = {.about = "Counts what programs tell it in datagrams.",
                                     .options = options,
                                     .options_n = 1,
                                     .fields = &program};
    struct gy_config cfg;
    gy_config_init(&cfg);
    cfg.handle_signals = true;
    int err = gy_args(&cfg, &about, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, &program);
    return gy_exit_status(err);
}
