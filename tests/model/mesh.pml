/*
 * All rings of one shard (core/mesh.c): P producers send M flushes each to one consumer, which
 * finds them by its inbound word, one sticky bit per producer. Also: a ring is taken and made known
 * when its producer first talks; with -DSTOP a control thread asks the consumer to stop at any time.
 *
 * As in park.pml a ring is the count that its flushes publish. Its memory is written by its producer
 * first (plain location MEMORY), so that a consumer which comes to it too early is found.
 *
 * -DNEVER_SLEEPS: the consumer has other work all the time and waits for a bit instead of sleeping.
 * -DLOOK_BITS: the look before sleeping trusts the bits instead of looking at every ring. Right on
 * x86, where the locked instruction that sets the bit is a fence; by the C standard it needs
 * -DFENCE_AFTER_BIT as well.
 *
 * Checked: every message is taken, also if nobody ever sleeps; no ring is looked at before it was made;
 * a stop is never lost, and what was published before it was asked for is run.
 */
#ifndef P
#define P 2
#endif
#ifndef M
#define M 2
#endif

#ifdef STOP
#define THREADS (P + 2)
#else
#define THREADS (P + 1)
#endif
#define WORD(p) (p)
#define ROW(p) (P + (p))
#define BITS (2 * P)
#define SLEEPING (2 * P + 1)
#define REQUESTS (2 * P + 2)
#ifdef STOP
#define ATOMICS (2 * P + 3)
#else
#define ATOMICS (2 * P + 2)
#endif
#define MEMORY(p) (p)
#define PLAINS P
#define BUF 3
#define HISTORY (4 * P * M + 8)
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
#ifdef BROKEN_NO_CLEAR_FENCE
#define clear_fence() skip
#else
#define clear_fence() full_fence()
#endif
#ifdef BROKEN_ROW_RELAXED
#define store_row(p) store_relaxed(ROW(p), 1)
#else
#define store_row(p) store_release(ROW(p), 1)
#endif
#ifdef BROKEN_BITS_RELAXED
#define load_bits(x) load_relaxed(BITS, x)
#else
#define load_bits(x) load_acquire(BITS, x)
#endif
#ifdef BROKEN_STOP_RELAXED
#define load_requests(x) load_relaxed(REQUESTS, x)
#else
#define load_requests(x) load_acquire(REQUESTS, x)
#endif
#ifdef BROKEN_STOP_NO_FENCE
#define control_fence() skip
#else
#define control_fence() full_fence()
#endif

#ifdef STOP
#define STOP_ASKED NEWEST(REQUESTS)
#else
#define STOP_ASKED 0
#endif

bit awake;
byte known[P];

#ifdef NEVER_SLEEPS
#define wake_if_sleeping(x) skip
#else
inline wake_if_sleeping(x)
{
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

inline mark_written(x)
{
    load_relaxed(BITS, x);
    if
    :: !(x & (1 << me)) ->
        fetch_or(BITS, 1 << me);
#ifdef FENCE_AFTER_BIT
        full_fence()
#endif
    :: else
    fi;
    x = 0
}

proctype producer(byte me)
{
    byte sent, x;

    plain_write(MEMORY(me), 1);
#ifndef BROKEN_ROW_AFTER_BIT
    store_row(me);
#endif
    do
    :: sent < M ->
        sent++;
#ifdef BROKEN_BIT_BEFORE_WORD
        mark_written(x);
#endif
        store_release(WORD(me), sent);
        producer_fence();
#ifndef BROKEN_BIT_BEFORE_WORD
        mark_written(x);
#endif
#ifdef BROKEN_ROW_AFTER_BIT
        store_row(me);
#endif
        wake_if_sleeping(x)
    :: else -> break
    od
}

inline load_ring(p)
{
    plain_read(MEMORY(p), x);
    assert(x == 1);
    load_acquire(WORD(p), x)
}

/* found = whether ring p has something. */
inline look_at(p)
{
    load_ring(p);
    found = (x != taken[p]);
    x = 0
}

/* The same, and take it. */
inline take_from(p)
{
    load_ring(p);
    found = (x != taken[p]);
    got = got + x - taken[p];
    taken[p] = x;
    x = 0
}

inline clear_bit(p)
{
#ifdef BROKEN_CLEAR_NOT_ATOMIC
    load_relaxed(BITS, x);
    store_relaxed(BITS, x & ~(1 << p));
#else
    fetch_and(BITS, ~(1 << p));
#endif
    clear_fence();
#ifndef BROKEN_CLEAR_WITHOUT_LOOK
    look_at(p);
    if
    :: found -> fetch_or(BITS, 1 << p)
    :: else
    fi
#endif
}

/* Poll the rings whose bits are set; a quiet one may lose its bit. */
inline poll()
{
    load_bits(bits);
    p = 0;
    do
    :: p < P ->
        if
        :: bits & (1 << p) ->
            load_acquire(ROW(p), x);
            assert(x == 1);
            take_from(p);
            if
            :: found -> any = 1
            :: !found
            :: !found -> clear_bit(p); any = any | found
            fi;
            found = 0
        :: else
        fi;
        p++
    :: else -> break
    od;
    p = 0
}

/* Before sleeping: look at every ring there is, whatever the bits say; what is found gets its bit. */
inline look_again()
{
#ifdef LOOK_BITS
    load_bits(bits);
#endif
    p = 0;
    do
    :: p < P ->
        load_acquire(ROW(p), x);
        if
#ifdef LOOK_BITS
        :: bits & (1 << p) ->
#else
        :: x ->
#endif
            look_at(p);
            if
            :: found ->
                any = 1;
#ifndef LOOK_BITS
                if
                :: !(bits & (1 << p)) -> fetch_or(BITS, 1 << p)
                :: else
                fi
#endif
            :: else
            fi;
            found = 0
        :: else
        fi;
        x = 0;
        p++
    :: else -> break
    od;
    p = 0;
#ifdef STOP
#ifndef BROKEN_STOP_NO_LOOK
    load_requests(x);
    any = any | x;
    x = 0;
#endif
#endif
    bits = 0
}

inline run_to_empty()
{
    any = 0;
#ifdef BROKEN_STOP_BY_BITS
    load_bits(bits);
#endif
    p = 0;
    do
    :: p < P ->
        load_acquire(ROW(p), x);
        if
#ifdef BROKEN_STOP_BY_BITS
        :: bits & (1 << p) ->
#else
        :: x ->
#endif
            take_from(p)
        :: else
        fi;
        x = 0;
        p++
    :: else -> break
    od
}

proctype consumer()
{
    byte me = P;
    byte taken[P];
    byte got, p, x, bits;
    bit found, any;

    do
#ifdef STOP
    ::
#ifndef BROKEN_STOP_AFTER_POLL
        load_requests(x);
        if
        :: x -> x = 0; run_to_empty(); break
        :: else
        fi;
#endif
#else
    :: got == P * M -> break
    :: else ->
#endif
        any = 0;
        poll();
#ifdef BROKEN_STOP_AFTER_POLL
        load_requests(x);
        if
        :: x && !any -> break
        :: else
        fi;
#endif
        if
#ifdef NEVER_SLEEPS
        :: !any -> bits = 0; NEWEST(BITS) != 0 || STOP_ASKED
#else
        :: !any ->
            store_relaxed(SLEEPING, 1);
            consumer_fence();
#ifndef BROKEN_NO_SECOND_LOOK
            look_again();
#endif
            if
            :: !any -> d_step { awake -> awake = 0 }
            :: else
            fi;
            store_relaxed(SLEEPING, 0)
#endif
        :: else
        fi;
        bits = 0
    od;
#ifdef STOP
    p = 0;
    do
    :: p < P -> assert(taken[p] >= known[p]); p++
    :: else -> break
    od
#endif
}

#ifdef STOP
proctype control()
{
    byte me = P + 1;
    byte p, x;

    /* What this thread knows to be published, it may expect to be run. */
    do
    :: p < P -> load_acquire(WORD(p), x); known[p] = x; p++
    :: else -> break
    od;
    p = 0;
    store_release(REQUESTS, 1);
    control_fence();
    wake_if_sleeping(x)
}
#endif

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
#ifdef STOP
        run control();
#endif
        run consumer()
    }
}
