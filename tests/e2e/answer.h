/* Answers of an HTTP/1.1 server, read as they come, in whatever pieces. Bodies are counted, and their
 * beginning is kept. */
#ifndef GYRE_TESTS_E2E_ANSWER_H
#define GYRE_TESTS_E2E_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer {
    int status;
    bool closes;      /* Connection: close */
    uint64_t length;  /* of the body */
    char body[1024];  /* its beginning, ends with NUL */
    char head[4096];  /* ends with NUL */
};

struct answer_reader {
    struct answer now;
    bool no_body; /* set by the user: the request was HEAD */
    bool in_body;
    size_t head_len, body_kept;
    uint64_t body_left;
};

/* Take bytes of one answer at most. -> how many were used; *done: the answer is whole. -1: what came
 * is no answer. */
long answer_read(struct answer_reader *r, const char *bytes, size_t len, bool *done);
/* Has an answer begun and not ended? */
bool answer_begun(const struct answer_reader *r);
/* Ready for the next one; `now` stays readable until then. */
void answer_next(struct answer_reader *r);
/* The value of a header of the answer, copied; -> false: there is none. */
bool answer_header(const struct answer *a, const char *name, char *out, size_t size);

/* ---- one connection, blocking, with a time limit of 20 s for each step ---- */

/* -> a connected socket; -errno. */
int client_connect(unsigned port);
/* Send all; -> 0; -errno. */
int client_send(int fd, const void *bytes, size_t len);
int client_send_text(int fd, const char *text);
/* Read one whole answer and nothing behind it.
 * -> 0; -ENODATA: a clean end before its first byte; -EPIPE: a clean end inside it; -errno. */
int client_answer(int fd, bool head_request, struct answer *a);
/* Connect, send, read one answer, close. -> as client_answer. */
int client_ask(unsigned port, const char *request, struct answer *a);
/* Is this the end of the connection? -> 0 FIN; -errno: -ECONNRESET, -EAGAIN after 20 s; > 0: a byte
 * came. */
int client_end(int fd);

#endif
