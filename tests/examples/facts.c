/* What the machine is called, and who is asked for that: a file read in one call, a program run for its output.
 *
 *     gyre-facts [FILE]
 *
 * Prints the first line of FILE (/etc/hostname), then that of `uname -s -r`, each with a limit and a deadline, and
 * ends: 0, or 1 if one of them could not be had, which the log says. Each is one future, and a flow awaits both. */
#include "gyre/args.h"
#include "gyre/buf.h"
#include "gyre/file.h"
#include "gyre/flow.h"
#include "gyre/process.h"
#include "gyre/run.h"
#include "gyre/typed.h"

#include <errno.h>
#include <string.h>

#define TEXT_MAX 65536

static int result; /* of the program: read when the runtime has ended */

struct facts_args {
    const char *path; /* borrowed while the runtime lives */
};
GY_ACTOR(facts);
struct facts {
    struct gy_actor actor;
    const char *path;
};

struct tell {
    struct gy_flow flow;
    gy_fut file;
    gy_process_output_fut uname;
};
GY_FLOW(facts, tell);

static void say(const char *what, const struct gy_buf *text)
{
    const char *end = text == NULL ? NULL : memchr(text->data, '\n', text->len);
    uint32_t len = text == NULL ? 0 : end != NULL ? (uint32_t)(end - (const char *)text->data) : text->len;
    gy_log("%s: %.*s", what, (int)len, text == NULL ? "" : (const char *)text->data);
}

static gy_process_output_fut run_uname(struct facts *self)
{
    const char *const argv[] = {"uname", "-s", "-r", NULL};
    struct gy_process_spec spec;
    gy_process_spec_init(&spec, "uname"); /* all of it is copied by the call */
    spec.argv = argv;
    spec.in.kind = GY_IO_NULL;
    return gy_process_output(self, &spec, TEXT_MAX);
}

GY_FLOW_BEGIN(facts, self, tell, f)
    /* Both are under way at the same time. */
    f->file = gy_path_read(self->path, TEXT_MAX);
    f->uname = run_uname(self);
    gy_deadline(f->file, 5 * GY_S);
    gy_deadline(f->uname.fut, 5 * GY_S);
    GY_AWAIT(f, f->file);
    if (f->flow.res < 0)
        GY_LEAVE(f, f->flow.res);
    struct gy_buf *text = gy_value_buf(f->file);
    say(self->path, text);
    gy_buf_release(text);
    GY_AWAIT(f, f->uname.fut);
    struct gy_process_output_reply how;
    if (gy_process_output_value(f->uname, &how) < 0 || how.code != 0 || how.signal != 0)
        GY_LEAVE(f, f->flow.res < 0 ? f->flow.res : -EIO);
    struct gy_buf *output = gy_value_buf(f->uname.fut); /* then what it wrote as errors, if it did */
    say("uname", output);
    gy_buf_release(output);
GY_CLEANUP(f)
    result = f->flow.why;
    gy_stop(gy_runtime_of_shard());
GY_FLOW_END(f)

static int facts_start(struct facts *self, const struct facts_args *args)
{
    self->path = args->path;
    gy_fut fut = tell_start(self, &(struct tell){ .file = { 0 } });
    int err = gy_refused(fut);
    gy_forget(fut);
    return err;
}
static void facts_stop(struct facts *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(facts, facts_start, facts_stop);

static int boot(unsigned shard, void *arg)
{
    facts_pid pid;
    return shard > 0 ? 0 : facts_spawn(&pid, &(struct facts_args){ arg });
}

int main(int argc, char **argv)
{
    static const struct gy_program program = { .about = "Says what the machine is called.",
                                               .arguments = "[FILE]" };
    struct gy_config config;
    gy_config_init(&config);
    config.handle_signals = true;
    int err = gy_args(&config, &program, &argc, argv);
    if (err == 0)
        err = gy_run(&config, boot, argc > 1 ? argv[1] : (char[]){ "/etc/hostname" });
    return gy_exit_status(err < 0 ? err : result);
}
