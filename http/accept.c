/* http/accept.c - media types by name, and what a request accepts. Pure text. */
#include "http/gzip.h"
#include "http/head.h"

#include "gyre/http_content.h"

#include <string.h>

/* ---- media types ------------------------------------------------------------------------- */

/* In order of endings. */
static const struct {
    char ending[12];
    const char *type;
} types[] = {
    { "7z", "application/x-7z-compressed" },
    { "atom", "application/atom+xml" },
    { "avif", "image/avif" },
    { "bin", "application/octet-stream" },
    { "bmp", "image/bmp" },
    { "bz2", "application/x-bzip2" },
    { "css", "text/css; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "gif", "image/gif" },
    { "gz", "application/gzip" },
    { "htm", "text/html; charset=utf-8" },
    { "html", "text/html; charset=utf-8" },
    { "ico", "image/x-icon" },
    { "ics", "text/calendar; charset=utf-8" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "jsonld", "application/ld+json" },
    { "log", "text/plain; charset=utf-8" },
    { "m4a", "audio/mp4" },
    { "map", "application/json" },
    { "md", "text/markdown; charset=utf-8" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "mpeg", "video/mpeg" },
    { "oga", "audio/ogg" },
    { "ogg", "audio/ogg" },
    { "ogv", "video/ogg" },
    { "otf", "font/otf" },
    { "pdf", "application/pdf" },
    { "png", "image/png" },
    { "rss", "application/rss+xml" },
    { "rtf", "application/rtf" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "ttf", "font/ttf" },
    { "txt", "text/plain; charset=utf-8" },
    { "wasm", "application/wasm" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "xhtml", "application/xhtml+xml" },
    { "xml", "application/xml" },
    { "xz", "application/x-xz" },
    { "yaml", "application/yaml" },
    { "zip", "application/zip" },
    { "zst", "application/zstd" },
};

static int compare(const char *ending, size_t len, const char *known)
{
    for (size_t i = 0; i < len; i++) {
        char c = ending[i] >= 'A' && ending[i] <= 'Z' ? (char)(ending[i] | 0x20) : ending[i];

        if (c != known[i])
            return c < known[i] ? -1 : 1;
    }
    return known[len] == '\0' ? 0 : -1;
}

const char *gy_http_type(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t low = 0, high = sizeof(types) / sizeof(types[0]), len;

    if (dot == NULL || dot == name || (len = strlen(dot + 1)) >= sizeof(types[0].ending))
        return "application/octet-stream";
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(dot + 1, len, types[middle].ending);

        if (order == 0)
            return types[middle].type;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return "application/octet-stream";
}

/* ---- what is accepted -------------------------------------------------------------------- */

static struct gy_slice trim(struct gy_slice s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t'))
        s.ptr++, s.len--;
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* What stands up to a character, and *rest behind it. */
static struct gy_slice up_to(struct gy_slice *rest, char c)
{
    const char *stop = rest->len > 0 ? memchr(rest->ptr, c, rest->len) : NULL;
    struct gy_slice part = { rest->ptr, stop != NULL ? (size_t)(stop - rest->ptr) : rest->len };

    rest->len -= part.len + (stop != NULL);
    rest->ptr += part.len + (stop != NULL);
    return trim(part);
}

/* "q=0.5" in thousandths. -> false: no weight. A broken one counts as 0. */
static bool weight_of(struct gy_slice parameter, unsigned *weight)
{
    unsigned factor = 100;

    if (parameter.len < 2 || (parameter.ptr[0] | 0x20) != 'q' || parameter.ptr[1] != '=')
        return false;
    *weight = 0;
    if (parameter.len < 3 || (parameter.ptr[2] != '0' && parameter.ptr[2] != '1') || parameter.len > 7 ||
        (parameter.len > 3 && parameter.ptr[3] != '.'))
        return true;
    *weight = parameter.ptr[2] == '1' ? 1000 : 0;
    for (size_t i = 4; i < parameter.len; i++, factor /= 10) {
        if (parameter.ptr[i] < '0' || parameter.ptr[i] > '9') {
            *weight = 0;
            return true;
        }
        *weight += (unsigned)(parameter.ptr[i] - '0') * factor;
    }
    if (*weight > 1000)
        *weight = 0;
    return true;
}

/* Without case. */
static bool same(struct gy_slice a, const char *b, size_t len)
{
    if (a.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char x = a.ptr[i], y = b[i];

        x = x >= 'A' && x <= 'Z' ? (char)(x | 0x20) : x;
        y = y >= 'A' && y <= 'Z' ? (char)(y | 0x20) : y;
        if (x != y)
            return false;
    }
    return true;
}

/* How exactly does what is listed name what is offered? 0: not at all. */
static unsigned fit(struct gy_slice listed, const char *offered, bool types_only)
{
    size_t len = strlen(offered);
    const char *slash = memchr(offered, '/', len);

    if (same(listed, offered, len))
        return 3;
    if (!types_only)
        return same(listed, "*", 1) ? 1 : 0;
    if (slash != NULL && listed.len == (size_t)(slash - offered) + 2 && listed.ptr[listed.len - 1] == '*' &&
        same((struct gy_slice){ listed.ptr, listed.len - 1 }, offered, listed.len - 1))
        return 2;
    return same(listed, "*/*", 3) ? 1 : 0;
}

/* The weight of the line's entry that names it most exactly. *there: is there such a line? */
static unsigned accepts(const struct gy_http_req *req, const char *name, const char *offered,
                        bool types_only, bool *there, unsigned *best)
{
    unsigned accepted = 0;

    *there = false;
    *best = 0;
    for (unsigned i = 0; i < req->header_count; i++) {
        struct gy_slice rest = req->headers[i].value;

        if (!gy__http_name_is(req->headers[i].name, name, strlen(name)))
            continue;
        *there = true;
        while (rest.len > 0) {
            struct gy_slice entry = up_to(&rest, ','), listed = up_to(&entry, ';');
            unsigned fits = fit(listed, offered, types_only), weight = 1000;

            while (entry.len > 0 && !weight_of(up_to(&entry, ';'), &weight))
                ;
            if (fits > *best) {
                *best = fits;
                accepted = weight;
            }
        }
    }
    return accepted;
}

bool gy__http_accepts_named(const struct gy_http_req *req, const char *coding)
{
    unsigned best;
    bool there;

    (void)accepts(req, "accept-encoding", coding, false, &there, &best);
    return best == 3;
}

unsigned gy_http_accepts(const struct gy_http_req *req, const char *type)
{
    unsigned best, accepted;
    bool there;

    accepted = accepts(req, "accept", type, true, &there, &best);
    return there ? accepted : 1000;
}

unsigned gy_http_accepts_coding(const struct gy_http_req *req, const char *coding)
{
    bool identity = strcmp(coding, "identity") == 0, there;
    unsigned best, accepted;

    accepted = accepts(req, "accept-encoding", coding, false, &there, &best);
    /* Another name of the same (RFC 9110 8.4.1.3), which "*" is not. */
    if (strcmp(coding, "gzip") == 0 && best < 3) {
        unsigned other_best, other = accepts(req, "accept-encoding", "x-gzip", false, &there, &other_best);

        if (other_best == 3)
            return other;
    }
    if (!there || best == 0)
        return identity ? 1000 : 0; /* it is always welcome unless it is named */
    return accepted;
}
