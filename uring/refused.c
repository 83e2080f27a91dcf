/* Why io_uring is refused (see refused.h).
 *
 * The set-up's error alone does not tell: EPERM comes from a seccomp filter, from the sysctl and
 * from security modules, ENOSYS from a filter and from kernels that lack it. The state of the
 * process settles it. What forbids for certain (a sysctl that can be read) is named before what is
 * likely (that there is a filter says not what it filters). */
#include "uring/refused.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uring/sysfile.h"

/* The oldest kernel that has all that the driver cannot do without: deferred task work. */
#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

static void read_release(const char *root, char *text, size_t size)
{
    if (gy__sysfile_read(root, "/proc/sys/kernel/osrelease", text, size) <= 0)
        (void)snprintf(text, size, "unknown");
}

static bool kernel_is_too_old(const char *root)
{
    char release[64];
    int major, minor;
    read_release(root, release, sizeof(release));
    if (sscanf(release, "%d.%d", &major, &minor) != 2)
        return false;
    return major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR);
}

static bool is_filtered(const char *root)
{
    char mode[8];
    return gy__sysfile_field(root, "/proc/self/status", "Seccomp", mode, sizeof(mode)) > 0 &&
           strcmp(mode, "2") == 0;
}

static int64_t read_sysctl(const char *root, const char *path, int64_t otherwise)
{
    int64_t value;
    return gy__sysfile_number(root, path, &value) == 0 ? value : otherwise;
}

/* Is the group kernel.io_uring_group, which may use io_uring at 1, among the process' groups? */
static bool is_in_group(const char *root)
{
    char ids[4096], *rest;
    int64_t group = read_sysctl(root, "/proc/sys/kernel/io_uring_group", -1);
    static const char *const fields[] = {"Gid", "Groups"};
    for (int i = 0; i < 2 && group >= 0; i++) {
        if (gy__sysfile_field(root, "/proc/self/status", fields[i], ids, sizeof(ids)) <= 0)
            continue;
        for (char *id = strtok_r(ids, " \t", &rest); id != NULL;
             id = strtok_r(NULL, " \t", &rest)) {
            if (strtoll(id, NULL, 10) == group)
                return true;
        }
    }
    return false;
}

static bool sysctl_forbids(const char *root)
{
    switch (read_sysctl(root, "/proc/sys/kernel/io_uring_disabled", 0)) {
    case 0:
        return false;
    case 1:
        return !gy__sysfile_capable(root, CAP_SYS_ADMIN) && !is_in_group(root);
    default:
        return true;
    }
}

enum gy__refusal gy__refused_cause(const char *root, int err)
{
    switch (err < 0 ? -err : err) {
    case EPERM:
    case EACCES:
        if (sysctl_forbids(root))
            return GY__REFUSED_SYSCTL;
        return is_filtered(root) ? GY__REFUSED_SECCOMP : GY__REFUSED_OTHER;
    case ENOSYS:
        return is_filtered(root) && !kernel_is_too_old(root) ? GY__REFUSED_SECCOMP
                                                             : GY__REFUSED_KERNEL;
    case EINVAL:
        return GY__REFUSED_KERNEL;
    case ENOMEM:
        return GY__REFUSED_MEMLOCK;
    case EMFILE:
    case ENFILE:
        return GY__REFUSED_FILES;
    default:
        /* Filters may answer with any error. */
        return is_filtered(root) ? GY__REFUSED_SECCOMP : GY__REFUSED_OTHER;
    }
}

static void append_limit(const char *root, const char *name, struct gy__text *out)
{
    int64_t limit = gy__sysfile_limit(root, name);
    if (limit >= 0)
        gy__text_size(out, (uint64_t)limit);
    else
        gy__text_string(out, limit == GY__LIMIT_NONE ? "unlimited" : "unknown");
}

static void explain_sysctl(const char *root, struct gy__text *out)
{
    int64_t disabled = read_sysctl(root, "/proc/sys/kernel/io_uring_disabled", 2);
    gy__text_printf(out, "the sysctl kernel.io_uring_disabled is %" PRId64, disabled);
    if (disabled == 1)
        gy__text_printf(out,
                        ", which leaves it to CAP_SYS_ADMIN and to group kernel.io_uring_group"
                        " (%" PRId64 ")",
                        read_sysctl(root, "/proc/sys/kernel/io_uring_group", -1));
    gy__text_string(out, ". Allow it: sysctl -w kernel.io_uring_disabled=0");
}

static void explain_kernel(const char *root, int err, struct gy__text *out)
{
    char release[64];
    read_release(root, release, sizeof(release));
    gy__text_printf(out, "kernel %s ", release);
    if (kernel_is_too_old(root))
        gy__text_printf(out, "is too old. Run on %d.%d or newer", KERNEL_MAJOR, KERNEL_MINOR);
    else if (err == ENOSYS)
        gy__text_string(out, "was built without it. Run on a kernel with CONFIG_IO_URING");
    else
        gy__text_printf(out,
                        "refuses the set-up it should know. Check --sq-entries and --cq-entries, or"
                        " whether this is Linux %d.%d or newer indeed",
                        KERNEL_MAJOR, KERNEL_MINOR);
}

static void explain_memlock(const char *root, struct gy__text *out)
{
    gy__text_string(out, "no memory for the rings; RLIMIT_MEMLOCK (");
    append_limit(root, "Max locked memory", out);
    gy__text_string(out,
                    ") counts those of all this user's programs. Raise it (ulimit -l unlimited,"
                    " LimitMEMLOCK=infinity, docker run --ulimit memlock=-1) or lower"
                    " --shards or --cq-entries");
}

static void explain_files(const char *root, struct gy__text *out)
{
    gy__text_string(out, "no file descriptor is left for the ring. Raise RLIMIT_NOFILE (");
    append_limit(root, "Max open files", out);
    gy__text_string(out, "): ulimit -n");
}

int gy__refused_explain(const char *root, int err, struct gy__text *out)
{
    err = err < 0 ? -err : err;
    gy__text_string(out, "io_uring is not available: ");
    switch (gy__refused_cause(root, err)) {
    case GY__REFUSED_SECCOMP:
        gy__text_string(out,
                        "blocked by seccomp (a container?). Allow io_uring_setup, io_uring_enter"
                        " and io_uring_register: docker run --security-opt seccomp=PROFILE.json");
        break;
    case GY__REFUSED_SYSCTL:
        explain_sysctl(root, out);
        break;
    case GY__REFUSED_KERNEL:
        explain_kernel(root, err, out);
        break;
    case GY__REFUSED_MEMLOCK:
        explain_memlock(root, out);
        break;
    case GY__REFUSED_FILES:
        explain_files(root, out);
        break;
    case GY__REFUSED_OTHER:
        gy__text_printf(out, "%s, and neither seccomp nor a sysctl explains it", strerror(err));
        if (err == EPERM || err == EACCES)
            gy__text_string(out, ". Ask the security module (AppArmor, SELinux, BPF)");
        break;
    }
    return -ENOSYS;
}
