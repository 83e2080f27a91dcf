/* http/cors.c - what answers tell browsers about other origins. Pure text. */
#include "http/head.h"

#include "gyre/core.h"
#include "gyre/http_access.h"

#include <stdio.h>
#include <string.h>

static bool any_origin(const struct gy_http_cors *cors)
{
    return cors->origins[0] != NULL && strcmp(cors->origins[0], "*") == 0;
}

/* As the program wrote it, so that nothing of the request goes into the answer. -> NULL: it may not. */
static const char *allowed_origin(const struct gy_slice *origin, const struct gy_http_cors *cors)
{
    if (any_origin(cors))
        return "*";
    for (const char *const *at = cors->origins; *at != NULL; at++)
        if (gy_slice_equal(*origin, *at))
            return *at;
    return NULL;
}

int gy_http_set_cors(struct gy_http_res *res, const struct gy_http_req *req,
                     const struct gy_http_cors *cors)
{
    const struct gy_slice *origin = gy_http_header(req, "Origin");
    const char *allowed;

    if (!any_origin(cors))
        (void)gy_http_set(res, "Vary", "Origin");
    if (origin == NULL)
        return 1;
    allowed = allowed_origin(origin, cors);
    if (allowed == NULL)
        return 0;
    (void)gy_http_set(res, "Access-Control-Allow-Origin", allowed);
    if (cors->credentials && !any_origin(cors))
        (void)gy_http_set(res, "Access-Control-Allow-Credentials", "true");
    if (cors->expose != NULL)
        (void)gy_http_set(res, "Access-Control-Expose-Headers", cors->expose);
    return 1;
}

int gy_http_preflight(gy_http_promise reply, const struct gy_http_req *req,
                      const struct gy_http_cors *cors)
{
    struct gy_http_res res;
    char age[16];

    gy_http_begin(&res, 204);
    if (gy_http_set_cors(&res, req, cors) && gy_http_header(req, "Origin") != NULL) {
        (void)gy_http_set(&res, "Access-Control-Allow-Methods", cors->methods);
        if (cors->headers != NULL)
            (void)gy_http_set(&res, "Access-Control-Allow-Headers", cors->headers);
        (void)snprintf(age, sizeof(age), "%u", cors->max_age_s);
        (void)gy_http_set(&res, "Access-Control-Max-Age", age);
    }
    (void)gy_http_set(&res, "Allow", cors->methods);
    return gy_http_end(&res, reply, NULL, 0);
}
