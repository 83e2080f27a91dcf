#include "tests/http/guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_open(struct guard *guard, size_t size_max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    guard->size = (size_max + page - 1) / page * page;
    guard->pages = mmap(NULL, guard->size + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guard->given = 0;
    if (guard->pages == MAP_FAILED || mprotect(guard->pages + guard->size, page, PROT_NONE) != 0)
        abort();
}

void guard_close(struct guard *guard)
{
    munmap(guard->pages, guard->size + (size_t)sysconf(_SC_PAGESIZE));
}

char *guard_give(struct guard *guard, const void *bytes, size_t len)
{
    char *at = guard->pages + guard->size - len;

    if (len > guard->size)
        abort();
    guard->given = len;
    memcpy(at, bytes, len);
    return at;
}

void guard_spoil(struct guard *guard)
{
    memset(guard->pages + guard->size - guard->given, 0x01, guard->given);
}
