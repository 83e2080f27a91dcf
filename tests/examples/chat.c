/* gyre-chat - a room in which WebSocket clients hear each other.
 *
 *     gyre-chat [--listen=ADDR:PORT]       127.0.0.1:8082; the page at / is a client
 *
 * One actor holds the room, on shard 0; connections are accepted by all shards, and reach it wherever
 * they are. What one says all hear. A client that does not keep up is not waited for: it misses what
 * does not fit into its queue, and is told how much when there is room again.
 *
 *     GET /       a page
 *     GET /room   the WebSocket; text messages only */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gyre/args.h"
#include "gyre/http.h"
#include "gyre/run.h"
#include "gyre/typed.h"
#include "gyre/websocket.h"

#define GUESTS_MAX 1000

static const char page[] =
    "<!doctype html><title>gyre-chat</title><ul id=said></ul><form id=form><input id=say autofocus></form>\n"
    "<script>\n"
    "const room = new WebSocket(location.href.replace('http', 'ws') + 'room');\n"
    "room.onmessage = e => { const li = document.createElement('li'); li.textContent = e.data; said.append(li); };\n"
    "form.onsubmit = e => { e.preventDefault(); room.send(say.value); say.value = ''; };\n"
    "</script>\n";

static struct settings {
    const char *listen;
} settings = {"127.0.0.1:8082"};

struct room_args {
    uint32_t unused;
};
GY_ACTOR(room);
struct room {
    struct gy_actor actor;
    struct guest {
        struct gy_ws ws;
        bool here;
        unsigned number, missed;
    } guests[GUESTS_MAX];
    unsigned count; /* of all that ever came */
};
GY_ACTOR_TYPE(room, room_start, room_stop);
GY_HTTP(room, room_page);
GY_HTTP(room, room_enter);
GY_WS(room, room_socket, room_message, room_again, room_closed);
GY_THEN_RES(room, room_on_look);

static void room_page(struct room *self, const struct gy_http_req *req, gy_http_promise reply)
{
    (void)self;
    if (req->rest.len > 1)
        gy_http_fail(reply, -ENOENT);
    else
        gy_http_reply(reply, 200, "text/html; charset=utf-8", page, sizeof(page) - 1);
}

/* All hear it; for one whose queue is full it is lost, and counted. */
static void say(struct room *self, const char *text, size_t len)
{
    for (unsigned i = 0; i < GUESTS_MAX; i++) {
        struct guest *guest = &self->guests[i];
        if (guest->here && gy_ws_send(&guest->ws, GY_WS_TEXT, text, len) == -EAGAIN)
            guest->missed++;
    }
}

static void sayf(struct room *self, unsigned number, const char *what)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "%u %s", number, what);

    say(self, text, (size_t)len);
}

static void room_enter(struct room *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy_ws_options options = GY_WS_OPTIONS_INIT(&room_socket);
    unsigned i = 0;

    options.message_max = 4096;
    while (i < GUESTS_MAX && self->guests[i].here)
        i++;
    if (i == GUESTS_MAX) {
        gy_http_fail(reply, -EAGAIN);
        return;
    }
    if (gy_ws_open(&self->guests[i].ws, &self->actor, req, reply, &options) < 0)
        return; /* and has been told why */
    self->guests[i].here = true;
    self->guests[i].missed = 0;
    self->guests[i].number = ++self->count;
    sayf(self, self->count, "came");
}

static struct guest *guest_of(struct gy_ws *ws)
{
    return (struct guest *)(void *)((char *)ws - offsetof(struct guest, ws));
}

static void room_message(struct room *self, struct gy_ws *ws, enum gy_ws_type type, const void *data, size_t len)
{
    char text[4096 + 32];
    int prefix = snprintf(text, sizeof(text), "%u: ", guest_of(ws)->number);

    if (type != GY_WS_TEXT) {
        gy_ws_close(ws, 1003, "only text is understood here");
        return;
    }
    memcpy(text + prefix, data, len);
    say(self, text, (size_t)prefix + len);
}

static void room_again(struct room *self, struct gy_ws *ws)
{
    struct guest *guest = guest_of(ws);
    char text[64];
    int len = snprintf(text, sizeof(text), "you missed %u", guest->missed);

    (void)self;
    if (guest->missed > 0 && gy_ws_send(ws, GY_WS_TEXT, text, (size_t)len) == 0)
        guest->missed = 0;
}

static void room_closed(struct room *self, struct gy_ws *ws, unsigned code)
{
    (void)code;
    guest_of(ws)->here = false;
    sayf(self, guest_of(ws)->number, "left");
}

/* With port 0 it is known when the listener is open, which is after all shards have booted. */
static void room_on_look(struct room *self, uint64_t ctx, int res)
{
    const char *listen = settings.listen;
    unsigned port = gy_http_port();

    (void)ctx;
    if (res >= 0 && port == 0) {
        (void)gy_then(self, gy_after(GY_MS), room_on_look, 0);
        return;
    }
    printf("listening on http://%.*s:%u\n", (int)(strrchr(listen, ':') - listen), listen, port);
    (void)fflush(stdout);
}

static int room_start(struct room *self, const struct room_args *args)
{
    int err = gy_http_route(self, "GET /room", room_enter);

    (void)args;
    if (err == 0)
        err = gy_http_route(self, "GET /", room_page);
    return err < 0 ? err : gy_then(self, gy_after(0), room_on_look, 0);
}

static void room_stop(struct room *self, int why)
{
    (void)why;
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        if (self->guests[i].here)
            gy_ws_drop(&self->guests[i].ws);
}

static int boot(unsigned shard, void *arg)
{
    const struct gy_http_config http = GY_HTTP_CONFIG_INIT(settings.listen);
    room_pid pid;
    int err = gy_http_listen(&http);

    (void)arg;
    return err < 0 || shard > 0 ? err : room_spawn(&pid, &(struct room_args){0});
}

int main(int argc, char **argv)
{
    static const struct gy_option options[] = {
        {"listen", NULL, GY_OPTION_ADDRESS, .offset = offsetof(struct settings, listen), .value = "ADDR:PORT",
         .help = "port 0: any free, which is printed"},
    };
    static const struct gy_program program = {
        .version = "0.1.0",
        .about = "A room in which WebSocket clients hear each other.",
        .options = options,
        .options_n = sizeof(options) / sizeof(options[0]),
        .fields = &settings,
    };
    struct gy_config cfg;
    int err;

    gy_config_init(&cfg);
    cfg.handle_signals = true;
    err = gy_args(&cfg, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&cfg, boot, NULL);
    return gy_exit_status(err);
}
