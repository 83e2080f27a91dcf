/* The library's version as text. It is made from the macros of base.h, so that there is one place to change. */

#include "gyre/version.h"

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

const char *gy_version(void)
{
    return TEXT_OF(GY_VERSION_MAJOR) "." TEXT_OF(GY_VERSION_MINOR) "." TEXT_OF(GY_VERSION_PATCH);
}
