/* gyre/typed.h - the type-checked skin over gyre/core.h. For actor A and verb V
 *   you write   struct A, struct A_args, struct A_V_msg, (calls) struct A_V_reply, and the handler
 *               void A_on_V(struct A *self, const struct A_V_msg *msg)                       cast
 *               void A_on_V(struct A *self, const struct A_V_msg *msg, A_V_promise reply)    call
 *   you get     A_spawn(), the sender A_V(), for casts A_V_later() and A_V_post(), and for calls
 *               A_V_fut, A_V_promise, A_V_resolve(), A_V_reject(), A_V_keep(), A_V_value()
 * What is larger than a message travels in a buffer beside it (gyre/buf.h), which is moved, never copied:
 *               void A_on_V(struct A *self, const struct A_V_msg *msg, struct gy_buf *buf)   cast
 *               void A_on_V(struct A *self, const struct A_V_msg *msg, struct gy_buf *buf,
 *                           A_V_promise reply)                                               call
 * The handler is given the buffer; the sender A_V(to, msg, buf) of a cast has it taken only if 0 is
 * returned, that of a call in every case, and A_V_resolve_buf(reply, value, buf) in every case.
 * In the header: GY_ACTOR(A), then GY_CAST(A, V), GY_CALL(A, V), GY_CAST_BUF(A, V) or GY_CALL_BUF(A, V),
 * and GY_REPLY_BUF(A, V) behind a call whose answer may carry one. In the one .c: GY_ACTOR_TYPE(A,
 * start, stop), then GY_VERB(A, V) for each verb. A macro that is given the name of a function of yours
 * declares it, here and in other headers: behind GY_THEN and its like a semicolon may follow, or the
 * body; behind GY_HTTP, GY_WS and GY_ACTOR_TYPE a semicolon. Nothing here allocates; every function is
 * a one-line inline over gyre/core.h. */
#ifndef GYRE_TYPED_H
#define GYRE_TYPED_H

#include "gyre/ask.h"
#include "gyre/buf.h"
#include "gyre/core.h"
#include "gyre/future.h"
#include "gyre/timer.h"

#include <string.h>

#define GY_FITS(T)                                                                                 \
    GY_STATIC_ASSERT(sizeof(T) <= GY_MSG_INLINE, #T " does not fit a message: send a gy_buf")

/* Beside a buffer there is less room. */
#define GY_FITS_BUF(T)                                                                             \
    GY_STATIC_ASSERT(sizeof(T) <= GY_MSG_INLINE_WITH_BUF, #T " does not fit beside a buffer")

#define GY_ACTOR(A)                                                                                \
    struct A;                                                                                      \
    struct A##_args;                                                                               \
    typedef struct A##_pid {                                                                       \
        gy_pid pid;                                                                                \
    } A##_pid;                                                                                     \
    GY_EXTERN const struct gy_actor_type A##_type;                                                 \
    GY_MUST_CHECK GY_INLINE int A##_spawn(A##_pid *out, const struct A##_args *args)               \
    {                                                                                              \
        return gy_spawn_raw(&out->pid, &A##_type, args);                                           \
    }                                                                                              \
    typedef struct A##_spawn_fut {                                                                 \
        gy_fut fut;                                                                                \
    } A##_spawn_fut;                                                                               \
    struct A##_spawn_reply {                                                                       \
        A##_pid pid;                                                                               \
    };                                                                                             \
    GY_MUST_CHECK GY_INLINE A##_spawn_fut A##_spawn_on(unsigned shard, const struct A##_args *args) \
    {                                                                                              \
        A##_spawn_fut f;                                                                           \
        f.fut = gy_spawn_on_raw(shard, &A##_type, args);                                           \
        return f;                                                                                  \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_spawn_value(A##_spawn_fut f, struct A##_spawn_reply *out)      \
    {                                                                                              \
        return gy_value_raw(f.fut, out, sizeof(*out));                                             \
    }                                                                                              \
    GY_EXTERN const struct gy_actor_type A##_type

#define GY_CAST(A, V)                                                                              \
    GY_EXTERN void A##_on_##V(struct A *self, const struct A##_##V##_msg *msg);                    \
    GY_EXTERN const struct gy_verb A##_##V##_verb;                                                 \
    enum { A##_##V##_flags = 0 };                                                                  \
    GY_INLINE void A##_##V##_run(struct gy_actor *a, const void *m, struct gy_buf *b, gy_promise p) \
    {                                                                                              \
        (void)b, (void)p;                                                                          \
        A##_on_##V((struct A *)(void *)a, (const struct A##_##V##_msg *)m);                        \
    }                                                                                              \
    GY_FITS(struct A##_##V##_msg);                                                                 \
    GY_MUST_CHECK GY_INLINE int A##_##V(A##_pid to, struct A##_##V##_msg msg)                      \
    {                                                                                              \
        GY_WORDS(w, msg);                                                                          \
        if (sizeof(msg) <= GY_MSG_SHORT)                                                           \
            return gy_cast_short(to.pid, &A##_##V##_verb, w[0], w[1]);                             \
        return gy_cast_words(to.pid, &A##_##V##_verb, w[0], w[1], w[2], w[3]);                     \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_##V##_later(gy_delay *out, A##_pid to, uint64_t after_ns,      \
                                                struct A##_##V##_msg msg)                          \
    {                                                                                              \
        GY_WORDS(w, msg);                                                                          \
        return gy_delay_words(out, to.pid, &A##_##V##_verb, after_ns, w[0], w[1], w[2], w[3]);     \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_##V##_post(struct gy_runtime *rt, A##_pid to,                  \
                                               struct A##_##V##_msg msg)                           \
    {                                                                                              \
        GY_WORDS(w, msg);                                                                          \
        return gy_post_raw(rt, to.pid, &A##_##V##_verb, w);                                        \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

/* What both kinds of calls have. */
#define GY_CALL_TYPES(A, V)                                                                        \
    typedef struct A##_##V##_fut {                                                                 \
        gy_fut fut;                                                                                \
    } A##_##V##_fut;                                                                               \
    typedef struct A##_##V##_promise {                                                             \
        gy_promise promise;                                                                        \
    } A##_##V##_promise;                                                                           \
    GY_FITS(struct A##_##V##_reply);                                                               \
    GY_INLINE int A##_##V##_resolve(A##_##V##_promise p, struct A##_##V##_reply value)             \
    {                                                                                              \
        GY_WORDS(w, value);                                                                        \
        if (sizeof(value) <= GY_MSG_SHORT)                                                         \
            return gy_resolve_short(p.promise, sizeof(value), w[0], w[1]);                         \
        return gy_resolve_words(p.promise, sizeof(value), w[0], w[1], w[2], w[3]);                 \
    }                                                                                              \
    GY_INLINE int A##_##V##_reject(A##_##V##_promise p, int err)                                   \
    {                                                                                              \
        return gy_reject(p.promise, err);                                                          \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_##V##_keep(A##_##V##_promise p)                                \
    {                                                                                              \
        return gy_keep(p.promise);                                                                 \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_##V##_value(A##_##V##_fut f, struct A##_##V##_reply *out)      \
    {                                                                                              \
        return gy_value_raw(f.fut, out, sizeof(*out));                                             \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

#define GY_CALL(A, V)                                                                              \
    GY_CALL_TYPES(A, V);                                                                           \
    GY_EXTERN void A##_on_##V(struct A *self, const struct A##_##V##_msg *msg,                     \
                              A##_##V##_promise reply);                                            \
    enum { A##_##V##_flags = GY_VERB_CALL };                                                       \
    GY_INLINE void A##_##V##_run(struct gy_actor *a, const void *m, struct gy_buf *b, gy_promise p) \
    {                                                                                              \
        A##_##V##_promise reply;                                                                   \
        (void)b;                                                                                   \
        reply.promise = p;                                                                         \
        A##_on_##V((struct A *)(void *)a, (const struct A##_##V##_msg *)m, reply);                 \
    }                                                                                              \
    GY_FITS(struct A##_##V##_msg);                                                                 \
    GY_MUST_CHECK GY_INLINE A##_##V##_fut A##_##V(A##_pid to, struct A##_##V##_msg msg)            \
    {                                                                                              \
        A##_##V##_fut f;                                                                           \
        GY_WORDS(w, msg);                                                                          \
        f.fut = sizeof(msg) <= GY_MSG_SHORT ?                                                      \
                    gy_call_short(to.pid, &A##_##V##_verb, w[0], w[1]) :                           \
                    gy_call_words(to.pid, &A##_##V##_verb, w[0], w[1], w[2], w[3]);                \
        return f;                                                                                  \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int A##_##V##_ask(struct gy_runtime *rt, A##_pid to,                   \
                                              struct A##_##V##_msg msg,                            \
                                              struct A##_##V##_reply *reply, uint64_t timeout_ns)  \
    {                                                                                              \
        GY_WORDS(w, msg);                                                                          \
        return gy_ask_raw(rt, to.pid, &A##_##V##_verb, w, reply, sizeof(*reply), timeout_ns);      \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

#define GY_CAST_BUF(A, V)                                                                          \
    GY_EXTERN void A##_on_##V(struct A *self, const struct A##_##V##_msg *msg, struct gy_buf *buf); \
    GY_EXTERN const struct gy_verb A##_##V##_verb;                                                 \
    enum { A##_##V##_flags = GY_VERB_BUF };                                                        \
    GY_INLINE void A##_##V##_run(struct gy_actor *a, const void *m, struct gy_buf *b, gy_promise p) \
    {                                                                                              \
        (void)p;                                                                                   \
        A##_on_##V((struct A *)(void *)a, (const struct A##_##V##_msg *)m, b);                     \
    }                                                                                              \
    GY_FITS_BUF(struct A##_##V##_msg);                                                             \
    GY_MUST_CHECK GY_INLINE int A##_##V(A##_pid to, struct A##_##V##_msg msg, struct gy_buf *buf)  \
    {                                                                                              \
        GY_WORDS(w, msg);                                                                          \
        return gy_cast_words(to.pid, &A##_##V##_verb, w[0], w[1], w[2], (uint64_t)(uintptr_t)buf); \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

#define GY_CALL_BUF(A, V)                                                                          \
    GY_CALL_TYPES(A, V);                                                                           \
    GY_EXTERN void A##_on_##V(struct A *self, const struct A##_##V##_msg *msg, struct gy_buf *buf, \
                              A##_##V##_promise reply);                                            \
    enum { A##_##V##_flags = GY_VERB_CALL | GY_VERB_BUF };                                         \
    GY_INLINE void A##_##V##_run(struct gy_actor *a, const void *m, struct gy_buf *b, gy_promise p) \
    {                                                                                              \
        A##_##V##_promise reply;                                                                   \
        reply.promise = p;                                                                         \
        A##_on_##V((struct A *)(void *)a, (const struct A##_##V##_msg *)m, b, reply);              \
    }                                                                                              \
    GY_FITS_BUF(struct A##_##V##_msg);                                                             \
    GY_MUST_CHECK GY_INLINE A##_##V##_fut A##_##V(A##_pid to, struct A##_##V##_msg msg,            \
                                                  struct gy_buf *buf)                              \
    {                                                                                              \
        A##_##V##_fut f;                                                                           \
        GY_WORDS(w, msg);                                                                          \
        f.fut = gy_call_words(to.pid, &A##_##V##_verb, w[0], w[1], w[2],                           \
                              (uint64_t)(uintptr_t)buf);                                           \
        return f;                                                                                  \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

/* Behind GY_CALL or GY_CALL_BUF: an answer of this verb may carry a buffer beside its value. */
#define GY_REPLY_BUF(A, V)                                                                         \
    GY_FITS_BUF(struct A##_##V##_reply);                                                           \
    GY_INLINE int A##_##V##_resolve_buf(A##_##V##_promise p, struct A##_##V##_reply value,         \
                                        struct gy_buf *buf)                                        \
    {                                                                                              \
        return gy_resolve_raw(p.promise, 0, &value, sizeof(value), buf);                           \
    }                                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb

/* A message as four words, zero where it ends early. */
#define GY_WORDS(words, msg)                                                                       \
    uint64_t words[GY_MSG_INLINE / 8] = { 0, 0, 0, 0 };                                            \
    memcpy(words, &(msg), sizeof(msg))

/* In the caller's .c: F() runs on actor C when a future of A's verb V completes; value is NULL when
 * res < 0, or when what came (from gy_resolve_raw) is not of the reply's size; a buffer that comes is
 * released. Use it as gy_then(self, future, F, ctx). */
#define GY_THEN(C, F, A, V)                                                                        \
    static void F(struct C *self, uint64_t ctx, int res, const struct A##_##V##_reply *value);     \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        int fits = d->size == sizeof(struct A##_##V##_reply);                                      \
        if (d->buf) {                                                                              \
            gy_done_bare(self, d, F##_run);                                                        \
            return;                                                                                \
        }                                                                                          \
        F((struct C *)(void *)self, d->ctx, d->res,                                                \
          fits ? (const struct A##_##V##_reply *)d->value : NULL);                                 \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, A##_##V##_fut f, uint64_t ctx)                          \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f.fut, F##_run, ctx);                  \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, const struct A##_##V##_reply *value)

/* The same for a verb with GY_REPLY_BUF: buf is given to F, NULL if none came. */
#define GY_THEN_REPLY_BUF(C, F, A, V)                                                              \
    static void F(struct C *self, uint64_t ctx, int res, const struct A##_##V##_reply *value,      \
                  struct gy_buf *buf);                                                             \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        int fits = d->size == sizeof(struct A##_##V##_reply);                                      \
        F((struct C *)(void *)self, d->ctx, d->res,                                                \
          fits ? (const struct A##_##V##_reply *)d->value : NULL, d->buf);                         \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, A##_##V##_fut f, uint64_t ctx)                          \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f.fut, F##_run, ctx);                  \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, const struct A##_##V##_reply *value,      \
                  struct gy_buf *buf)

/* The same for a bare gy_fut (gy_after): no value, only res; a buffer that comes is released. */
#define GY_THEN_RES(C, F)                                                                          \
    static void F(struct C *self, uint64_t ctx, int res);                                          \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        if (d->buf) {                                                                              \
            gy_done_bare(self, d, F##_run);                                                        \
            return;                                                                                \
        }                                                                                          \
        F((struct C *)(void *)self, d->ctx, d->res);                                               \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, gy_fut f, uint64_t ctx)                                 \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f, F##_run, ctx);                      \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res)
/* The same for one whose outcome is a buffer (gyre/file.h): given to F, NULL if there is none. */
#define GY_THEN_BUF(C, F)                                                                          \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_buf *buf);                      \
    static void F##_run(struct gy_actor *self, const struct gy_done *d)                            \
    {                                                                                              \
        F((struct C *)(void *)self, d->ctx, d->res, d->buf);                                       \
    }                                                                                              \
    GY_INLINE int F##_then(struct C *self, gy_fut f, uint64_t ctx)                                 \
    {                                                                                              \
        return gy_then_raw((struct gy_actor *)(void *)self, f, F##_run, ctx);                      \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx, int res, struct gy_buf *buf)
/* For whatever F was declared by. A compiler that does not know F_then: F was not declared by GY_THEN or its like. */
#define gy_then(self, fut, F, ctx) F##_then((self), (fut), (ctx))

/* In the caller's .c: F() runs on actor C when there may be room again after -EAGAIN. */
#define GY_ROOM(C, F)                                                                              \
    static void F(struct C *self, uint64_t ctx);                                                   \
    static void F##_run(struct gy_actor *self, uint64_t ctx)                                       \
    {                                                                                              \
        F((struct C *)(void *)self, ctx);                                                          \
    }                                                                                              \
    GY_MUST_CHECK GY_INLINE int F##_again(struct C *self, gy_pid to, uint64_t ctx)                 \
    {                                                                                              \
        return gy_room_again_raw((struct gy_actor *)(void *)self, to, F##_run, ctx);               \
    }                                                                                              \
    static void F(struct C *self, uint64_t ctx)
#define gy_room_again(self, to, F, ctx) F##_again((self), (to), (ctx))

/* In the actor's .c: the one definition of its type. */
#define GY_ACTOR_TYPE(A, start_, stop_)                                                            \
    static int start_(struct A *self, const struct A##_args *args);                                \
    static void stop_(struct A *self, int why);                                                    \
    static int A##_type_start(struct gy_actor *a, const void *args)                                 \
    {                                                                                              \
        return start_((struct A *)(void *)a, (const struct A##_args *)args);                       \
    }                                                                                              \
    static void A##_type_stop(struct gy_actor *a, int why)                                          \
    {                                                                                              \
        stop_((struct A *)(void *)a, why);                                                         \
    }                                                                                              \
    GY_STATIC_ASSERT(offsetof(struct A, actor) == 0, "struct gy_actor must be the first member");  \
    GY_EXTERN const struct gy_actor_type A##_type;                                                 \
    const struct gy_actor_type A##_type = { #A, sizeof(struct A), sizeof(struct A##_args),         \
                                            A##_type_start, A##_type_stop }

/* In the actor's .c: the one definition of a verb. */
#define GY_VERB(A, V)                                                                              \
    GY_EXTERN const struct gy_verb A##_##V##_verb;                                                 \
    const struct gy_verb A##_##V##_verb = { #A "." #V, &A##_type, A##_##V##_run,                   \
                                            sizeof(struct A##_##V##_msg), A##_##V##_flags }

#endif
