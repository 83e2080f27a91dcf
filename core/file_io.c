/* core/file_io.c - reading and writing files.
 *
 * The driver transfers once what the kernel gives, which may be less than asked for; here it is asked
 * again for the rest until all is there, the file ends, or an error says otherwise. So a short result
 * means one thing only, the end of the file. Exceptions: where the file stands (GY_FILE_HERE), a read
 * gives what there is; and O_DIRECT cannot go on from the middle of a block, which only the end of the
 * file has.
 *
 * The buffers are the operation's from the call until it is over. What describes them to the kernel
 * lies in the record, or for lists in a buffer of its own. */
#include "core/bufs.h"
#include "core/file.h"
#include "core/text.h"
#include "gyre/buf.h"

#include <errno.h>
#include <string.h>

#define LEN_MAX (UINT32_C(1) << 30)
#define PIECES_MAX 1024
#define DIRECT_BLOCK 512 /* the smallest there is */

static struct gy__file_io *pins_of(struct gy__opfut *record)
{
    return GY__OPFUT_PINS(record, struct gy__file_io);
}

/* ---- the end ---- */

/* The pieces begin behind the first n bytes of them. */
static void skip(struct gy__opfut *record, uint32_t n)
{
    /* They are ours: in the record, or in a buffer of the operation. */
    struct gy_iov *iov = (struct gy_iov *)(uintptr_t)record->op.u.io.iov;
    while (n > 0 && n >= iov->len) {
        n -= (uint32_t)iov->len;
        iov++;
        record->op.u.io.n--;
    }
    iov->base = (const uint8_t *)iov->base + n;
    iov->len -= n;
    record->op.u.io.iov = iov;
}

/* What was not all: shall it go on? */
static bool goes_on(const struct gy__opfut *record, const struct gy__file_io *pins, int32_t res)
{
    if (record->op.canceled)
        return false;
    if (res == -EINTR)
        return true;
    if (res <= 0 || pins->done == pins->want)
        return false;
    if (record->op.u.io.offset == GY_FILE_HERE && !pins->writes)
        return false;
    return !pins->file->direct || pins->done % DIRECT_BLOCK == 0;
}

/* Only of a list: what `next` of a single buffer says is its owner's business. */
static void fill(struct gy_buf *list, uint32_t bytes)
{
    for (struct gy_buf *buf = list; buf != NULL; buf = buf->next) {
        size_t room = gy_buf_room(buf);
        uint32_t n = room < bytes ? (uint32_t)room : bytes;
        buf->len += n;
        bytes -= n;
    }
}

bool gy__file_io_finish(struct gy_shard *shard, struct gy__opfut *record,
                        const struct gy_completion *completion, struct gy__opfut_answer *answer)
{
    struct gy__file_io *pins = pins_of(record);
    int32_t res = completion->res;
    if (res > 0)
        pins->done += (uint32_t)res;
    if (goes_on(record, pins, res)) {
        if (res > 0) {
            skip(record, (uint32_t)res);
            if (record->op.u.io.offset != GY_FILE_HERE)
                record->op.u.io.offset += (uint32_t)res;
        }
        gy__opfut_submit(shard, record);
        return false;
    }
    answer->res = res < 0 ? res : (int)pins->done;
    if (pins->writes && res >= 0 && pins->done < pins->want)
        answer->res = -EIO; /* the kernel takes nothing, and says no error */
    if (answer->res < 0 || pins->writes)
        return true;
    if (pins->vectored) {
        fill(pins->data, pins->done);
        memcpy(answer->word, &pins->data, sizeof(pins->data));
        answer->size = sizeof(pins->data);
        pins->data = NULL;
        return true;
    }
    pins->data->len += pins->done;
    if (pins->data->len > 0) {
        answer->buf = pins->data;
        pins->data = NULL;
    }
    return true;
}

static void list_release(struct gy_buf *list)
{
    while (list != NULL) {
        struct gy_buf *next = list->next;
        gy_buf_release(list);
        list = next;
    }
}

void gy__file_io_release(struct gy_shard *shard, struct gy__opfut *record)
{
    /* A copy: what is released may run code of the program's. */
    struct gy__file_io pins = *pins_of(record);
    gy__file_let_go(shard, pins.file);
    if (pins.vectored) {
        gy_buf_release(pins.iov.many);
        list_release(pins.data);
    } else {
        gy_buf_release(pins.data);
    }
}

static void list_lost(struct gy_shard *shard, struct gy__opfut *record)
{
    struct gy_buf *list;
    (void)shard;
    memcpy(&list, record->word, sizeof(list));
    list_release(list);
}

void gy__file_io_subject(struct gy_shard *shard, const struct gy__opfut *record,
                         struct gy__text *text)
{
    (void)shard;
    gy__text_string(text, GY__OPFUT_PINS(record, const struct gy__file_io)->file->path);
}

static const struct gy__opfut_use io = { .finish = gy__file_io_finish,
                                         .release = gy__file_io_release,
                                         .subject = gy__file_io_subject };
/* Where it stands a pipe's bytes may be long in coming. */
static const struct gy__opfut_use io_here = { .finish = gy__file_io_finish,
                                              .release = gy__file_io_release,
                                              .subject = gy__file_io_subject,
                                              .waits_outside = true };
static const struct gy__opfut_use io_readv = { .finish = gy__file_io_finish,
                                               .release = gy__file_io_release,
                                               .subject = gy__file_io_subject,
                                               .lost = list_lost };

/* ---- the beginning ---- */

static bool out_of_range(uint64_t offset, uint64_t len)
{
    return len > LEN_MAX || (offset != GY_FILE_HERE && offset > INT64_MAX - len);
}

gy_fut gy__file_io(gy_file value, uint64_t offset, struct gy_buf *data, uint32_t len, bool writes,
                   const struct gy__opfut_use *use)
{
    struct gy_shard *shard = gy__self();
    struct gy__file *file = gy__file_find(shard, value);
    struct gy__opfut *record = NULL;
    int err = file == NULL                                         ? -EBADF :
              out_of_range(offset, len) || gy__buf_is_part(data) ? -EINVAL :
                                                                     -EAGAIN;
    if (err == -EAGAIN)
        record = gy__opfut_take(shard, shard->context.actor, use);
    if (record == NULL) {
        gy_buf_release(data);
        return gy__fut_refused(err);
    }
    struct gy__file_io *pins = pins_of(record);
    gy__file_hold(file);
    *pins = (struct gy__file_io){ .file = file, .data = data, .want = len, .writes = writes };
    pins->iov.one = (struct gy_iov){ data->data + (writes ? 0 : data->len), len };
    record->op.kind = writes ? GY_OP_WRITE : GY_OP_READ;
    record->op.handle = file->handle;
    record->op.u.io.iov = &pins->iov.one;
    record->op.u.io.n = 1;
    record->op.u.io.fixed = file->direct ? gy__buf_fixed(shard, data) : 0;
    record->op.u.io.offset = offset;
    return gy__opfut_start(shard, record);
}

gy_fut gy_file_read(gy_file file, uint64_t offset, uint32_t len)
{
    struct gy_shard *shard = gy__here(__func__);
    const struct gy__file *open = gy__file_find(shard, file);
    if (open == NULL)
        return gy__fut_refused(-EBADF);
    if (out_of_range(offset, len))
        return gy__fut_refused(-EINVAL);
    /* Those of a page and more begin at one. */
    struct gy_buf *buf = gy_buf_take(open->direct && len < 4096 ? 4096 : len);
    if (buf == NULL) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    return gy__file_io(file, offset, buf, len, false, offset == GY_FILE_HERE ? &io_here : &io);
}

gy_fut gy_file_read_into(gy_file file, uint64_t offset, struct gy_buf *buf)
{
    (void)gy__here(__func__);
    return gy__file_io(file, offset, buf, (uint32_t)gy_buf_room(buf), false,
                       offset == GY_FILE_HERE ? &io_here : &io);
}

gy_fut gy_file_write(gy_file file, uint64_t offset, struct gy_buf *buf)
{
    (void)gy__here(__func__);
    return gy__file_io(file, offset, buf, buf->len, true, &io);
}

static gy_fut start_list(gy_file value, uint64_t offset, struct gy_buf *list, bool writes)
{
    struct gy_shard *shard = gy__self();
    struct gy__file *file = gy__file_find(shard, value);
    uint64_t want = 0;
    uint32_t n = 0;
    bool parts = false;
    for (const struct gy_buf *buf = list; buf != NULL; buf = buf->next, n++) {
        want += writes ? buf->len : gy_buf_room(buf);
        parts |= gy__buf_is_part(buf);
    }
    int err = file == NULL                                                        ? -EBADF :
              n == 0 || n > PIECES_MAX || parts || out_of_range(offset, want) ? -EINVAL :
                                                                                    -EAGAIN;
    struct gy_buf *many = err == -EAGAIN ? gy_buf_take(n * sizeof(struct gy_iov)) : NULL;
    struct gy__opfut *record =
        many == NULL ? NULL :
                       gy__opfut_take(shard, shard->context.actor, writes ? &io : &io_readv);
    if (record == NULL) {
        gy_buf_release(many);
        list_release(list);
        return gy__fut_refused(err);
    }
    struct gy_iov *iov = (struct gy_iov *)(void *)many->base;
    for (struct gy_buf *buf = list; buf != NULL; buf = buf->next)
        *iov++ = writes ? (struct gy_iov){ buf->data, buf->len } :
                          (struct gy_iov){ buf->data + buf->len, gy_buf_room(buf) };
    struct gy__file_io *pins = pins_of(record);
    gy__file_hold(file);
    *pins = (struct gy__file_io){ .file = file, .data = list, .want = (uint32_t)want, .writes = writes,
                           .vectored = true };
    pins->iov.many = many;
    record->op.kind = writes ? GY_OP_WRITE : GY_OP_READ;
    record->op.handle = file->handle;
    record->op.u.io.iov = (const struct gy_iov *)(const void *)many->base;
    record->op.u.io.n = n;
    record->op.u.io.offset = offset;
    return gy__opfut_start(shard, record);
}

gy_fut gy_file_readv(gy_file file, uint64_t offset, struct gy_buf *list)
{
    (void)gy__here(__func__);
    return start_list(file, offset, list, false);
}

gy_fut gy_file_writev(gy_file file, uint64_t offset, struct gy_buf *list)
{
    (void)gy__here(__func__);
    return start_list(file, offset, list, true);
}
