/*
 * Sleep and wake between shards (core/mesh.c, core/shard.c). P producers send M flushes to each of C consumers;
 * a flush goes to all of them behind one fence. A ring is reduced to the word its flush publishes,
 * here the number of messages flushed so far: ring.pml shows that the rest of the ring follows it.
 *
 * The kernel remembers a wake that comes before the sleep, as an eventfd does; a sleep may also
 * end for another reason (a deadline, a completion), here SPURIOUS times.
 *
 * Checked: every message is taken, that is: no consumer sleeps for ever beside a published message.
 */
#ifndef P
#define P 2
#endif
#ifndef C
#define C 1
#endif
#ifndef M
#define M 2
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif

#define THREADS (P + C)
#define WORD(p, c) ((p) * C + (c))
#define SLEEPING(c) (P * C + (c))
#define ATOMICS (P * C + C)
#define PLAINS 0
#define BUF 3
#define HISTORY (5 * P * M + 2 * SPURIOUS + 2)
#include "memory.pml"

#ifdef BROKEN_NO_PRODUCER_FENCE
#define producer_fence() skip
#else
#define producer_fence() full_fence()
#endif
#ifdef BROKEN_NO_CONSUMER_FENCE
#define consumer_fence() skip
#else
#define consumer_fence() full_fence()
#endif

bit wakes[C];
bit asleep[C];
byte spurious;

inline wake(c)
{
#ifdef BROKEN_WAKE_NOT_REMEMBERED
    d_step { wakes[c] = asleep[c] }
#else
    wakes[c] = 1
#endif
}

inline sleep(c)
{
    asleep[c] = 1;
    if
    :: d_step { wakes[c] -> wakes[c] = 0; asleep[c] = 0 }
    :: d_step { spurious < SPURIOUS -> spurious++; asleep[c] = 0 }
    fi
}

proctype producer(byte me)
{
    byte sent, c;
    bit x;

    do
    :: sent < M ->
        sent++;
        c = 0;
        do
        :: c < C -> store_release(WORD(me, c), sent); c++
        :: else -> break
        od;
        producer_fence();
        c = 0;
        do
        :: c < C ->
            load_relaxed(SLEEPING(c), x);
            if
            :: x ->
                exchange(SLEEPING(c), 0, x);
                if
                :: x -> wake(c)
                :: else
                fi
            :: else
            fi;
            c++;
            x = 0
        :: else -> break
        od
    :: else -> break
    od
}

inline look()
{
    found = 0;
    p = 0;
    do
    :: p < P ->
        load_acquire(WORD(p, c), x);
        if
        :: x != taken[p] ->
            assert(x > taken[p]);
            got = got + x - taken[p];
            taken[p] = x;
            found = 1
        :: else
        fi;
        p++
    :: else -> break
    od;
    p = 0;
    x = 0
}

proctype consumer(byte c)
{
    byte me = P + c;
    byte taken[P];
    byte got, p, x;
    bit found;

    do
    :: got == P * M -> break
    :: else ->
        look();
        if
        :: !found ->
            store_relaxed(SLEEPING(c), 1);
            consumer_fence();
#ifndef BROKEN_NO_SECOND_LOOK
            look();
#endif
            if
            :: !found -> sleep(c)
            :: else
            fi;
            store_relaxed(SLEEPING(c), 0)
        :: else
        fi
    od
}

init
{
    atomic {
        begin();
        i_ = 0;
        do
        :: i_ < P -> run producer(i_); i_++
        :: else -> break
        od;
        i_ = 0;
        do
        :: i_ < C -> run consumer(i_); i_++
        :: else -> break
        od;
        i_ = 0
    }
}
