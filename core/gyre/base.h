/* gyre/base.h - what every other public header stands on: linkage, checked results, units of time, the version.
 * Nothing here costs anything at run time. */
#ifndef GYRE_BASE_H
#define GYRE_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* The version of these headers; gy_version() in gyre/version.h is that of the library linked. */
#define GY_VERSION_MAJOR 0
#define GY_VERSION_MINOR 1
#define GY_VERSION_PATCH 0

#ifdef __cplusplus
#define GY_EXTERN extern "C"
#define GY_BEGIN_DECLS extern "C" {
#define GY_END_DECLS }
#define GY_INLINE inline
#define GY_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define GY_EXTERN extern
#define GY_BEGIN_DECLS
#define GY_END_DECLS
/* Unused, because a header that nobody calls must not warn in a user's -Wall build. */
#define GY_INLINE static inline __attribute__((unused))
#define GY_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* A symbol that the library exports; everything else in it is hidden. */
#define GY_API __attribute__((visibility("default")))

/* The result tells of a failure that only the caller can handle: ignoring it warns. */
#define GY_MUST_CHECK __attribute__((warn_unused_result))

/* Argument `fmt` (counted from 1) is a printf format, its values start at argument `first`. */
#define GY_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Durations are nanoseconds in an int64_t: 5 * GY_MS. Signed, so that a difference of two times is right too. */
#define GY_US INT64_C(1000)
#define GY_MS INT64_C(1000000)
#define GY_S INT64_C(1000000000)

#endif
