/* Control groups (see cgroup.h).
 *
 * Two files say where a controller's files are: /proc/self/cgroup which group the process is in,
 * and /proc/self/mountinfo where the groups can be seen. A container often sees only its own part
 * of the tree, so the mount's root is taken off the group's path. A quota holds for all groups
 * below, so the smallest on the way up is the one that counts. */
#include "uring/cgroup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uring/sysfile.h"

/* Where one controller's files are. */
struct place {
    bool v1;
    char point[PATH_MAX]; /* the directory where the mount is seen */
    char path[PATH_MAX];  /* of the process' group below it: "", or begins with a slash */
};

/* Is `word` one of "a,b,c"? */
static bool lists(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (*list != '\0') {
        size_t item = strcspn(list, ",");
        if (item == len && strncmp(list, word, len) == 0)
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

/* The process' group for the controller in version 1, or in version 2 (v1 false). */
static bool find_group(const char *root, const char *controller, bool v1, char *path, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file = gy__sysfile_open(root, "/proc/self/cgroup");
    if (file == NULL)
        return false;
    while (!found && getline(&line, &room, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL)
            continue;
        *group++ = '\0';
        found = v1 ? lists(controllers + 1, controller) : strcmp(line, "0:") == 0;
        if (found)
            (void)snprintf(path, size, "%s", group);
    }
    free(line);
    (void)fclose(file);
    return found;
}

/* A line of mountinfo: id parent device root point options [more...] - type source options */
static bool parse_mount(char *line, const char *controller, bool v1, char **root, char **point)
{
    char *rest, *tail = strstr(line, " - ");
    if (tail == NULL)
        return false;
    *tail = '\0';
    char *type = strtok_r(tail + 3, " \n", &rest);
    (void)strtok_r(NULL, " \n", &rest);
    char *options = strtok_r(NULL, " \n", &rest);
    if (type == NULL || options == NULL || strcmp(type, v1 ? "cgroup" : "cgroup2") != 0 ||
        (v1 && !lists(options, controller)))
        return false;
    char *word = strtok_r(line, " ", &rest);
    for (int i = 0; i < 3 && word != NULL; i++)
        word = strtok_r(NULL, " ", &rest);
    *root = word;
    *point = strtok_r(NULL, " ", &rest);
    return *root != NULL && *point != NULL;
}

/* The group's path as seen below a mount whose top is `top`; outside of it, the mount itself. */
static void make_relative(char *path, const char *top)
{
    size_t len = strcmp(top, "/") == 0 ? 0 : strlen(top);
    bool below = strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
    if (!below || strstr(path, "/..") != NULL || strcmp(path, "/") == 0)
        path[0] = '\0';
    else
        memmove(path, path + len, strlen(path + len) + 1);
}

static bool find_place(const char *root, const char *controller, bool v1, struct place *place)
{
    char *line = NULL, *top, *point;
    size_t room = 0;
    bool found = false;
    place->v1 = v1;
    if (!find_group(root, controller, v1, place->path, sizeof(place->path)))
        return false;
    FILE *file = gy__sysfile_open(root, "/proc/self/mountinfo");
    if (file == NULL)
        return false;
    while (!found && getline(&line, &room, file) >= 0) {
        found = parse_mount(line, controller, v1, &top, &point);
        if (found) {
            (void)snprintf(place->point, sizeof(place->point), "%s", point);
            make_relative(place->path, top);
        }
    }
    free(line);
    (void)fclose(file);
    return found;
}

/* One step towards the mount; false when it was reached before. */
static bool go_up(struct place *place)
{
    char *slash = strrchr(place->path, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return true;
}

static int read_in(const struct place *place, const char *root, const char *name, char *text,
                   size_t size)
{
    char path[3 * PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s%s/%s", place->point, place->path, name);
    return gy__sysfile_read(root, path, text, size);
}

/* The quota of the place's very group in thousandths of a CPU; 0: none. */
static uint64_t read_quota(const struct place *place, const char *root)
{
    char text[64];
    int64_t quota = 0, period = 100000;
    if (place->v1) {
        if (read_in(place, root, "cpu.cfs_quota_us", text, sizeof(text)) <= 0 ||
            sscanf(text, "%" SCNd64, &quota) != 1 ||
            read_in(place, root, "cpu.cfs_period_us", text, sizeof(text)) <= 0 ||
            sscanf(text, "%" SCNd64, &period) != 1)
            return 0;
    } else if (read_in(place, root, "cpu.max", text, sizeof(text)) <= 0 ||
               sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) < 1) {
        return 0; /* "max" is no number: no limit */
    }
    if (quota <= 0 || period <= 0 || quota > INT64_MAX / 1000)
        return 0;
    uint64_t millis = (uint64_t)quota * 1000 / (uint64_t)period;
    return millis > 0 ? millis : 1;
}

static void read_cpu(struct gy__cgroup *out, const char *root)
{
    struct place place;
    if (!find_place(root, "cpu", true, &place) && !find_place(root, "cpu", false, &place))
        return;
    do {
        uint64_t quota = read_quota(&place, root);
        if (quota != 0 && (out->quota_millicpus == 0 || quota < out->quota_millicpus))
            out->quota_millicpus = quota;
    } while (go_up(&place));
}

/* Groups without the controller have no such file: the next one up that has it is in force. */
static void read_cpuset(struct gy__cgroup *out, const char *root)
{
    static const char *const names[2][2] = {{"cpuset.cpus.effective", "cpuset.cpus"},
                                            {"cpuset.effective_cpus", "cpuset.cpus"}};
    struct place place;
    char text[4096];
    if (!find_place(root, "cpuset", true, &place) && !find_place(root, "cpuset", false, &place))
        return;
    do {
        for (int i = 0; i < 2 && !out->has_cpus; i++) {
            if (read_in(&place, root, names[place.v1][i], text, sizeof(text)) > 0)
                out->has_cpus = gy_cpuset_parse(&out->cpus, text) == 0;
        }
    } while (!out->has_cpus && go_up(&place));
}

void gy__cgroup_read(struct gy__cgroup *out, const char *root)
{
    memset(out, 0, sizeof(*out));
    read_cpu(out, root);
    read_cpuset(out, root);
}
