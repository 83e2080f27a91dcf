/* http/gzip.h - which coding a body has. */
#ifndef GYRE_HTTP_GZIP_H
#define GYRE_HTTP_GZIP_H

#include "gyre/http.h"

#include <stdbool.h>

/* The codings that are undone, for answers with 415 (RFC 9110 12.5.3), with a line end. */
#if GY__ZLIB
#define GY__HTTP_ACCEPT_ENCODING "Accept-Encoding: gzip, deflate\r\n"
#else
#define GY__HTTP_ACCEPT_ENCODING "Accept-Encoding: identity\r\n"
#endif

/* Does Accept-Encoding name that coding itself, and not by "*"? */
bool gy__http_accepts_named(const struct gy_http_req *req, const char *coding);
/* What a Content-Encoding names. -> 0: none; 'g' gzip; 'd' deflate; -ENOTSUP another, or more than one. */
int gy__http_coding_of(struct gy_slice name);
/* Of a request's body. */
int gy__http_coding(const struct gy_http_req *req);

#endif
