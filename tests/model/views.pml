/*
 * C11 atomics by views, weaker than any processor that matters here: release, acquire and fences
 * give only what the C standard promises.
 *
 * Each atomic location keeps every value that was stored to it, in order, and with each the view
 * that its store released: for every location the oldest value one may still see. A thread has
 *   now     what its loads may not fall behind,
 *   seen    what a fence would add to `now` (views read by relaxed loads),
 *   fenced  what its relaxed stores release (`now` at its last fence).
 * A load returns any value not older than `now`; acquire joins the value's view into `now`. A
 * locked instruction reads the newest value and keeps its view (a release sequence). A full fence
 * joins `now` with one global view, both ways: of two fences the later one sees all that was known
 * at the earlier one, and nothing else orders a store before a later load of another location.
 *
 * Plain locations (payload) have one value and a count of accesses; an access by a thread that does
 * not know the newest one is a data race and fails an assertion.
 *
 * Not in it: loads that see stores which have not been executed yet, and stores that enter the
 * order of a location before older ones (every location here has one writer or is written by locked
 * instructions, but for `sleeping` and `want`).
 *
 * The model that includes this file defines THREADS, ATOMICS, PLAINS and HISTORY (the most values a
 * location can get); each of its proctypes has a local `me`, its thread's number.
 */
#define LOCATIONS (ATOMICS + PLAINS)

typedef version {
    byte value;
    byte view[LOCATIONS]
};
typedef location {
    byte n;
    version v[HISTORY]
};
typedef view_of_all {
    byte at[LOCATIONS]
};
location atomics[ATOMICS];
#if PLAINS > 0
byte plain_value[PLAINS];
byte plain_n[PLAINS];
#endif
view_of_all now_[THREADS];
view_of_all seen_[THREADS];
view_of_all fenced_[THREADS];
view_of_all global_;
hidden byte i_;
hidden byte k_;

#define NEWEST(a) atomics[a].v[atomics[a].n - 1].value

inline begin()
{
    do
    :: i_ < ATOMICS -> atomics[i_].n = 1; i_++
    :: else -> break
    od;
    i_ = 0
}

inline set_initial(a, v_)
{
    atomics[a].v[0].value = v_
}

inline raise(x, y)
{
    if
    :: (y) > x -> x = y
    :: else
    fi
}

/* A load picks k_, any of the values it may see; the rest of the load is one step. */
inline pick(a)
{
    k_ = now_[me].at[a];
    do
    :: k_ + 1 < atomics[a].n -> k_++
    :: break
    od
}

inline load_relaxed(a, x)
{
    atomic {
        pick(a);
        d_step {
            x = atomics[a].v[k_].value;
            now_[me].at[a] = k_;
            i_ = 0;
            do
            :: i_ < LOCATIONS ->
                raise(seen_[me].at[i_], atomics[a].v[k_].view[i_]);
                i_++
            :: else -> break
            od;
            raise(seen_[me].at[a], k_);
            i_ = 0;
            k_ = 0
        }
    }
}

inline load_acquire(a, x)
{
    atomic {
        pick(a);
        d_step {
            x = atomics[a].v[k_].value;
            now_[me].at[a] = k_;
            i_ = 0;
            do
            :: i_ < LOCATIONS ->
                raise(now_[me].at[i_], atomics[a].v[k_].view[i_]);
                raise(seen_[me].at[i_], now_[me].at[i_]);
                i_++
            :: else -> break
            od;
            i_ = 0;
            k_ = 0
        }
    }
}

/* The new newest value of a: the caller has filled its view. */
inline append(a, v_)
{
    atomics[a].v[k_].value = v_;
    atomics[a].v[k_].view[a] = k_;
    now_[me].at[a] = k_;
    seen_[me].at[a] = k_;
    atomics[a].n++;
    i_ = 0;
    k_ = 0
}

inline store_release(a, v_)
{
    d_step {
        assert(atomics[a].n < HISTORY);
        k_ = atomics[a].n;
        i_ = 0;
        do
        :: i_ < LOCATIONS -> atomics[a].v[k_].view[i_] = now_[me].at[i_]; i_++
        :: else -> break
        od;
        append(a, v_)
    }
}

inline store_relaxed(a, v_)
{
    d_step {
        assert(atomics[a].n < HISTORY);
        k_ = atomics[a].n;
        i_ = 0;
        do
        :: i_ < LOCATIONS -> atomics[a].v[k_].view[i_] = fenced_[me].at[i_]; i_++
        :: else -> break
        od;
        append(a, v_)
    }
}

inline full_fence()
{
    d_step {
        i_ = 0;
        do
        :: i_ < LOCATIONS ->
            raise(global_.at[i_], seen_[me].at[i_]);
            now_[me].at[i_] = global_.at[i_];
            seen_[me].at[i_] = global_.at[i_];
            fenced_[me].at[i_] = global_.at[i_];
            i_++
        :: else -> break
        od;
        i_ = 0
    }
}

/* Reads the newest value's view and writes a new one that releases both (acq_rel). */
inline locked(a)
{
    assert(atomics[a].n < HISTORY);
    k_ = atomics[a].n;
    i_ = 0;
    do
    :: i_ < LOCATIONS ->
        raise(now_[me].at[i_], atomics[a].v[k_ - 1].view[i_]);
        raise(seen_[me].at[i_], now_[me].at[i_]);
        atomics[a].v[k_].view[i_] = now_[me].at[i_];
        i_++
    :: else -> break
    od
}

inline exchange(a, v_, old)
{
    d_step { old = NEWEST(a); locked(a); append(a, v_) }
}

inline fetch_or(a, v_)
{
    d_step { locked(a); append(a, atomics[a].v[k_ - 1].value | (v_)) }
}

inline fetch_and(a, v_)
{
    d_step { locked(a); append(a, atomics[a].v[k_ - 1].value & (v_)) }
}

inline fetch_add(a, v_, old)
{
    d_step { old = NEWEST(a); locked(a); append(a, old + (v_)) }
}

/* A failed one tells nothing more than that it failed. */
inline compare_exchange(a, expected, v_, ok)
{
    d_step {
        ok = (NEWEST(a) == (expected));
        if
        :: ok -> locked(a); append(a, v_)
        :: else
        fi
    }
}

/* Relaxed: passes the old value's view on, takes nothing from it. */
inline compare_exchange_relaxed(a, expected, v_, ok)
{
    d_step {
        ok = (NEWEST(a) == (expected));
        if
        :: ok ->
            assert(atomics[a].n < HISTORY);
            k_ = atomics[a].n;
            i_ = 0;
            do
            :: i_ < LOCATIONS ->
                atomics[a].v[k_].view[i_] = atomics[a].v[k_ - 1].view[i_];
                raise(seen_[me].at[i_], atomics[a].v[k_ - 1].view[i_]);
                raise(atomics[a].v[k_].view[i_], fenced_[me].at[i_]);
                i_++
            :: else -> break
            od;
            append(a, v_)
        :: else
        fi
    }
}

#define no_race(a) assert(now_[me].at[ATOMICS + (a)] == plain_n[a])

inline plain_write(a, v_)
{
    d_step {
        no_race(a);
        plain_n[a]++;
        plain_value[a] = v_;
        now_[me].at[ATOMICS + (a)] = plain_n[a];
        seen_[me].at[ATOMICS + (a)] = plain_n[a]
    }
}

inline plain_read(a, x)
{
    d_step { no_race(a); x = plain_value[a] }
}

/* The reader is done with the place: counted as an access, so that a write which does not know of
 * it is found. */
inline plain_done(a)
{
    d_step {
        no_race(a);
        plain_n[a]++;
        now_[me].at[ATOMICS + (a)] = plain_n[a];
        seen_[me].at[ATOMICS + (a)] = plain_n[a]
    }
}
