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
};

int gy__files_open(struct gy_shard *shard);
/* The file that a value names, of the actor whose code runs; NULL: there is none. */
struct gy__file *gy__file_find(struct gy_shard *shard, gy_file file);
/* An operation on it begins, has ended. */
void gy__file_hold(struct gy__file *file);
void gy__file_let_go(struct gy_shard *shard, struct gy__file *file);
void gy__files_actor_died(struct gy_shard *shard, struct gy_actor *actor);
/* The runtime stops: those of nobody. */
void gy__files_stop(struct gy_shard *shard);

/* One or two paths in a buffer, each with its NUL. -> NULL, and *err: -EAGAIN, -ENAMETOOLONG. */
struct gy_buf *gy__path_copy(const char *path, const char *to, int *err);

#endif
