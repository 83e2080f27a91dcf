/* core/file.c - open files: their slots, opening, closing, and what is asked of one as a whole.
 *
 * A slot is taken when opening begins and is free again when its close has completed. Programs have
 * its number and a generation; a slot that is closing has a new one, so nobody finds it any more. The
 * driver's handle is closed only when no operation on it is in flight: its number could be another
 * file's otherwise while an operation still waits to be handed to the kernel.
 *
 * Invariants: an OPEN file is in the list of its owner. `ops` counts operations from gy__file_hold() to
 * gy__file_let_go(), which is their use's release. Slots are reused first in, first out, so that a
 * generation of 11 bits comes round as late as possible. */
#include "core/bufs.h"
#include "core/failed.h"
#include "core/file.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define SLOT_BITS 20
#define GENERATIONS 2048u
#define BEHIND_MAX (1u << 20)

int gy__files_open(struct gy_shard *shard)
{
    uint32_t count = shard->runtime->config.files;
    shard->files = gy__shard_memory(shard, ((size_t)count + 1) * sizeof(struct gy__file));
    return shard->files == NULL ? -ENOMEM : 0;
}

/* ---- slots ---- */

static struct gy__file *slot_take(struct gy_shard *shard, const struct gy_actor *owner)
{
    uint32_t slot = shard->files_free;
    if (shard->files_used < shard->runtime->config.files)
        slot = ++shard->files_used;
    else if (slot == 0)
        return NULL;
    else
        shard->files_free = shard->files[slot].next;
    struct gy__file *file = &shard->files[slot];
    uint32_t generation = file->generation == 0 ? 1 : file->generation;
    *file = (struct gy__file){ .generation = generation,
                               .owner = gy__actor_slot(owner),
                               .state = GY__FILE_OPENING,
                               .behind.max = BEHIND_MAX };
    shard->files_live++;
    return file;
}

static void slot_give(struct gy_shard *shard, struct gy__file *file)
{
    uint32_t slot = (uint32_t)(file - shard->files);
    file->state = GY__FILE_FREE;
    file->next = 0;
    if (shard->files_free == 0)
        shard->files_free = slot;
    else
        shard->files[shard->files_free_last].next = slot;
    shard->files_free_last = slot;
    shard->files_live--;
}

static void generation_next(struct gy__file *file)
{
    file->generation = (file->generation + 1) % GENERATIONS;
    if (file->generation == 0)
        file->generation = 1;
}

static struct gy_actor *owner_of(struct gy_shard *shard, const struct gy__file *file)
{
    return file->owner == 0 ? &shard->nobody : gy__actor_at(shard, file->owner);
}

static void owner_link(struct gy_shard *shard, struct gy__file *file)
{
    struct gy_actor *owner = owner_of(shard, file);
    file->prev = 0;
    file->next = gy__more(shard, owner)->files;
    if (file->next != 0)
        shard->files[file->next].prev = (uint32_t)(file - shard->files);
    gy__more(shard, owner)->files = (uint32_t)(file - shard->files);
}

static void owner_unlink(struct gy_shard *shard, struct gy__file *file)
{
    if (file->prev != 0)
        shard->files[file->prev].next = file->next;
    else
        gy__more(shard, owner_of(shard, file))->files = file->next;
    if (file->next != 0)
        shard->files[file->next].prev = file->prev;
}

struct gy__file *gy__file_find(struct gy_shard *shard, gy_file value)
{
    uint32_t slot = (uint32_t)value.n & ((1u << SLOT_BITS) - 1);
    if (value.n <= 0 || slot > shard->files_used)
        return NULL;
    struct gy__file *file = &shard->files[slot];
    return file->state == GY__FILE_OPEN && file->generation == (uint32_t)value.n >> SLOT_BITS &&
                   owner_of(shard, file) == shard->context.actor ?
               file :
               NULL;
}

static void path_keep(struct gy__file *file, const char *path)
{
    size_t len = strlen(path), cut = len < GY__FILE_PATH_MAX ? 0 : len + 1 - GY__FILE_PATH_MAX;
    memcpy(file->path, path + cut, len - cut + 1);
    if (cut > 0)
        memcpy(file->path, "...", 3);
}

/* ---- closing ---- */

static void on_closed(struct gy_op *op, const struct gy_completion *completion)
{
    struct gy_shard *shard = gy__self();
    struct gy__file *file = GY__CONTAINER(op, struct gy__file, close);
    struct gy__opfut_answer answer = {
        .res = file->behind.error < 0 ? file->behind.error : completion->res
    };
    struct gy__opfut *closer = file->closer;
    if (completion->res < 0)
        gy__failed(shard, GY_OP_CLOSE_FILE, completion->res, file->path);
    slot_give(shard, file);
    if (closer != NULL)
        gy__opfut_end(shard, closer, &answer);
}

static void close_if_idle(struct gy_shard *shard, struct gy__file *file)
{
    if (file->ops > 0)
        return;
    if (shard->phase >= GY__PHASE_STOPPED) { /* a part of it has come home from a shard that stopped later */
        shard->driver->drop_handle(shard->ctx, file->handle);
        slot_give(shard, file);
        return;
    }
    file->close = (struct gy_op){ .done = on_closed, .kind = GY_OP_CLOSE_FILE,
                                  .handle = file->handle };
    gy__op_submit(shard, &file->close);
}

/* An open file is nobody's from here on. */
static void shut(struct gy_shard *shard, struct gy__file *file)
{
    GY_ASSERT(file->state == GY__FILE_OPEN);
    gy__file_ahead_drop(shard, file);
    while (file->kept != NULL) {
        struct gy_buf *next = file->kept->next;
        gy_buf_release(file->kept);
        file->kept = next;
    }
    owner_unlink(shard, file);
    generation_next(file);
    file->state = GY__FILE_CLOSING;
    close_if_idle(shard, file);
}

void gy__file_hold(struct gy__file *file)
{
    file->ops++;
}

void gy__file_let_go(struct gy_shard *shard, struct gy__file *file)
{
    file->ops--;
    if (file->state == GY__FILE_CLOSING)
        close_if_idle(shard, file);
}

void gy__files_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    while (gy__more(shard, actor)->files != 0)
        shut(shard, &shard->files[gy__more(shard, actor)->files]);
}

void gy__files_stop(struct gy_shard *shard)
{
    gy__files_actor_died(shard, &shard->nobody);
}

/* It ends when its file has been closed, whoever waits. */
static void closing_cancel(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard, (void)record;
}
static const struct gy__opfut_use closing = { .cancel = closing_cancel };

gy_fut gy_file_close(gy_file value)
{
    struct gy_shard *shard = gy__here(__func__);
    struct gy__file *file = gy__file_find(shard, value);
    if (file == NULL)
        return gy__fut_refused(-EBADF);
    struct gy__opfut *record = gy__opfut_take(shard, shard->context.actor, &closing);
    gy_fut fut = gy__fut_refused(-EAGAIN);
    if (record != NULL) {
        file->closer = record;
        fut = gy__opfut_begin(shard, record);
    }
    /* It is closed also when there is no future left to say so. */
    shut(shard, file);
    return fut;
}

/* ---- opening ---- */

struct gy_buf *gy__path_copy(const char *path, const char *to, int *err)
{
    size_t len = strlen(path) + 1, to_len = to == NULL ? 0 : strlen(to) + 1;
    *err = -ENAMETOOLONG;
    if (len > GY_PATH_MAX || to_len > GY_PATH_MAX)
        return NULL;
    *err = -EAGAIN;
    struct gy_buf *buf = gy_buf_take(len + to_len);
    if (buf == NULL)
        return NULL;
    memcpy(buf->data, path, len);
    if (to != NULL)
        memcpy(buf->data + len, to, to_len);
    buf->len = (uint32_t)(len + to_len);
    return buf;
}

struct opening {
    struct gy__file *file;
    struct gy_buf *path;
};

static bool opening_finish(struct gy_shard *shard, struct gy__opfut *record,
                           const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct gy__file *file = GY__OPFUT_PINS(record, struct opening)->file;
    answer->res = completion->res;
    if (completion->res < 0) {
        slot_give(shard, file);
        return true;
    }
    file->handle = completion->res;
    file->state = GY__FILE_OPEN;
    owner_link(shard, file);
    answer->res = (int)(file->generation << SLOT_BITS | (uint32_t)(file - shard->files));
    /* Whose actor is gone, its list will not be looked at again. */
    if (!gy__opfut_wanted(shard, record) || shard->phase >= GY__PHASE_STOP) {
        answer->res = -ECANCELED;
        shut(shard, file);
    }
    return true;
}
static void opening_release(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard;
    gy_buf_release(GY__OPFUT_PINS(record, struct opening)->path);
}
static void opening_subject(struct gy_shard *shard, const struct gy__opfut *record,
                            struct gy__text *text)
{
    (void)shard;
    gy__text_string(text, (const char *)GY__OPFUT_PINS(record, const struct opening)->path->data);
}
static void opening_lost(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy__file *file = GY__OPFUT_PINS(record, struct opening)->file;
    /* The owner may have ended meanwhile, and closed it. */
    if (file->state == GY__FILE_OPEN &&
        file->generation == (uint32_t)record->res >> SLOT_BITS)
        shut(shard, file);
}
static const struct gy__opfut_use opening = { .finish = opening_finish,
                                              .release = opening_release,
                                              .subject = opening_subject,
                                              .lost = opening_lost };

gy_fut gy__file_open(enum gy_op_kind kind, const char *path, uint32_t how, uint32_t mode)
{
    struct gy_shard *shard = gy__self();
    int err;
    struct gy_buf *copy = gy__path_copy(path, NULL, &err);
    if (copy == NULL)
        return gy__fut_refused(err);
    struct gy__file *file = slot_take(shard, shard->context.actor);
    struct gy__opfut *record =
        file == NULL ? NULL : gy__opfut_take(shard, shard->context.actor, &opening);
    if (record == NULL) {
        if (file != NULL)
            slot_give(shard, file);
        else
            gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        gy_buf_release(copy);
        return gy__fut_refused(-EAGAIN);
    }
    path_keep(file, path);
    file->direct = kind == GY_OP_OPEN && how & GY_FILE_DIRECT;
    *GY__OPFUT_PINS(record, struct opening) = (struct opening){ file, copy };
    if (file->direct)
        gy__bufs_pin(shard);
    record->op.kind = (uint8_t)kind;
    record->op.handle = -1;
    record->op.u.path.path = (const char *)copy->data;
    record->op.u.path.how = how;
    record->op.u.path.mode = mode;
    return gy__opfut_start(shard, record);
}

gy_fut gy_file_open(const char *path, unsigned how, unsigned mode)
{
    (void)gy__here(__func__);
    if ((how & (GY_FILE_READ | GY_FILE_WRITE)) == 0 || how >= GY_FILE_DSYNC * 2)
        return gy__fut_refused(-EINVAL);
    return gy__file_open(GY_OP_OPEN, path, how, mode);
}

/* ---- the file as a whole ---- */

struct whole {
    struct gy__file *file;
    struct gy_buf *info; /* of stat */
};

static bool whole_finish(struct gy_shard *shard, struct gy__opfut *record,
                         const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    const struct whole *pins = GY__OPFUT_PINS(record, struct whole);
    (void)shard;
    answer->res = completion->res;
    if (pins->info != NULL && completion->res >= 0) {
        answer->size = sizeof(struct gy_file_info);
        memcpy(answer->word, pins->info->data, sizeof(struct gy_file_info));
    }
    return true;
}
static void whole_release(struct gy_shard *shard, struct gy__opfut *record)
{
    const struct whole *pins = GY__OPFUT_PINS(record, struct whole);
    gy_buf_release(pins->info);
    gy__file_let_go(shard, pins->file);
}
static void whole_subject(struct gy_shard *shard, const struct gy__opfut *record,
                          struct gy__text *text)
{
    const struct whole *pins = GY__OPFUT_PINS(record, const struct whole);
    (void)shard;
    gy__text_string(text, pins->file->path);
}
static const struct gy__opfut_use whole = { .finish = whole_finish,
                                            .release = whole_release,
                                            .subject = whole_subject };

static gy_fut whole_start(gy_file value, struct gy_op op, struct gy_buf *info)
{
    struct gy_shard *shard = gy__self();
    struct gy__file *file = gy__file_find(shard, value);
    struct gy__opfut *record =
        file == NULL ? NULL : gy__opfut_take(shard, shard->context.actor, &whole);
    if (record == NULL) {
        gy_buf_release(info);
        return gy__fut_refused(file == NULL ? -EBADF : -EAGAIN);
    }
    gy__file_hold(file);
    *GY__OPFUT_PINS(record, struct whole) = (struct whole){ file, info };
    record->op.kind = op.kind;
    record->op.handle = file->handle;
    record->op.u = op.u;
    return gy__opfut_start(shard, record);
}

gy_fut gy_file_sync(gy_file file)
{
    (void)gy__here(__func__);
    return whole_start(file, (struct gy_op){ .kind = GY_OP_SYNC }, NULL);
}

gy_fut gy_file_datasync(gy_file file)
{
    (void)gy__here(__func__);
    return whole_start(file, (struct gy_op){ .kind = GY_OP_SYNC, .u.span.how = 1 }, NULL);
}

gy_fut gy_file_truncate(gy_file file, uint64_t size)
{
    (void)gy__here(__func__);
    if (size > INT64_MAX)
        return gy__fut_refused(-EINVAL);
    return whole_start(file, (struct gy_op){ .kind = GY_OP_TRUNCATE, .u.span.len = size }, NULL);
}

gy_fut gy_file_allocate(gy_file file, uint64_t offset, uint64_t len, unsigned how)
{
    (void)gy__here(__func__);
    if (offset > INT64_MAX || len == 0 || len > INT64_MAX - offset ||
        how > (GY_FILE_KEEP_SIZE | GY_FILE_PUNCH) || how == GY_FILE_PUNCH)
        return gy__fut_refused(-EINVAL);
    struct gy_op op = { .kind = GY_OP_ALLOCATE };
    op.u.span.offset = offset;
    op.u.span.len = len;
    op.u.span.how = how;
    return whole_start(file, op, NULL);
}

gy_fut gy_file_stat(gy_file file)
{
    (void)gy__here(__func__);
    struct gy_buf *info = gy_buf_take(GY_STAT_MEMORY);
    if (info == NULL)
        return gy__fut_refused(-EAGAIN);
    struct gy_op op = { .kind = GY_OP_STAT };
    op.u.stat.info = info->data;
    return whole_start(file, op, info);
}
