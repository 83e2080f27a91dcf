/* gyre/http_files.h - an actor that answers requests with the files of a directory.
 *
 *     struct gy_http_files files = GY_HTTP_FILES_INIT("www", "/static");
 *     err = gy_http_files_spawn(&pid, &files);              on each shard, or on one for all
 *
 * GET and HEAD of /static/a/b.css answer with the file www/a/b.css: with its type, Content-Length, ETag,
 * Last-Modified, conditions (304, 412) and single ranges (206, 416). A directory's path is redirected
 * to end with a slash (301) and then answers with its index file; without one it is 404: what a
 * directory holds is not told. Small files are sent whole, larger ones in pieces as the client takes
 * them, and never read as a whole. A file that shrinks meanwhile ends the connection, so that the
 * client sees it.
 *
 * Root is not looked at before it is needed: one that is not there is 404 for each path.
 *
 * Nothing outside of root is reached by a path: segments "." and "..", escaped or not, empty ones,
 * %2F, and names that begin with a dot (unless hidden is set) are 404. Symbolic links are followed,
 * wherever they lead: they are the owner's. Devices and the like are 404. */
#ifndef GYRE_HTTP_FILES_H
#define GYRE_HTTP_FILES_H

#include "gyre/base.h"
#include "gyre/core.h"

GY_BEGIN_DECLS

struct gy_http_files {
    size_t size;         /* sizeof this struct */
    const char *root;    /* the directory; without a slash at its end */
    const char *route;   /* the path before the files': "/static", or "/" */
    const char *index;   /* of a directory, "index.html"; NULL: none */
    const char *caching; /* value of Cache-Control; NULL: none is sent */
    uint32_t at_once;    /* files under way; 503 above */
    uint8_t hidden;      /* 1: also names that begin with a dot */
};
#define GY_HTTP_FILES_INIT(root, route)                                                            \
    {                                                                                              \
        sizeof(struct gy_http_files), root, route, "index.html", NULL, 256, 0                      \
    }

/* Start such an actor on this shard. options: copied, but its texts are borrowed while the actor lives.
 * -> as gy_spawn_raw; -EINVAL options that make no sense: a line in the log names it; as gy_http_route. */
GY_API GY_MUST_CHECK int gy_http_files_spawn(gy_pid *out, const struct gy_http_files *options);

GY_END_DECLS

#endif
