/* A server that says what a test tells it to, at port 81 of its host: the nth request that it gets,
 * whoever sent it, is answered by the nth line of the script, the last one again and again. */
#ifndef GYRE_TESTS_SIM_SCRIPTED_H
#define GYRE_TESTS_SIM_SCRIPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPTED_PORT 81
#define SCRIPTED_LINES_MAX 16
#define SCRIPTED_TEXT_MAX 65536

enum scripted_then {
    SCRIPTED_STAYS,
    SCRIPTED_CLOSES, /* FIN when all is sent */
    SCRIPTED_ABORTS, /* at once, when the bytes have left */
    SCRIPTED_EATS,   /* not even that: the request before its answer, and closes */
};
struct scripted_line {
    const char *answer;
    size_t len;                  /* 0: all of the text */
    size_t piece;                /* so many bytes at a time, 0: all at once */
    uint64_t every_ns, after_ns; /* a piece; before the first */
    enum scripted_then then;
    /* To a request with Expect: 100-continue. interim: sent when its head is there; early: so is the
     * answer, and the body is not waited for. */
    const char *interim;
    bool early;
    bool echoes; /* the answer is 200 with the request's target as body, and nothing of the above */
};
struct scripted {
    struct scripted_line lines[SCRIPTED_LINES_MAX];
    unsigned line_count;
    const char *greeting; /* sent when a connection opens: nobody has asked for it */
    /* What happened. */
    unsigned connections, open, requests;
    size_t uninvited; /* bytes of body that came before the interim answer */
    unsigned ahead; /* requests, at most, that waited on a connection behind one being answered */
    char asked[SCRIPTED_LINES_MAX][2048]; /* the requests, each ended by 0 */
};
extern struct scripted scripted;

void scripted_reset(void);
/* arg: where it listens, or NULL. */
int scripted_boot(unsigned shard, void *arg);
/* On its shard: end all connections that are idle, as servers do. */
int scripted_hang_up(unsigned shard, void *arg);

#endif
