/* SipHash-2-4 with 128 bits of result, as its authors specify it. */
#include "key.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void rounds(struct state *s, unsigned n)
{
    while (n-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

static uint64_t squeeze(const struct state *s)
{
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Little-endian, n bytes of at most 8. */
static uint64_t load(const uint8_t *bytes, size_t n)
{
    uint64_t word = 0;
    while (n-- > 0)
        word = word << 8 | bytes[n];
    return word;
}

struct key key_of(const struct key_secret *secret, const void *text, size_t len)
{
    const uint8_t *bytes = text;
    uint64_t k0 = secret->word[0], k1 = secret->word[1];
    struct state s = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                      k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    struct key key;
    size_t at = 0;
    for (; len - at >= 8; at += 8)
        absorb(&s, load(bytes + at, 8));
    absorb(&s, load(bytes + at, len - at) | (uint64_t)len << 56);
    s.v2 ^= 0xee;
    rounds(&s, 4);
    key.hi = squeeze(&s);
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    key.lo = squeeze(&s);
    return key;
}

unsigned key_owner(struct key key, unsigned n)
{
    /* The upper half, so that the table may use the lower one; a product instead of a remainder. */
    return (unsigned)((key.hi >> 32) * n >> 32);
}
