/* core/part.h - parts of files in the queues of streams. */
#ifndef GYRE_CORE_PART_H
#define GYRE_CORE_PART_H

#include "core/file.h"
#include "core/streams.h"

/* Lies in the memory of its buffer, whose len is what is left. */
struct gy__part {
    struct gy__file *file; /* of the buffer's home, held */
    uint64_t offset;       /* of what is left */
    uint64_t behind;       /* bytes that follow and do not fit the buffer's len */
    struct gy__opfut *waiter; /* whose future ends with it, or NULL */
    int32_t handle;
    int32_t why; /* with a waiter: why it was not sent whole */
};
static inline struct gy__part *gy__part_of(const struct gy_buf *buf)
{
    return (struct gy__part *)(void *)buf->base;
}

/* n bytes of it are sent. -> it is sent whole. */
bool gy__part_sent(struct gy_stream *s, struct gy_buf *buf, uint32_t n);
/* It is about to be released unsent. */
void gy__part_failed(const struct gy_buf *buf, int why);

#endif
