/* core/path.c - names in the file system: what is done by path, without a file that is open.
 *
 * Paths are copied into a buffer of the operation's. A directory is listed into a buffer that grows
 * until it holds all, from the beginning each time, so a list is what was there at one moment. */
#include "core/file.h"
#include "core/text.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define LIST_FIRST 16384u
#define LIST_MAX (UINT32_C(64) << 20)

struct pins {
    struct gy_buf *paths;
    struct gy_buf *data; /* for what is told of it, or NULL */
};
static struct pins *pins_of(struct gy__opfut *record)
{
    return GY__OPFUT_PINS(record, struct pins);
}

static bool path_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    (void)shard;
    answer->res = completion->res;
    if (record->op.kind == GY_OP_STAT && completion->res >= 0) {
        answer->size = sizeof(struct gy_file_info);
        memcpy(answer->word, pins_of(record)->data->data, sizeof(struct gy_file_info));
    }
    return true;
}

static void path_release(struct gy_shard *shard, struct gy__opfut *record)
{
    (void)shard;
    gy_buf_release(pins_of(record)->paths);
    gy_buf_release(pins_of(record)->data);
}

static void list_into(struct gy__opfut *record, struct gy_buf *data)
{
    pins_of(record)->data = data;
    record->op.u.list.entries = data->base;
    record->op.u.list.size = data->capacity < LIST_MAX ? data->capacity : LIST_MAX;
}

static bool list_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct pins *pins = pins_of(record);
    answer->res = completion->res;
    if (completion->res == -ERANGE && !record->op.canceled) {
        answer->res = -EMSGSIZE;
        if (record->op.u.list.size == LIST_MAX)
            return true;
        struct gy_buf *larger = gy_buf_take((size_t)record->op.u.list.size * 4);
        answer->res = -EAGAIN;
        if (larger == NULL)
            return true;
        gy_buf_release(pins->data);
        list_into(record, larger);
        gy__opfut_submit(shard, record);
        return false;
    }
    if (completion->res > 0) {
        pins->data->len = (uint32_t)completion->res;
        answer->buf = pins->data;
        pins->data = NULL;
    }
    return true;
}

static void path_subject(struct gy_shard *shard, const struct gy__opfut *record,
                         struct gy__text *text)
{
    const struct gy_buf *paths = GY__OPFUT_PINS(record, const struct pins)->paths;
    const char *path = (const char *)paths->data;
    (void)shard;
    gy__text_string(text, path);
    if (record->op.kind == GY_OP_RENAME)
        gy__text_printf(text, " to %s", path + strlen(path) + 1);
}

static const struct gy__opfut_use plain = { .finish = path_finish,
                                            .release = path_release,
                                            .subject = path_subject };
static const struct gy__opfut_use listing = { .finish = list_finish,
                                              .release = path_release,
                                              .subject = path_subject };

/* A record with its paths, ready to be started. bytes: how many it needs beside them, or 0.
 * -> NULL, and the refused handle in *out. */
static struct gy__opfut *prepare(const struct gy__opfut_use *use, const char *path, const char *to,
                                 size_t bytes, gy_fut *out)
{
    struct gy_shard *shard = gy__self();
    int err;
    struct gy_buf *paths = gy__path_copy(path, to, &err);
    struct gy_buf *data = paths != NULL && bytes > 0 ? gy_buf_take(bytes) : NULL;
    struct gy__opfut *record = NULL;
    if (paths != NULL && (bytes == 0 || data != NULL))
        record = gy__opfut_take(shard, shard->context.actor, use);
    *out = gy__fut_refused(err);
    if (record == NULL) {
        gy_buf_release(paths);
        gy_buf_release(data);
        return NULL;
    }
    *pins_of(record) = (struct pins){ paths, data };
    return record;
}

static gy_fut start(enum gy_op_kind kind, const char *path, const char *to, unsigned how,
                    unsigned mode)
{
    gy_fut out;
    struct gy__opfut *record = prepare(&plain, path, to, 0, &out);
    if (record == NULL)
        return out;
    const char *paths = (const char *)pins_of(record)->paths->data;
    record->op.kind = (uint8_t)kind;
    record->op.u.path.path = paths;
    record->op.u.path.to = to == NULL ? NULL : paths + strlen(paths) + 1;
    record->op.u.path.how = how;
    record->op.u.path.mode = mode;
    return gy__opfut_start(gy__self(), record);
}

gy_fut gy_path_rename(const char *from, const char *to)
{
    (void)gy__here(__func__);
    return start(GY_OP_RENAME, from, to, 0, 0);
}

gy_fut gy_path_unlink(const char *path)
{
    (void)gy__here(__func__);
    return start(GY_OP_UNLINK, path, NULL, 0, 0);
}

gy_fut gy_path_rmdir(const char *path)
{
    (void)gy__here(__func__);
    return start(GY_OP_UNLINK, path, NULL, 1, 0);
}

gy_fut gy_path_mkdir(const char *path, unsigned mode)
{
    (void)gy__here(__func__);
    return start(GY_OP_MKDIR, path, NULL, 0, mode);
}

gy_fut gy_path_stat(const char *path)
{
    gy_fut out;
    (void)gy__here(__func__);
    struct gy__opfut *record = prepare(&plain, path, NULL, GY_STAT_MEMORY, &out);
    if (record == NULL)
        return out;
    record->op.kind = GY_OP_STAT;
    record->op.u.stat.path = (const char *)pins_of(record)->paths->data;
    record->op.u.stat.info = pins_of(record)->data->data;
    return gy__opfut_start(gy__self(), record);
}

gy_fut gy_path_list(const char *path)
{
    gy_fut out;
    (void)gy__here(__func__);
    struct gy__opfut *record = prepare(&listing, path, NULL, LIST_FIRST, &out);
    if (record == NULL)
        return out;
    record->op.kind = GY_OP_LIST;
    record->op.u.list.path = (const char *)pins_of(record)->paths->data;
    list_into(record, pins_of(record)->data);
    return gy__opfut_start(gy__self(), record);
}

bool gy_path_next(const struct gy_buf *list, uint32_t *at, struct gy_path_entry *out)
{
    if (list == NULL || *at >= list->len)
        return false;
    const uint8_t *entry = list->data + *at;
    uint32_t len = entry[0] | (uint32_t)entry[1] << 8;
    *out = (struct gy_path_entry){ (const char *)entry + GY_ENTRY_HEAD, len,
                                   (enum gy_path_kind)entry[2] };
    *at += GY_ENTRY_BYTES(len);
    return true;
}
