/* uring/driver.h - the ring as a struct gy_driver. */
#ifndef GYRE_URING_DRIVER_H
#define GYRE_URING_DRIVER_H

#include "gyre/driver.h"

/* Its functions take a struct gy__uring as context. */
void gy__driver_init(struct gy_driver *driver);

#endif
