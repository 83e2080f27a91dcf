/* gyre/version.h - the version of the library that a program runs with. */
#ifndef GYRE_VERSION_H
#define GYRE_VERSION_H

#include "gyre/base.h"

GY_BEGIN_DECLS

/* "MAJOR.MINOR.PATCH" of the library linked, which may be newer than the headers compiled with.
 * -> a constant string, borrowed for ever. Any thread, at any time. */
GY_API const char *gy_version(void);

GY_END_DECLS

#endif
