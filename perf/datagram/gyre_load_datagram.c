/* gyre-load-datagram: keeps datagrams under way to an echo server, and counts what comes back.
 *
 *   gyre-load-datagram CPU SECONDS BYTES UNDER_WAY PORT
 *
 * Prints "messages=N lost=L". What is lost is made up for: after 20 ms without an answer so many are sent anew. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static char bytes[BATCH][65536];
    static struct mmsghdr messages[BATCH];
    static struct iovec pieces[BATCH];
    struct timeval patience = {0, 20000};
    cpu_set_t cpus;
    if (argc != 6)
        return 2;
    double seconds = atof(argv[2]);
    unsigned len = (unsigned)atoi(argv[3]), window = (unsigned)atoi(argv[4]), back = 0, lost = 0, due;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((unsigned short)atoi(argv[5]))};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CPU_ZERO(&cpus);
    CPU_SET(atoi(argv[1]), &cpus);
    (void)sched_setaffinity(0, sizeof(cpus), &cpus);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (window > BATCH || len > sizeof(bytes[0]) || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return 1;
    due = window;
    for (double end = now() + seconds; now() < end;) {
        for (unsigned i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){bytes[i], len};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
        }
        if (due > 0 && sendmmsg(fd, messages, due, 0) < 0)
            return 1;
        int n = recvmmsg(fd, messages, window, MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EAGAIN)
            return 1;
        due = n > 0 ? (unsigned)n : window;
        back += n > 0 ? (unsigned)n : 0;
        lost += n > 0 ? 0 : window;
    }
    printf("messages=%u lost=%u\n", back, lost);
    return back > 0 ? 0 : 1;
}
