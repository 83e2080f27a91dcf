/* core/file.h - open files, as core's files see them. */
#ifndef GYRE_CORE_FILE_H
#define GYRE_CORE_FILE_H

#include "core/kernel.h"
#include "core/opfut.h"
#include "gyre/file.h"

enum gy__file_state {
    GY__FILE_FREE,
    GY__FILE_OPENING, /* its operation is in flight; nobody knows it yet */
    GY__FILE_OPEN,
    GY__FILE_CLOSING, /* nobody knows it any more; closed when nothing of it is in flight */
};

/* Blocks read ahead: futures of the owner that nobody has fetched, in a ring. */
#define GY__AHEAD_MAX 32
struct gy__ahead {
    uint64_t at, end; /* the next to be asked for */
    uint32_t block, depth, first, count;
    gy_fut fut[GY__AHEAD_MAX];
};
/* What was put and is not written. */
struct gy__behind {
    uint64_t at; /* where the next goes */
    uint64_t bytes, max;
    struct gy__opfut *putter, *flusher; /* who wait for room, for the end */
    int32_t error;                      /* the first one */
};

#define GY__FILE_PATH_MAX 256
struct gy__file {
    struct gy_op close;
    struct gy__opfut *closer; /* whose future ends with it, or NULL */
    int32_t handle;           /* the driver's */
    uint32_t generation;      /* in the values that programs have */
    uint32_t owner;           /* slot of its actor; 0: nobody's */
    uint32_t next, prev;      /* of the same actor; next of the free ones */
    uint32_t ops;             /* in flight, but for close */
    uint8_t state;            /* enum gy__file_state */
    bool direct;
    bool lost;                /* of a watch: events that came for nobody and could not be kept */
    struct gy_buf *ahead; /* holds a struct gy__ahead, or NULL */
    struct gy_buf *kept;  /* of a watch: events that came for nobody, in order */
    struct gy__opfut *reader; /* of a watch: who waits for the next, the last one who came, or NULL */
    struct gy__behind behind;
    char path[GY__FILE_PATH_MAX]; /* for the log: its end, if it is longer */
};

int gy__files_open(struct gy_shard *shard);
/* The file that a value names, of the actor whose code runs; NULL: there is none. */
struct gy__file *gy__file_find(struct gy_shard *shard, gy_file file);
/* Open what an operation of that kind opens: OPEN, WATCH. */
gy_fut gy__file_open(enum gy_op_kind kind, const char *path, uint32_t how, uint32_t mode);
/* An operation on it begins, has ended. */
void gy__file_hold(struct gy__file *file);
void gy__file_let_go(struct gy_shard *shard, struct gy__file *file);
void gy__files_actor_died(struct gy_shard *shard, struct gy_actor *actor);
/* The runtime stops: those of nobody. */
void gy__files_stop(struct gy_shard *shard);

/* ---- core/file_io.c: of one buffer ---- */
struct gy__file_io {
    struct gy__file *file;
    struct gy_buf *data; /* a buffer, or a list */
    union {
        struct gy_iov one;
        struct gy_buf *many; /* holds iovs */
    } iov;
    uint32_t done, want;
    uint8_t writes, vectored;
};
/* data: taken in every case. */
GY_MUST_CHECK gy_fut gy__file_io(gy_file value, uint64_t offset, struct gy_buf *data, uint32_t len,
                                 bool writes, const struct gy__opfut_use *use);
bool gy__file_io_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer);
void gy__file_io_release(struct gy_shard *shard, struct gy__opfut *record);
void gy__file_io_subject(struct gy_shard *shard, const struct gy__opfut *record,
                         struct gy__text *text);

/* ---- core/file_seq.c ---- */
/* A future that has ended, with a buffer or NULL, which is taken if it is not refused. */
GY_MUST_CHECK gy_fut gy__file_ready(struct gy_shard *shard, int res, struct gy_buf *buf);
/* Nobody will fetch what was read ahead. */
void gy__file_ahead_drop(struct gy_shard *shard, struct gy__file *file);

/* One or two paths in a buffer, each with its NUL. -> NULL, and *err: -EAGAIN, -ENAMETOOLONG. */
struct gy_buf *gy__path_copy(const char *path, const char *to, int *err);

#endif
