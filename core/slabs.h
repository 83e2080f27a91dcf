/* core/slabs.h - records of one size, in chunks that stay where they are, which give back the memory
 * of those that were not used for a while.
 *
 * The user takes records from `free`, last in, first out, and puts them back there: that is all a busy
 * shard ever does. Only when the list is empty it asks take(). Every now and then trim() is called: what is
 * free is laid aside, and what still lies there the next time was not needed in between. It is sorted
 * by slabs, runs of 64 records; a slab that is complete is empty memory from then on, and of one that
 * is not at least what its records have of bytes beside them, when that is pages. take() uses what is
 * used already before what is empty, and what is empty before it grows.
 *
 * Invariant: a record is in the user's hands, in `free`, in `aside`, among the cold of its slab, or that
 * slab is empty. Nobody writes to a record that is free, or reads it, but for its link and generation. */
#ifndef GYRE_CORE_SLABS_H
#define GYRE_CORE_SLABS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GY__SLAB_RECORDS 64u
#define GY__SLAB_CHUNKS 24

struct gy__slabs;

/* What is asked of who has the memory. */
struct gy__slabs_host {
    /* Zeroed memory, aligned to pages, for good; NULL: none. */
    void *(*memory)(void *arg, size_t bytes);
    /* May be NULL, as may the next. What lies in those pages may be lost: each reads as before, or as zeros. */
    void (*idle)(void *arg, void *memory, size_t bytes);
    /* There is something that trim() may find cold some time. */
    void (*used)(void *arg);
};

struct gy__slab {
    void *cold; /* records of it, linked, the last `bare` of them without bytes */
    uint8_t cold_count, bare;
    bool empty; /* all its memory is given back, or has never been used */
};

struct gy__slabs_chunk {
    uint8_t *records, *bytes; /* bytes: what belongs to them, apart; or NULL */
    uint32_t count;           /* a multiple of 64 but for small ones and the last */
    uint32_t slab, number;    /* its first, and its first record, of all */
    uint32_t mark;            /* the user's */
    bool stays;               /* is never given back */
};

struct gy__slabs {
    void *free;
    void *aside;
    struct gy__slabs_chunk chunks[GY__SLAB_CHUNKS]; /* each as large as all before it */
    uint32_t chunk_count;
    uint32_t total, total_max;
    uint32_t slab_count;
    uint32_t hint;  /* no slab before it has anything to take */
    uint32_t swept; /* slabs before it have no cold records with bytes */
    uint32_t live;  /* slabs that trim() could empty and are not empty */
    struct gy__slab *slabs;
    uint32_t *generations; /* of the records of empty slabs, by their numbers; or NULL */
    const struct gy__slabs_host *host;
    void *arg;
    struct gy__slabs *next; /* the host's */
    /* The user's, before the first use. */
    uint32_t record_size; /* a multiple of 64 */
    uint32_t bytes_size;  /* 0: none */
    uint32_t first;       /* records of the first chunk, which stays */
    uint32_t reserved;    /* 1: record 0 is nobody's, and its slab stays */
    uint32_t next_at;       /* where in a record its link is */
    uint32_t generation_at; /* a word to be kept, at first 1; 0: there is none */
    /* Of a record that is new, or zeroed: what must not be zero, its link and its generation apart. bytes:
     * its, or NULL. */
    void (*init)(struct gy__slabs *slabs, void *record, void *bytes, const struct gy__slabs_chunk *chunk);
};

/* host, arg, total_max and the user's part are set. -> false: no memory. */
bool gy__slabs_open(struct gy__slabs *slabs);
/* The same with all its memory at once, total_max records at this address, which is aligned to a page and
 * zeroed. Only the first slab stays, if something is reserved. */
bool gy__slabs_open_at(struct gy__slabs *slabs, void *memory);
/* A record while `free` is empty, or NULL: there is no more, or no memory; *grew: a chunk was added. */
void *gy__slabs_take(struct gy__slabs *slabs, bool *grew);
/* Sort out what was not used since the last time. *budget: how many records may be looked at, and pages be
 * given back, about; what is left of it. -> true: there is more to do, soon. */
bool gy__slabs_trim(struct gy__slabs *slabs, uint32_t *budget);
/* The chunk is pinned: it stays. */
void gy__slabs_stay(struct gy__slabs *slabs, struct gy__slabs_chunk *chunk);
#endif
