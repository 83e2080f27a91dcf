/* http/date.c - HTTP's dates as text. Pure arithmetic on the Gregorian calendar; no time zones, no
 * locale. */
#include "gyre/http_content.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

#define YEAR_MAX 9999
#define SECONDS_MAX UINT64_C(253402300799) /* its last second */

/* Days from 1970-01-01 to a date; the year begins in March, so that a leap day is its last. */
static int64_t days_from(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

void gy_http_date(uint64_t seconds, char out[GY_HTTP_DATE_SIZE])
{
    unsigned year, month = 1;
    int64_t day;

    if (seconds > SECONDS_MAX)
        seconds = SECONDS_MAX;
    day = (int64_t)(seconds / 86400);
    year = (unsigned)(1970 + day / 366); /* never too late */
    while (days_from(year + 1, 1, 1) <= day)
        year++;
    while (month < 12 && days_from(year, month + 1, 1) <= day)
        month++;
    (void)snprintf(out, GY_HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[(day + 4) % 7],
                   (unsigned)(day - days_from(year, month, 1) + 1) % 100, months[month - 1],
                   year % 10000, (unsigned)(seconds / 3600 % 24), (unsigned)(seconds / 60 % 60),
                   (unsigned)(seconds % 60));
}

/* ---- reading ----------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    bool failed;
};

struct parts {
    unsigned year, month, day, hour, minute, second;
};

static void literal(struct reader *r, const char *text)
{
    size_t len = strlen(text);

    if (r->failed || (size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        r->failed = true;
    else
        r->at += len;
}

/* So many digits; the first may be a space if pad. */
static unsigned number(struct reader *r, unsigned digits, bool pad)
{
    unsigned value = 0;

    for (unsigned i = 0; i < digits && !r->failed; i++) {
        if (r->at == r->end)
            r->failed = true;
        else if (pad && i == 0 && *r->at == ' ')
            r->at++;
        else if (*r->at < '0' || *r->at > '9')
            r->failed = true;
        else
            value = value * 10 + (unsigned)(*r->at++ - '0');
    }
    return value;
}

static unsigned month_name(struct reader *r)
{
    for (unsigned i = 0; i < 12 && r->end - r->at >= 3; i++)
        if (memcmp(r->at, months[i], 3) == 0) {
            r->at += 3;
            return i + 1;
        }
    r->failed = true;
    return 1;
}

/* The name of a day, which nobody checks: a date says the same. */
static void word(struct reader *r)
{
    const char *from = r->at;

    while (r->at < r->end && ((*r->at | 0x20) >= 'a' && (*r->at | 0x20) <= 'z'))
        r->at++;
    r->failed |= r->at - from < 3;
}

static void time_of_day(struct reader *r, struct parts *p)
{
    p->hour = number(r, 2, false);
    literal(r, ":");
    p->minute = number(r, 2, false);
    literal(r, ":");
    p->second = number(r, 2, false);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", or, with dashes, "Sunday, 06-Nov-94 08:49:37 GMT" */
static void with_comma(struct reader *r, struct parts *p, uint64_t now_s)
{
    const char *dash;

    literal(r, ", ");
    p->day = number(r, 2, false);
    dash = r->at < r->end && *r->at == '-' ? "-" : " ";
    literal(r, dash);
    p->month = month_name(r);
    literal(r, dash);
    p->year = number(r, *dash == '-' ? 2 : 4, false);
    if (*dash == '-') {
        char now[GY_HTTP_DATE_SIZE];
        unsigned this_year;

        gy_http_date(now_s, now);
        this_year = (unsigned)((now[12] - '0') * 1000 + (now[13] - '0') * 100 + (now[14] - '0') * 10 +
                               now[15] - '0');
        p->year += this_year / 100 * 100;
        if (p->year > this_year + 50) /* RFC 9110: it was in the past */
            p->year -= 100;
    }
    literal(r, " ");
    time_of_day(r, p);
    literal(r, " GMT");
}

/* "Sun Nov  6 08:49:37 1994" */
static void of_asctime(struct reader *r, struct parts *p)
{
    literal(r, " ");
    p->month = month_name(r);
    literal(r, " ");
    p->day = number(r, 2, true);
    literal(r, " ");
    time_of_day(r, p);
    literal(r, " ");
    p->year = number(r, 4, false);
}

int gy_http_date_parse(struct gy_slice text, uint64_t now_s, uint64_t *seconds)
{
    struct reader r = { text.ptr, text.ptr + text.len, text.ptr == NULL };
    struct parts p = { 0, 1, 0, 0, 0, 0 };
    int64_t month_days;

    if (!r.failed)
        word(&r);
    if (r.failed)
        return -EINVAL;
    if (r.at < r.end && *r.at == ',')
        with_comma(&r, &p, now_s);
    else
        of_asctime(&r, &p);
    if (r.failed || r.at != r.end || p.year < 1970 || p.year > YEAR_MAX || p.hour > 23 ||
        p.minute > 59 || p.second > 60)
        return -EINVAL;
    month_days = days_from(p.month == 12 ? p.year + 1 : p.year, p.month % 12 + 1, 1) -
                 days_from(p.year, p.month, 1);
    if (p.day == 0 || p.day > month_days)
        return -EINVAL;
    *seconds = (uint64_t)days_from(p.year, p.month, p.day) * 86400 + p.hour * 3600u + p.minute * 60u +
               p.second;
    return 0;
}
