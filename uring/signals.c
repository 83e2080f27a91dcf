/* SIGTERM and SIGINT as a descriptor of the control thread. They are blocked, not handled, so that
 * the program's own handlers stay as they are and there is no static data; shard threads have all
 * signals blocked anyway. A program with other threads of its own blocks the two there, or leaves
 * handle_signals off. */
#include "uring/host.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void both(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

int gy__signals_open(struct gy__signals *signals)
{
    sigset_t set;
    both(&set);
    int err = pthread_sigmask(SIG_BLOCK, &set, &signals->before);
    if (err != 0)
        return -err;
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd < 0) {
        err = errno;
        pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
        return -err;
    }
    return 0;
}

int gy__signals_take(struct gy__signals *signals)
{
    struct signalfd_siginfo info;
    if (signals->fd < 0 || read(signals->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

void gy__signals_let_go(struct gy__signals *signals)
{
    if (signals->fd < 0)
        return;
    close(signals->fd);
    signals->fd = -1;
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

void gy__signals_close(struct gy__signals *signals)
{
    while (gy__signals_take(signals) > 0)
        ;
    gy__signals_let_go(signals);
}
