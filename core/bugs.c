/* The switches of planted bugs: see bugs.h. */
#include "core/bugs.h"

#ifdef GY_BUGS
unsigned gy__bugs_on;
#else
/* A translation unit must not be empty. */
typedef int gy__no_bugs;
#endif
