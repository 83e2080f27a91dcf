/* Addresses of streams (see address.h), read without libc, so that a command line, a listener and
 * the simulator agree about what one is, and a slip is told before anything starts. */
#include "core/address.h"

#include <stddef.h>
#include <string.h>

#define GROUPS 8 /* of 16 bits in an IPv6 address */

/* A decimal number up to max without leading zeros. -> behind it, or NULL. */
static const char *number(const char *text, unsigned max)
{
    unsigned value = 0, digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
        value = value * 10 + (unsigned)(text[digits] - '0');
        if (value > max || (digits == 1 && *text == '0'))
            return NULL;
    }
    return digits > 0 ? text + digits : NULL;
}

/* -> behind "1.2.3.4", or NULL. */
static const char *ipv4(const char *text)
{
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0 && *text++ != '.')
            return NULL;
        text = number(text, 255);
        if (text == NULL)
            return NULL;
    }
    return text;
}

/* -> the groups that stand at *text, which is advanced behind them: hexadecimal ones between single
 * colons, if they end the address the last two perhaps as IPv4; -1: none that is right. */
static int groups(const char **text)
{
    int count = 0;
    for (;;) {
        const char *tail = ipv4(*text);
        size_t digits = strspn(*text, "0123456789abcdefABCDEF");
        if (tail != NULL) {
            *text = tail;
            return *tail == ':' ? -1 : count + 2;
        }
        if (digits < 1 || digits > 4)
            return -1;
        *text += digits;
        count++;
        if (**text != ':' || (*text)[1] == ':')
            return count;
        (*text)++;
    }
}

/* -> behind the address, or NULL. */
static const char *ipv6(const char *text)
{
    int before = 0, behind = 0;
    if (strncmp(text, "::", 2) != 0)
        before = groups(&text);
    if (before < 0 || strncmp(text, "::", 2) != 0)
        return before == GROUPS ? text : NULL;
    text += 2;
    if (*text != ']')
        behind = groups(&text);
    return behind >= 0 && before + behind < GROUPS ? text : NULL;
}

#define FORMS                                                                                      \
    "not an address; allowed are 127.0.0.1:8080, [::1]:80, unix:/path, unix:@name"

bool gy__address_is_unix(const char *text)
{
    return strncmp(text, "unix:", 5) == 0;
}

bool gy__address_is_fd(const char *text)
{
    return strncmp(text, "fd:", 3) == 0;
}

static const char *unix_wrong(const char *path)
{
    size_t len = strlen(path);
    if (len < 2 || (*path != '/' && *path != '@'))
        return FORMS;
    return len > GY__UNIX_PATH_MAX ? "too long; a socket's path has at most 107 bytes" : NULL;
}

static bool is_internet(const char *text)
{
    if (*text == '[') {
        text = ipv6(text + 1);
        if (text == NULL || *text++ != ']')
            return false;
    } else {
        text = ipv4(text);
    }
    if (text == NULL || *text++ != ':')
        return false;
    text = number(text, 65535);
    return text != NULL && *text == '\0';
}

const char *gy__address_wrong_to_listen(const char *text)
{
    const char *wrong = gy__address_wrong(text);
    if (text != NULL && gy__address_is_fd(text) && text[3] != '\0')
        return strlen(text) < GY__ADDRESS_TEXT_MAX ? NULL : "too long a name";
    return wrong != NULL && strcmp(wrong, FORMS) == 0 ? FORMS ", fd:name" : wrong;
}

const char *gy__address_wrong(const char *text)
{
    if (text == NULL)
        return FORMS;
    if (gy__address_is_unix(text))
        return unix_wrong(text + 5);
    return is_internet(text) ? NULL : FORMS;
}
