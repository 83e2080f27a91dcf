/* A name server of the test's own on the loopback, by UDP and TCP (RFC 1035), for a handful of names:
 *
 *     one.test      A 192.0.2.1, 60 s; AAAA 2001:db8::1, 40 s
 *     four.test     A 192.0.2.4, 60 s; no AAAA
 *     short.test    A 192.0.2.5, 1 s
 *     long.test     cut off (TC) by UDP, three A by TCP
 *     wrong.test    first an answer to another question's id, 192.0.2.66, then A 192.0.2.6
 *     broken.test   half an answer, then nothing
 *     fail.test     SERVFAIL
 *     mute.test     nothing
 *     once.test     A 192.0.2.10, 0 s
 *     kept.test, brief.test, gone.test    NXDOMAIN, with a start of authority of 3600 and minimum 2 s; of 0 and 60 s;
 *                   of 60 and 0 s
 *
 * All else there is not: NXDOMAIN, without one. */
#ifndef GYRE_TESTS_URING_NAME_SERVER_H
#define GYRE_TESTS_URING_NAME_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

struct name_server {
    char addr[32]; /* 127.0.0.1:PORT */
    int udp, tcp, end[2];
    pthread_t thread;
    _Atomic unsigned asked, by_tcp; /* questions for an A */
};

void name_server_start(struct name_server *s);
void name_server_stop(struct name_server *s);

#endif
