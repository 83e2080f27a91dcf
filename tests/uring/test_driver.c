/* The seam's plain functions; submit, cancel and the rest have tests of their own. */
#include "fixture.h"
#include "uring/driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct gy_driver driver;

static int set_up(void **state)
{
    (void)state;
    gy__driver_init(&driver);
    return 0;
}

/* A function that core would find missing only when it is needed. */
static void nothing_is_missing(void **state)
{
    (void)state;
    assert_int_equal(driver.size, sizeof(driver));
    void *const *words = (void *const *)(const void *)&driver;
    for (size_t i = 1; i < sizeof(driver) / sizeof(words[0]); i++)
        assert_non_null(words[i]);
}

static void times_are_those_of_the_system(void **state)
{
    (void)state;
    uint64_t before_ns = driver.now(NULL);
    assert_true(before_ns >= 1);
    assert_true(driver.now(NULL) >= before_ns);
    uint64_t wall_s = driver.wall(NULL) / 1000000000;
    assert_in_range(wall_s, (uint64_t)time(NULL) - 5, (uint64_t)time(NULL) + 5);
}

static void random_words_differ(void **state)
{
    (void)state;
    assert_int_not_equal(driver.random(NULL), driver.random(NULL));
}

static void memory_is_zeroed_and_whole_pages(void **state)
{
    (void)state;
    size_t bytes = (size_t)1 << 36; /* untouched, so it costs nothing */
    uint8_t *memory = driver.memory(NULL, bytes);
    assert_non_null(memory);
    assert_int_equal((uintptr_t)memory % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
    assert_int_equal(memory[0], 0);
    memory[bytes - 1] = 1;
    driver.memory_free(NULL, memory, bytes);
    assert_null(driver.memory(NULL, SIZE_MAX / 2));
}

static unsigned resident(uint8_t *memory, size_t pages)
{
    unsigned char there[16];
    unsigned n = 0;
    assert_true(pages <= sizeof(there) && mincore(memory, pages * 4096, there) == 0);
    for (size_t i = 0; i < pages; i++)
        n += there[i] & 1;
    return n;
}

static void idle_memory_is_given_back(void **state)
{
    (void)state;
    uint8_t *memory = driver.memory(NULL, 16 * 4096);
    assert_non_null(memory);
    memset(memory, 0xEE, 16 * 4096);
    assert_int_equal(resident(memory, 16), 16);
    driver.memory_idle(NULL, memory + 4096, 14 * 4096);
    assert_int_equal(resident(memory, 16), 2);
    assert_int_equal(memory[4095], 0xEE);
    assert_int_equal(memory[4096], 0);
    assert_int_equal(memory[15 * 4096], 0xEE);
    memory[4096] = 1;
    assert_int_equal(memory[4096], 1);
    driver.memory_free(NULL, memory, 16 * 4096);
}

/* Those pages and no others, unless the system is older than the advice. */
static void memory_is_had_ahead(void **state)
{
    (void)state;
    uint8_t *memory = driver.memory(NULL, 16 * 4096);
    assert_non_null(memory);
    memory[4096] = 7;
    driver.memory_soon(NULL, memory + 4096, 8 * 4096);
    assert_int_equal(memory[4096], 7);
    if (madvise(memory + 4096, 4096, MADV_POPULATE_WRITE) == 0)
        assert_int_equal(resident(memory, 16), 8);
    for (unsigned i = 4097; i < 16 * 4096; i++)
        assert_int_equal(memory[i], 0);
    driver.memory_free(NULL, memory, 16 * 4096);
}

static void a_peer_has_a_name(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    char name[64], wanted[64];
    (void)state;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&in, &len), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&in, len), 0);
    driver.peer_name(NULL, fd, name, sizeof(name));
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", ntohs(in.sin_port));
    assert_string_equal(name, wanted);
    len = sizeof(in);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u", ntohs(in.sin_port));
    driver.local_name(NULL, fd, name, sizeof(name));
    assert_string_equal(name, wanted);
    close(fd);
    close(listening);
    int fds[2];
    socket_pair(fds);
    driver.peer_name(NULL, fds[0], name, sizeof(name));
    assert_string_equal(name, "unix:");
    driver.local_name(NULL, fds[0], name, sizeof(name));
    assert_string_equal(name, "unix:");
    close(fds[0]);
    close(fds[1]);
    driver.peer_name(NULL, fds[0], name, sizeof(name));
    assert_string_equal(name, "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_missing),
        cmocka_unit_test(times_are_those_of_the_system),
        cmocka_unit_test(random_words_differ),
        cmocka_unit_test(memory_is_zeroed_and_whole_pages),
        cmocka_unit_test(idle_memory_is_given_back),
        cmocka_unit_test(memory_is_had_ahead),
        cmocka_unit_test(a_peer_has_a_name),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
