/* Connecting to the first of several addresses that answers, as RFC 8305 has it: families take
 * turns, the next address is tried 250 ms after the last or as soon as that has failed, and
 * whoever is first wins.
 *
 * Each address is an attempt: a stream of the pool without an owner, which lends its CONNECT
 * operation and its timer to the stream that its owner knows, the leader. While the leader
 * connects, at least one attempt is in flight. The winner's handle becomes the leader's; what
 * else is in flight then is cancelled and ends for itself, like a stream whose owner has died. A
 * leader that gives up waits until none of its attempts is in flight, so that closed() runs from
 * a completion, as always. */
#include "core/streams.h"

#include <errno.h>
#include <string.h>

#define STAGGER_NS (250 * (uint64_t)GY_MS) /* RFC 8305, section 5 */
#define NOTHING INT32_MIN /* no outcome: neither a handle nor what a connect can fail with */

static struct gy_stream *at(struct gy_shard *shard, uint32_t index)
{
    return index != 0 ? gy__stream_at(shard->streams, index) : NULL;
}

/* The first that was not begun yet. */
static struct gy_stream *waiting(struct gy_shard *shard, const struct gy_stream *leader)
{
    struct gy_stream *s = at(shard, leader->u.wait.race_next);

    while (s != NULL && s->out.in_flight)
        s = at(shard, s->u.wait.race_next);
    return s;
}

static void begin_next(struct gy_shard *shard, struct gy_stream *leader)
{
    struct gy_stream *s = waiting(shard, leader);

    if (s == NULL)
        return;
    gy__timer_cancel(&shard->wheel, &s->u.wait.timer);
    leader->u.wait.racing++;
    gy__op_submit(shard, &s->out);
    s = waiting(shard, leader);
    if (s != NULL)
        gy__timer_arm(&shard->wheel, &s->u.wait.timer, shard->now_ns + STAGGER_NS);
}

static void attempt_due(struct gy__timer *timer)
{
    struct gy_shard *shard = gy__self();
    struct gy_stream *s = GY__CONTAINER(timer, struct gy_stream, u.wait.timer);

    begin_next(shard, at(shard, s->u.wait.leader));
}

static void unlink_attempt(struct gy_shard *shard, struct gy_stream *leader, struct gy_stream *s)
{
    uint32_t index = gy__stream_index(shard->streams, s);
    struct gy_stream *before = leader;

    while (before->u.wait.race_next != index)
        before = at(shard, before->u.wait.race_next);
    before->u.wait.race_next = s->u.wait.race_next;
    s->u.wait.leader = 0;
}

void gy__race_cancel(struct gy_shard *shard, struct gy_stream *leader, bool leave)
{
    struct gy_stream *s = at(shard, leader->u.wait.race_next), *next;

    for (; s != NULL; s = next) {
        next = at(shard, s->u.wait.race_next);
        if (leave || !s->out.in_flight)
            unlink_attempt(shard, leader, s);
        if (!s->out.in_flight)
            gy__stream_discard(shard, s);
        else if (s->state == GY__STREAM_CONNECTING)
            gy__stream_abort(shard, s, 0);
    }
}

/* An attempt has ended. -> what the leader hears of it: a handle, an error, or NOTHING yet. */
static int32_t outcome(struct gy_shard *shard, struct gy_stream *leader, struct gy_stream *s,
                       int32_t res)
{
    leader->u.wait.racing--;
    unlink_attempt(shard, leader, s);
    if (res >= 0 && gy__stream_connects(leader)) {
        gy__stream_discard(shard, s);
        gy__race_cancel(shard, leader, true);
        return res;
    }
    if (res >= 0) {
        s->handle = res; /* too late: it closes it */
        gy__stream_count(shard, GY__COUNT_OPEN, 1);
        gy__stream_abort(shard, s, 0);
        gy__stream_dirty(shard, s);
    } else {
        gy__stream_discard(shard, s);
        if (leader->u.wait.error == 0)
            leader->u.wait.error = res;
    }
    if (gy__stream_connects(leader))
        begin_next(shard, leader);
    else
        gy__race_cancel(shard, leader, false);
    if (leader->u.wait.racing > 0)
        return NOTHING;
    /* Of a leader that has given up none need have failed. */
    return leader->u.wait.error != 0 ? leader->u.wait.error : -ECANCELED;
}

void gy__race_done(struct gy_shard *shard, struct gy_stream *s, int32_t res)
{
    struct gy_stream *leader = at(shard, s->u.wait.leader);

    res = outcome(shard, leader, s, res);
    if (res != NOTHING)
        gy__stream_connected(shard, leader, res);
}

/* ---- the order ---- */

/* The place of the n-th address to try: families alternate, beginning with the first one's, and
 * within a family the order given stays (RFC 8305, section 4). */
static unsigned nth(const char *const *addrs, unsigned count, unsigned n)
{
    unsigned of_first = 0, first_left, other_left;
    bool first_v6 = addrs[0][0] == '[', wants_first;

    for (unsigned i = 0; i < count; i++)
        of_first += (addrs[i][0] == '[') == first_v6;
    first_left = of_first;
    other_left = count - of_first;
    wants_first = true;
    for (unsigned i = 0;; i++) {
        wants_first = first_left > 0 && (i % 2 == 0 || other_left == 0);
        if (i == n)
            break;
        first_left -= wants_first;
        other_left -= !wants_first;
    }
    unsigned skip = wants_first ? of_first - first_left : count - of_first - other_left;
    for (unsigned i = 0; i < count; i++)
        if (((addrs[i][0] == '[') == first_v6) == wants_first && skip-- == 0)
            return i;
    return 0;
}

int gy__race_begin(struct gy_shard *shard, struct gy_stream *leader, const char *const *addrs,
                   unsigned count, const struct gy_connect_options *options)
{
    uint32_t leader_index = gy__stream_index(shard->streams, leader);

    /* From the last to the first, each in front of those behind it. */
    for (unsigned n = count; n-- > 0;) {
        struct gy_stream *s = gy__stream_take(shard);
        if (s == NULL) {
            gy__race_cancel(shard, leader, true);
            return -EAGAIN;
        }
        gy__connect_prepare(s, addrs[nth(addrs, count, n)], options);
        gy__stream_move(shard, s, GY__STREAM_CONNECTING);
        s->attempt = true;
        s->u.wait.timer.fire = attempt_due;
        s->u.wait.leader = leader_index;
        s->u.wait.race_next = leader->u.wait.race_next;
        leader->u.wait.race_next = gy__stream_index(shard->streams, s);
    }
    begin_next(shard, leader);
    return 0;
}
