/* core/sim/disk.h - a host's disk: what programs see, and what a crash would leave.
 *
 * Each file has its bytes twice, as they are and as they were last synced; each directory its names
 * twice. Between the synced names and those there are lies the journal: what was done to names and not
 * synced yet, in order. */
#ifndef GYRE_CORE_SIM_DISK_H
#define GYRE_CORE_SIM_DISK_H

#include "core/sim/sim.h"
#include "gyre/file.h"

#define GY__NAME_MAX 255

struct gy__bytes {
    uint8_t *data;
    uint32_t size, room;
};
struct gy__name {
    char *text; /* owned */
    struct gy__inode *inode;
};
struct gy__names { /* in order of their bytes */
    struct gy__name *list;
    uint32_t count, room;
};

struct gy__inode {
    struct gy__inode *next; /* all of the disk */
    struct gy__inode *parent;
    uint64_t number;
    uint64_t modified_ns;
    uint64_t synced_at; /* the disk's sequence when what `synced` shows began to be synced */
    uint32_t refs;      /* names, synced names, records and handles that lead to it */
    uint32_t mode;
    uint32_t opens; /* of the references: handles */
    bool directory, unlinked;
    struct gy__bytes live, synced;
    struct gy__names names, synced_names;
};

enum gy__record_kind { GY__RECORD_LINK, GY__RECORD_UNLINK, GY__RECORD_RENAME };
struct gy__name_record {
    uint64_t sequence;
    struct gy__inode *dir, *to_dir, *inode;
    char *name, *to_name; /* owned; to_name of a rename only */
    uint8_t kind;
    bool commits; /* is being made durable */
};

struct gy__disk {
    struct gy__machine *host;
    struct gy__inode *root, *inodes;
    uint64_t inode_number, sequence;
    uint64_t used, limit; /* bytes of files; 0: no limit */
    struct gy__watch *watches;
    uint32_t pair; /* of renames */
    struct gy__name_record *journal;
    uint32_t journal_count, journal_room;
};

/* Of an operation under way that syncs: what it found when it began. */
struct gy__sync {
    uint64_t sequence;
    struct gy__inode *inode;
    struct gy__bytes bytes;
};

/* What a handle of a file leads to. */
struct gy__opened {
    struct gy__inode *inode; /* or NULL, */
    struct gy__watch *watch; /* then this */
    uint64_t position;
    uint32_t how;
};

/* ---- disk.c: bytes, names, what survives ---- */
struct gy__disk *gy__disk_new(struct gy__machine *host);
/* What a path leads to: *dir and *name (in path, *len bytes) are its last step. -> 0, also when there is
 * nothing of that name yet (*found NULL); -ENOENT, -ENOTDIR, -ENAMETOOLONG of the way. */
int gy__disk_walk(struct gy__disk *disk, const char *path, struct gy__inode **dir,
                  const char **name, size_t *len, struct gy__inode **found);
struct gy__inode *gy__disk_create(struct gy__disk *disk, struct gy__inode *dir, const char *name,
                                  size_t len, bool directory, uint32_t mode);
void gy__disk_unlink(struct gy__disk *disk, struct gy__inode *dir, const char *name, size_t len);
void gy__disk_rename(struct gy__disk *disk, struct gy__inode *dir, const char *name, size_t len,
                     struct gy__inode *to_dir, const char *to, size_t to_len);
void gy__disk_hold(struct gy__inode *inode);
void gy__disk_let_go(struct gy__disk *disk, struct gy__inode *inode);
/* Room for the bytes of a file, zeroed; -> how many of its first size bytes the disk has room for. */
uint32_t gy__disk_resize(struct gy__disk *disk, struct gy__inode *inode, uint64_t size);
/* Those bytes are durable, as they are. */
void gy__disk_sync_range(struct gy__disk *disk, struct gy__inode *inode, uint64_t offset,
                         uint64_t len);
struct gy__sync *gy__disk_sync_begin(struct gy__disk *disk, struct gy__inode *inode);
void gy__disk_sync_end(struct gy__disk *disk, struct gy__sync *sync);
void gy__disk_sync_drop(struct gy__disk *disk, struct gy__sync *sync);
/* The power fails: nothing but what is synced, and what the seed adds to it, is there any more. */
void gy__disk_crash(struct gy__disk *disk);

/* ---- watch.c ---- */
struct gy__watched {
    struct gy__inode *inode; /* NULL: not any more */
    uint32_t mask;
};
struct gy__watch {
    struct gy__watch *next; /* all of the disk */
    struct gy__watched *paths; /* by id - 1 */
    uint32_t count, room;
    uint8_t *events; /* as a read gives them */
    uint32_t bytes, events_room, last; /* last: where the last event begins */
    struct gy__flight *readers; /* that wait */
    bool lost;
};
struct gy__watch *gy__watch_new(struct gy__disk *disk);
void gy__watch_free(struct gy__disk *disk, struct gy__watch *watch);
/* -> its id. */
int32_t gy__watch_add(struct gy__disk *disk, struct gy__watch *watch, struct gy__inode *inode,
                      uint32_t mask);
/* Something happened to an inode, or (name) to a name in it. */
void gy__watch_tell(struct gy__disk *disk, struct gy__inode *inode, uint32_t mask, const char *name,
                    size_t len, uint32_t pair);
/* Something happened to a file, which its directory hears first. */
void gy__watch_tell_file(struct gy__disk *disk, struct gy__inode *inode, uint32_t mask);
/* Its name is gone; it itself is when nobody has it open. */
void gy__watch_tell_unlinked(struct gy__disk *disk, struct gy__inode *inode);
/* A read of a watch takes effect: it completes, or waits. */
void gy__watch_read(struct gy__flight *flight, struct gy__watch *watch);
/* -> it waited, and does no more. */
bool gy__watch_unread(struct gy__watch *watch, struct gy__flight *flight);

/* ---- files.c: operations ---- */
static inline bool gy__files_kind(unsigned kind)
{
    return kind >= GY_OP_OPEN && kind <= GY_OP_WATCH;
}
void gy__files_start(struct gy__flight *flight);
void gy__files_cancel(struct gy__flight *flight);
/* The record of an operation goes: what it holds too. */
void gy__files_forget(struct gy__flight *flight);
void gy__files_close(struct gy__machine *host, struct gy__handle *handle);

#endif
