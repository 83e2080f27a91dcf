/*
 * The lane for foreign threads (core/foreign.c): a bounded array of N slots, each with a sequence
 * number; P threads post M messages each, and with -DCOMPLETION one more thread posts one message that
 * must not be refused, for which RESERVE slots are kept. One consumer runs cells in place.
 *
 * A producer looks at the slot RESERVE further on than the one it wants: slots are freed in order, so
 * if that one is free, so are those before it. Indices are bytes and begin at START, so that they
 * wrap during the run. The tail is read with acquire and claimed with release: who knows of a claim
 * knows of the free slots that it was made by, so that it does not take them for full.
 *
 * -DNEVER_SLEEPS: the consumer waits for its slot instead of sleeping, which leaves the lane alone.
 *
 * Checked: every message is run once, whole, in its producer's order; the reserved post is never
 * refused; no lost wake-up, also when a claimed slot is published after those behind it.
 */
#ifndef N
#define N 2
#endif
#ifndef P
#define P 2
#endif
#ifndef M
#define M 2
#endif
#ifndef RESERVE
#define RESERVE 0
#endif
#define START 254

#ifdef COMPLETION
#define PRODUCERS (P + 1)
#define TOTAL (P * M + 1)
#else
#define PRODUCERS P
#define TOTAL (P * M)
#endif
#define THREADS (PRODUCERS + 1)
#define SEQUENCE(i) ((i) % N)
#define TAIL N
#ifdef NEVER_SLEEPS
#define ATOMICS (N + 1)
#else
#define SLEEPING (N + 1)
#define ATOMICS (N + 2)
#endif
#define CELL(i) ((i) % N)
#define PLAINS N
#define BUF 3
#define HISTORY (5 * TOTAL + 2)
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
#ifdef BROKEN_CLAIM_RELAXED
#define claim(a, expected, v, ok) compare_exchange_relaxed(a, expected, v, ok)
#define load_tail(x) load_relaxed(TAIL, x)
#else
#define claim(a, expected, v, ok) compare_exchange(a, expected, v, ok)
#define load_tail(x) load_acquire(TAIL, x)
#endif
#ifdef BROKEN_POST_RELAXED
#define store_full(a, v) store_relaxed(a, v)
#else
#define store_full(a, v) store_release(a, v)
#endif
#ifdef BROKEN_POP_RELAXED
#define store_free(a, v) store_relaxed(a, v)
#else
#define store_free(a, v) store_release(a, v)
#endif
#ifdef BROKEN_PROBE_RELAXED
#define load_probe(a, x) load_relaxed(a, x)
#else
#define load_probe(a, x) load_acquire(a, x)
#endif
#ifdef BROKEN_PEEK_RELAXED
#define load_peek(a, x) load_relaxed(a, x)
#else
#define load_peek(a, x) load_acquire(a, x)
#endif
#ifdef BROKEN_NO_PROBE
#define PROBE 0
#else
#define PROBE RESERVE
#endif

bit awake;

inline publish(message)
{
#ifdef BROKEN_PUBLISH_BEFORE_PAYLOAD
    store_full(SEQUENCE(index), index + 1);
    plain_write(CELL(index), message)
#else
    plain_write(CELL(index), message);
    store_full(SEQUENCE(index), index + 1)
#endif
}

/* ok = 0: full. */
inline post(message, reserve)
{
    load_tail(index);
    do
    ::  x = index + reserve;
        load_probe(SEQUENCE(x), y);
        y = y - x;
        if
        :: y == 0 ->
#ifdef BROKEN_CLAIM_NOT_ATOMIC
            store_relaxed(TAIL, index + 1);
            ok = 1;
#else
            claim(TAIL, index, index + 1, ok);
#endif
            if
            :: ok -> publish(message); break
            :: else -> load_tail(index)
            fi
        :: y >= 128 -> ok = 0; break
        :: y > 0 && y < 128 -> load_tail(index)
        fi
    od;
    x = 0;
    y = 0;
    index = 0
}

#ifdef NEVER_SLEEPS
#define wake() skip
#else
inline wake()
{
    producer_fence();
    load_relaxed(SLEEPING, x);
    if
    :: x ->
        exchange(SLEEPING, 0, x);
        if
        :: x -> awake = 1
        :: else
        fi
    :: else
    fi;
    x = 0
}
#endif

#define PLACE ((NEWEST(TAIL) + RESERVE) % 256)

proctype producer(byte me)
{
    byte sent, index, x, y;
    bit ok;

    do
    :: sent < M ->
        post(1 + me * M + sent, PROBE);
        if
        :: ok -> sent++; wake()
        :: else -> NEWEST(SEQUENCE(PLACE)) == PLACE
        fi
    :: else -> break
    od
}

#ifdef COMPLETION
proctype completion(byte me)
{
    byte index, x, y;
    bit ok;

    post(1 + P * M, 0);
    assert(ok);
    wake()
}
#endif

proctype consumer()
{
    byte me = PRODUCERS;
    byte head = START;
    byte got[PRODUCERS];
    byte x, y;

    do
    :: head != (START + TOTAL) % 256 ->
        load_peek(SEQUENCE(head), x);
        y = head + 1;
        if
        :: x == y ->
#ifdef BROKEN_POP_BEFORE_RUN
            store_free(SEQUENCE(head), head + N);
#endif
            plain_read(CELL(head), x);
            x = x - 1;
            y = x / M;
            assert(y < PRODUCERS);
            assert(x == y * M + got[y]);
            got[y]++;
            plain_done(CELL(head));
#ifndef BROKEN_POP_BEFORE_RUN
            store_free(SEQUENCE(head), head + N);
#endif
            head++
        :: else ->
#ifdef NEVER_SLEEPS
            NEWEST(SEQUENCE(head)) == y
#else
            store_relaxed(SLEEPING, 1);
            consumer_fence();
#ifndef BROKEN_NO_SECOND_LOOK
            load_peek(SEQUENCE(head), x);
#endif
            if
            :: x != y -> d_step { awake -> awake = 0 }
            :: else
            fi;
            store_relaxed(SLEEPING, 0)
#endif
        fi;
        x = 0;
        y = 0
    :: else -> break
    od
}

init
{
    byte i = START;
    atomic {
        begin();
        set_initial(TAIL, START);
        do
        :: i != (START + N) % 256 -> set_initial(SEQUENCE(i), i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < P -> run producer(i); i++
        :: else -> break
        od;
#ifdef COMPLETION
        run completion(P);
#endif
        run consumer()
    }
}
