/* http/stats.h - what a shard's HTTP server counts. One writer, the shard; any thread reads. */
#ifndef GYRE_HTTP_STATS_H
#define GYRE_HTTP_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#define GY__HTTP_COUNTERS(X)                                                                       \
    X(CONNECTIONS, "http_connections", NULL, "Connections accepted")                               \
    X(OPEN, "http_connections_open", NULL, "Connections open now")                                 \
    X(REQUESTS, "http_requests", NULL, "Complete requests read")                                   \
    X(ANSWERS_2XX, "http_answers", "class=\"2xx\"", "Answers written, by class of status")         \
    X(ANSWERS_3XX, "http_answers", "class=\"3xx\"", "")                                            \
    X(ANSWERS_4XX, "http_answers", "class=\"4xx\"", "")                                            \
    X(ANSWERS_5XX, "http_answers", "class=\"5xx\"", "")                                            \
    X(RECEIVED_BYTES, "http_received_bytes", NULL, "Bytes received")                               \
    X(SENT_BYTES, "http_sent_bytes", NULL, "Bytes given to connections to send")                   \
    X(REFUSED_SYNTAX, "http_refused", "cause=\"syntax\"",                                          \
      "Requests refused before a handler saw them, by cause")                                      \
    X(REFUSED_LINE, "http_refused", "cause=\"line_limit\"", "")                                    \
    X(REFUSED_HEAD, "http_refused", "cause=\"head_limit\"", "")                                    \
    X(REFUSED_BODY, "http_refused", "cause=\"body_limit\"", "")                                    \
    X(REFUSED_OTHER, "http_refused", "cause=\"not_served\"", "")                                   \
    X(TIMEOUT_HEAD, "http_timeouts", "of=\"head\"", "Deadlines passed")                            \
    X(TIMEOUT_BODY, "http_timeouts", "of=\"body\"", "")                                            \
    X(TIMEOUT_IDLE, "http_timeouts", "of=\"idle\"", "")                                            \
    X(TIMEOUT_ANSWER, "http_timeouts", "of=\"answer\"", "")                                        \
    X(TIMEOUT_WRITE, "http_timeouts", "of=\"write\"", "")                                          \
    X(BUSY_MAILBOX, "http_unavailable", "cause=\"mailbox\"", "Answers 503, by cause")              \
    X(BUSY_MEMORY, "http_unavailable", "cause=\"memory\"", "")                                     \
    X(BUSY_TIMEOUT, "http_unavailable", "cause=\"timeout\"", "")                                   \
    X(REFUSED_PEER, "http_peers_refused", "by=\"network\"",                                        \
      "Connections and requests refused for whom they come from, by what")                         \
    X(REFUSED_PEER_CONNECTIONS, "http_peers_refused", "by=\"connections\"", "")                   \
    X(REFUSED_PEER_RATE, "http_peers_refused", "by=\"rate\"", "")                                 \
    X(REFUSED_ACCESS, "http_peers_refused", "by=\"access\"", "")                                  \
    X(ABANDONED, "http_abandoned", NULL, "Requests whose handler died or returned without answer") \
    X(DISCARDED, "http_discarded", NULL, "Requests whose client left before the answer")           \
    X(PAUSES, "http_pauses", NULL, "Times that reading stopped for a full pipeline or a slow reader")

enum gy__http_counter {
#define GY__HTTP_COUNTER(name, family, label, help) GY__HTTP_##name,
    GY__HTTP_COUNTERS(GY__HTTP_COUNTER)
#undef GY__HTTP_COUNTER
    GY__HTTP_COUNTER_COUNT
};

struct gy__http_stats {
    _Atomic uint64_t value[GY__HTTP_COUNTER_COUNT];
};

/* Relaxed load and store: there is one writer, and each figure stands for itself. */
static inline void gy__http_count(struct gy__http_stats *stats, enum gy__http_counter which,
                                  uint64_t add)
{
    atomic_store_explicit(&stats->value[which],
                          atomic_load_explicit(&stats->value[which], memory_order_relaxed) + add,
                          memory_order_relaxed);
}

#endif
