/* Small files of /proc and /sys, below a root that tests may move. Any thread; nothing allocates.
 */
#ifndef GYRE_URING_SYSFILE_H
#define GYRE_URING_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The real root. */
#define GY__ROOT ""

/* Read the start of root + path into text, without the newline at its end. root, path: borrowed.
 * -> its length; -errno, and text is empty. What does not fit is not read. */
int gy__sysfile_read(const char *root, const char *path, char *text, size_t size);

/* Read a file that holds one number. -> 0; -errno; -EINVAL it is none. */
int gy__sysfile_number(const char *root, const char *path, int64_t *value);

/* Open root + path to be read line by line. -> given, ends with fclose(); NULL, errno says why. */
FILE *gy__sysfile_open(const char *root, const char *path);

/* The rest of the first line of root + path that begins with `key` and a colon, without the blanks
 * around it, such as Seccomp of /proc/self/status. -> its length; -ENOENT no such line; -errno. */
int gy__sysfile_field(const char *root, const char *path, const char *key, char *text, size_t size);

/* Soft limits of the process, as /proc/self/limits names them ("Max open files"). */
#define GY__LIMIT_NONE (-1)    /* unlimited */
#define GY__LIMIT_UNKNOWN (-2) /* no such line */
int64_t gy__sysfile_limit(const char *root, const char *name);

/* Does the process have the capability of that number? */
bool gy__sysfile_capable(const char *root, unsigned capability);

#endif
