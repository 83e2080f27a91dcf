#include "tests/sim/http_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What lies between at and end is text that nobody has ended by 0. */
static size_t digits(const char *at, const char *end)
{
    size_t value = 0;

    for (; at < end && *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (size_t)(*at - '0');
    return value;
}

/* The value of a header field, NULL if it is not there. */
static const char *field(const struct http_answer *answer, const char *name)
{
    const char *at = answer->head, *end = answer->head + answer->head_len;
    size_t len = strlen(name);

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            return NULL;
        if ((size_t)(line_end - at) > len && strncasecmp(at, name, len) == 0 && at[len] == ':') {
            for (at += len + 1; at < line_end && *at == ' ';)
                at++;
            return at;
        }
        at = line_end + 1;
    }
    return NULL;
}

long http_read(const uint8_t *data, size_t len, bool head, struct http_answer *answer)
{
    const char *text = (const char *)data;
    const char *end = len >= 4 ? memmem(text, len, "\r\n\r\n", 4) : NULL;
    const char *value;

    if (len >= 9 && memcmp(text, "HTTP/1.1 ", 9) != 0)
        return -1;
    if (end == NULL)
        return 0;
    memset(answer, 0, sizeof(*answer));
    answer->head = text;
    answer->head_len = (size_t)(end + 2 - text);
    answer->status = (int)digits(text + 9, end);
    if (answer->status < 100 || answer->status > 599)
        return -1;
    value = field(answer, "Connection");
    answer->close = value != NULL && end - value >= 5 && strncasecmp(value, "close", 5) == 0;
    answer->body = end + 4;
    value = field(answer, "Content-Length");
    if (value != NULL && !head)
        answer->body_len = digits(value, end);
    if (value == NULL && answer->status >= 200 && answer->status != 204 && answer->status != 304)
        return -1;
    if (len - (size_t)(answer->body - text) < answer->body_len)
        return 0;
    return (long)(answer->body - text) + (long)answer->body_len;
}

struct http_question http_ask(struct gy_sim *sim, unsigned host, unsigned port, const char *method,
                              const char *path, const char *body)
{
    struct http_question question = {gy_sim_connect(sim, host, port), sim};
    char head[1024];
    int len = snprintf(head, sizeof(head),
                       "%s %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: %zu\r\n"
                       "\r\n",
                       method, path, body != NULL ? strlen(body) : 0);

    gy_sim_send(question.conn, head, (size_t)len);
    if (body != NULL)
        gy_sim_send(question.conn, body, strlen(body));
    return question;
}

int http_look(struct http_question *question, char *out, size_t size)
{
    struct http_answer answer;
    size_t len;
    const uint8_t *data = gy_sim_received(question->conn, &len);
    int status = 0;

    if (size > 0)
        out[0] = 0;
    if (http_read(data, len, false, &answer) > 0) {
        status = answer.status;
        if (size > 0)
            snprintf(out, size, "%.*s", (int)answer.body_len, answer.body);
    }
    return status;
}

int http_get(struct gy_sim *sim, unsigned port, const char *path, char *out, size_t size)
{
    struct http_question question = http_ask(sim, 0, port, "GET", path, NULL);
    int status;

    gy_sim_settle(sim);
    status = http_look(&question, out, size);
    gy_sim_conn_free(question.conn);
    return status;
}
