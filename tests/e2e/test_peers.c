/* The corpus of raw requests (tests/http/corpus) against nginx and Node's server: a check of the
 * corpus itself. What one of them does otherwise must be said in the case, with the reason, unless the
 * case is gyre's own choice. A demand that both of them contradict unsaid is taken for a mistake. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"
#include "server.h"
#include "tests/support/raw.h"

#define OUT_MAX (64u << 10)
#define START_MS 20000

struct peer {
    const char *name;
    pid_t pid;
    unsigned port;
    unsigned agreed, said, unsaid;
};

static struct peer nginx = {.name = "nginx"}, node = {.name = "node"};
static char directory[] = "/tmp/gyre-peers-XXXXXX";
static unsigned contradicted;

/* ---- the peers ---- */

/* A port that was free a moment ago: nginx cannot choose one itself. */
static unsigned free_port(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &len), 0);
    (void)close(fd);
    return ntohs(to.sin_port);
}

static void write_file(const char *path, const char *text, unsigned port)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '@')
            fprintf(f, "%s", directory);
        else if (*at == '^')
            fprintf(f, "%u", port);
        else
            fputc(*at, f);
    }
    assert_int_equal(fclose(f), 0);
}

static const char nginx_conf[] =
    "daemon off; master_process off; pid @/pid; error_log @/nginx.err;\n"
    "events { worker_connections 256; }\n"
    "http { access_log off; client_body_temp_path @/body; proxy_temp_path @/proxy;\n"
    "fastcgi_temp_path @/fastcgi; uwsgi_temp_path @/uwsgi; scgi_temp_path @/scgi;\n"
    "large_client_header_buffers 16 8k; client_max_body_size 1000;\n"
    "server { listen 127.0.0.1:^; location / { return 200 ok; } } }\n";

static const char node_js[] =
    "const s = require('http').createServer({ maxHeaderSize: 65536 }, (q, r) => {\n"
    "  q.on('error', () => {}); q.on('end', () => r.end('ok')); q.resume(); });\n"
    "s.listen(^, '127.0.0.1');\n";

static void peer_start(struct peer *peer, const char *text, const char *const *args)
{
    char path[64];
    uint64_t until = now_ms() + START_MS;
    int fd;
    peer->port = free_port();
    (void)snprintf(path, sizeof(path), "%s/%s", directory, peer->name);
    write_file(path, text, peer->port);
    (void)fflush(NULL);
    peer->pid = fork();
    assert_true(peer->pid >= 0);
    if (peer->pid == 0) {
        char search[8192];
        const char *old = getenv("PATH"), *deps = getenv("GYRE_DEPS");
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(search, sizeof(search), "%s:/usr/sbin:%s/bin", old != NULL ? old : "/usr/bin",
                       deps != NULL ? deps : "");
        (void)setenv("PATH", search, 1);
        (void)execvp(args[0], (char *const *)(uintptr_t)args);
        _exit(127);
    }
    while ((fd = client_connect(peer->port)) < 0) {
        if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid || now_ms() > until) {
            print_message("skipped: %s does not start here\n", peer->name);
            peer->pid = 0;
            return;
        }
        sleep_ms(20);
    }
    (void)close(fd);
}

static void peer_stop(struct peer *peer)
{
    if (peer->pid > 0) {
        (void)kill(peer->pid, SIGKILL);
        (void)waitpid(peer->pid, NULL, 0);
    }
}

/* ---- what one says ---- */

/* Send the case, say that no more comes, read all. -> the statuses, but for 100. */
static void ask(const struct peer *peer, const struct raw_case *c, char *story, size_t size)
{
    static char out[OUT_MAX];
    size_t len = 0, told = 0;
    int fd = client_connect(peer->port);
    assert_true(fd >= 0);
    (void)client_send(fd, c->bytes, c->len); /* it may close while we send */
    (void)shutdown(fd, SHUT_WR);
    while (len < sizeof(out) - 1) {
        ssize_t n = recv(fd, out + len, sizeof(out) - 1 - len, 0);
        if (n < 0 && errno == EAGAIN)
            fail_msg("%s: %s: %s says no end", c->file, c->name, peer->name);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    (void)close(fd);
    out[len] = '\0';
    story[0] = '\0';
    if (len > 0 && strncmp(out, "HTTP/1.", 7) != 0) /* as HTTP/0.9 does */
        told += (size_t)snprintf(story, size, "200 ");
    for (const char *at = out; (at = strstr(at, "HTTP/1.")) != NULL; at += 9) {
        if (strncmp(at + 9, "100", 3) != 0)
            told += (size_t)snprintf(story + told, size - told, "%.3s ", at + 9);
        assert_true(told < size);
    }
    if (told > 0)
        story[told - 1] = '\0';
}

/* Answers 2xx before the first that is none. *refused: there is one. */
static unsigned accepted(const char *story, bool *refused)
{
    unsigned n = 0;
    *refused = false;
    for (; *story != '\0'; story += strcspn(story, " "), story += strspn(story, " ")) {
        if (strncmp(story, "100", 3) == 0 || (*story >= 'a' && *story <= 'z'))
            continue;
        if (*story != '2') {
            *refused = true;
            break;
        }
        n++;
    }
    return n;
}

/* Only what is taken and what is refused counts, not how: a close without a word is a refusal, and
 * what we left unfinished may be refused at its end. */
static bool agrees(const struct raw_case *c, const char *story)
{
    bool refused, refuses;
    unsigned expected = accepted(c->expected, &refused), got = accepted(story, &refuses);
    return got == expected && (refused || !refuses || strstr(c->expected, "keep") != NULL);
}

/* How much is too much is for every server to say. */
static bool is_limit(const struct raw_case *c)
{
    return strstr(c->expected, "413") != NULL || strstr(c->expected, "414") != NULL ||
           strstr(c->expected, "431") != NULL || strcmp(c->file, "limits") == 0;
}

/* -> it contradicts what the RFCs demand, and the case does not say so. */
static bool compare(struct peer *peer, const struct raw_case *c)
{
    char story[1024];
    if (peer->pid == 0)
        return false;
    ask(peer, c, story, sizeof(story));
    if (agrees(c, story)) {
        peer->agreed++;
        return false;
    }
    peer->said++;
    if (raw_demand(c) == RAW_OWN)
        return false;
    for (unsigned i = 0; i < c->peer_count; i++)
        if (strcmp(c->peers[i].name, peer->name) == 0)
            return false;
    peer->said--;
    peer->unsaid++;
    print_message("%s: %s (%s): %s says \"%s\" instead of \"%s\"\n", c->file, c->name, c->why,
                  peer->name, story, c->expected);
    return true;
}

static void each(const struct raw_case *c, void *arg)
{
    bool first, second;
    (void)arg;
    if (is_limit(c))
        return;
    first = compare(&nginx, c);
    second = compare(&node, c);
    contradicted += (first || nginx.pid == 0) && (second || node.pid == 0);
}

static void they_read_the_corpus_as_it_says(void **state)
{
    char conf[64], script[64];
    const char *const nginx_args[] = {"nginx", "-p", directory, "-c", conf, NULL};
    const char *const node_args[] = {"node", script, NULL};
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(conf, sizeof(conf), "%s/nginx", directory);
    (void)snprintf(script, sizeof(script), "%s/node", directory);
    peer_start(&nginx, nginx_conf, nginx_args);
    peer_start(&node, node_js, node_args);
    if (nginx.pid > 0 || node.pid > 0)
        (void)raw_each(each, NULL);
    for (struct peer *peer = &nginx; peer != NULL; peer = peer == &nginx ? &node : NULL) {
        if (peer->pid > 0)
            print_message("%s: %u cases as here, %u otherwise with a reason, %u without\n", peer->name,
                          peer->agreed, peer->said, peer->unsaid);
        peer_stop(peer);
    }
    assert_true(nginx.agreed + node.agreed > 300 || (nginx.pid == 0 && node.pid == 0));
    assert_int_equal(contradicted, 0);
}

static int clean_up(void **state)
{
    char command[64];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(they_read_the_corpus_as_it_says, clean_up),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    (void)alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
