/* A host's disk: bytes, names, and what a crash leaves of them.
 *
 * A crash keeps what was synced. Of the rest it keeps what the seed says: of the changes of names, those
 * up to some moment (a journal keeps their order); of the bytes of a file, every sector of 512 bytes as
 * it is or as it was, in a pattern of all, none, those before some place, or each by itself; of its size,
 * the old one, the new one, or something in between while it grew.
 *
 * Syncing takes time: what counts is what was there when it began. Syncing a directory makes its names
 * durable, with those of the directories that they were moved from or to; syncing a file does not. */
#include "core/sim/disk.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512u

static struct gy_sim *sim_of(const struct gy__disk *disk)
{
    return disk->host->sim;
}

/* ---- inodes ---- */

static struct gy__inode *inode_new(struct gy__disk *disk, bool directory, uint32_t mode)
{
    struct gy__inode *inode = gy__sim_take(sim_of(disk), sizeof(*inode));

    inode->number = ++disk->inode_number;
    inode->directory = directory;
    inode->mode = (directory ? 0040000u : 0100000u) | (mode & 07777);
    inode->next = disk->inodes;
    disk->inodes = inode;
    return inode;
}

struct gy__disk *gy__disk_new(struct gy__machine *host)
{
    struct gy__disk *disk = gy__sim_take(host->sim, sizeof(*disk));

    disk->host = host;
    disk->root = inode_new(disk, true, 0755);
    disk->root->refs = 1;
    return disk;
}

void gy__disk_hold(struct gy__inode *inode)
{
    inode->refs++;
}

void gy__disk_let_go(struct gy__disk *disk, struct gy__inode *inode)
{
    struct gy_sim *sim = sim_of(disk);
    struct gy__inode **link = &disk->inodes;

    if (--inode->refs > 0)
        return;
    GY__SIM_CHECK(sim, inode->names.count + inode->synced_names.count == 0,
                  "a directory was removed with names in it");
    disk->used -= inode->live.size;
    while (*link != inode)
        link = &(*link)->next;
    *link = inode->next;
    gy__sim_give(sim, inode->live.data);
    gy__sim_give(sim, inode->synced.data);
    gy__sim_give(sim, inode->names.list);
    gy__sim_give(sim, inode->synced_names.list);
    if (inode->parent != NULL)
        gy__disk_let_go(disk, inode->parent);
    gy__sim_give(sim, inode);
}

/* A directory keeps that in which it is. */
static void parent_set(struct gy__disk *disk, struct gy__inode *inode, struct gy__inode *parent)
{
    if (!inode->directory || inode->parent == parent)
        return;
    gy__disk_hold(parent);
    if (inode->parent != NULL)
        gy__disk_let_go(disk, inode->parent);
    inode->parent = parent;
}

/* ---- bytes ---- */

/* What is new is zeros. */
static void bytes_resize(struct gy_sim *sim, struct gy__bytes *bytes, uint32_t size)
{
    bytes->data = gy__sim_grown(sim, bytes->data, &bytes->room, size, 1);
    if (size > bytes->size)
        memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void bytes_copy(struct gy_sim *sim, struct gy__bytes *to, const struct gy__bytes *from)
{
    bytes_resize(sim, to, from->size);
    if (from->size > 0)
        memcpy(to->data, from->data, from->size);
}

uint32_t gy__disk_resize(struct gy__disk *disk, struct gy__inode *inode, uint64_t size)
{
    uint64_t most = UINT32_MAX / 2;

    if (disk->limit > 0 && size > inode->live.size) {
        uint64_t others = disk->used - inode->live.size;
        most = disk->limit > others ? disk->limit - others : 0;
        if (most < inode->live.size)
            most = inode->live.size;
    }
    if (size > most)
        size = most;
    disk->used += size - inode->live.size;
    bytes_resize(sim_of(disk), &inode->live, (uint32_t)size);
    return (uint32_t)size;
}

/* ---- names ---- */

static int compare(const char *text, const char *name, size_t len)
{
    int order = strncmp(text, name, len);

    return order != 0 ? order : text[len] != 0;
}

/* Its place, or where it would be. */
static uint32_t names_find(const struct gy__names *names, const char *name, size_t len, bool *found)
{
    uint32_t i = 0;

    while (i < names->count && compare(names->list[i].text, name, len) < 0)
        i++;
    *found = i < names->count && compare(names->list[i].text, name, len) == 0;
    return i;
}

static char *text_copy(struct gy_sim *sim, const char *name, size_t len)
{
    char *text = gy__sim_take(sim, len + 1);

    memcpy(text, name, len);
    return text;
}

static void names_remove(struct gy__disk *disk, struct gy__names *names, const char *name,
                         size_t len)
{
    bool found;
    uint32_t i = names_find(names, name, len, &found);

    if (!found)
        return;
    struct gy__name old = names->list[i];
    memmove(&names->list[i], &names->list[i + 1], (names->count - i - 1) * sizeof(old));
    names->count--;
    gy__sim_give(sim_of(disk), old.text);
    gy__disk_let_go(disk, old.inode);
}

static void names_set(struct gy__disk *disk, struct gy__names *names, const char *name, size_t len,
                      struct gy__inode *inode)
{
    struct gy_sim *sim = sim_of(disk);
    bool found;

    gy__disk_hold(inode);
    names_remove(disk, names, name, len);
    uint32_t i = names_find(names, name, len, &found);
    names->list = gy__sim_grown(sim, names->list, &names->room, names->count + 1,
                                sizeof(names->list[0]));
    memmove(&names->list[i + 1], &names->list[i], (names->count - i) * sizeof(names->list[0]));
    names->list[i] = (struct gy__name){text_copy(sim, name, len), inode};
    names->count++;
}

int gy__disk_walk(struct gy__disk *disk, const char *path, struct gy__inode **dir,
                  const char **name, size_t *len, struct gy__inode **found)
{
    *dir = *found = disk->root;
    *name = ".";
    *len = 1;
    for (;;) {
        while (*path == '/')
            path++;
        if (*path == 0)
            return 0;
        if (*found == NULL)
            return -ENOENT;
        if (!(*found)->directory)
            return -ENOTDIR;
        *dir = *found;
        *name = path;
        *len = strcspn(path, "/");
        path += *len;
        if (*len > GY__NAME_MAX)
            return -ENAMETOOLONG;
        if (*len == 1 && **name == '.')
            continue;
        if (*len == 2 && memcmp(*name, "..", 2) == 0) {
            *found = (*dir)->parent != NULL ? (*dir)->parent : *dir;
            continue;
        }
        bool there;
        uint32_t i = names_find(&(*dir)->names, *name, *len, &there);
        *found = there ? (*dir)->names.list[i].inode : NULL;
    }
}

/* ---- the journal ---- */

static struct gy__name_record *record_new(struct gy__disk *disk, enum gy__record_kind kind,
                                          struct gy__inode *dir, const char *name, size_t len,
                                          struct gy__inode *inode)
{
    struct gy_sim *sim = sim_of(disk);

    disk->journal = gy__sim_grown(sim, disk->journal, &disk->journal_room,
                                  disk->journal_count + 1, sizeof(disk->journal[0]));
    struct gy__name_record *record = &disk->journal[disk->journal_count++];
    *record = (struct gy__name_record){.sequence = ++disk->sequence,
                                       .dir = dir,
                                       .inode = inode,
                                       .name = text_copy(sim, name, len),
                                       .kind = (uint8_t)kind};
    gy__disk_hold(dir);
    gy__disk_hold(inode);
    return record;
}

static void record_apply(struct gy__disk *disk, const struct gy__name_record *record)
{
    if (record->kind != GY__RECORD_LINK)
        names_remove(disk, &record->dir->synced_names, record->name, strlen(record->name));
    if (record->kind == GY__RECORD_LINK)
        names_set(disk, &record->dir->synced_names, record->name, strlen(record->name),
                  record->inode);
    else if (record->kind == GY__RECORD_RENAME)
        names_set(disk, &record->to_dir->synced_names, record->to_name, strlen(record->to_name),
                  record->inode);
}

static void record_drop(struct gy__disk *disk, struct gy__name_record *record)
{
    gy__sim_give(sim_of(disk), record->name);
    gy__sim_give(sim_of(disk), record->to_name);
    if (record->to_dir != NULL)
        gy__disk_let_go(disk, record->to_dir);
    gy__disk_let_go(disk, record->dir);
    gy__disk_let_go(disk, record->inode);
}

/* The marked ones are durable. */
static void journal_commit(struct gy__disk *disk)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < disk->journal_count; i++)
        if (disk->journal[i].commits)
            record_apply(disk, &disk->journal[i]);
    for (uint32_t i = 0; i < disk->journal_count; i++) {
        struct gy__name_record record = disk->journal[i];
        if (record.commits)
            record_drop(disk, &record);
        else
            disk->journal[kept++] = record;
    }
    disk->journal_count = kept;
}

static bool touches(const struct gy__name_record *record, const struct gy__inode *dir)
{
    return record->dir == dir || record->to_dir == dir;
}

/* Those of a directory up to then; and for each that moved something, those before it of both its
 * directories, so that what is durable is what once was. */
static void journal_mark(struct gy__disk *disk, const struct gy__inode *dir, uint64_t sequence)
{
    for (uint32_t i = disk->journal_count; i-- > 0;) {
        struct gy__name_record *record = &disk->journal[i];
        bool marked = touches(record, dir) && record->sequence <= sequence;
        for (uint32_t later = i + 1; later < disk->journal_count && !marked; later++) {
            const struct gy__name_record *other = &disk->journal[later];
            marked = other->commits && (touches(other, record->dir) ||
                                        (record->to_dir != NULL && touches(other, record->to_dir)));
        }
        record->commits = marked;
    }
}

struct gy__inode *gy__disk_create(struct gy__disk *disk, struct gy__inode *dir, const char *name,
                                  size_t len, bool directory, uint32_t mode)
{
    struct gy__inode *inode = inode_new(disk, directory, mode);

    parent_set(disk, inode, dir);
    names_set(disk, &dir->names, name, len, inode);
    record_new(disk, GY__RECORD_LINK, dir, name, len, inode);
    return inode;
}

void gy__disk_unlink(struct gy__disk *disk, struct gy__inode *dir, const char *name, size_t len)
{
    bool found;
    uint32_t i = names_find(&dir->names, name, len, &found);

    record_new(disk, GY__RECORD_UNLINK, dir, name, len, dir->names.list[i].inode);
    names_remove(disk, &dir->names, name, len);
}

void gy__disk_rename(struct gy__disk *disk, struct gy__inode *dir, const char *name, size_t len,
                     struct gy__inode *to_dir, const char *to, size_t to_len)
{
    bool found;
    uint32_t i = names_find(&dir->names, name, len, &found);
    struct gy__inode *inode = dir->names.list[i].inode;
    struct gy__name_record *record = record_new(disk, GY__RECORD_RENAME, dir, name, len, inode);

    record->to_dir = to_dir;
    record->to_name = text_copy(sim_of(disk), to, to_len);
    gy__disk_hold(to_dir);
    names_remove(disk, &dir->names, name, len);
    names_set(disk, &to_dir->names, to, to_len, inode);
    parent_set(disk, inode, to_dir);
}

/* ---- syncing ---- */

void gy__disk_sync_range(struct gy__disk *disk, struct gy__inode *inode, uint64_t offset,
                         uint64_t len)
{
    uint64_t end = offset + len;

    if (end > inode->live.size)
        end = inode->live.size;
    if (end <= offset)
        return;
    if (end > inode->synced.size)
        bytes_resize(sim_of(disk), &inode->synced, (uint32_t)end);
    memcpy(inode->synced.data + offset, inode->live.data + offset, end - offset);
}

struct gy__sync *gy__disk_sync_begin(struct gy__disk *disk, struct gy__inode *inode)
{
    struct gy__sync *sync = gy__sim_take(sim_of(disk), sizeof(*sync));

    sync->sequence = ++disk->sequence;
    sync->inode = inode;
    gy__disk_hold(inode);
    bytes_copy(sim_of(disk), &sync->bytes, &inode->live);
    return sync;
}

void gy__disk_sync_end(struct gy__disk *disk, struct gy__sync *sync)
{
    struct gy__inode *inode = sync->inode;

    if (inode->directory) {
        journal_mark(disk, inode, sync->sequence);
        journal_commit(disk);
    } else if (sync->sequence > inode->synced_at) {
        inode->synced_at = sync->sequence;
        bytes_copy(sim_of(disk), &inode->synced, &sync->bytes);
    }
    gy__disk_sync_drop(disk, sync);
}

void gy__disk_sync_drop(struct gy__disk *disk, struct gy__sync *sync)
{
    gy__sim_give(sim_of(disk), sync->bytes.data);
    gy__disk_let_go(disk, sync->inode);
    gy__sim_give(sim_of(disk), sync);
}

/* ---- crashes ---- */

enum pattern { NONE, ALL, BEFORE, EACH, PATTERNS };

static uint32_t size_left(struct gy__random *random, const struct gy__inode *inode,
                          enum pattern pattern)
{
    uint32_t old = inode->synced.size, now = inode->live.size;

    if (pattern == NONE || pattern == ALL)
        return pattern == ALL ? now : old;
    switch (gy__random_below(random, 3)) {
    case 0:
        return old;
    case 1:
        return now;
    default:
        return now <= old ? now : old + (uint32_t)gy__random_below(random, now - old + 1);
    }
}

static void sector_copy(struct gy__bytes *to, const struct gy__bytes *from, uint32_t at)
{
    uint32_t end = to->size - at < SECTOR ? to->size : at + SECTOR;

    memset(to->data + at, 0, end - at);
    if (from->size > at)
        memcpy(to->data + at, from->data + at,
               (from->size < end ? from->size : end) - at);
}

static void file_crash(struct gy__disk *disk, struct gy__inode *inode)
{
    struct gy_sim *sim = sim_of(disk);
    struct gy__random *random = gy__rng(sim, GY__RANDOM_DISK);
    enum pattern pattern = (enum pattern)gy__random_below(random, PATTERNS);
    struct gy__bytes left = {0};
    uint32_t sectors = (inode->live.size + SECTOR - 1) / SECTOR;
    uint32_t before = (uint32_t)gy__random_below(random, sectors + 1) * SECTOR;

    bytes_resize(sim, &left, size_left(random, inode, pattern));
    for (uint32_t at = 0; at < left.size; at += SECTOR) {
        bool now = pattern == ALL || (pattern == BEFORE && at < before) ||
                   (pattern == EACH && gy__random_next(random) & 1);
        sector_copy(&left, now ? &inode->live : &inode->synced, at);
    }
    disk->used += (uint64_t)left.size - inode->live.size;
    gy__trace(sim, NULL, GY__TRACE_DISK, inode->number, gy__digest(pattern, left.data, left.size),
              disk->host->number);
    gy__sim_give(sim, inode->live.data);
    inode->live = left;
    bytes_copy(sim, &inode->synced, &left);
}

static void names_crash(struct gy__disk *disk, struct gy__inode *dir)
{
    while (dir->names.count > 0) {
        const struct gy__name *name = &dir->names.list[dir->names.count - 1];
        names_remove(disk, &dir->names, name->text, strlen(name->text));
    }
    for (uint32_t i = 0; i < dir->synced_names.count; i++) {
        const struct gy__name *name = &dir->synced_names.list[i];
        names_set(disk, &dir->names, name->text, strlen(name->text), name->inode);
        parent_set(disk, name->inode, dir);
        name->inode->unlinked = false;
    }
}

static bool reachable(const struct gy__disk *disk, const struct gy__inode *inode)
{
    while (inode != NULL && inode != disk->root) {
        const struct gy__inode *dir = inode->parent;
        bool found = false;
        for (uint32_t i = 0; dir != NULL && i < dir->names.count && !found; i++)
            found = dir->names.list[i].inode == inode;
        inode = found ? dir : NULL;
    }
    return inode != NULL;
}

/* Names were durable in a directory that is not itself: what they led to is gone with it. */
static void orphan_empty(struct gy__disk *disk, struct gy__inode *dir)
{
    while (dir->names.count > 0) {
        const char *text = dir->names.list[0].text;
        names_remove(disk, &dir->synced_names, text, strlen(text));
        names_remove(disk, &dir->names, text, strlen(text));
    }
}

void gy__disk_crash(struct gy__disk *disk)
{
    struct gy__random *random = gy__rng(sim_of(disk), GY__RANDOM_DISK);
    uint32_t kept = disk->journal_count;
    struct gy__inode *next;

    switch (gy__random_below(random, 4)) {
    case 0:
        break;
    case 1:
        kept = 0;
        break;
    default:
        kept = (uint32_t)gy__random_below(random, disk->journal_count + 1);
        break;
    }
    gy__trace(sim_of(disk), NULL, GY__TRACE_DISK, 0, kept, disk->host->number);
    for (uint32_t i = 0; i < disk->journal_count; i++)
        disk->journal[i].commits = i < kept;
    journal_commit(disk);
    for (struct gy__inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        gy__disk_hold(inode); /* none goes while we walk */
    for (struct gy__inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
        if (inode->directory)
            names_crash(disk, inode);
        else
            file_crash(disk, inode);
    }
    while (disk->journal_count > 0)
        record_drop(disk, &disk->journal[--disk->journal_count]);
    for (struct gy__inode *inode = disk->inodes; inode != NULL; inode = inode->next)
        if (inode->directory && !reachable(disk, inode))
            orphan_empty(disk, inode);
    for (struct gy__inode *inode = disk->inodes; inode != NULL; inode = next) {
        next = inode->next;
        gy__disk_let_go(disk, inode);
    }
}
