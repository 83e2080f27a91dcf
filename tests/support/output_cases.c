#include "tests/support/output_cases.h"

#include "gyre/buf.h"

#include <string.h>

struct output_cases_actor {
    struct gy_actor actor;
    struct output_cases *cases;
};

static void run(struct output_cases_actor *self, unsigned i);

GY_THEN_REPLY_BUF(output_cases_actor, on_output, gy_process, output)
{
    struct output_case *it = &self->cases->cases[ctx];
    it->res = res;
    if (value != NULL)
        it->reply = *value;
    if (buf != NULL) {
        it->len = buf->len;
        memcpy(it->text, buf->data, buf->len < sizeof(it->text) ? buf->len : sizeof(it->text) - 1);
    }
    gy_buf_release(buf);
    run(self, (unsigned)ctx + 1);
}

static void run(struct output_cases_actor *self, unsigned i)
{
    struct gy_process_spec spec;
    if (i == self->cases->count) {
        self->cases->ended = 1;
        return;
    }
    struct output_case *it = &self->cases->cases[i];
    gy_process_spec_init(&spec, it->argv[0]);
    spec.argv = it->argv;
    spec.in.kind = GY_IO_NULL;
    gy_process_output_fut f = gy_process_output(self, &spec, it->max);
    if (it->deadline_ns > 0)
        gy_deadline(f.fut, it->deadline_ns);
    (void)gy_then(self, f, on_output, i);
}

static int cases_start(struct output_cases_actor *self, const struct output_cases_actor_args *args)
{
    self->cases = args->cases;
    run(self, 0);
    return 0;
}
static void cases_stop(struct output_cases_actor *self, int why)
{
    (void)self, (void)why;
}
GY_ACTOR_TYPE(output_cases_actor, cases_start, cases_stop);
