/* gyre/flow.h - flows: what takes several answers, written from top to bottom.
 *
 * A flow is a function of an actor that may await futures. While it awaits, its actor serves other
 * messages; what it must remember meanwhile lives in a frame, a struct of the user's from a pool of
 * the shard. There is no second stack: an await returns to the runtime, which calls the function
 * again when the future has ended, and a switch leads back to the await. For actor A and flow F
 *   you write   struct F { struct gy_flow flow; ... }, (with a value) struct F_reply, and the body
 *               between GY_FLOW_BEGIN and GY_FLOW_END
 *   you get     by GY_FLOW(A, F): F_start(), F_answer(); by GY_FLOW_CALL(A, F): F_fut too,
 *               F_resolve(), F_value()
 *
 *     struct page { struct gy_flow flow; uint64_t id; users_find_fut user; };
 *     GY_FLOW(front, page);
 *     GY_FLOW_BEGIN(front, self, page, f)
 *         f->user = users_find(self->users, (struct users_find_msg){ f->id });
 *         GY_AWAIT(f, f->user.fut);
 *         struct users_find_reply user;
 *         int err = users_find_value(f->user, &user);
 *         ...
 *     GY_CLEANUP(f)
 *         ... (optional) runs once, whichever way the flow ends; f->flow.why tells which
 *     GY_FLOW_END(f)
 *
 * - F_start(self, &first) copies first into a frame and runs the body up to its first await, inside
 *   the call; it gives the flow's future: refused (-EAGAIN) when there is no frame or future left.
 *   Discarding that future, or its deadline, cancels the flow. A flow awaits another by that
 *   future.
 * - F_answer(self, promise, &first) does so for the promise of the call being handled, or one that
 *   this actor keeps: the flow keeps it, and is cancelled when the caller gives up.
 * - Values of what was awaited (A_V_value, gy_value_raw, gy_value_buf) can be read until the next
 *   await, and only then.
 * - Cancelled: what it awaits is discarded, nothing but its clean-up runs, why is -ECANCELED. When
 *   its actor ends: the same before the actor's stop function, why is -EOWNERDEAD. Both take
 *   effect at the next turn of events, never inside the call that caused them.
 * - A flow that ends by GY_LEAVE(f, why < 0) without having answered rejects with why; one that
 *   just ends is ready (0), unless it owes a value or a handler's answer: -EOWNERDEAD, counted.
 * - A variable of a block does not outlive an await: each await closes the block it stands in and
 *   opens a new one, so that a use across it does not compile. An await in a block, loop or branch
 *   of C's own does not compile either: GY_WHILE, GY_FOR and GY_IF take their place. break and
 *   continue do in GY_WHILE and GY_FOR what they always do; break outside of them ends the flow.
 *   One await per line; none in the clean-up. A GY_END that was forgotten is told as a redefinition of struct
 *   gy__flow_level, and all functions behind it as of an invalid storage class.
 *
 * Bounds: config.flows frames per shard (--flows) of GY_FLOW_FRAME bytes, taken at boot. An await
 * costs a return, a call and what its future costs. In a debugger: p *f, whose line is that of
 * the await. All functions: from code of the flow's actor. */
#ifndef GYRE_FLOW_H
#define GYRE_FLOW_H

#include "gyre/future.h"

#include <string.h>

GY_BEGIN_DECLS

/* A frame, with its struct gy_flow, in bytes. What is bigger belongs into a gy_buf. */
#define GY_FLOW_FRAME 512

enum gy_flow_state {
    GY_FLOW_FREE,
    GY_FLOW_RUNS,
    GY_FLOW_AWAITS, /* at line, for awaits */
    GY_FLOW_LEAVES, /* goes to its clean-up */
    GY_FLOW_CLEANS, /* runs it */
    GY_FLOW_ENDED
};

struct gy_flow_type;

/* Every frame begins with this. Read what has no gy__; the runtime writes it. */
struct gy_flow {
    const struct gy_flow_type *type;
    gy_promise promise; /* what it answers */
    gy_fut awaits;
    uint64_t until_ns;  /* its deadline by gy_now(), UINT64_MAX: none */
    int32_t res;        /* outcome of the last await; of GY_AWAIT_ANY: which was ready first */
    int32_t why;        /* in the clean-up: 0, or the error it ends with */
    uint32_t line;      /* of the await, 0 before the first */
    uint32_t gy__generation;
    uint32_t gy__actor;          /* slot of its actor */
    uint32_t gy__next, gy__prev; /* flows of the same actor; free list */
    uint8_t state;               /* enum gy_flow_state */
    bool cancelled;
    bool gy__own;    /* the promise is that of the flow's own future */
    bool gy__queued; /* a cell to this flow is under way; the frame is not reused before it came */
};

/* What a flow's body returns; only the macros below make one. */
struct gy_flow_step {
    int gy__step;
};

/* One per flow, defined by GY_FLOW. */
struct gy_flow_type {
    const char *name;
    struct gy_flow_step (*run)(struct gy_actor *self, struct gy_flow *flow);
    size_t size;     /* of the frame struct, bytes */
    bool owes_value; /* GY_FLOW_CALL */
};

/* As F_start. first: copied, type->size bytes, but for its struct gy_flow.
 * -> the future; refused: -EAGAIN no frame, future or record left; -EINVAL self is not the actor
 * whose code runs, or none; -EOWNERDEAD it is ending. */
GY_API GY_MUST_CHECK gy_fut gy_flow_start_raw(struct gy_actor *self,
                                              const struct gy_flow_type *type, const void *first);
/* As F_answer. -> 0: the promise is the flow's; otherwise it is still the caller's to answer:
 * -EAGAIN,
 * -EINVAL, -EOWNERDEAD as above, -ESRCH not a promise of this handler or kept by this actor. */
GY_API GY_MUST_CHECK int gy_flow_answer_raw(struct gy_actor *self, gy_promise promise,
                                            const struct gy_flow_type *type, const void *first);

/* All that this flow awaits from here on must have ended within after_ns from now, or the await
 * ends with -ETIMEDOUT and discards it. Of a group that is discarded so, what had ended before can be
 * read all the same, and the rest reads as -EAGAIN: GY_AWAIT_SETTLE is how to take the best of what
 * came in time. Futures may have earlier deadlines of their own. UINT64_MAX: no deadline any more. */
GY_API void gy_flow_deadline(struct gy_flow *flow, uint64_t after_ns);

/* How the macros below leave a body; not for applications. */
GY_API struct gy_flow_step gy__flow_await(struct gy_flow *flow, uint32_t line, gy_fut fut);
GY_API struct gy_flow_step gy__flow_leave(struct gy_flow *flow, int why);

GY_END_DECLS

/* ---- declaring, in the actor's .c -------------------------------------------------------- */

#define GY_FLOW(A, F)                                                                              \
    GY__FLOW_TYPE(A, F, false);                                                                    \
    GY__FLOW_LOCAL GY_MUST_CHECK gy_fut F##_start(struct A *self, const struct F *first)           \
    {                                                                                              \
        return gy_flow_start_raw((struct gy_actor *)(void *)self, &F##_flow_type, first);          \
    }                                                                                              \
    struct F

/* A flow whose future has a value, struct F_reply. */
#define GY_FLOW_CALL(A, F)                                                                         \
    GY__FLOW_TYPE(A, F, true);                                                                     \
    GY_STATIC_ASSERT(sizeof(struct F##_reply) <= GY_MSG_INLINE, #F "_reply does not fit a message"); \
    typedef struct F##_fut {                                                                       \
        gy_fut fut;                                                                                \
    } F##_fut;                                                                                     \
    GY__FLOW_LOCAL GY_MUST_CHECK F##_fut F##_start(struct A *self, const struct F *first)          \
    {                                                                                              \
        F##_fut f;                                                                                 \
        f.fut = gy_flow_start_raw((struct gy_actor *)(void *)self, &F##_flow_type, first);         \
        return f;                                                                                  \
    }                                                                                              \
    GY__FLOW_LOCAL int F##_resolve(struct F *f, struct F##_reply value)                            \
    {                                                                                              \
        return gy_resolve_raw(f->flow.promise, 0, &value, sizeof(value), NULL);                    \
    }                                                                                              \
    GY__FLOW_LOCAL GY_MUST_CHECK int F##_value(F##_fut f, struct F##_reply *out)                   \
    {                                                                                              \
        return gy_value_raw(f.fut, out, sizeof(*out));                                             \
    }                                                                                              \
    struct F

/* These are of one .c, also in C++. */
#define GY__FLOW_LOCAL static inline __attribute__((unused))
#ifdef __cplusplus
#define GY__FLOW_COPIES(F)                                                                         \
    GY_STATIC_ASSERT(__is_trivially_copyable(struct F), #F " is copied and freed as bytes")
#else
#define GY__FLOW_COPIES(F) struct F
#endif
#define GY__FLOW_TYPE(A, F, owes)                                                                  \
    static struct gy_flow_step F##_body(struct A *self, struct F *f);                              \
    GY__FLOW_COPIES(F);                                                                            \
    GY_STATIC_ASSERT(offsetof(struct F, flow) == 0, "struct gy_flow must be the first member");    \
    GY_STATIC_ASSERT(sizeof(struct F) <= GY_FLOW_FRAME, #F " does not fit a frame: use a gy_buf"); \
    static struct gy_flow_step F##_flow_run(struct gy_actor *a, struct gy_flow *flow)              \
    {                                                                                              \
        return F##_body((struct A *)(void *)a, (struct F *)(void *)flow);                          \
    }                                                                                              \
    static const struct gy_flow_type F##_flow_type = { #F, F##_flow_run, sizeof(struct F), owes }; \
    GY__FLOW_LOCAL GY_MUST_CHECK int F##_answer(struct A *self, gy_promise p,                      \
                                                const struct F *first)                             \
    {                                                                                              \
        return gy_flow_answer_raw((struct gy_actor *)(void *)self, p, &F##_flow_type, first);      \
    }                                                                                              \
    struct F

/* ---- the body ---------------------------------------------------------------------------- */

/* Open and close the body; self and f are the names it uses for its actor and its frame. */
#define GY_FLOW_BEGIN(A, self, F, f)                                                               \
    static struct gy_flow_step F##_body(struct A *self, struct F *f)                               \
    {                                                                                              \
        GY__FLOW_LEVEL(1);                                                                         \
        (void)self;                                                                                \
        switch ((f)->flow.line) {                                                                  \
        case 0: {                                                                                  \
            GY__FLOW_LEVEL(2);
#define GY_FLOW_END(f)                                                                             \
        }                                                                                          \
        }                                                                                          \
        return gy__flow_leave(&(f)->flow, 0);                                                      \
    }

/* Wait until a future has ended, however: f->flow.res is its outcome. */
#define GY_AWAIT(f, fut_)                                                                          \
    const gy_fut gy__awaits = (fut_);                                                              \
    GY__FLOW_SUSPEND(f, gy__awaits)
/* Wait for all (the first failure ends it), for the first that is ready, for all whatever happens:
 * of the futures that follow f, at least one. As GY_AWAIT(f, gy_all(...)) and so on. */
#define GY_AWAIT_ALL(f, ...) GY__FLOW_AWAIT_GROUP(f, gy_all, __VA_ARGS__)
#define GY_AWAIT_ANY(f, ...) GY__FLOW_AWAIT_GROUP(f, gy_any, __VA_ARGS__)
#define GY_AWAIT_SETTLE(f, ...) GY__FLOW_AWAIT_GROUP(f, gy_settle, __VA_ARGS__)

/* Loops and branches that may contain awaits; each ends with GY_END. GY_FOR takes expressions, no
 * declaration. */
#define GY_WHILE(cond) GY__FLOW_OPEN(while (cond))
#define GY_FOR(init, cond, next) GY__FLOW_OPEN(for ((void)(init); cond; (void)(next)))
#define GY_IF(cond) GY__FLOW_OPEN(if (cond))
#define GY_ELSE                                                                                    \
    GY__FLOW_CUT("GY_ELSE must stand in the top block of its GY_IF");                              \
    } else {                                                                                       \
        GY__FLOW_LEVEL(1);                                                                         \
        {                                                                                          \
            GY__FLOW_LEVEL(2);
#define GY_END                                                                                     \
    GY__FLOW_CUT("GY_END must stand in the top block of what it ends");                            \
    }                                                                                              \
    {                                                                                              \
        GY__FLOW_LEVEL(2);

/* End the flow here, from any block; why: 0 or -errno. Its clean-up runs. */
#define GY_LEAVE(f, why) return gy__flow_leave(&(f)->flow, (why))
/* What follows runs once at the end, whichever way the flow ends; it cannot await. */
#define GY_CLEANUP(f)                                                                              \
    return gy__flow_leave(&(f)->flow, 0);                                                          \
    GY__FLOW_CUT("GY_CLEANUP must stand in the top block of the flow, once");                      \
    GY__FLOW_LEVEL(3);                                                                             \
    case GY__FLOW_CLEANUP_LINE: {                                                                  \
        GY__FLOW_LEVEL(2);

/* ---- how it is done ---- */

/* Close the block; what it closed must have been the one that an await, or the like, had opened. */
#define GY__FLOW_CUT(text)                                                                         \
    }                                                                                              \
    GY_STATIC_ASSERT(sizeof(struct gy__flow_level) == 1, text)
#define GY__FLOW_SUSPEND(f, awaits_)                                                               \
    return gy__flow_await(&(f)->flow, __LINE__, awaits_);                                          \
    GY__FLOW_CUT("an await must stand in the top block of the flow: not in a block of C, nor in "  \
                 "the clean-up");                                                                  \
    case __LINE__: {                                                                               \
        GY__FLOW_LEVEL(2)
/* Begins with a declaration, so that it cannot be the body of an if without braces. */
#define GY__FLOW_AWAIT_GROUP(f, group, ...)                                                        \
    const gy_fut gy__inputs[] = { __VA_ARGS__ };                                                   \
    const gy_fut gy__awaits = group(gy__inputs, sizeof(gy__inputs) / sizeof(gy__inputs[0]));       \
    GY__FLOW_SUSPEND(f, gy__awaits)
#define GY__FLOW_OPEN(head)                                                                        \
    GY__FLOW_CUT("GY_WHILE, GY_FOR and GY_IF must stand in the top block of the flow");            \
    head {                                                                                         \
        GY__FLOW_LEVEL(1);                                                                         \
        {                                                                                          \
            GY__FLOW_LEVEL(2);
#define GY__FLOW_CLEANUP_LINE 0xFFFFFFFFu

/* How deep the code stands is the size of this struct, looked up by scope: 1 between the blocks
 * that awaits open and close, 2 inside them, 3 where no await may stand any more. The inner hides
 * the outer, which is the point, and what -Wshadow of g++ would tell the user of: hence the
 * pragma, for the lines that follow it. */
#ifdef __cplusplus
#pragma GCC system_header
#endif
#define GY__FLOW_LEVEL(n)                                                                          \
    struct gy__flow_level {                                                                        \
        char gy__size[n];                                                                          \
    }

#endif
