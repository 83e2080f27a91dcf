/* http/conn_parts.h - what the files of a connection (http/conn.c) share with each other. */
#ifndef GYRE_HTTP_CONN_PARTS_H
#define GYRE_HTTP_CONN_PARTS_H

#include "http/conn.h"

#include <stdbool.h>
#include <stdint.h>

static inline void gy__conn_count(struct gy__http_conn *conn, enum gy__http_counter which, uint64_t add)
{
    gy__http_count(&conn->env->stats, which, add);
}

static inline uint64_t gy__conn_idle_time(const struct gy__http_env *env)
{
    return env->draining ? env->config.linger_ns : env->config.idle_timeout_ns;
}

/* ---- conn_read.c ---- */

/* Read on in what has arrived. */
void gy__conn_read_on(struct gy__http_conn *conn);
/* May another request be begun? */
bool gy__conn_may_begin(const struct gy__http_conn *conn);
/* What comes from this peer cannot be read, or will not be: say why, behind what is owed, and end. */
void gy__conn_stop(struct gy__http_conn *conn, int status, const char *why);
/* Nobody will read what is unread; it is released with what was. */
void gy__conn_drop_unread(struct gy__http_conn *conn);

/* ---- conn_write.c ---- */

/* Write what is ready and has its turn. */
void gy__conn_emit(struct gy__http_conn *conn);
/* Give a slot back, telling its handler how its streams end. */
void gy__conn_give(struct gy__http_conn *conn, struct gy__http_slot *slot, int why);

#endif
