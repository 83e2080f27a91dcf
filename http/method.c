/* http/method.c - the table of request methods. Methods are compared exactly: "get" is not GET. */
#include "http/method.h"

#include <string.h>

#define NAME(number, name, text) [number] = { #text, sizeof(#text) - 1 },
const struct gy_slice gy__http_method_names[GY__HTTP_METHODS] = { HTTP_METHOD_MAP(NAME) };
#undef NAME

int gy__http_method_number(const char *name, size_t len)
{
    for (int i = 0; i < GY__HTTP_METHODS; i++)
        if (len != 0 && gy__http_method_names[i].len == len &&
            memcmp(gy__http_method_names[i].ptr, name, len) == 0)
            return i;
    return -1;
}
