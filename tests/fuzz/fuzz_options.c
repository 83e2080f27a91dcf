/* Any command line and environment is read or refused with one line; what was read is allowed, and
 * reads the same again when it is written as options. Input: the first byte says whether it is
 * strict; then words that end with a newline, environment where they begin with a dollar sign. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/option_value.h"
#include "gyre/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define WORDS_MAX 64

struct words {
    char *argv[WORDS_MAX + 1];
    const char *environment[WORDS_MAX + 1];
    int argc, environment_n;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void split(struct words *w, char *text)
{
    static char program[] = "fuzz";
    char *rest = text;
    w->argv[w->argc++] = program;
    for (char *word; (word = strsep(&rest, "\n")) != NULL && w->argc < WORDS_MAX &&
                     w->environment_n < WORDS_MAX;) {
        if (word[0] == '$')
            w->environment[w->environment_n++] = word + 1;
        else
            w->argv[w->argc++] = word;
    }
}

static int parse(struct gy_config *cfg, struct words *w, bool strict)
{
    char why[8192];
    struct gy_option_set set = gy_config_options(cfg);
    struct gy_command_line line = {.program = "fuzz",
                                   .sets = &set,
                                   .sets_n = 1,
                                   .environment = w->environment,
                                   .strict = strict};
    int before = w->argc, result = gy_options_parse(&line, &w->argc, w->argv, why, sizeof(why));
    require(w->argc >= 1 && w->argc <= before && (result > 0 || w->argv[w->argc] == NULL));
    require((result < 0) == (why[0] != '\0'));
    return result;
}

/* All values as they would be written as flags, one a line. */
static void write_flags(struct gy_config *cfg, char *text, size_t size)
{
    struct gy_option_set set = gy_config_options(cfg);
    struct gy__text t;
    gy__text_init(&t, text, size);
    for (size_t i = 0; i < set.options_n; i++) {
        char why[256];
        struct gy__text refused;
        if (set.options[i].kind == GY_OPTION_COMMAND)
            continue;
        gy__text_init(&refused, why, sizeof(why));
        require(gy__option_check(&set.options[i], cfg, &refused) == 0);
        gy__option_label(&set.options[i], cfg, GY_ORIGIN_FLAG, &t);
        gy__text_char(&t, '\n');
    }
    require(!t.cut);
    t.start[t.len - 1] = '\0';
}

static void check(struct gy_config *read)
{
    static char first[8192], second[8192], words[8192];
    struct gy_config again;
    struct words w = {.argc = 0};
    write_flags(read, first, sizeof(first));
    memcpy(words, first, sizeof(words));
    split(&w, words);
    gy_config_init(&again);
    require(parse(&again, &w, true) == 0 && w.argc == 1);
    write_flags(&again, second, sizeof(second));
    require(strcmp(first, second) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct words w = {.argc = 0};
    struct gy_config cfg;
    if (len < 1 || len > 4096)
        return 0;
    char *text = malloc(len);
    require(text != NULL);
    memcpy(text, data + 1, len - 1);
    text[len - 1] = '\0';
    split(&w, text);
    gy_config_init(&cfg);
    if (parse(&cfg, &w, data[0] & 1) == 0)
        check(&cfg);
    free(text);
    return 0;
}
