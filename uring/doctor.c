/* --doctor (see doctor.h): one function per line of the report, each independent of the others, so
 * that one thing that cannot be found out hides nothing else. "warn" is for what costs latency or
 * will end at a limit; only what prevents a start is "FAIL". */
#include "uring/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "core/cpuset.h"
#include "uring/plan.h"
#include "uring/probe.h"
#include "uring/refused.h"
#include "uring/sysfile.h"
#include "uring/topology.h"

struct visit {
    const struct gy_config *cfg;
    const char *root;
    struct gy__text *out;
    struct gy__topology topology;
    struct gy__plan plan;
    bool has_plan;
    int err; /* the worst */
};

enum verdict { OK, WARN, FAIL };

/* Begins a line; the caller completes it, the newline included. */
static void begin(struct visit *v, enum verdict verdict, const char *what)
{
    static const char *const words[] = {"ok  ", "warn", "FAIL"};
    gy__text_printf(v->out, "%s  %s: ", words[verdict], what);
}

static void append_limit(struct visit *v, int64_t limit)
{
    if (limit == GY__LIMIT_NONE)
        gy__text_string(v->out, "unlimited");
    else if (limit == GY__LIMIT_UNKNOWN)
        gy__text_string(v->out, "not visible here");
    else
        gy__text_size(v->out, (uint64_t)limit);
}

static uint32_t shards(const struct visit *v)
{
    return v->has_plan ? v->plan.shards : 1;
}

static void check_kernel(struct visit *v)
{
    char release[64];
    if (gy__sysfile_read(v->root, "/proc/sys/kernel/osrelease", release, sizeof(release)) <= 0)
        (void)snprintf(release, sizeof(release), "unknown");
    begin(v, OK, "kernel");
    gy__text_printf(v->out, "%s (6.1 or newer is needed; what follows was tried, not looked up)\n",
                    release);
}

static void check_ring(struct visit *v)
{
    struct gy__probe probe;
    gy__probe_run(&probe, v->cfg);
    if (probe.err < 0) {
        begin(v, FAIL, "ring set-up");
        v->err = gy__refused_explain(v->root, probe.err, v->out);
        gy__text_char(v->out, '\n');
        return;
    }
    begin(v, OK, "ring set-up");
    gy__probe_flags(probe.flags, v->out);
    gy__text_printf(v->out, "; sq %u cq %u\n", v->cfg->sq_entries, v->cfg->cq_entries);
    int err = probe.buffers_err < 0 ? probe.buffers_err : probe.multishot_err;
    begin(v, err < 0 ? FAIL : OK, "receive buffers");
    if (err < 0) {
        v->err = -ENOSYS;
        gy__text_printf(v->out, "%s: multishot receives do not work here\n", strerror(-err));
    } else {
        gy__text_string(v->out, "the kernel fills them, one receive serves a connection\n");
    }
    begin(v, OK, "ring extras");
    gy__text_printf(v->out, "wake by %s, children by %s\n", probe.msg_ring ? "MSG_RING" : "eventfd",
                    probe.waitid ? "WAITID" : "pidfd");
}

/* What a ring is charged with: 64 bytes per entry to submit, 16 per completion, whole pages of
 * each, and a page for its head. */
static uint64_t ring_bytes(const struct gy_config *cfg)
{
    uint64_t sq = (uint64_t)cfg->sq_entries * 64, cq = (uint64_t)cfg->cq_entries * 16;
    return ((sq + 4095) & ~UINT64_C(4095)) + ((cq + 4095) & ~UINT64_C(4095)) + 4096;
}

/* CAP_IPC_LOCK lifts the limit. */
static void check_memlock(struct visit *v)
{
    int64_t limit = gy__sysfile_limit(v->root, "Max locked memory");
    uint64_t need = ring_bytes(v->cfg) * shards(v);
    bool exempt = gy__sysfile_capable(v->root, CAP_IPC_LOCK);
    bool tight = limit >= 0 && !exempt && need > (uint64_t)limit;
    begin(v, tight ? WARN : OK, "locked memory");
    gy__text_string(v->out, "the rings need ");
    gy__text_size(v->out, need);
    gy__text_string(v->out, ", RLIMIT_MEMLOCK is ");
    append_limit(v, limit);
    gy__text_string(v->out, exempt  ? " and CAP_IPC_LOCK lifts it\n"
                            : tight ? ": raise it, or lower --cq-entries\n"
                                    : "\n");
}

static void check_files(struct visit *v)
{
    int64_t limit = gy__sysfile_limit(v->root, "Max open files");
    uint64_t want = (uint64_t)v->cfg->streams_max * shards(v);
    bool tight = limit >= 0 && (uint64_t)limit < want;
    begin(v, tight ? WARN : OK, "open files");
    gy__text_printf(v->out, "--streams allows %" PRIu64 " connections, RLIMIT_NOFILE is ", want);
    append_limit(v, limit);
    gy__text_string(v->out, tight ? ": raise it to have that many\n" : "\n");
}

static void check_cpus(struct visit *v)
{
    char cause[256];
    struct gy__text why;
    gy__text_init(&why, cause, sizeof(cause));
    int err = gy__topology_read(&v->topology, v->root, NULL);
    if (err < 0) {
        begin(v, WARN, "CPUs");
        gy__text_printf(v->out, "the affinity mask is unreadable: %s\n", strerror(-err));
        return;
    }
    err = gy__plan_make(&v->plan, v->cfg, &v->topology, &why);
    v->has_plan = err == 0;
    begin(v, err < 0 ? FAIL : v->plan.crowded ? WARN : OK, "CPUs");
    gy__text_string(v->out, "allowed ");
    gy__topology_describe(&v->topology, v->out);
    if (err < 0)
        gy__text_printf(v->out, "; %s\n", cause);
    else
        gy__text_printf(v->out, "; %u shard%s%s\n", v->plan.shards, v->plan.shards == 1 ? "" : "s",
                        v->plan.crowded ? ", more than these can run at once: none will spin" : "");
    if (err < 0 && v->err == 0)
        v->err = err;
}

/* Two shards on one core share its execution units and caches. */
static void check_siblings(struct visit *v)
{
    unsigned shared = 0;
    if (!v->has_plan || !v->plan.pinned)
        return;
    for (uint32_t i = 0; i < v->plan.shards; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (v->plan.at[i].cpu != v->plan.at[j].cpu &&
                v->plan.at[i].sibling_of == v->plan.at[j].sibling_of)
                shared++;
        }
    }
    begin(v, shared > 0 ? WARN : OK, "SMT");
    if (shared > 0)
        gy__text_printf(v->out,
                        "shards on the second thread of a core that has one: %u; for even"
                        " latency start fewer --shards\n",
                        shared);
    else
        gy__text_string(v->out, "no two shards share a core\n");
}

/* One governor that is not "performance" is enough to name it. */
static void check_governor(struct visit *v)
{
    char path[128], governor[32], found[32] = "";
    unsigned slow_cpu = 0;
    bool slow = false;
    for (uint32_t i = 0; i < v->topology.cpus_n && !slow; i++) {
        unsigned cpu = v->topology.cpus[i].cpu;
        if (v->has_plan && !gy_cpuset_has(&v->plan.cpus, cpu))
            continue;
        (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                       cpu);
        if (gy__sysfile_read(v->root, path, governor, sizeof(governor)) <= 0)
            continue;
        memcpy(found, governor, sizeof(found));
        slow = strcmp(governor, "performance") != 0;
        slow_cpu = cpu;
    }
    begin(v, slow ? WARN : OK, "governor");
    if (slow)
        gy__text_printf(v->out,
                        "%s on CPU %u: clocks rise late; cpupower frequency-set -g"
                        " performance\n",
                        found, slow_cpu);
    else
        gy__text_printf(v->out, "%s\n",
                        found[0] != '\0' ? found : "not visible here (a virtual machine?)");
}

static void check_pages(struct visit *v)
{
    char mode[128];
    bool found = gy__sysfile_read(v->root, "/sys/kernel/mm/transparent_hugepage/enabled", mode,
                                  sizeof(mode)) > 0;
    bool always = found && strstr(mode, "[always]") != NULL;
    begin(v, always ? WARN : OK, "huge pages");
    gy__text_printf(
        v->out, "transparent_hugepage/enabled is %s%s\n", found ? mode : "not visible here",
        always ? ": making them in the background costs latency; madvise does not" : "");
}

static void check_clock(struct visit *v)
{
    static const char *const fast[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                       "arch_sys_counter"};
    char source[64];
    bool is_fast = false;
    bool found = gy__sysfile_read(
                     v->root, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                     source, sizeof(source)) > 0;
    for (unsigned i = 0; i < sizeof(fast) / sizeof(fast[0]); i++)
        is_fast = is_fast || strcmp(source, fast[i]) == 0;
    begin(v, found && !is_fast ? WARN : OK, "clock");
    gy__text_printf(v->out, "%s%s\n", found ? source : "not visible here",
                    found && !is_fast ? ": each look at it may be a system call; tsc is not" : "");
}

int gy__doctor(const struct gy_config *cfg, const char *root, struct gy__text *out)
{
    struct visit v = {.cfg = cfg, .root = root, .out = out};
    check_kernel(&v);
    check_ring(&v);
    check_cpus(&v); /* its plan is what the limits below are measured by */
    check_memlock(&v);
    check_files(&v);
    check_siblings(&v);
    check_governor(&v);
    check_pages(&v);
    check_clock(&v);
    return v.err;
}
