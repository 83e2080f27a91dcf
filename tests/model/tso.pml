/*
 * x86-TSO: one shared memory, and in front of it one first-in first-out store buffer per thread.
 *
 * A store goes to the end of its thread's buffer and reaches memory at any later time; a load sees
 * the thread's own newest buffered store, else memory. A full fence waits for the own buffer to be
 * empty, and so does a locked instruction, which then acts on memory. All orders weaker than a full
 * fence are the same here: x86 gives release and acquire for nothing. What a compiler may reorder
 * within relaxed accesses is found by views.pml instead.
 *
 * The model that includes this file defines THREADS, ATOMICS and PLAINS (numbers of locations) and
 * BUF (length of a store buffer); each of its proctypes has a local `me`, its thread's number.
 */
#define LOCATIONS (ATOMICS + PLAINS)
#define PLAIN(x) (ATOMICS + (x))

typedef store_buffer {
    byte n;
    byte at[BUF];
    byte value[BUF]
};
store_buffer buffer[THREADS];
byte memory[LOCATIONS];
hidden byte i_;

/* What is in memory: for guards that stand for "polls until this changes". */
#define NEWEST(a) memory[a]

inline begin() { skip }

inline set_initial(a, v) { memory[a] = v }

inline store_any(a, v)
{
    d_step {
        buffer[me].n < BUF ->
        buffer[me].at[buffer[me].n] = a;
        buffer[me].value[buffer[me].n] = v;
        buffer[me].n++
    }
}

inline load_any(a, x)
{
    d_step {
        x = memory[a];
        i_ = 0;
        do
        :: i_ < buffer[me].n ->
            if
            :: buffer[me].at[i_] == (a) -> x = buffer[me].value[i_]
            :: else
            fi;
            i_++
        :: else -> break
        od;
        i_ = 0
    }
}

#define store_relaxed(a, v) store_any(a, v)
#define store_release(a, v) store_any(a, v)
#define compare_exchange_relaxed(a, expected, v, ok) compare_exchange(a, expected, v, ok)
#define load_relaxed(a, x) load_any(a, x)
#define load_acquire(a, x) load_any(a, x)
#define plain_write(a, v) store_any(PLAIN(a), v)
#define plain_read(a, x) load_any(PLAIN(a), x)
#define plain_done(a) skip

inline full_fence() { buffer[me].n == 0 }

inline exchange(a, v, old)
{
    d_step { buffer[me].n == 0 -> old = memory[a]; memory[a] = v }
}

inline fetch_or(a, v)
{
    d_step { buffer[me].n == 0 -> memory[a] = memory[a] | (v) }
}

inline fetch_and(a, v)
{
    d_step { buffer[me].n == 0 -> memory[a] = memory[a] & (v) }
}

inline fetch_add(a, v, old)
{
    d_step { buffer[me].n == 0 -> old = memory[a]; memory[a] = memory[a] + (v) }
}

inline compare_exchange(a, expected, v, ok)
{
    d_step {
        buffer[me].n == 0 ->
        ok = (memory[a] == (expected));
        if
        :: ok -> memory[a] = v
        :: else
        fi
    }
}

inline drain(t)
{
    memory[buffer[t].at[0]] = buffer[t].value[0];
    i_ = 1;
    do
    :: i_ < buffer[t].n ->
        buffer[t].at[i_ - 1] = buffer[t].at[i_];
        buffer[t].value[i_ - 1] = buffer[t].value[i_];
        i_++
    :: else -> break
    od;
    /* Dead entries are cleared, so that equal buffers are equal states. */
    buffer[t].at[i_ - 1] = 0;
    buffer[t].value[i_ - 1] = 0;
    buffer[t].n--;
    i_ = 0
}

/* The memory system: at any time the oldest store of any buffer reaches memory. */
active proctype memory_system()
{
end:
    do
    :: d_step { buffer[0].n > 0 -> drain(0) }
    :: d_step { buffer[1].n > 0 -> drain(1) }
#if THREADS > 2
    :: d_step { buffer[2].n > 0 -> drain(2) }
#endif
#if THREADS > 3
    :: d_step { buffer[3].n > 0 -> drain(3) }
#endif
    od
}
