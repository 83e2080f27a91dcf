/* http/gzip.h - which coding a request's body has. */
#ifndef GYRE_HTTP_GZIP_H
#define GYRE_HTTP_GZIP_H

#include "gyre/http.h"

/* -> 0: none; 'g' gzip; 'd' deflate; -ENOTSUP another, or more than one. */
int gy__http_coding(const struct gy_http_req *req);

#endif
