/* http/method.h - the request methods that gyre knows, by llhttp's numbers. */
#ifndef GYRE_HTTP_METHOD_H
#define GYRE_HTTP_METHOD_H

#include "gyre/http.h"

#include <llhttp.h>
#include <stdint.h>

#define GY__HTTP_METHODS 47

/* Its name; length 0 for a number that is no HTTP method that gyre serves (RTSP's, PRI). */
extern const struct gy_slice gy__http_method_names[GY__HTTP_METHODS];

#define GY__HTTP_METHOD_BIT(method) (UINT64_C(1) << (method))
/* What a route without methods takes: all but CONNECT and TRACE, which the server refuses itself. */
#define GY__HTTP_METHODS_ANY                                                                       \
    (((UINT64_C(1) << GY__HTTP_METHODS) - 1) & ~GY__HTTP_METHOD_BIT(HTTP_CONNECT) &                \
     ~GY__HTTP_METHOD_BIT(HTTP_TRACE))

/* The number of a method's name, case-sensitive; -1 if there is no such method. */
int gy__http_method_number(const char *name, size_t len);

#endif
