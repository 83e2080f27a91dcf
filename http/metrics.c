/* http/metrics.c - GET /metrics.
 *
 * All shards' counters are read where they lie, by relaxed loads: no shard is asked, so that one that
 * is stuck cannot hang the answer. The format wants the lines of a family together, but core gives
 * each shard's figures in one go; families come in the same order from every shard, so that copies of
 * all of them can be walked side by side. */
#include "http/metrics.h"

#include "http/client.h"
#include "http/server.h"
#include "http/shard.h"

#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/http.h"

#include <errno.h>
#include <string.h>

/* ---- core's counters --------------------------------------------------------------------- */

/* One shard's figures, copied. */
struct column {
    struct gy_buf *buf;
    uint32_t count, at;
    bool failed;
};

static const struct gy__stat *stats_of(const struct column *column)
{
    return (const struct gy__stat *)(const void *)column->buf->data;
}

static void copy(void *arg, const struct gy__stat *stat)
{
    struct column *column = arg;

    if (column->buf == NULL || gy_buf_room(column->buf) < sizeof(*stat)) {
        size_t size = column->buf != NULL ? 2 * (size_t)column->buf->capacity : 16384;
        struct gy_buf *larger = gy_buf_take(size);

        if (larger == NULL) {
            column->failed = true;
            return;
        }
        if (column->buf != NULL) {
            memcpy(larger->data, column->buf->data, column->buf->len);
            larger->len = column->buf->len;
            gy_buf_release(column->buf);
        }
        column->buf = larger;
    }
    memcpy(column->buf->data + column->buf->len, stat, sizeof(*stat));
    column->buf->len += (uint32_t)sizeof(*stat);
    column->count++;
}

static void write_family(struct gy__http_text *text, const char *name, const char *help, bool gauge)
{
    gy__http_text_f(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                    gauge ? "gauge" : "counter");
}

static void write_stat(struct gy__http_text *text, const struct gy__stat *stat, unsigned shard)
{
    gy__http_text_f(text, "%s{shard=\"%u\"", stat->name, shard);
    if (stat->type != NULL) {
        gy__http_text_str(text, ",type=\"");
        gy__http_text_label(text, stat->type);
        gy__http_text_str(text, "\"");
    }
    if (stat->scale == 1)
        gy__http_text_f(text, "} %llu\n", (unsigned long long)stat->value);
    else
        gy__http_text_f(text, "} %.9f\n", (double)stat->value * stat->scale);
}

/* All columns stand at the family called name; move them behind it. */
static void write_rows(struct gy__http_text *text, struct column *columns, unsigned shards,
                       const char *name)
{
    for (unsigned shard = 0; shard < shards; shard++) {
        struct column *column = &columns[shard];

        for (; column->at < column->count; column->at++) {
            const struct gy__stat *stat = &stats_of(column)[column->at];

            if (strcmp(stat->name, name) != 0)
                break;
            write_stat(text, stat, shard);
        }
    }
}

static void write_core(struct gy__http_text *text, const struct gy__http_figures *figures,
                       struct column *columns)
{
    for (unsigned shard = 0; shard < figures->shards; shard++) {
        figures->core(shard, copy, &columns[shard]);
        text->failed |= columns[shard].failed;
    }
    /* A family without rows on one shard may have some on the next. */
    for (unsigned shard = 0; shard < figures->shards && !text->failed; shard++)
        while (columns[shard].at < columns[shard].count) {
            const struct gy__stat *stat = &stats_of(&columns[shard])[columns[shard].at];

            write_family(text, stat->name, stat->help, stat->gauge);
            write_rows(text, columns, figures->shards, stat->name);
        }
}

/* ---- counters of server and client ------------------------------------------------------- */

struct row {
    const char *family, *label, *help;
};
#define ROW(name, family, label, help) { family, label, help },
static const struct row server_rows[GY__HTTP_COUNTER_COUNT] = { GY__HTTP_COUNTERS(ROW) };
static const struct row client_rows[GY__CLIENT_COUNTER_COUNT] = { GY__CLIENT_GAUGES(ROW)
                                                                      GY__CLIENT_TOTALS(ROW) };
#undef ROW

static bool server_gauge(unsigned i)
{
    return i == GY__HTTP_OPEN;
}

static bool client_gauge(unsigned i)
{
    return i < GY__CLIENT_GAUGE_COUNT;
}

static uint64_t server_value(const struct gy__http_figures *figures, unsigned shard, unsigned i)
{
    return atomic_load_explicit(&figures->http(shard)->value[i], memory_order_relaxed);
}

static uint64_t client_value(const struct gy__http_figures *figures, unsigned shard, unsigned i)
{
    return gy__client_counted(figures->client(shard), (enum gy__client_counter)i);
}

struct table {
    const struct row *rows;
    unsigned count;
    bool (*is_gauge)(unsigned i);
    uint64_t (*value)(const struct gy__http_figures *figures, unsigned shard, unsigned i);
};

static void write_table(struct gy__http_text *text, const struct gy__http_figures *figures,
                        const struct table *table)
{
    const struct row *rows = table->rows;

    for (unsigned i = 0, next; i < table->count; i = next) {
        bool gauge = table->is_gauge(i);
        char name[64] = "gyre_";

        strcat(strcat(name, rows[i].family), gauge ? "" : "_total");
        write_family(text, name, rows[i].help, gauge);
        for (next = i + 1;
             next < table->count && strcmp(rows[next].family, rows[i].family) == 0;)
            next++;
        for (unsigned shard = 0; shard < figures->shards; shard++)
            for (unsigned k = i; k < next; k++)
                gy__http_text_f(text, "%s{shard=\"%u\"%s%s} %llu\n", name, shard,
                                rows[k].label != NULL ? "," : "",
                                rows[k].label != NULL ? rows[k].label : "",
                                (unsigned long long)table->value(figures, shard, k));
    }
}

static void write_http(struct gy__http_text *text, const struct gy__http_figures *figures)
{
    static const struct table tables[] = {
        { server_rows, GY__HTTP_COUNTER_COUNT, server_gauge, server_value },
        { client_rows, GY__CLIENT_COUNTER_COUNT, client_gauge, client_value },
    };

    write_table(text, figures, &tables[0]);
    write_table(text, figures, &tables[1]);
}

void gy__http_metrics_write(struct gy__http_text *text, const struct gy__http_figures *figures)
{
    struct gy_buf *buf = gy_buf_take(figures->shards * sizeof(struct column));
    struct column *columns;

    if (buf == NULL) {
        text->failed = true;
        return;
    }
    columns = (struct column *)(void *)buf->data;
    memset(columns, 0, figures->shards * sizeof(*columns));
    write_core(text, figures, columns);
    write_http(text, figures);
    for (unsigned shard = 0; shard < figures->shards; shard++)
        gy_buf_release(columns[shard].buf);
    gy_buf_release(buf);
}

/* ---- the route --------------------------------------------------------------------------- */

static const struct gy__http_stats *http_stats(unsigned shard)
{
    return &gy__http_there(shard)->env.stats;
}

static const struct gy__client_stats *client_stats(unsigned shard)
{
    return &gy__http_client_there(shard)->stats;
}

static void handle(struct gy_actor *self, const struct gy_http_req *req, gy_http_promise reply)
{
    struct gy__http_figures figures = { gy_shards(), gy__http_core_stats, http_stats,
                                        client_stats };
    struct gy__http_text text = { NULL, false };
    struct gy_http_res res;

    (void)self, (void)req;
    gy__http_metrics_write(&text, &figures);
    if (text.failed || text.buf == NULL) {
        gy__http_text_drop(&text);
        (void)gy_resolve_raw(reply.promise, -ENOBUFS, NULL, 0, NULL);
        return;
    }
    gy_http_begin(&res, 200);
    (void)gy_http_set(&res, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    (void)gy_http_end_buf(&res, reply, text.buf);
}

static void run(struct gy_actor *self, const void *payload, struct gy_buf *buf, gy_promise promise)
{
    gy__http_run(self, payload, buf, promise, handle);
}

const struct gy_verb gy__http_metrics_verb = { "http.metrics", &gy__http_server_type, run,
                                               GY_MSG_INLINE_WITH_BUF,
                                               GY_VERB_CALL | GY_VERB_BUF };
