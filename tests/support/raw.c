/* Reading the corpus of raw requests (see raw.h). */
#include "tests/support/raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static const char *const files[] = { "line",     "version", "target",  "host",   "headers",
                                     "framing",  "chunks",  "trailer", "limits", "connection",
                                     "pipeline", "expect",  "method",  "end" };

struct reader {
    struct raw_case c;
    char *to; /* where escapes are written: a case's bytes, or what its handler sees */
    size_t *len, size;
};

static void put(struct reader *r, char byte)
{
    if (*r->len >= r->size)
        fail_msg("%s: %s: too long", r->c.file, r->c.name);
    r->to[(*r->len)++] = byte;
}

static int hex(struct reader *r, char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    fail_msg("%s: %s: no digit after \\x: %c", r->c.file, r->c.name, c);
    return -1;
}

static const char *unescape(struct reader *r, const char *at, char stop);

/* \*{text}{count} */
static const char *repeat(struct reader *r, const char *at)
{
    size_t begin = *r->len, len;
    unsigned long count;
    char *end;

    at = unescape(r, at + 1, '}') + 1;
    len = *r->len - begin;
    assert_int_equal(*at, '{');
    count = strtoul(at + 1, &end, 10);
    assert_int_equal(*end, '}');
    assert_true(count > 0 && *r->len + len * (count - 1) <= r->size);
    for (unsigned long i = 1; i < count; i++, *r->len += len)
        memcpy(r->to + begin + i * len, r->to + begin, len);
    return end + 1;
}

static const char *unescape(struct reader *r, const char *at, char stop)
{
    while (*at != '\0' && *at != stop) {
        if (*at != '\\') {
            put(r, *at++);
            continue;
        }
        at++;
        switch (*at++) {
        case 'r': put(r, '\r'); break;
        case 'n': put(r, '\n'); break;
        case 't': put(r, '\t'); break;
        case '0': put(r, '\0'); break;
        case '\\': put(r, '\\'); break;
        case 'x':
            put(r, (char)(hex(r, at[0]) << 4 | hex(r, at[1])));
            at += 2;
            break;
        case '*': at = repeat(r, at); break;
        default: fail_msg("%s: %s: no such escape: \\%s", r->c.file, r->c.name, at - 1);
        }
    }
    return at;
}

static void copy(struct reader *r, char *to, size_t size, const char *text, size_t len)
{
    if (len >= size)
        fail_msg("%s: %s: too long: %s", r->c.file, r->c.name, text);
    memcpy(to, text, len);
    to[len] = '\0';
}

static void read_bytes(struct reader *r, const char *text)
{
    r->to = r->c.bytes;
    r->len = &r->c.len;
    r->size = sizeof(r->c.bytes);
    unescape(r, text, '\0');
}

static void read_seen(struct reader *r, const char *text)
{
    r->to = r->c.seen;
    r->len = &r->c.seen_len;
    r->size = sizeof(r->c.seen);
    unescape(r, text, '\0');
    if (strchr(text, ' ') == NULL)
        put(r, ' '); /* no body */
    assert_true(r->c.seen_count < RAW_REQUESTS_MAX);
    r->c.seen_end[r->c.seen_count++] = r->c.seen_len;
}

/* "nginx 200 200: why" */
static void read_peer(struct reader *r, const char *text)
{
    const char *space = strchr(text, ' '), *colon = strstr(text, ": ");
    struct raw_peer *peer = &r->c.peers[r->c.peer_count++];

    if (space == NULL || colon == NULL || r->c.peer_count > RAW_PEERS_MAX)
        fail_msg("%s: %s: not \"! peer statuses: why\": %s", r->c.file, r->c.name, text);
    copy(r, peer->name, sizeof(peer->name), text, (size_t)(space - text));
    copy(r, peer->statuses, sizeof(peer->statuses), space + 1, (size_t)(colon - space) - 1);
    copy(r, peer->why, sizeof(peer->why), colon + 2, strlen(colon + 2));
}

enum raw_demand raw_demand(const struct raw_case *c)
{
    if (strncmp(c->why, "MUST RFC ", 9) == 0)
        return RAW_MUST;
    return strncmp(c->why, "SHOULD RFC ", 11) == 0 ? RAW_SHOULD : RAW_OWN;
}

/* -> the line is the last of a case. */
static bool read_line(struct reader *r, const char *line)
{
    const char *text = line[0] != '\0' && line[1] == ' ' ? line + 2 : "";

    switch (line[0]) {
    case '@':
        memset(&r->c.len, 0, sizeof(r->c) - offsetof(struct raw_case, len));
        r->c.why[0] = '\0';
        copy(r, r->c.name, sizeof(r->c.name), text, strlen(text));
        return false;
    case ':':
        copy(r, r->c.why, sizeof(r->c.why), text, strlen(text));
        if (raw_demand(&r->c) == RAW_OWN && strncmp(text, "gyre: ", 6) != 0)
            fail_msg("%s: %s: who demands it? %s", r->c.file, r->c.name, text);
        return false;
    case '>': read_bytes(r, text); return false;
    case '<': read_seen(r, text); return false;
    case '!': read_peer(r, text); return false;
    case '.': r->c.ends = true; return false;
    case '=':
        copy(r, r->c.expected, sizeof(r->c.expected), text, strlen(text));
        if (r->c.why[0] == '\0')
            fail_msg("%s: %s: nobody demands it", r->c.file, r->c.name);
        return true;
    case '#':
    case '\0':
        return false;
    default:
        fail_msg("%s: what is: %s", r->c.file, line);
        return false;
    }
}

static unsigned read_file(struct reader *r, void (*each)(const struct raw_case *c, void *arg),
                          void *arg)
{
    const char *source = getenv("GYRE_SOURCE");
    char path[512], line[1024];
    unsigned cases = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/tests/http/corpus/%s.txt", source != NULL ? source : ".",
             r->c.file);
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot read %s (GYRE_SOURCE names the source tree)", path);
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t len = strcspn(line, "\n");

        if (line[len] != '\n')
            fail_msg("%s: a line is too long: %.60s", path, line);
        line[len] = '\0';
        if (read_line(r, line)) {
            each(&r->c, arg);
            cases++;
        }
    }
    fclose(file);
    return cases;
}

unsigned raw_each(void (*each)(const struct raw_case *c, void *arg), void *arg)
{
    static struct reader r;
    unsigned cases = 0;

    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(r.c.file, sizeof(r.c.file), "%s", files[i]);
        cases += read_file(&r, each, arg);
    }
    return cases;
}
