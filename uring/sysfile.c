/* Small files of /proc and /sys (see sysfile.h). Nothing is kept between calls. */
#include "uring/sysfile.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

FILE *gy__sysfile_open(const char *root, const char *path)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return fopen(name, "re");
}

int gy__sysfile_read(const char *root, const char *path, char *text, size_t size)
{
    text[0] = '\0';
    FILE *file = gy__sysfile_open(root, path);
    if (file == NULL)
        return -errno;
    errno = 0;
    size_t len = fread(text, 1, size - 1, file);
    int err = ferror(file) ? (errno != 0 ? errno : EIO) : 0;
    (void)fclose(file);
    if (err != 0)
        len = 0;
    while (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    return err != 0 ? -err : (int)len;
}

int gy__sysfile_number(const char *root, const char *path, int64_t *value)
{
    char text[32], *end;
    int err = gy__sysfile_read(root, path, text, sizeof(text));
    if (err < 0)
        return err;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return -EINVAL;
    *value = number;
    return 0;
}

int gy__sysfile_field(const char *root, const char *path, const char *key, char *text, size_t size)
{
    char *line = NULL;
    size_t room = 0, key_len = strlen(key);
    int found = -ENOENT;
    text[0] = '\0';
    FILE *file = gy__sysfile_open(root, path);
    if (file == NULL)
        return -errno;
    while (found < 0 && getline(&line, &room, file) >= 0) {
        if (strncmp(line, key, key_len) != 0 || line[key_len] != ':')
            continue;
        const char *value = line + key_len + 1;
        value += strspn(value, " \t");
        size_t len = strlen(value);
        while (len > 0 && isspace((unsigned char)value[len - 1]))
            len--;
        found = snprintf(text, size, "%.*s", (int)len, value);
    }
    free(line);
    (void)fclose(file);
    return found;
}

int64_t gy__sysfile_limit(const char *root, const char *name)
{
    char *line = NULL;
    size_t room = 0, len = strlen(name);
    int64_t limit = GY__LIMIT_UNKNOWN;
    FILE *file = gy__sysfile_open(root, "/proc/self/limits");
    if (file == NULL)
        return limit;
    while (limit == GY__LIMIT_UNKNOWN && getline(&line, &room, file) >= 0) {
        if (strncmp(line, name, len) != 0)
            continue;
        if (sscanf(line + len, " %" SCNd64, &limit) != 1)
            limit = GY__LIMIT_NONE;
    }
    free(line);
    (void)fclose(file);
    return limit;
}

bool gy__sysfile_capable(const char *root, unsigned capability)
{
    char mask[32];
    if (gy__sysfile_field(root, "/proc/self/status", "CapEff", mask, sizeof(mask)) <= 0)
        return false;
    return (strtoull(mask, NULL, 16) >> capability & 1) != 0;
}
