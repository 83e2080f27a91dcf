/* core/names.c - names of actors: decided by one shard each, replicated on all.
 *
 * The table of names is cut into one part per shard. A shard decides about the names whose
 * hash points to it, and gives them places in its own part; every shard has the whole table, and
 * a name has the same place in all of them. So a replica never lacks room, and a full part is
 * known where it is decided.
 *
 * The deciding shard reserves a place and tells the shard of the actor, which tells all
 * others, the deciding one included, that the name is there ("named"), and later that it is not
 * ("gone"). Since one shard says both, and the exits of its actors too, by one way, everybody
 * hears them in this order; an actor that died before its shard heard of its name is never named
 * at all.
 *
 * A place, or a name, is used again when the deciding shard has heard "gone"; others may not
 * have, and then hear from two shards about it in any order. So each use has a version, counted
 * by the deciding shard: of a place, or of two entries with one name, the higher version is
 * right; what is gone is remembered as the highest such version, and older news is passed over.
 * Nothing that has ended comes back.
 *
 * News that finds no room in a ring waits as one bit per place and peer; what is said is read
 * from the table when there is room, so it is never out of date, and the order between places
 * does not matter. Exits queue behind it (core/mesh.c).
 *
 * Invariants: an entry is in the hash and, on the shard of its actor, in its actor's list,
 * exactly while its pid is not 0. gone <= version on the shard that decides. */
#include "core/names.h"

#include "core/text.h"
#include "gyre/future.h"

#include <errno.h>
#include <string.h>

#define PART_MIN 16
#define NUMBERS 256
#define TEXT_PART GY_MSG_INLINE
_Static_assert(GY_NAME_SIZE == 2 * TEXT_PART, "a name travels in two parts");

struct name {
    char text[GY_NAME_SIZE];
    uint64_t pid;        /* 0: nobody has it */
    uint64_t version;    /* the last that was heard of */
    uint64_t gone;       /* the last that is known to have ended */
    uint32_t hash_next;  /* same bucket; or free places, where they are decided */
    uint32_t actor_next; /* names of the same actor */
    bool said;           /* by the actor's shard; until then it is only reserved */
};

struct gy__names {
    struct name *all; /* place 0 is "none"; part i begins at 1 + i * part */
    uint32_t part;    /* places in a part */
    uint32_t *heard;  /* of each part: places in use at some time */
    uint64_t version; /* the last given */
    uint32_t free;    /* first free place of the own part that was used before */
    uint32_t *buckets;
    uint32_t mask;
    char (*inbox)[GY_NAME_SIZE]; /* of each peer: the text that its next cell is about */
    uint64_t *waiting;           /* of each peer: a bit per place */
    uint32_t words;              /* in such a set */
    uint32_t numbers[NUMBERS];   /* of generated names, by hash of the prefix */
};

int gy__names_open(struct gy_shard *shard)
{
    uint32_t shards = shard->runtime->shard_count, buckets = 1;
    struct gy__names *names = gy__shard_memory(shard, sizeof(*names));
    if (names == NULL)
        return -ENOMEM;
    shard->names = names;
    names->part = (shard->runtime->config.names + shards - 1) / shards;
    /* Hashes do not spread evenly. */
    if (shards > 1)
        names->part *= 2;
    if (names->part < PART_MIN)
        names->part = PART_MIN;
    uint32_t count = names->part * shards;
    while (buckets < count)
        buckets *= 2;
    names->mask = buckets - 1;
    names->words = count / 64 + 1;
    names->all = gy__shard_memory(shard, ((size_t)count + 1) * sizeof(struct name));
    names->buckets = gy__shard_memory(shard, buckets * sizeof(uint32_t));
    names->heard = gy__shard_memory(shard, shards * sizeof(uint32_t));
    names->inbox = gy__shard_memory(shard, (size_t)shards * GY_NAME_SIZE);
    names->waiting = gy__shard_memory(shard, (size_t)shards * names->words * sizeof(uint64_t));
    return names->all == NULL || names->buckets == NULL || names->heard == NULL ||
                   names->inbox == NULL || names->waiting == NULL ?
               -ENOMEM :
               0;
}

/* ---- the table ---- */

/* FNV-1a, with its upper half mixed in. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001B3);
    return hash ^ hash >> 32;
}

static uint32_t decider_of_text(const struct gy_shard *shard, const char *text)
{
    return (uint32_t)((hash_of(text) >> 20) % shard->runtime->shard_count);
}

static uint32_t decider_of(const struct gy__names *names, uint32_t index)
{
    return (index - 1) / names->part;
}

static uint32_t *bucket_of(struct gy__names *names, const char *text)
{
    return &names->buckets[hash_of(text) & names->mask];
}

static uint32_t find(struct gy__names *names, const char *text)
{
    uint32_t index = *bucket_of(names, text);
    while (index != 0 && strcmp(names->all[index].text, text) != 0)
        index = names->all[index].hash_next;
    return index;
}

/* Its actor is, or was, one of this shard. */
static bool entry_is_ours(const struct gy_shard *shard, const struct name *name)
{
    return name->pid != 0 && name->pid >> GY__SHARD_SHIFT == shard->index;
}

/* The actor of an entry, if it lives on this shard. */
static struct gy_actor *actor_of(const struct gy_shard *shard, const struct name *name)
{
    return entry_is_ours(shard, name) ? gy__actor_find(shard, name->pid) : NULL;
}

static void entry_add(struct gy_shard *shard, uint32_t index, const char *text, uint64_t pid,
                      uint64_t version, bool said)
{
    struct gy__names *names = shard->names;
    struct name *name = &names->all[index];
    uint32_t *heard = &names->heard[decider_of(names, index)];
    uint32_t place = (index - 1) % names->part + 1;
    memcpy(name->text, text, GY_NAME_SIZE);
    name->pid = pid;
    name->version = version;
    name->said = said;
    uint32_t *bucket = bucket_of(names, text);
    name->hash_next = *bucket;
    *bucket = index;
    if (*heard < place)
        *heard = place;
    struct gy_actor *actor = actor_of(shard, name);
    if (actor != NULL) {
        name->actor_next = gy__more(shard, actor)->names;
        gy__more(shard, actor)->names = index;
    }
}

static void entry_remove(struct gy_shard *shard, uint32_t index)
{
    struct gy__names *names = shard->names;
    struct name *name = &names->all[index];
    uint32_t *at = bucket_of(names, name->text);
    while (*at != index)
        at = &names->all[*at].hash_next;
    *at = name->hash_next;
    struct gy_actor *actor = actor_of(shard, name);
    if (actor != NULL) {
        at = &gy__more(shard, actor)->names;
        while (*at != index)
            at = &names->all[*at].actor_next;
        *at = name->actor_next;
    }
    name->pid = 0;
    if (name->gone < name->version)
        name->gone = name->version;
    if (decider_of(names, index) == shard->index) {
        name->hash_next = names->free;
        names->free = index;
    }
}

/* ---- telling the others ---- */

bool gy__names_wait(struct gy_shard *shard, uint32_t peer, uint32_t index)
{
    uint64_t *word = &shard->names->waiting[(size_t)peer * shard->names->words + index / 64];
    uint64_t bit = UINT64_C(1) << index % 64;
    bool waited = *word & bit;
    *word |= bit;
    return !waited;
}

uint32_t gy__names_next(struct gy_shard *shard, uint32_t peer)
{
    uint64_t *set = &shard->names->waiting[(size_t)peer * shard->names->words];
    for (uint32_t i = 0; i < shard->names->words; i++)
        if (set[i] != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(set[i]);
            set[i] &= set[i] - 1;
            return i * 64 + bit;
        }
    return 0;
}

static struct gy_cell *cell_begin(struct gy_shard *shard, uint32_t peer, const struct gy_verb *verb)
{
    struct gy__out *out = &shard->mesh.out[peer];
    GY_ASSERT_SLOW(gy__ring_has_room(out, out->count / 2));
    struct gy_cell *cell = gy__ring_reserve(out);
    cell->verb = verb;
    cell->from.sender = shard->self_bits;
    cell->fut = 0;
    return cell;
}

static void text_write(struct gy_shard *shard, uint32_t peer, const char *text)
{
    struct gy_cell *cell = cell_begin(shard, peer, &gy__verb_name_low);
    memcpy(cell->payload.word, text, TEXT_PART);
    gy__mesh_commit(shard, peer, cell, 0);
    if (text[TEXT_PART] == '\0')
        return;
    cell = cell_begin(shard, peer, &gy__verb_name_high);
    memcpy(cell->payload.word, text + TEXT_PART, TEXT_PART);
    gy__mesh_commit(shard, peer, cell, 0);
}

void gy__names_write(struct gy_shard *shard, uint32_t peer, uint32_t index)
{
    const struct name *name = &shard->names->all[index];
    bool named = entry_is_ours(shard, name) ||
                 (decider_of(shard->names, index) == shard->index && name->pid != 0 &&
                  name->pid >> GY__SHARD_SHIFT == peer);
    if (named)
        text_write(shard, peer, name->text);
    struct gy_cell *cell =
        cell_begin(shard, peer, named ? &gy__verb_name_named : &gy__verb_name_gone);
    cell->payload.word[0] = index;
    cell->payload.word[1] = named ? name->version : name->gone;
    cell->payload.word[2] = name->pid;
    gy__mesh_commit(shard, peer, cell, 0);
}

static void tell(struct gy_shard *shard, uint32_t index)
{
    for (uint32_t peer = 0; peer < shard->runtime->shard_count; peer++)
        if (peer != shard->index)
            gy__mesh_name(shard, peer, index);
}

/* ---- deciding ---- */

static uint32_t place_take(struct gy_shard *shard)
{
    struct gy__names *names = shard->names;
    uint32_t index = names->free;
    if (index != 0) {
        names->free = names->all[index].hash_next;
        return index;
    }
    uint32_t heard = names->heard[shard->index];
    return heard < names->part ? 1 + shard->index * names->part + heard : 0;
}

static int decide(struct gy_shard *shard, const char *text, uint64_t pid)
{
    struct gy__names *names = shard->names;
    uint32_t owner = (uint32_t)(pid >> GY__SHARD_SHIFT);
    bool local = owner == shard->index;
    uint32_t index = find(names, text);
    if (index != 0)
        return -EEXIST;
    /* Its own shard must know before the answer, which follows in the same ring, says so. */
    if (local || gy__mesh_name_room(shard, owner))
        index = place_take(shard);
    if (index == 0) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return -EAGAIN;
    }
    entry_add(shard, index, text, pid, ++names->version, local);
    if (local)
        tell(shard, index);
    else
        gy__mesh_name(shard, owner, index);
    return 0;
}

/* ---- what arrives ---- */

static void named_arrived(struct gy_shard *shard, const char *text, const struct gy_cell *cell)
{
    struct gy__names *names = shard->names;
    uint32_t index = (uint32_t)cell->payload.word[0];
    uint64_t version = cell->payload.word[1], pid = cell->payload.word[2];
    struct name *name = &names->all[index];
    if (version == name->version && pid == name->pid)
        name->said = true;
    if (version <= name->gone || version <= name->version)
        return;
    uint32_t same = find(names, text);
    if (same != 0 && names->all[same].version > version) {
        name->gone = version;
        return;
    }
    if (same != 0)
        entry_remove(shard, same);
    if (name->pid != 0)
        entry_remove(shard, index);
    entry_add(shard, index, text, pid, version, true);
    if (!entry_is_ours(shard, name))
        return;
    /* Ours was decided; it may have died meanwhile. */
    if (actor_of(shard, name) == NULL)
        entry_remove(shard, index);
    tell(shard, index);
}

static void gone_arrived(struct gy_shard *shard, uint32_t index, uint64_t version)
{
    struct name *name = &shard->names->all[index];
    if (name->gone < version)
        name->gone = version;
    if (name->pid != 0 && name->version <= version)
        entry_remove(shard, index);
}

bool gy__names_arrived(struct gy_shard *shard, const struct gy_cell *cell)
{
    const struct gy_verb *verb = cell->verb;
    char *inbox = shard->names->inbox[cell->from.sender >> GY__SHARD_SHIFT];
    if (verb == &gy__verb_name_low) {
        memset(inbox, 0, GY_NAME_SIZE);
        memcpy(inbox, cell->payload.word, TEXT_PART);
    } else if (verb == &gy__verb_name_high) {
        memcpy(inbox + TEXT_PART, cell->payload.word, TEXT_PART);
    } else if (verb == &gy__verb_name_named) {
        named_arrived(shard, inbox, cell);
    } else if (verb == &gy__verb_name_gone) {
        gone_arrived(shard, (uint32_t)cell->payload.word[0], cell->payload.word[1]);
    } else if (verb == &gy__verb_name_register) {
        gy__answer(shard, cell->fut, decide(shard, inbox, cell->from.sender), NULL, 0, NULL);
    } else {
        return false;
    }
    return true;
}

void gy__names_actor_died(struct gy_shard *shard, struct gy_actor *actor)
{
    while (gy__more(shard, actor)->names != 0) {
        uint32_t index = gy__more(shard, actor)->names;
        gy__more(shard, actor)->names = shard->names->all[index].actor_next;
        entry_remove(shard, index);
        tell(shard, index);
    }
}

/* ---- the public side ---- */

/* As it travels: padded with zeros. */
static bool text_of(char out[GY_NAME_SIZE], const char *name)
{
    size_t len = name == NULL ? 0 : strlen(name);
    if (len == 0 || len >= GY_NAME_SIZE)
        return false;
    memset(out, 0, GY_NAME_SIZE);
    memcpy(out, name, len);
    return true;
}

static gy_fut register_here(struct gy_shard *shard, struct gy_actor *self, const char *text)
{
    gy_promise promise;
    gy_fut fut = gy_pair(self, &promise);
    if (gy_refused(fut) == 0)
        (void)gy_resolve_raw(promise, decide(shard, text, self->pid.bits), NULL, 0, NULL);
    return fut;
}

gy_fut gy_register(struct gy_actor *self, const char *name)
{
    static const uint64_t nothing[GY_MSG_INLINE / 8];
    struct gy_shard *shard = gy__self();
    char text[GY_NAME_SIZE];
    if (!text_of(text, name) || self != shard->context.actor || self == &shard->nobody ||
        self->gy__state != GY__ACTOR_LIVE)
        return gy__fut_refused(-EINVAL);
    uint32_t peer = decider_of_text(shard, text);
    if (peer == shard->index)
        return register_here(shard, self, text);
    if (!gy__mesh_name_room(shard, peer)) {
        gy__count(&shard->core_counters[GY__COUNT_REFUSED], 1);
        return gy__fut_refused(-EAGAIN);
    }
    /* Should the call be refused, the text was said in vain. */
    text_write(shard, peer, text);
    gy_pid runtime_of = { (uint64_t)peer << GY__SHARD_SHIFT | 1 };
    return gy__call_control(runtime_of, &gy__verb_name_register, nothing);
}

int gy_unregister(struct gy_actor *self, const char *name)
{
    struct gy_shard *shard = gy__self();
    uint32_t index = find(shard->names, name);
    if (index == 0 || shard->names->all[index].pid != self->pid.bits)
        return -ESRCH;
    entry_remove(shard, index);
    tell(shard, index);
    return 0;
}

gy_pid gy_lookup(const char *name)
{
    struct gy__names *names = gy__self()->names;
    const struct name *found = &names->all[find(names, name)];
    return (gy_pid){ found->said ? found->pid : 0 };
}

const char *gy_name_of(gy_pid pid)
{
    struct gy_shard *shard = gy__self();
    struct gy_actor *actor = NULL;
    if (gy_pid_shard(pid) == shard->index)
        actor = gy__actor_find(shard, pid.bits);
    uint32_t index = actor == NULL ? 0 : gy__more(shard, actor)->names;
    return index == 0 ? NULL : shard->names->all[index].text;
}

void gy_names_each(bool (*each)(void *arg, const char *name, gy_pid pid), void *arg)
{
    struct gy_shard *shard = gy__self();
    struct gy__names *names = shard->names;
    for (uint32_t i = 0; i < shard->runtime->shard_count; i++)
        for (uint32_t place = 1; place <= names->heard[i]; place++) {
            const struct name *name = &names->all[i * names->part + place];
            if (name->pid != 0 && name->said && !each(arg, name->text, (gy_pid){ name->pid }))
                return;
        }
}

int gy_name_generate(char out[GY_NAME_SIZE], const char *prefix)
{
    struct gy_shard *shard = gy__self();
    char text[GY_NAME_SIZE];
    struct gy__text t;
    if (!text_of(text, prefix))
        return -EINVAL;
    /* Prefixes may share a count: then each leaves numbers out. */
    uint32_t *count = &shard->names->numbers[hash_of(text) % NUMBERS];
    uint64_t number = (uint64_t)*count * shard->runtime->shard_count + shard->index + 1;
    gy__text_init(&t, out, GY_NAME_SIZE);
    gy__text_printf(&t, "%s(%lu)", text, (unsigned long)number);
    if (t.cut)
        return -EINVAL;
    ++*count;
    return 0;
}
