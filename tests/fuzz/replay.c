/* Runs a fuzz target without libFuzzer: the empty input, and every file of the directories and files named. So the
 * inputs that once broke something are tests of every build, with any compiler and sanitizer. Each input ends at an
 * unreadable page, so that reading over its end stops the program also without a sanitizer. */

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void die(const char *what, const char *name)
{
    fprintf(stderr, "replay: %s: ", name);
    perror(what);
    exit(1);
}

static void run(FILE *file, size_t len, const char *name)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len + page - 1) / page * page;
    uint8_t *base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) < 0)
        die("guard page", name);
    if (len > 0 && fread(base + room - len, 1, len, file) != len)
        die("read", name);
    /* The last thing printed before a crash is what crashed. */
    printf("%s\n", name);
    fflush(stdout);
    LLVMFuzzerTestOneInput(base + room - len, len);
    munmap(base, room + page);
}

static unsigned run_path(const char *path)
{
    struct stat st;
    unsigned count = 0;

    if (stat(path, &st) < 0)
        die("stat", path);
    if (S_ISDIR(st.st_mode)) {
        struct dirent **entries;
        int n = scandir(path, &entries, NULL, alphasort);

        if (n < 0)
            die("scandir", path);
        for (int i = 0; i < n; i++) {
            char name[4096];

            snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
            if (entries[i]->d_name[0] != '.')
                count += run_path(name);
            free(entries[i]);
        }
        free(entries);
        return count;
    }

    FILE *file = fopen(path, "rb");

    if (file == NULL)
        die("open", path);
    run(file, (size_t)st.st_size, path);
    fclose(file);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    run(NULL, 0, "(empty input)");
    for (int i = 1; i < argc; i++)
        count += run_path(argv[i]);
    if (argc > 1 && count == 0) {
        fprintf(stderr, "replay: %s has no inputs\n", argv[1]);
        return 1;
    }
    printf("%u inputs\n", count + 1);
    return 0;
}
