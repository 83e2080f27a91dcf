/* What a key is inside the service: 128 bits of a keyed hash (SipHash-2-4). They fit a message and a
 * table slot whatever the key's length, and they are taken as the key itself: without the secret
 * nobody can find two keys that share them, and by chance nobody ever will. */
#ifndef DEMO_KEY_H
#define DEMO_KEY_H

#include <stddef.h>
#include <stdint.h>

struct key {
    uint64_t hi, lo;
};

struct key_secret {
    uint64_t word[2];
};

struct key key_of(const struct key_secret *secret, const void *text, size_t len);

/* Which of n shards owns the key. */
unsigned key_owner(struct key key, unsigned n);

#endif
