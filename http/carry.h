/* http/carry.h - how a request gets to its handler: as a call to the actor of its route.
 *
 * On its own shard the message names the slot, and the handler reads the request where it lies. To
 * another shard one buffer goes that holds a copy of all of it. The answer comes back as
 * struct gy__http_answer and one buffer (http/answer.h). */
#ifndef GYRE_HTTP_CARRY_H
#define GYRE_HTTP_CARRY_H

#include "http/from.h"
#include "http/slot.h"

/* The message to a handler: three words, and the buffer or NULL. */
struct gy__http_carried {
    struct gy__http_slot *slot; /* only without a buffer */
    uint64_t ticket;
};

/* A buffer with the whole request, for any shard; NULL: no memory. Given. from: whose it is, as
 * gy_http_peer() will tell; NULL: nobody asks it. shard: whose slot has that ticket. */
struct gy_buf *gy__http_pack(const struct gy_http_req *req, const struct gy__http_from *from, unsigned shard,
                             uint64_t ticket);

#endif
