/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release */
/* The corpus (corpus/README.md) against the connection: whole, cut in two at every byte, byte by
 * byte, from buffers before a guard page. */
#include "tests/http/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (256u << 10)
#define CASES_MIN 150

static struct peer peer;

/* ---- cases ---- */

struct raw_case {
    char file[64], name[128], expected[128];
    char bytes[BYTES_MAX];
    size_t len;
};

static const char *const files[] = { "line",    "target", "host",      "headers",
                                     "framing", "chunks", "connection" };

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static void put(struct raw_case *c, char byte)
{
    assert_true(c->len < sizeof(c->bytes));
    c->bytes[c->len++] = byte;
}

static const char *unescape(struct raw_case *c, const char *at, char stop);

/* \*{text}{count} */
static const char *repeat(struct raw_case *c, const char *at)
{
    size_t begin = c->len, len;
    unsigned long count;
    char *end;

    at = unescape(c, at + 1, '}') + 1;
    len = c->len - begin;
    assert_int_equal(*at, '{');
    count = strtoul(at + 1, &end, 10);
    assert_int_equal(*end, '}');
    assert_true(count > 0 && c->len + len * count <= sizeof(c->bytes));
    for (unsigned long i = 1; i < count; i++, c->len += len)
        memcpy(c->bytes + begin + i * len, c->bytes + begin, len);
    return end + 1;
}

static const char *unescape(struct raw_case *c, const char *at, char stop)
{
    while (*at != '\0' && *at != stop) {
        if (*at != '\\') {
            put(c, *at++);
            continue;
        }
        at++;
        switch (*at++) {
        case 'r': put(c, '\r'); break;
        case 'n': put(c, '\n'); break;
        case 't': put(c, '\t'); break;
        case '0': put(c, '\0'); break;
        case '\\': put(c, '\\'); break;
        case 'x':
            put(c, (char)(hex(at[0]) << 4 | hex(at[1])));
            at += 2;
            break;
        case '*': at = repeat(c, at); break;
        default: fail_msg("%s: %s: no such escape: \\%s", c->file, c->name, at - 1);
        }
    }
    return at;
}

/* ---- running one ---- */

static struct gy__http_memo_mark mark;

static void run(const struct raw_case *c, size_t first, size_t step)
{
    char story[4096];
    size_t at = 0, piece = first;

    peer_reopen(&peer);
    if (peer.env.memo.entries != NULL)
        peer.conn.memo = mark; /* as if it were the connection of the run before */
    while (at < c->len) {
        if (piece > c->len - at)
            piece = c->len - at;
        peer_give(&peer, c->bytes + at, piece);
        peer_flush(&peer);
        at += piece;
        piece = step;
    }
    mark = peer.conn.memo;
    peer_story(&peer, story, sizeof(story));
    /* Bytes that come after the connection was done make it linger, where it would have closed. */
    if (first < c->len && strstr(c->expected, "linger") != NULL && strstr(story, "close") != NULL)
        return;
    if (strcmp(story, c->expected) != 0)
        fail_msg("%s: %s: pieces of %zu, then %zu: %s, not %s", c->file, c->name, first, step,
                 story, c->expected);
}

static void run_all_ways(const struct raw_case *c)
{
    run(c, c->len, 1);
    run(c, 1, 1);
    run(c, 777, 4096);
    if (c->len > 3000)
        return;
    for (size_t cut = 1; cut < c->len; cut++)
        run(c, cut, c->len);
}

static unsigned run_file(const char *name)
{
    static struct raw_case c;
    const char *source = getenv("GYRE_SOURCE");
    char path[512], line[1024];
    unsigned cases = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/tests/http/corpus/%s.txt", source != NULL ? source : ".", name);
    file = fopen(path, "r");
    if (file == NULL)
        fail_msg("cannot read %s (GYRE_SOURCE names the source tree)", path);
    snprintf(c.file, sizeof(c.file), "%s", name);
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t len = strcspn(line, "\n");
        assert_int_equal(line[len], '\n'); /* not cut */
        line[len] = '\0';
        switch (line[0]) {
        case '@':
            snprintf(c.name, sizeof(c.name), "%.100s", line + 2);
            c.len = 0;
            break;
        case '>':
            unescape(&c, line + 2, '\0');
            break;
        case '=':
            snprintf(c.expected, sizeof(c.expected), "%.100s", line + 2);
            run_all_ways(&c);
            cases++;
            break;
        case ':':
        case '#':
        case '\0':
            break;
        default:
            fail_msg("%s: what is: %s", path, line);
        }
    }
    fclose(file);
    return cases;
}

static void corpus(bool remember)
{
    unsigned cases = 0;

    peer_open(&peer);
    if (remember)
        peer_remember(&peer);
    peer.guarded = true;
    peer.env.config.body_max = 1000;
    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        cases += run_file(files[i]);
    peer_close(&peer);
    assert_true(cases >= CASES_MIN);
}

static void test_corpus(void **state)
{
    (void)state;
    corpus(false);
}

/* The same when heads are known from the runs before. */
static void test_corpus_known(void **state)
{
    (void)state;
    corpus(true);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_corpus_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
