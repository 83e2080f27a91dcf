/* gyre/process.h - other programs, started and watched by an actor.
 *
 * A process is described, not coded: between its birth and its exec nothing of the program's runs.
 * It is born on a thread of the pool for blocking work, never on a shard, by a clone that shares
 * memory until the exec (vfork(2), clone(2)); so it costs the same however large the program is,
 * and no lock of another thread is left taken. It starts with no signal blocked or ignored, and
 * with the descriptors it was given and no others (close_range(2)). The environment of this program
 * is read there: it is not to be changed (setenv(3)) while processes are started.
 *
 * The future of its exit stands for it: what is done to a process takes that future. The exit is
 * noticed by a pidfd on the ring (pidfd_open(2)): nothing polls, and nobody's children but those
 * started or watched here are ever waited for. A program that itself waits for any child (waitpid(-1))
 * or ignores SIGCHLD takes the status away: `known` is then 0. */
#ifndef GYRE_PROCESS_H
#define GYRE_PROCESS_H

#include "gyre/future.h"
#include "gyre/stream.h"

#include <string.h>

GY_BEGIN_DECLS

/* What a descriptor of the new process is. */
enum gy_process_io_kind {
    GY_IO_INHERIT, /* the same as in this program; closed if it is closed here, or close-on-exec */
    GY_IO_NULL,    /* /dev/null */
    GY_IO_TO,      /* a new pipe from this program: a stream that only sends; closing it is the end */
    GY_IO_FROM,    /* a new pipe to this program: a stream that only receives */
    GY_IO_READ,    /* the file at path, to be read */
    GY_IO_WRITE,   /* the file at path, made if need be (mode 0666 less the umask) and emptied */
    GY_IO_APPEND,  /* the file at path, made if need be, written at its end */
    GY_IO_FD,      /* descriptor fd of this program: borrowed until started() or the end */
    GY_IO_KINDS
};
struct gy_process_io {
    uint8_t kind;     /* enum gy_process_io_kind */
    int32_t number;   /* of the descriptor in the process; of in, out and err it is known */
    int32_t fd;       /* of GY_IO_FD */
    const char *path; /* of the files */
    /* Of pipes: borrowed while the stream lives. opened() is called before started(). If what sends
     * is left by the process (it has ended, or closed its end), that is told by the next send: -EPIPE. */
    const struct gy_stream_events *events;
    void *context; /* of the stream */
};

/* More descriptors than in, out and err. */
#define GY_PROCESS_MORE_MAX 13

enum gy_process_flags {
    GY_PROCESS_ENV_ONLY = 1, /* env is the whole environment; otherwise it is added to this program's */
    GY_PROCESS_GROUP = 2,    /* a process group of its own, to which signals then go (setpgid(2)) */
    GY_PROCESS_SESSION = 4,  /* a session, and so a group, of its own (setsid(2)) */
    /* It lives on when nobody waits for it any more: its actor has ended, the future was discarded
     * or is late. It is then still reaped, until the runtime stops. Without this flag it gets SIGKILL
     * then, and also when this program dies of whatever (PR_SET_PDEATHSIG). */
    GY_PROCESS_LEAVE = 8
};

struct gy_process_spec {
    size_t size; /* sizeof this struct; by gy_process_spec_init() */
    /* The program: a path, or a name without '/' that is looked for in the PATH of its environment.
     * A script needs its #! line (execve(2)). Relative paths, also those of files, start from cwd. */
    const char *path;
    const char *const *argv; /* ends with NULL; NULL: only path */
    const char *const *env;  /* "NAME=value", ends with NULL; NULL: none */
    const char *cwd;         /* NULL: that of this program */
    uint32_t flags;          /* enum gy_process_flags */
    struct gy_process_io in, out, err; /* descriptors 0, 1, 2 */
    const struct gy_process_io *more;  /* of other numbers, each once, from 3 to 1023 */
    uint32_t more_count;               /* up to GY_PROCESS_MORE_MAX */
    /* It runs. NULL: nobody wants to know. */
    void (*started)(struct gy_actor *self, void *context, int32_t pid);
    void *context;
};
/* A program without arguments that has what this program has. path: borrowed while spec is used. */
GY_INLINE void gy_process_spec_init(struct gy_process_spec *spec, const char *path)
{
    memset(spec, 0, sizeof(*spec));
    spec->size = sizeof(*spec);
    spec->path = path;
}

/* How a process ended. */
struct gy_process_exit_reply {
    int32_t pid;
    int32_t code;   /* of exit(), when signal is 0 */
    int32_t signal; /* that ended it, or 0 */
    uint8_t core;   /* it left a core dump */
    uint8_t known;  /* 0: it ended, nobody knows how: it was no child of this program's, or somebody
                     * else has waited for it */
};
/* Typed as an answer: GY_THEN(actor, on_exit, gy_process, exit). */
typedef struct gy_process_exit_fut {
    gy_fut fut;
} gy_process_exit_fut;
GY_MUST_CHECK GY_INLINE int gy_process_exit_value(gy_process_exit_fut f,
                                                  struct gy_process_exit_reply *out)
{
    return gy_value_raw(f.fut, out, sizeof(*out));
}

/* Start a process. spec and all it points to: copied, but for events, contexts and descriptors. The
 * future is ready when the process has ended and was reaped, whatever its status; it fails with the
 * errno of the step that failed when it could not be started, and a line in the log then says
 * which ("exec /x/y: No such file or directory"), and none of its streams is opened. Its pipes, being streams, may still have bytes to
 * give then: closed() of each tells.
 *
 * A discard, a deadline and the actor's end: see GY_PROCESS_LEAVE; one to be killed that was not born
 * yet never is. After gy_forget() it goes on until it or its actor ends. A drain does not wait for processes, nor for their pipes; a stop ends
 * those that are not to be left, and waits until they are reaped.
 * -> the future, refused: -EINVAL a spec that cannot be (a line is logged); -EAGAIN no record, or no
 * buffer for the copy. Later: -EAGAIN also when the queue of the pool is full. Cost: a future, a
 * record, while it is being born a buffer; on a thread of the pool some 200 us. */
GY_API GY_MUST_CHECK gy_process_exit_fut gy_process_start_raw(struct gy_actor *self,
                                                              const struct gy_process_spec *spec);
/* Wait for a process that was not started here, by its pid: known only if it is a child of this
 * program's, which is then reaped. A discard and the actor's end only end the watch.
 * -> as gy_process_start_raw; later -ESRCH: no such process. */
GY_API GY_MUST_CHECK gy_process_exit_fut gy_process_watch_raw(struct gy_actor *self, int32_t pid);

/* Send it a signal; with a group of its own, to all of that. It cannot reach a stranger: the pid is
 * free only after the future has ended. Before it is born the signal is kept, and sent then (the
 * last one counts). -> 0; -ESRCH it has ended; -EINVAL no such signal; -EPERM. */
GY_API int gy_process_kill(gy_process_exit_fut process, int signal);
/* Ask it to end (SIGTERM), and end it (SIGKILL) if it has not after grace_ns. -> as gy_process_kill. */
GY_API int gy_process_end(gy_process_exit_fut process, uint64_t grace_ns);

/* Run a program, and have how it ended and what it wrote, up to max bytes (256 MiB at most) to its standard output and its
 * errors together:
 *
 *     gy_process_spec_init(&spec, "git");
 *     spec.argv = (const char *const[]){ "git", "rev-parse", "HEAD", NULL };
 *     spec.in.kind = GY_IO_NULL;
 *     gy_process_output_fut f = gy_process_output(self, &spec, 4096);
 *     gy_deadline(f.fut, 5 * GY_S);
 *     (void)gy_then(self, f, on_head, 0);
 *     ...
 *     GY_THEN_REPLY_BUF(builder, on_head, gy_process, output)
 *     {
 *         if (res < 0 || value->code != 0 || value->signal != 0)
 *             ...
 *         use(buf->data, value->out);
 *         gy_buf_release(buf);
 *     }
 *
 * The future is ready when the process has ended and both are at their ends, which those whom it started may
 * hold open for longer. Its buffer holds `out` bytes of output, then `err` bytes of errors; no buffer if there
 * are none. As gy_process_start_raw(), but for out and err of the spec, which are not looked at, and
 * GY_PROCESS_LEAVE, which it has not: a discard, a deadline and the actor's end kill it. Fails with -EMSGSIZE,
 * when it was killed because it wrote more than max; -EAGAIN no buffer. Refused: -EINVAL max is above 256 MiB. */
struct gy_process_output_reply {
    int32_t pid, code, signal; /* as of an exit */
    uint8_t core, known;
    uint32_t out, err; /* bytes */
};
typedef struct gy_process_output_fut {
    gy_fut fut;
} gy_process_output_fut;
GY_MUST_CHECK GY_INLINE int gy_process_output_value(gy_process_output_fut f,
                                                    struct gy_process_output_reply *out)
{
    return gy_value_raw(f.fut, out, sizeof(*out));
}
GY_API GY_MUST_CHECK gy_process_output_fut gy_process_output_raw(struct gy_actor *self,
                                                                 const struct gy_process_spec *spec,
                                                                 uint32_t max);

GY_END_DECLS

#define gy_process_output(self, spec, max) gy_process_output_raw(&(self)->actor, (spec), (max))
#define gy_process_start(self, spec) gy_process_start_raw(&(self)->actor, (spec))
#define gy_process_watch(self, pid) gy_process_watch_raw(&(self)->actor, (pid))

#endif
