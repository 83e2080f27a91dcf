/* http/wire.c - status lines and the lines that only the connection knows. Pure text. */
#include "http/wire.h"

#include "http/wide.h"

#include <stddef.h>
#include <string.h>

/* ---- status lines ------------------------------------------------------------------------ */

#define STATUSES(X)                                                                                \
    X(101, "Switching Protocols")                                                                  \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(203, "Non-Authoritative Information")                                                        \
    X(204, "No Content")                                                                           \
    X(205, "Reset Content")                                                                        \
    X(206, "Partial Content")                                                                      \
    X(300, "Multiple Choices")                                                                     \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(402, "Payment Required")                                                                     \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(407, "Proxy Authentication Required")                                                        \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(412, "Precondition Failed")                                                                  \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(416, "Range Not Satisfiable")                                                                \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(423, "Locked")                                                                               \
    X(424, "Failed Dependency")                                                                    \
    X(425, "Too Early")                                                                            \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(451, "Unavailable For Legal Reasons")                                                        \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")                                                           \
    X(507, "Insufficient Storage")                                                                 \
    X(508, "Loop Detected")                                                                        \
    X(511, "Network Authentication Required")

enum status_index {
    NO_LINE,
#define INDEX(status, reason) INDEX_##status,
    STATUSES(INDEX)
#undef INDEX
};

#define BEFORE_REASON 13 /* "HTTP/1.1 200 " */

static const struct {
    char text[48];
    uint8_t len;
} lines[] = {
    { "", 0 },
#define LINE(status, reason)                                                                       \
    { "HTTP/1.1 " #status " " reason "\r\n", sizeof("HTTP/1.1 " #status " " reason "\r\n") - 1 },
    STATUSES(LINE)
#undef LINE
};

static const uint8_t index_of[600] = {
#define AT(status, reason) [status] = INDEX_##status,
    STATUSES(AT)
#undef AT
};

const char *gy__http_reason(unsigned status, size_t *len)
{
    unsigned i = status < 600 ? index_of[status] : NO_LINE;

    if (i == NO_LINE) {
        *len = 0;
        return "";
    }
    *len = lines[i].len - BEFORE_REASON - 2u;
    return lines[i].text + BEFORE_REASON;
}

/* ---- Date -------------------------------------------------------------------------------- */

static void two_digits(char *to, unsigned value)
{
    to[0] = (char)('0' + value / 10 % 10);
    to[1] = (char)('0' + value % 10);
}

/* Days since 1970 to a date of the Gregorian calendar. Years are counted from March, so that the
 * leap day is a year's last; 146097 days are 400 years. */
static void civil(uint64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint64_t from_0000_03 = days + 719468, era = from_0000_03 / 146097;
    unsigned of_era = (unsigned)(from_0000_03 % 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned from_march = (5 * of_year + 2) / 153;

    *day = of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = (unsigned)(era * 400) + year_of_era + (*month <= 2);
}

void gy__http_date_set(struct gy__http_date *date, uint64_t now_ns, uint64_t wall_ns)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t seconds = wall_ns / 1000000000;
    unsigned year, month, day, of_day = (unsigned)(seconds % 86400);
    char *to = date->line;

    date->until_ns = now_ns + (1000000000 - wall_ns % 1000000000);
    civil(seconds / 86400, &year, &month, &day);
    memcpy(date->ok, GY__HTTP_OK, sizeof(date->ok));
    memcpy(date->length, GY__HTTP_LENGTH, sizeof(date->length));
    memcpy(to, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", GY__HTTP_DATE_LEN);
    memcpy(to + 6, weekdays + seconds / 86400 % 7 * 3, 3);
    two_digits(to + 11, day);
    memcpy(to + 14, months + (month - 1) * 3, 3);
    two_digits(to + 18, year / 100);
    two_digits(to + 20, year);
    two_digits(to + 23, of_day / 3600);
    two_digits(to + 26, of_day / 60 % 60);
    two_digits(to + 29, of_day % 60);
}

/* ---- the prefix -------------------------------------------------------------------------- */

#define CLOSE_LINE "Connection: close\r\n"
#define CLOSE_LEN (sizeof(CLOSE_LINE) - 1)

static const struct {
    char text[48];
    uint8_t len;
} connections[] = {
    [GY__CONNECTION_PLAIN] = { "", 0 },
    [GY__CONNECTION_CLOSE] = { CLOSE_LINE, CLOSE_LEN },
    [GY__CONNECTION_KEEP_ALIVE] = { "Connection: keep-alive\r\n", 24 },
    [GY__CONNECTION_CHUNKED] = { "Transfer-Encoding: chunked\r\n", 28 },
    [GY__CONNECTION_CHUNKED_CLOSE] = { "Transfer-Encoding: chunked\r\nConnection: close\r\n", 47 },
};

#define LENGTH_LEN (sizeof(GY__HTTP_LENGTH) - 1)
#define OK_LEN (sizeof(GY__HTTP_OK) - 1)
_Static_assert(sizeof(struct gy__http_date) - 8 >= OK_LEN + GY__HTTP_DATE_LEN + LENGTH_LEN &&
                   offsetof(struct gy__http_date, line) == offsetof(struct gy__http_date, ok) + OK_LEN &&
                   offsetof(struct gy__http_date, length) ==
                       offsetof(struct gy__http_date, line) + GY__HTTP_DATE_LEN,
               "an answer's beginning is one piece");

#define OWN_LINE "HTTP/1.1 000 \r\n"
#define OWN_LINE_LEN (sizeof(OWN_LINE) - 1)

static unsigned digits_of(uint64_t value)
{
    unsigned digits = 1;

    for (; value >= 10000; value /= 10000)
        digits += 4;
    if (value < 10)
        return digits;
    return value < 100 ? digits + 1 : digits + 2 + (value >= 1000);
}

static unsigned line_of(unsigned status)
{
    return status < sizeof(index_of) ? index_of[status] : NO_LINE;
}

void gy__http_prefix_prepare(struct gy__http_prefix *prefix, unsigned status,
                             uint64_t content_length, enum gy__http_connection connection)
{
    size_t size = GY__HTTP_DATE_LEN;

    if (status == 200)
        size += OK_LEN;
    else
        size += line_of(status) != NO_LINE ? lines[line_of(status)].len : OWN_LINE_LEN;
    prefix->status = (uint16_t)status;
    prefix->length = content_length;
    prefix->connection = (uint8_t)connection;
    prefix->digits = 0;
    if (content_length != GY__HTTP_NO_LENGTH) {
        prefix->digits = (uint8_t)digits_of(content_length);
        size += LENGTH_LEN + prefix->digits + 2;
    }
    prefix->size = size + connections[connection].len;
}

static inline char *put(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
    return to + len;
}

static char *put_line(char *to, unsigned status)
{
    unsigned line = line_of(status);

    if (line != NO_LINE)
        return put(to, lines[line].text, lines[line].len);
    memcpy(to, OWN_LINE, OWN_LINE_LEN);
    to[9] = (char)('0' + status / 100 % 10);
    two_digits(to + 10, status);
    return to + OWN_LINE_LEN;
}

/* Up to the digits. What nearly every answer begins with is copied by its constant size, 70 bytes in
 * a few wide moves. Below it is the same with what some end with. */
static inline char *put_beginning(const struct gy__http_prefix *prefix, char *to,
                                  const struct gy__http_date *date)
{
    if (prefix->status == 200 && prefix->digits != 0) {
        gy__wide_copy(to, date->ok, OK_LEN + GY__HTTP_DATE_LEN + LENGTH_LEN);
        return to + OK_LEN + GY__HTTP_DATE_LEN + LENGTH_LEN;
    }
    to = put_line(to, prefix->status);
    to = put(to, date->line, GY__HTTP_DATE_LEN);
    return prefix->digits != 0 ? put(to, GY__HTTP_LENGTH, LENGTH_LEN) : to;
}

void gy__http_prefix_write(const struct gy__http_prefix *prefix, char *to,
                           const struct gy__http_date *date)
{
    to = put_beginning(prefix, to, date);
    if (prefix->digits != 0) {
        uint64_t value = prefix->length;

        to += prefix->digits;
        for (char *digit = to; value >= 10; value /= 10)
            *--digit = (char)('0' + value % 10);
        to[-(int)prefix->digits] = (char)('0' + value);
        to = put(to, "\r\n", 2);
    }
    if (prefix->connection == GY__CONNECTION_CLOSE)
        put(to, CLOSE_LINE, CLOSE_LEN);
    else if (prefix->connection != GY__CONNECTION_PLAIN)
        put(to, connections[prefix->connection].text, connections[prefix->connection].len);
}
