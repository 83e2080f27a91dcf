/* core/file_whole.c - all of a file at once: opened, read until its end, closed; see gyre/file.h.
 *
 * One use of core/opfut.h whose operation is the next step each time. The size that stat tells is where to
 * begin, not what is believed: files of /proc have none, and others grow. When there is as much as may be, one byte
 * more is asked for, beside the buffer, so that too much is seen. Whatever happens after it was opened, a close comes last. */
#include "core/failed.h"
#include "core/file.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define FIRST 4096u
#define MAX (UINT32_C(1) << 30)

struct pins {
    struct gy_buf *path, *data;
    struct gy_iov iov;
    uint32_t max;
    uint8_t beyond; /* the byte behind the last that may be */
    int32_t handle; /* when it is open */
    int32_t res;    /* what it is to end with */
};

static struct pins *pins_of(struct gy__opfut *record)
{
    return GY__OPFUT_PINS(record, struct pins);
}

static bool next(struct gy_shard *shard, struct gy__opfut *record, enum gy_op_kind kind)
{
    record->op.kind = (uint8_t)kind;
    record->op.handle = pins_of(record)->handle;
    gy__opfut_submit(shard, record);
    return false;
}

static bool shut(struct gy_shard *shard, struct gy__opfut *record, int32_t res)
{
    struct pins *pins = pins_of(record);
    pins->res = res;
    if (res < 0)
        gy__failed(shard, (enum gy_op_kind)record->op.kind, res, (const char *)pins->path->data);
    return next(shard, record, GY_OP_CLOSE_FILE);
}

static bool read_on(struct gy_shard *shard, struct gy__opfut *record)
{
    struct pins *pins = pins_of(record);
    uint32_t room = (uint32_t)gy_buf_room(pins->data), left = pins->max - pins->data->len;
    if (room == 0 && left > 0) {
        struct gy_buf *larger = gy_buf_take(pins->data->len + (left < pins->data->len ? left : pins->data->len));
        if (larger == NULL)
            return shut(shard, record, -EAGAIN);
        memcpy(larger->data, pins->data->data, pins->data->len);
        larger->len = pins->data->len;
        gy_buf_release(pins->data);
        pins->data = larger;
        room = (uint32_t)gy_buf_room(larger);
    }
    pins->iov = left == 0 ? (struct gy_iov){ &pins->beyond, 1 } :
                            (struct gy_iov){ pins->data->data + pins->data->len, room < left ? room : left };
    memset(&record->op.u, 0, sizeof(record->op.u));
    record->op.u.io.iov = &pins->iov;
    record->op.u.io.n = 1;
    record->op.u.io.offset = pins->data->len;
    return next(shard, record, GY_OP_READ);
}

static bool on_open(struct gy_shard *shard, struct gy__opfut *record)
{
    memset(&record->op.u, 0, sizeof(record->op.u));
    record->op.u.stat.info = pins_of(record)->data->data;
    return next(shard, record, GY_OP_STAT);
}

static bool on_stat(struct gy_shard *shard, struct gy__opfut *record)
{
    struct pins *pins = pins_of(record);
    struct gy_file_info info;
    memcpy(&info, pins->data->data, sizeof(info));
    if (info.size > pins->max)
        return shut(shard, record, -EMSGSIZE);
    /* With room to see its end, if more may be there. */
    uint32_t size = (uint32_t)info.size + (info.size < pins->max);
    if (size > pins->data->capacity) {
        struct gy_buf *larger = gy_buf_take(size);
        if (larger == NULL)
            return shut(shard, record, -EAGAIN);
        gy_buf_release(pins->data);
        pins->data = larger;
    }
    return read_on(shard, record);
}

static bool on_read(struct gy_shard *shard, struct gy__opfut *record, int32_t res)
{
    struct pins *pins = pins_of(record);
    if (res == 0)
        return shut(shard, record, (int32_t)pins->data->len);
    if (pins->data->len == pins->max)
        return shut(shard, record, -EMSGSIZE);
    pins->data->len += (uint32_t)res;
    return read_on(shard, record);
}

static bool finish(struct gy_shard *shard, struct gy__opfut *record,
                   const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct pins *pins = pins_of(record);
    int32_t res = completion->res;
    uint8_t kind = record->op.kind;
    if (kind == GY_OP_OPEN && res < 0) {
        answer->res = res;
        gy__failed(shard, GY_OP_OPEN, res, (const char *)pins->path->data);
        return true;
    }
    if (kind == GY_OP_CLOSE_FILE) {
        answer->res = pins->res; /* nothing was written that a close could fail to keep */
        if (pins->res > 0) {
            answer->buf = pins->data;
            pins->data = NULL;
        }
        return true;
    }
    if (kind == GY_OP_OPEN)
        pins->handle = res;
    if (record->op.canceled)
        return shut(shard, record, -ECANCELED);
    if (res == -EINTR)
        return next(shard, record, (enum gy_op_kind)kind);
    if (res < 0)
        return shut(shard, record, res);
    return kind == GY_OP_OPEN ? on_open(shard, record) :
           kind == GY_OP_STAT ? on_stat(shard, record) :
                                on_read(shard, record, res);
}

static void release(struct gy_shard *shard, struct gy__opfut *record)
{
    struct pins pins = *pins_of(record);
    (void)shard;
    gy_buf_release(pins.path);
    gy_buf_release(pins.data);
}

static const struct gy__opfut_use whole = { .finish = finish, .release = release };

gy_fut gy_path_read(const char *path, uint32_t max)
{
    struct gy_shard *shard = gy__here(__func__);
    int err;
    if (max > MAX)
        return gy__fut_refused(-EINVAL);
    struct gy_buf *copy = gy__path_copy(path, NULL, &err);
    struct gy_buf *data = copy == NULL ? NULL : gy_buf_take(FIRST);
    struct gy__opfut *record =
        data == NULL ? NULL : gy__opfut_take(shard, shard->context.actor, &whole);
    if (record == NULL) {
        gy_buf_release(copy);
        gy_buf_release(data);
        return gy__fut_refused(err);
    }
    *pins_of(record) = (struct pins){ .path = copy, .data = data, .max = max };
    record->op.kind = GY_OP_OPEN;
    record->op.handle = -1;
    record->op.u.path.path = (const char *)copy->data;
    record->op.u.path.how = GY_FILE_READ;
    return gy__opfut_start(shard, record);
}
