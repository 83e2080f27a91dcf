/* Zeroed memory that costs nothing until touched, however large; for gy_sim_config_init(). */
#ifndef GYRE_TESTS_SIM_PAGES_H
#define GYRE_TESTS_SIM_PAGES_H

#include <stddef.h>

void *pages_calloc(size_t count, size_t size);
void pages_free(void *memory);
/* Blocks taken and not freed. */
unsigned long pages_taken(void);

#endif
