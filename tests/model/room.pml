/*
 * Room again (core/room.c): a sender that found a ring full sleeps, and the receiver that makes room
 * wakes it; the mirror of park.pml, which is in here too. The sender has M casts for a ring that takes
 * N at a time; the receiver takes what there is, publishes its head, and sleeps.
 *
 * Before it sleeps, a sender that waits for room stores sleeping = 1, then want = 1 with release, in
 * this order: who takes the want away sees that it sleeps. After the fence it looks at the head once
 * more. The receiver publishes its head, fences (the fence of its flush), and looks at want.
 *
 * -DRECEIVER_POLLS: only the sender sleeps.
 *
 * Checked: everything arrives, that is: neither side sleeps for ever.
 */
#ifndef N
#define N 1
#endif
#ifndef M
#define M 3
#endif

#define THREADS 2
#define WORD 0 /* of the ring: how many were flushed, as in park.pml */
#define HEAD 1
#define WANT 2
#define SLEEPING(t) (3 + (t))
#define ATOMICS 5
#define PLAINS 0
#define BUF 4
#define HISTORY (6 * M + 4)
#include "memory.pml"

#ifdef BROKEN_NO_HEAD_FENCE
#define head_fence() skip
#else
#define head_fence() full_fence()
#endif
#ifdef BROKEN_NO_SENDER_FENCE
#define sender_fence() skip
#else
#define sender_fence() full_fence()
#endif

bit wakes[2];

inline wake_if_sleeping(t)
{
    load_relaxed(SLEEPING(t), x);
    if
    :: x ->
        exchange(SLEEPING(t), 0, x);
        if
        :: x -> wakes[t] = 1
        :: else
        fi
    :: else
    fi;
    x = 0
}

inline sleep()
{
    d_step { wakes[me] -> wakes[me] = 0 }
}

inline announce()
{
#if defined BROKEN_WANT_BEFORE_SLEEPING
    store_relaxed(WANT, 1);
    store_relaxed(SLEEPING(me), 1)
#elif defined BROKEN_WANT_RELAXED
    store_relaxed(SLEEPING(me), 1);
    store_relaxed(WANT, 1)
#else
    store_relaxed(SLEEPING(me), 1);
    store_release(WANT, 1)
#endif
}

proctype sender()
{
    byte me = 0;
    byte tail, head, x;

    do
    :: tail < M ->
        load_acquire(HEAD, head);
        if
        :: tail - head < N ->
            tail++;
            store_release(WORD, tail);
            full_fence();
#ifndef RECEIVER_POLLS
            wake_if_sleeping(1)
#endif
        :: else ->
            announce();
            sender_fence();
#ifndef BROKEN_NO_LOOK_FOR_ROOM
            load_acquire(HEAD, head);
#endif
            if
            :: tail - head >= N -> sleep()
            :: else
            fi;
            store_relaxed(SLEEPING(me), 0)
        fi
    :: else -> break
    od
}

proctype receiver()
{
    byte me = 1;
    byte got, x;

    do
    :: got < M ->
        load_acquire(WORD, x);
        if
        :: x != got ->
            /* All of it, or one by one with a head each. */
            if
            :: got = x
            :: x - got > 1 -> got++
            fi;
            x = 0;
            store_release(HEAD, got);
            head_fence();
            load_relaxed(WANT, x);
            if
            :: x ->
                exchange(WANT, 0, x);
                wake_if_sleeping(0)
            :: else
            fi
        :: else ->
#ifdef RECEIVER_POLLS
            NEWEST(WORD) != got
#else
            store_relaxed(SLEEPING(me), 1);
            full_fence();
            load_acquire(WORD, x);
            if
            :: x == got -> sleep()
            :: else
            fi;
            store_relaxed(SLEEPING(me), 0);
#endif
            x = 0
        fi
    :: else -> break
    od
}

init
{
    atomic {
        begin();
        run sender();
        run receiver()
    }
}
