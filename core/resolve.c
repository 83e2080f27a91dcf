/* core/resolve.c - look-ups of names: see gyre/resolve.h.
 *
 * An entry is one name (and family): free, asked for (its operation is in flight), or known. Who asks
 * waits in a list of the entry, linked by slots of futures through their records (core/opfut.h); the
 * operation's one completion answers all of them. Who gives up leaves the list; when nobody is left
 * the operation is cancelled, but stays what the next one joins until it has ended.
 *
 * Invariants: an entry with waiters is asked for; one that is asked for is never reused, since its
 * operation points into it; waiters are in exactly one list, from start until their record has ended. */
#include "core/resolve.h"
#include "core/failed.h"
#include "core/future.h"
#include "core/opfut.h"

#include "gyre/stream.h"

#include <errno.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define UNKNOWN_NS (5 * SECOND) /* that there is no such name */
#define TTL_MAX_S 86400u

struct pins {
    uint32_t entry;
    uint32_t next, prev; /* who waits for the same, slots */
    uint16_t port;
    const struct gy_stream_events *events; /* of a connect, else NULL */
    const struct gy_connect_options *options;
};

static struct pins *pins_of(struct gy__opfut *record)
{
    return GY__OPFUT_PINS(record, struct pins);
}

int gy__resolver_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.resolve_cache;
    struct gy__resolver *resolver =
        gy__shard_memory(shard, sizeof(*resolver) + count * sizeof(resolver->entries[0]) +
                                    count * sizeof(resolver->hashes[0]));
    if (resolver == NULL)
        return -ENOMEM;
    resolver->count = count;
    resolver->hashes = (uint32_t *)(void *)&resolver->entries[count];
    shard->resolver = resolver;
    return 0;
}

/* ---- entries ---- */

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != 0; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static struct gy__resolved *entry_find(struct gy__resolver *resolver, const char *name,
                                       uint32_t hash, uint8_t family)
{
    for (uint32_t i = 0; i < resolver->used; i++) {
        struct gy__resolved *entry = &resolver->entries[i];
        if (resolver->hashes[i] == hash && entry->family == family &&
            strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

/* A new one, or that which was asked for longest ago. NULL: all are being asked for. */
static struct gy__resolved *entry_take(struct gy__resolver *resolver, const char *name,
                                       uint32_t hash, uint8_t family)
{
    struct gy__resolved *oldest = NULL;
    if (resolver->used < resolver->count) {
        oldest = &resolver->entries[resolver->used++];
    } else {
        for (uint32_t i = 0; i < resolver->used; i++) {
            struct gy__resolved *entry = &resolver->entries[i];
            if (!entry->op.in_flight && (oldest == NULL || entry->used_ns < oldest->used_ns))
                oldest = entry;
        }
        if (oldest == NULL)
            return NULL;
    }
    resolver->hashes[oldest - resolver->entries] = hash;
    oldest->family = family;
    oldest->until_ns = 0;
    memcpy(oldest->name, name, strlen(name) + 1);
    return oldest;
}

static struct gy__opfut *record_at(struct gy_shard *shard, uint32_t slot)
{
    return &shard->opfuts[slot];
}

static void waiter_add(struct gy_shard *shard, struct gy__resolved *entry, struct gy__opfut *record)
{
    uint32_t slot = (uint32_t)(record - shard->opfuts);
    struct pins *pins = pins_of(record);
    pins->entry = (uint32_t)(entry - shard->resolver->entries);
    pins->prev = 0;
    pins->next = entry->waiters;
    if (pins->next != 0)
        pins_of(record_at(shard, pins->next))->prev = slot;
    entry->waiters = slot;
}

static void waiter_remove(struct gy_shard *shard, struct gy__resolved *entry,
                          struct gy__opfut *record)
{
    struct pins *pins = pins_of(record);
    if (pins->next != 0)
        pins_of(record_at(shard, pins->next))->prev = pins->prev;
    if (pins->prev != 0)
        pins_of(record_at(shard, pins->prev))->next = pins->next;
    else
        entry->waiters = pins->next;
}

/* ---- answers ---- */

static void answer_addrs(struct gy__opfut_answer *answer, const struct gy_addr *addrs, int32_t n,
                         uint16_t port)
{
    size_t bytes = (size_t)n * sizeof(struct gy_addr);
    answer->buf = gy_buf_take(bytes);
    if (answer->buf == NULL) {
        answer->res = -ENOMEM;
        return;
    }
    memcpy(answer->buf->data, addrs, bytes);
    answer->buf->len = (uint32_t)bytes;
    for (int32_t i = 0; i < n; i++)
        ((struct gy_addr *)(void *)answer->buf->data)[i].port = port;
}

static void answer_stream(struct gy_shard *shard, struct gy__opfut *record,
                          struct gy__opfut_answer *answer, const struct gy_addr *addrs, int32_t n)
{
    const struct pins *pins = pins_of(record);
    char texts[GY_ADDRS_MAX][GY_ADDR_TEXT_MAX];
    const char *list[GY_ADDRS_MAX];
    struct gy_stream *stream = NULL;
    for (int32_t i = 0; i < n; i++) {
        struct gy_addr addr = addrs[i];
        addr.port = pins->port;
        /* A stream's address has no scope: a name never stands for one that needs it. */
        addr.scope = 0;
        gy_addr_print(&addr, texts[i], sizeof(texts[i]));
        list[i] = texts[i];
    }
    struct gy_actor *self = record->actor == 0 ? &shard->nobody :
                                                 gy__actor_at(shard, record->actor);
    answer->res = gy_connect_any_raw(self, list, (unsigned)n, pins->events, pins->options, &stream);
    if (answer->res < 0)
        return;
    answer->size = sizeof(stream);
    memcpy(answer->word, &stream, sizeof(stream));
}

static void answer(struct gy_shard *shard, struct gy__opfut *record, int32_t res,
                   const struct gy_addr *addrs)
{
    struct gy__opfut_answer made = { .res = res };
    if (res > 0 && gy__opfut_wanted(shard, record)) {
        if (pins_of(record)->events != NULL)
            answer_stream(shard, record, &made, addrs, res);
        else
            answer_addrs(&made, addrs, res, pins_of(record)->port);
    }
    gy__opfut_end(shard, record, &made);
}

/* ---- asking ---- */

static const char *reason(int32_t res)
{
    switch (res) {
    case -ENOENT:
        return "no such name, or no address of it";
    case -EAGAIN:
        return "not to be had now (name servers do not answer, or too many look-ups)";
    case -EINVAL:
        return "neither a name of a host nor an address";
    case -ETIMEDOUT:
        return "no answer in time";
    case -ENOMEM:
        return "no memory";
    default:
        return "the look-up failed";
    }
}

static void complain(struct gy_shard *shard, const char *name, int32_t res)
{
    char cause[128];
    struct gy__text text;
    gy__text_init(&text, cause, sizeof(cause));
    gy__text_printf(&text, "%s (%d)", reason(res), (int)res);
    gy__count(&shard->resolver->failed, 1);
    gy__failed_because(shard, GY_OP_RESOLVE, res, NULL, name, cause);
}

static uint64_t known_for_ns(const struct gy_shard *shard, const struct gy__resolved *entry,
                             int32_t res)
{
    uint32_t ttl_s = entry->op.u.resolve.ttl_s;
    if (res == -ENOENT)
        return ttl_s < UNKNOWN_NS / SECOND ? ttl_s * SECOND : UNKNOWN_NS;
    if (res <= 0)
        return 0;
    if (ttl_s == UINT32_MAX)
        return shard->runtime->config.resolve_ttl_ns;
    return (ttl_s < TTL_MAX_S ? ttl_s : TTL_MAX_S) * SECOND;
}

static void ask(struct gy_shard *shard, struct gy__resolved *entry, uint64_t timeout_ns);

static void on_done(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy__resolved *entry = GY__CONTAINER(op, struct gy__resolved, op);
    int32_t res = completion->res;
    uint64_t timeout_ns = (uint64_t)op->u.resolve.timeout_ms * 1000000;
    GY_ASSERT(res <= (int32_t)op->u.resolve.max);
    if (res == 0)
        res = -ENOENT;
    if (res == -ECANCELED && entry->waiters != 0 && shard->phase < GY__PHASE_STOP) {
        /* They came when it had been given up, but had not ended. */
        ask(shard, entry, timeout_ns);
        return;
    }
    if (res < 0 && res != -ECANCELED)
        complain(shard, entry->name, res);
    entry->res = res;
    entry->until_ns = shard->now_ns + known_for_ns(shard, entry, res);
    /* In the order in which they asked. */
    uint32_t last = entry->waiters;
    while (last != 0 && pins_of(record_at(shard, last))->next != 0)
        last = pins_of(record_at(shard, last))->next;
    entry->waiters = 0;
    while (last != 0) {
        struct gy__opfut *record = record_at(shard, last);
        last = pins_of(record)->prev;
        answer(shard, record, res, entry->addrs);
    }
}

static void ask(struct gy_shard *shard, struct gy__resolved *entry, uint64_t timeout_ns)
{
    uint64_t timeout_ms = timeout_ns / 1000000;
    entry->op = (struct gy_op){ .done = on_done, .kind = GY_OP_RESOLVE };
    entry->op.u.resolve.name = entry->name;
    entry->op.u.resolve.addrs = entry->addrs;
    entry->op.u.resolve.max = GY_ADDRS_MAX;
    entry->op.u.resolve.timeout_ms =
        timeout_ms < 1 ? 1 : timeout_ms > 3600000 ? 3600000 : (uint32_t)timeout_ms;
    entry->op.u.resolve.ttl_s = UINT32_MAX;
    entry->op.u.resolve.family = entry->family;
    gy__count(&shard->resolver->asked, 1);
    gy__op_submit(shard, &entry->op);
}

/* Nobody waits for this one any more. */
static void cancel(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy__resolved *entry = &shard->resolver->entries[pins_of(record)->entry];
    const struct gy__opfut_answer none = { .res = -ECANCELED };
    waiter_remove(shard, entry, record);
    if (entry->waiters == 0)
        gy__op_cancel(shard, &entry->op);
    gy__opfut_end(shard, record, &none);
}

static bool finish(struct gy_shard *shard, struct gy__opfut *record,
                   const struct gy_completion *completion, struct gy__opfut_answer *made)
{
    (void)shard, (void)record, (void)completion, (void)made;
    GY_ASSERT(!"a record of a look-up has no operation of its own");
    return true;
}

static const struct gy__opfut_use use = { .finish = finish, .cancel = cancel };

static gy_fut start(struct gy_shard *shard, struct gy__opfut *record, const char *name,
                    const struct gy_resolve_options *options)
{
    struct gy__resolver *resolver = shard->resolver;
    uint32_t hash = hash_of(name);
    struct gy__resolved *entry = entry_find(resolver, name, hash, options->family);
    bool is_known = entry != NULL && !entry->op.in_flight && shard->now_ns < entry->until_ns;
    if (entry == NULL)
        entry = entry_take(resolver, name, hash, options->family);
    if (entry == NULL) {
        gy__opfut_untake(shard, record);
        complain(shard, name, -EAGAIN);
        return gy__fut_refused(-EAGAIN);
    }
    entry->used_ns = shard->now_ns;
    gy_fut fut = gy__opfut_begin(shard, record);
    if (is_known && !options->fresh) {
        gy__count(&resolver->cached, 1);
        answer(shard, record, entry->res, entry->addrs);
        return fut;
    }
    waiter_add(shard, entry, record);
    if (entry->op.in_flight)
        gy__count(&resolver->joined, 1);
    else
        ask(shard, entry, options->timeout_ns);
    uint64_t deadline_ns = shard->now_ns + options->timeout_ns;
    gy__future_end_by(shard, gy__future_find(shard, fut),
                      deadline_ns < shard->now_ns ? UINT64_MAX : deadline_ns);
    return fut;
}

/* ---- the public functions ---- */

static gy_fut look_up(struct gy_actor *self, const char *text, size_t len, const struct pins *pins,
                      const struct gy_resolve_options *given)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy_resolve_options options = GY_RESOLVE_OPTIONS_INIT;
    struct gy_addr numeric;
    char name[GY__NAME_MAX];
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    bool is_numeric = gy__addr_numeric(&numeric, text, len);
    if (!is_numeric && !gy__name_valid(text, len)) {
        gy__addr_shown(name, sizeof(name), text, len);
        complain(shard, name, -EINVAL);
        return gy__fut_refused(-EINVAL);
    }
    struct gy__opfut *record = gy__opfut_take(shard, self, &use);
    if (record == NULL)
        return gy__fut_refused(-EAGAIN);
    *pins_of(record) = *pins;
    if (is_numeric) {
        gy_fut fut = gy__opfut_begin(shard, record);
        bool fits = options.family == GY_ADDR_NONE || options.family == numeric.family;
        answer(shard, record, fits ? 1 : -ENOENT, &numeric);
        return fut;
    }
    for (size_t i = 0; i < len; i++)
        name[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
    name[len] = 0;
    return start(shard, record, name, &options);
}

gy_fut gy_resolve_name_raw(struct gy_actor *self, const char *name, uint16_t port,
                           const struct gy_resolve_options *options)
{
    const struct pins pins = { .port = port };
    return look_up(self, name != NULL ? name : "", name != NULL ? strlen(name) : 0, &pins, options);
}

gy_fut gy_connect_name_raw(struct gy_actor *self, const char *name,
                           const struct gy_stream_events *events,
                           const struct gy_connect_options *options)
{
    struct pins pins = { .events = events, .options = options };
    size_t len = gy__name_split(name, &pins.port);
    if (events == NULL)
        return gy__fut_refused(-EINVAL);
    return look_up(self, name != NULL ? name : "", len, &pins, NULL);
}

/* ---- counters ---- */

void gy__resolve_stats(const struct gy_shard *shard,
                       void (*each)(void *arg, const struct gy__stat *stat), void *arg)
{
    const struct gy__resolver *resolver = shard->resolver;
    const struct {
        const char *name, *help;
        const gy__counter *counter;
    } rows[] = {
        { "gyre_lookups_total", "Names looked up", &resolver->asked },
        { "gyre_lookups_cached_total", "Look-ups answered from memory", &resolver->cached },
        { "gyre_lookups_joined_total", "Look-ups that joined one under way", &resolver->joined },
        { "gyre_lookups_failed_total", "Look-ups that failed", &resolver->failed },
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct gy__stat stat = {
            rows[i].name, rows[i].help, NULL, false, 1,
            atomic_load_explicit(rows[i].counter, memory_order_relaxed)
        };
        each(arg, &stat);
    }
}
