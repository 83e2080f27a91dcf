/* The memory model under the protocol: -DTSO or -DVIEWS. */
#ifdef TSO
#include "tso.pml"
#else
#include "views.pml"
#endif
