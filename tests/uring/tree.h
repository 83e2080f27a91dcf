/* Made-up /proc and /sys: a temporary directory that stands in for the root. */
#ifndef GYRE_TESTS_URING_TREE_H
#define GYRE_TESTS_URING_TREE_H

#include "core/text.h"

struct tree {
    char root[64];
};

/* A fresh empty root; and away with it. For cmocka's fixtures: *state becomes a struct tree. */
int tree_setup(void **state);
int tree_teardown(void **state);

/* Write root + path, with the directories above it; text gets a newline at its end. */
GY_PRINTF(3, 4) void tree_write(struct tree *tree, const char *path, const char *format, ...);

/* cpuN's place in the machine. siblings: a list, or NULL for no file. */
void tree_cpu(struct tree *tree, unsigned cpu, unsigned package, unsigned core,
              const char *siblings);

#endif
