/* gyre-link: -Wl,--wrap=gy_buf_take,--wrap=gy_buf_wrap,--wrap=gy_buf_release,--wrap=gy__http_memo_fill */
/* The corpus (corpus/README.md) against the connection: whole, cut in two at every byte, byte by
 * byte, from buffers before a guard page; answered at once and late; and behind a valid request that
 * begins with the same bytes, whose head is known. */
#include "tests/http/peer.h"
#include "tests/support/raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define CASES_MIN 300
#define CUT_MAX 3000 /* longer ones are not cut at every byte */

static struct peer peer;
static unsigned known; /* heads that were not parsed but recognised */

void __real_gy__http_memo_fill(struct gy__http_memo_entry *entry, struct gy__http_slot *slot,
                               const char *at);
void __wrap_gy__http_memo_fill(struct gy__http_memo_entry *entry, struct gy__http_slot *slot,
                               const char *at);
void __wrap_gy__http_memo_fill(struct gy__http_memo_entry *entry, struct gy__http_slot *slot,
                               const char *at)
{
    known++;
    __real_gy__http_memo_fill(entry, slot, at);
}

/* ---- one run ---- */

/* How a case is sent: behind `twice` times the twin, in a first piece and others of the same size. */
struct way {
    size_t first, step;
    unsigned twins;
    bool late; /* handlers answer when all has been sent, the last request first */
};

static struct gy__http_memo_mark mark;
static char twin[CUT_MAX];
static size_t twin_len;
static char bytes[RAW_BYTES_MAX + 2 * CUT_MAX];

static size_t assemble(const struct raw_case *c, const struct way *way)
{
    size_t len = 0;

    for (unsigned i = 0; i < way->twins; i++, len += twin_len)
        memcpy(bytes + len, twin, twin_len);
    memcpy(bytes + len, c->bytes, c->len);
    return len + c->len;
}

static void answer_late(void)
{
    unsigned answered = 0;

    do {
        unsigned n = peer.requests;

        for (unsigned i = n; i > answered; i--)
            peer_answer(&peer, i - 1);
        answered = n;
        peer_flush(&peer);
    } while (answered < peer.requests);
}

static void give(const struct raw_case *c, const struct way *way)
{
    size_t len = assemble(c, way), piece = way->first;

    for (size_t at = 0; at < len; at += piece, piece = way->step) {
        if (piece > len - at)
            piece = len - at;
        peer_give(&peer, bytes + at, piece);
        peer_flush(&peer);
    }
    if (c->ends) {
        gy__http_conn_end(&peer.conn);
        peer_flush(&peer);
    }
    do {
        if (way->late)
            answer_late();
        else
            peer_flush(&peer);
    } while (gy__http_conn_again(&peer.conn));
}

/* All that is wrong shall be told, but a case only once. */
static unsigned wrong;
static char told_name[sizeof(((struct raw_case *)0)->name)];

static void fail_run(const struct raw_case *c, const struct way *way, const char *got,
                     const char *expected)
{
    if (strcmp(told_name, c->name) == 0)
        return;
    wrong++;
    memcpy(told_name, c->name, sizeof(told_name));
    print_message("%s: %s: pieces of %zu, then %zu, behind %u others%s: %s, not %s\n", c->file, c->name,
             way->first, way->step, way->twins, way->late ? ", answered late" : "", got, expected);
}

/* The nth answer of the case is a handler's: was it given what it should have been? */
static void check_seen(const struct raw_case *c, const struct way *way,
                       const struct peer_reply *reply, unsigned n)
{
    size_t begin = n > 0 ? c->seen_end[n - 1] : 0;
    char got[300];

    if (c->seen_count == 0)
        return;
    snprintf(got, sizeof(got), "handler %u: %.*s", n, (int)reply->body_len, reply->body);
    if (n >= c->seen_count)
        fail_run(c, way, got, "called at all");
    else if (reply->body_len != c->seen_end[n] - begin ||
             memcmp(reply->body, c->seen + begin, reply->body_len) != 0)
        fail_run(c, way, got, "what stands behind <");
}

/* "100?" in what is expected may have been said or not. */
static bool matches(const char *story, const char *expected)
{
    while (*story != '\0' && *expected != '\0') {
        if (strncmp(expected, "100? ", 5) == 0) {
            expected += 5;
            if (strncmp(story, "100 ", 4) == 0)
                story += 4;
        } else if (*story++ != *expected++) {
            return false;
        }
    }
    return *story == *expected;
}

/* No handler saw what this answers, so the case must tell: is it HEAD? */
static bool refused_head(const struct raw_case *c, const struct way *way, unsigned n)
{
    return n == way->twins && c->len > 5 && memcmp(c->bytes, "HEAD ", 5) == 0;
}

static void check(const struct raw_case *c, const struct way *way)
{
    static const char *const finishes[] = { "keep", "close", "linger", "abort" };
    const char *finish = finishes[peer.conn.finish];
    unsigned answers = 0;
    char story[512];
    size_t len = 0;

    for (;;) {
        bool head = answers < peer.requests ? peer.methods[answers] == HTTP_HEAD
                                            : refused_head(c, way, answers);
        struct peer_reply reply = peer_read(&peer, head);

        if (reply.status == 0)
            break;
        if (answers >= way->twins) {
            len += (size_t)snprintf(story + len, sizeof(story) - len, "%d ", reply.status);
            assert_true(len < sizeof(story));
            if (reply.status == 200 && !head)
                check_seen(c, way, &reply, answers - way->twins);
        } else if (reply.status != 200) {
            fail_run(c, way, "twin refused", "answered");
        }
        if (reply.status != 100)
            answers++;
    }
    /* It was done before the bytes came that would make it linger. */
    if (way->first < c->len + way->twins * twin_len && strcmp(finish, "close") == 0 &&
        strstr(c->expected, "linger") != NULL)
        finish = "linger";
    snprintf(story + len, sizeof(story) - len, "%s", finish);
    if (!matches(story, c->expected))
        fail_run(c, way, story, c->expected);
}

static void run(const struct raw_case *c, struct way way)
{
    peer_reopen(&peer);
    if (peer.env.memo.entries != NULL && way.twins == 0)
        peer.conn.memo = mark; /* as if it were the connection of the run before */
    peer.at_once = !way.late;
    give(c, &way);
    mark = peer.conn.memo;
    check(c, &way);
}

static void run_all_ways(const struct raw_case *c, void *arg)
{
    (void)arg;
    for (unsigned late = 0; late < 2; late++) {
        run(c, (struct way){ c->len, 1, 0, late != 0 });
        run(c, (struct way){ 1, 1, 0, late != 0 });
        run(c, (struct way){ 777, 4096, 0, late != 0 });
        for (size_t cut = 1; cut < c->len && c->len <= CUT_MAX; cut++)
            run(c, (struct way){ cut, c->len, 0, late != 0 });
    }
}

/* ---- behind a valid request that begins alike ---- */

/* Is this a whole request whose head can be remembered? Then it is the twin. */
static bool is_twin(const char *begin, size_t len, const char *rest)
{
    char candidate[CUT_MAX];
    size_t all = len + strlen(rest);
    bool good;

    if (all > GY__HTTP_MEMO_HEAD_MAX)
        return false;
    memcpy(candidate, begin, len);
    memcpy(candidate + len, rest, strlen(rest));
    peer.env.memo.first.entry = 0; /* nothing is known before */
    peer_reopen(&peer);
    peer.at_once = true;
    peer_give(&peer, candidate, all);
    peer_flush(&peer);
    good = peer.requests == 1 && peer.conn.finish == GY__FINISH_NOT &&
           peer.conn.parser.phase == GY__HTTP_BETWEEN && peer.conn.parser.blank == 0 &&
           peer.conn.memo.entry != 0;
    if (good) {
        memcpy(twin, candidate, all);
        twin_len = all;
    }
    return good;
}

/* The longest beginning of the case, by lines, that can be completed to a valid request. */
static void find_twin(const struct raw_case *c)
{
    size_t first = 0;

    while (first < c->len && (c->bytes[first] == '\r' || c->bytes[first] == '\n'))
        first++; /* empty lines are no part of a head */
    for (size_t at = c->len; at > first + 2; at--) {
        const char *begin = c->bytes + first;
        size_t len = at - first;

        if (memcmp(begin + len - 2, "\r\n", 2) == 0 &&
            (is_twin(begin, len, "") || is_twin(begin, len, "\r\n") ||
             is_twin(begin, len, "Host: h\r\n\r\n")))
            return;
    }
    assert_true(is_twin("", 0, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
}

static void run_behind_twins(const struct raw_case *c, void *arg)
{
    unsigned before;
    size_t all;

    (void)arg;
    find_twin(c);
    all = 2 * twin_len + c->len;
    before = known;
    for (unsigned late = 0; late < 2; late++) {
        run(c, (struct way){ all, 1, 2, late != 0 });
        run(c, (struct way){ 1, 1, 2, late != 0 });
        for (size_t cut = 0; cut < c->len && c->len <= CUT_MAX; cut++)
            run(c, (struct way){ 2 * twin_len + cut, all, 2, late != 0 });
    }
    /* The second twin, in the pieces that hold both. */
    if (known - before < 2)
        fail_run(c, &(struct way){ all, 1, 2, false }, "a head that is parsed", "recognised");
}

/* ---- all cases ---- */

static void open_peer(bool remember)
{
    wrong = 0;
    told_name[0] = '\0';
    peer_open(&peer);
    if (remember)
        peer_remember(&peer);
    peer.guarded = true;
    peer.env.config.body_max = 1000;
    memset(&mark, 0, sizeof(mark));
}

static void test_corpus(void **state)
{
    (void)state;
    open_peer(false);
    assert_true(raw_each(run_all_ways, NULL) >= CASES_MIN);
    assert_int_equal(wrong, 0);
    peer_close(&peer);
}

/* The same when heads are known from the runs before. */
static void test_corpus_known(void **state)
{
    (void)state;
    open_peer(true);
    assert_true(raw_each(run_all_ways, NULL) >= CASES_MIN);
    assert_int_equal(wrong, 0);
    peer_close(&peer);
}

/* The same when heads are judged before their bodies come. */
static void test_corpus_judged(void **state)
{
    (void)state;
    open_peer(false);
    peer.env.judged = true;
    assert_true(raw_each(run_all_ways, NULL) >= CASES_MIN);
    assert_int_equal(wrong, 0);
    peer_close(&peer);
}

static void test_corpus_behind_its_like(void **state)
{
    (void)state;
    open_peer(true);
    assert_true(raw_each(run_behind_twins, NULL) >= CASES_MIN);
    assert_int_equal(wrong, 0);
    peer_close(&peer);
}

/* ---- the cases themselves ---- */

struct tally {
    unsigned demands[3], cases;
    uint64_t hashes[1000];
};

static void count(const struct raw_case *c, void *arg)
{
    struct tally *tally = arg;
    uint64_t hash = 14695981039346656037u + c->ends;

    for (size_t i = 0; i < c->len; i++)
        hash = (hash ^ (uint8_t)c->bytes[i]) * UINT64_C(1099511628211);
    for (unsigned i = 0; i < tally->cases; i++)
        if (tally->hashes[i] == hash)
            fail_msg("%s: %s: an earlier case has the same bytes", c->file, c->name);
    assert_true(tally->cases < sizeof(tally->hashes) / sizeof(tally->hashes[0]));
    tally->hashes[tally->cases++] = hash;
    tally->demands[raw_demand(c)]++;
}

static void test_cases_differ(void **state)
{
    static struct tally tally;

    (void)state;
    raw_each(count, &tally);
    print_message("%u cases: MUST %u, SHOULD %u, gyre's own %u\n", tally.cases,
                  tally.demands[RAW_MUST], tally.demands[RAW_SHOULD], tally.demands[RAW_OWN]);
    assert_true(tally.demands[RAW_MUST] > tally.cases / 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_differ),
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_corpus_known),
        cmocka_unit_test(test_corpus_judged),
        cmocka_unit_test(test_corpus_behind_its_like),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
