/*
 * Two shards that call each other (core/mesh.c): casts and calls may fill half of a ring, answers
 * all of it, and at most half a ring of calls is outstanding per peer, the credit coming back when
 * the answer's cell is run.
 *
 * This is a question of counting, so a ring is only what each cell is, how far it is flushed and how
 * far its head is published: both are single stores that the other side may learn of late. A shard
 * takes its steps in any order, which covers all turns there can be, but for one rule: it flushes
 * only when the head of the ring from that peer is published. Indices go round (modulo 2 N), so any
 * number of messages is covered. Nobody sleeps here: see room.pml.
 *
 * Checked: an answer always has room; there is always a step that can be taken, rings that are full
 * both ways included.
 */
#ifndef N
#define N 4
#endif
#define HALF (N / 2)

#ifdef BROKEN_CASTS_FILL_ALL
#define CAST_LIMIT N
#else
#define CAST_LIMIT HALF
#endif
#ifdef BROKEN_NO_CREDIT
#define CALLS_MAX N
#else
#define CALLS_MAX HALF
#endif
#ifdef BROKEN_FLUSH_BEFORE_HEAD
#define may_flush (flushed[me] != tail)
#else
#define may_flush (flushed[me] != tail && heads[peer] == in)
#endif

mtype = { CALL, CAST, ANSWER };
mtype cells[2 * N];
byte flushed[2]; /* of the ring that this shard writes */
byte heads[2];   /* of the same ring, published by the other shard */

#define peer (1 - me)
#define cell(from, i) cells[(from) * N + (i) % N]
#define next(i) (((i) + 1) % (2 * N))
#define used(from) ((tail + 2 * N - (from)) % (2 * N))

inline push(what)
{
    assert(cell(me, tail) == 0);
    cell(me, tail) = what;
    tail = next(tail)
}

/* Looks at the published head only when its copy shows no room. */
inline look_for_room(limit)
{
    if
    :: used(head) >= (limit) -> head = heads[me]
    :: else
    fi
}

/* In the handler of a call. */
inline answer()
{
#ifdef BROKEN_NO_RESERVE
    heads[peer] = in;
    flushed[me] = tail;
    used(heads[me]) < HALF;
    head = heads[me];
#else
    look_for_room(N);
    assert(used(head) < N);
#endif
    push(ANSWER)
}

proctype shard(bit me)
{
    byte tail, head; /* the ring to the peer; head is a copy, perhaps old */
    byte in;         /* the ring from the peer */
    byte calls;      /* outstanding */

    do
    :: atomic {
            flushed[peer] != in ->
            if
            :: cell(peer, in) == CALL -> answer()
            :: cell(peer, in) == CAST
            :: cell(peer, in) == ANSWER -> calls--
            fi;
            cell(peer, in) = 0;
            in = next(in)
        }
    :: atomic { heads[peer] != in -> heads[peer] = in }
    :: atomic {
            calls < CALLS_MAX && used(heads[me]) < HALF ->
            look_for_room(HALF);
            push(CALL);
            calls++
        }
    :: atomic {
            used(heads[me]) < CAST_LIMIT ->
            look_for_room(CAST_LIMIT);
            push(CAST)
        }
    :: atomic { may_flush -> flushed[me] = tail }
    od
}

init
{
    atomic { run shard(0); run shard(1) }
}
