/* Made-up /proc and /sys (see tree.h). */
#include "tests/uring/tree.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int tree_setup(void **state)
{
    struct tree *tree = calloc(1, sizeof(*tree));
    const char *dir = getenv("TMPDIR");
    (void)snprintf(tree->root, sizeof(tree->root), "%s/gyre-tree-XXXXXX",
                   dir != NULL && strlen(dir) < 40 ? dir : "/tmp");
    *state = tree;
    return mkdtemp(tree->root) != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int tree_teardown(void **state)
{
    struct tree *tree = *state;
    int err = nftw(tree->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(tree);
    return err;
}

void tree_write(struct tree *tree, const char *path, const char *format, ...)
{
    char name[PATH_MAX];
    va_list args;
    int len = snprintf(name, sizeof(name), "%s%s", tree->root, path);
    assert_in_range(len, 1, sizeof(name) - 1);
    for (char *slash = name + strlen(tree->root) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        (void)mkdir(name, 0755);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    va_start(args, format);
    assert_true(vfprintf(file, format, args) >= 0);
    va_end(args);
    assert_true(fputc('\n', file) == '\n');
    assert_int_equal(fclose(file), 0);
}

void tree_cpu(struct tree *tree, unsigned cpu, unsigned package, unsigned core,
              const char *siblings)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/core_id", cpu);
    tree_write(tree, path, "%u", core);
    (void)snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/topology/physical_package_id",
                   cpu);
    tree_write(tree, path, "%u", package);
    if (siblings == NULL)
        return;
    (void)snprintf(path, sizeof(path),
                   "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
    tree_write(tree, path, "%s", siblings);
}
