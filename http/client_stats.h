/* http/client_stats.h - what a shard's HTTP client counts. One writer, the shard; any thread reads.
 */
#ifndef GYRE_HTTP_CLIENT_STATS_H
#define GYRE_HTTP_CLIENT_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(name, family, label, help); those of the first list are gauges. */
#define GY__CLIENT_GAUGES(X)                                                                       \
    X(OPEN, "http_client_connections_open", NULL, "Connections to elsewhere open now")             \
    X(IDLE, "http_client_connections_idle", NULL, "Those of them that wait for a request")         \
    X(BUSY, "http_client_requests_open", NULL, "Requests to elsewhere begun and not over")         \
    X(WAITING, "http_client_requests_waiting", NULL, "Those of them that wait for a connection")
#define GY__CLIENT_TOTALS(X)                                                                       \
    X(CONNECTIONS, "http_client_connections", NULL, "Connections to elsewhere begun")              \
    X(REQUESTS, "http_client_requests", NULL, "Requests to elsewhere begun")                       \
    X(REUSED, "http_client_reused", NULL, "Requests on a connection that had served one before")   \
    X(PIPELINED, "http_client_pipelined", NULL,                                                    \
      "Requests sent behind others that wait for answers")                                         \
    X(RETRIED, "http_client_retries", NULL, "Requests sent again for a connection that was dead")  \
    X(REDIRECTED, "http_client_redirects", NULL, "Redirects followed")                             \
    X(REFUSED_QUEUE, "http_client_refused", "cause=\"queue\"",                                     \
      "Requests refused before anything was sent, by cause")                                       \
    X(REFUSED_ASK, "http_client_refused", "cause=\"invalid\"", "")                                 \
    X(REFUSED_OTHER, "http_client_refused", "cause=\"other\"", "")                                 \
    X(ANSWERS_2XX, "http_client_answers", "class=\"2xx\"", "Answers read, by class of status")     \
    X(ANSWERS_3XX, "http_client_answers", "class=\"3xx\"", "")                                     \
    X(ANSWERS_4XX, "http_client_answers", "class=\"4xx\"", "")                                     \
    X(ANSWERS_5XX, "http_client_answers", "class=\"5xx\"", "")                                     \
    X(FAILED_CONNECT, "http_client_errors", "cause=\"connect\"",                                   \
      "Requests that ended without a whole answer, by cause")                                      \
    X(FAILED_TIMEOUT, "http_client_errors", "cause=\"timeout\"", "")                               \
    X(FAILED_RESET, "http_client_errors", "cause=\"reset\"", "")                                   \
    X(FAILED_PROTOCOL, "http_client_errors", "cause=\"protocol\"", "")                             \
    X(FAILED_LIMIT, "http_client_errors", "cause=\"limit\"", "")                                   \
    X(FAILED_REDIRECTS, "http_client_errors", "cause=\"redirects\"", "")                           \
    X(FAILED_MEMORY, "http_client_errors", "cause=\"memory\"", "")                                 \
    X(GIVEN_UP, "http_client_errors", "cause=\"given_up\"", "")                                    \
    X(RECEIVED_BYTES, "http_client_received_bytes", NULL, "Bytes received from elsewhere")         \
    X(SENT_BYTES, "http_client_sent_bytes", NULL, "Bytes given to connections to elsewhere")

enum gy__client_counter {
#define GY__CLIENT_COUNTER(name, family, label, help) GY__CLIENT_##name,
    GY__CLIENT_GAUGES(GY__CLIENT_COUNTER) GY__CLIENT_TOTALS(GY__CLIENT_COUNTER)
#undef GY__CLIENT_COUNTER
        GY__CLIENT_COUNTER_COUNT
};
#define GY__CLIENT_GAUGE_COUNT GY__CLIENT_CONNECTIONS

struct gy__client_stats {
    _Atomic uint64_t value[GY__CLIENT_COUNTER_COUNT];
};

static inline uint64_t gy__client_counted(const struct gy__client_stats *stats,
                                          enum gy__client_counter which)
{
    return atomic_load_explicit(&stats->value[which], memory_order_relaxed);
}

/* Relaxed load and store: there is one writer, and each figure stands for itself. add: may be
 * negative for gauges. */
static inline void gy__client_count(struct gy__client_stats *stats, enum gy__client_counter which,
                                    int64_t add)
{
    atomic_store_explicit(&stats->value[which], gy__client_counted(stats, which) + (uint64_t)add,
                          memory_order_relaxed);
}

#endif
