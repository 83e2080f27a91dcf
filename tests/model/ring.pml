/*
 * The ring between two shards (core/ring.h): one producer, one consumer, N cells, each with a word
 * that carries the lap of the index it was written for. One bit of lap is modelled, the least that
 * can work. M messages go through in any batches: the producer flushes when it likes, the consumer
 * ends a batch when it likes.
 *
 * Checked: every message is run once, in order, whole; when the first cell of a flush is full, so
 * are all cells of that flush; no cell is rewritten before it was run; nobody waits for ever.
 */
#ifndef N
#define N 2
#endif
#ifndef M
#define M 5
#endif

#define THREADS 2
#define WORD(i) ((i) % N)
#define HEAD N
#define ATOMICS (N + 1)
#define FRONT(i) ((i) % N)
#define BACK(i) (N + (i) % N)
#define PLAINS (2 * N)
#define BUF 4
#define HISTORY (2 * M + 2)
#include "memory.pml"

#ifdef BROKEN_NO_LAP
#define LAP(i) 0
#else
#define LAP(i) (((i) / N) & 1)
#endif

#ifdef BROKEN_FLUSH_RELAXED
#define store_first(a, v) store_relaxed(a, v)
#else
#define store_first(a, v) store_release(a, v)
#endif
#ifdef BROKEN_LOOK_RELAXED
#define load_word(a, x) load_relaxed(a, x)
#else
#define load_word(a, x) load_acquire(a, x)
#endif
#ifdef BROKEN_HEAD_RELAXED
#define store_head(v) store_relaxed(HEAD, v)
#else
#define store_head(v) store_release(HEAD, v)
#endif
#ifdef BROKEN_ROOM_RELAXED
#define load_head(x) load_relaxed(HEAD, x)
#else
#define load_head(x) load_acquire(HEAD, x)
#endif

/* For the checks only: the index after the last cell of the flush that cell i belongs to. */
byte flush_end[M];

inline flush()
{
    d_step {
        i_ = first;
        do
        :: i_ < tail -> flush_end[i_] = tail; i_++
        :: else -> break
        od;
        i_ = 0
    }
    store_first(WORD(first), LAP(first));
    first = tail
}

proctype producer()
{
    byte me = 0;
    byte tail, head, first;

    do
    :: tail < M ->
        if
#ifdef BROKEN_ROOM
        :: tail - head > N ->
#else
        :: tail - head >= N ->
#endif
            load_head(head);
            if
            :: tail - head >= N ->
                if
                :: first < tail -> flush()
                :: else
                fi;
                NEWEST(HEAD) != head
            :: else
            fi
        :: else ->
#if defined BROKEN_WORD_BEFORE_PAYLOAD
            tail++;
            flush();
            plain_write(FRONT(tail - 1), tail);
            plain_write(BACK(tail - 1), tail)
#elif defined BROKEN_FIRST_NOT_HELD_BACK
            plain_write(FRONT(tail), tail + 1);
            plain_write(BACK(tail), tail + 1);
            store_release(WORD(tail), LAP(tail));
            tail++
#else
            plain_write(FRONT(tail), tail + 1);
            plain_write(BACK(tail), tail + 1);
            if
            :: tail != first -> store_relaxed(WORD(tail), LAP(tail))
            :: else
            fi;
            tail++
#endif
        fi
    :: first < tail -> flush()
    :: tail == M && first == tail -> break
    od
}

proctype consumer()
{
    byte me = 1;
    byte got, published, x, y;

    do
    :: got == M -> break
    :: got < M ->
        load_word(WORD(got), x);
        if
        :: x == LAP(got) ->
            /* All cells of this flush are there: look at the rest of it. */
            y = got + 1;
            do
            :: y < flush_end[got] ->
                load_relaxed(WORD(y), x);
                assert(x == LAP(y));
                y++
            :: else -> break
            od;
            assert(flush_end[got] > got);
#ifdef BROKEN_HEAD_BEFORE_RUN
            store_head(got + 1);
#endif
            plain_read(FRONT(got), x);
            plain_read(BACK(got), y);
            assert(x == got + 1);
            assert(y == got + 1);
            plain_done(FRONT(got));
            plain_done(BACK(got));
            x = 0;
            y = 0;
            got++
        :: else ->
            if
            :: got != published -> store_head(got); published = got
            :: else
            fi;
            NEWEST(WORD(got)) == LAP(got)
        fi
    :: got != published -> store_head(got); published = got
    od
}

init
{
    atomic {
        begin();
        i_ = 0;
        do
        :: i_ < N -> set_initial(WORD(i_), !LAP(0)); i_++
        :: else -> break
        od;
        i_ = 0;
        run producer();
        run consumer()
    }
}
