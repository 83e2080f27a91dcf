/* The swarm: many runs of scenarios, each with a seed that decides sizes, faults and order.
 *
 *     swarm [--scenario=NAME] [--seeds=N] [--first=S] [--jobs=J] [--minutes=M]
 *           [--bug=NAME] [--hash] [--sums] [--trace] [--until=EVENT]
 *
 * Without --scenario each seed runs the scenario whose turn it is. A failure prints the end of its
 * run, its seed, and the command that runs it again; then the status is 1. --minutes ends the swarm
 * in time and says how far it came. --hash prints each run's hash; --sums what each job's runs have counted
 * together; --trace every event; --until stops
 * one run at an event and prints the state of everything. --bug, in the build that has them, switches a
 * planted bug on; without a name it lists them. */
#include "core/bugs.h"
#include "tests/sim/pages.h"
#include "tests/sim/scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
#define SEED_SECONDS 60 /* a run that takes longer hangs */

static const struct scenario *const scenarios[] = {
    &scenario_mesh,
    &scenario_lifecycle,
    &scenario_futures,
    &scenario_supervision,
    &scenario_primitives,
    &scenario_flows,
    &scenario_pool,
    &scenario_echo,
    &scenario_http,
    &scenario_bodies,
    &scenario_websocket,
    &scenario_mixed,
    &scenario_fetch,
    &scenario_limiter,
    &scenario_hosts,
    &scenario_datagrams,
    &scenario_streams,
    &scenario_processes,
    &scenario_files,
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* The scenario that is best at finding it comes first; that it is found by its oracle or by an
 * assertion is equally good. */
static const struct {
    const char *name;
    const struct scenario *scenario;
} bugs[GY__BUGS] = {
    [GY__BUG_LOST_WAKE_UP] = {"lost-wake-up", &scenario_mesh},
    [GY__BUG_RING_WRAP] = {"ring-wrap", &scenario_mesh},
    [GY__BUG_TWICE] = {"twice-after-cancel", &scenario_lifecycle},
    [GY__BUG_BUFFER_EARLY] = {"buffer-early", &scenario_echo},
    [GY__BUG_TIMER_CASCADE] = {"timer-cascade", &scenario_mesh},
    [GY__BUG_SLOT_EARLY] = {"slot-early", &scenario_lifecycle},
    [GY__BUG_MAILBOX] = {"mailbox", &scenario_lifecycle},
    [GY__BUG_PIPELINE] = {"pipeline-order", &scenario_http},
    [GY__BUG_DRAIN] = {"drain-forgets", &scenario_http},
    [GY__BUG_LOST_EXITED] = {"lost-exited", &scenario_lifecycle},
    [GY__BUG_RESTART_TWICE] = {"restart-twice", &scenario_supervision},
    [GY__BUG_REMOVED_RESTARTS] = {"removed-restarts", &scenario_supervision},
    [GY__BUG_RESTART_ASKED] = {"restart-asked-twice", &scenario_supervision},
    [GY__BUG_ADDED_EARLY] = {"added-early", &scenario_supervision},
    [GY__BUG_LATE_HANDLE] = {"late-handle", &scenario_streams},
    [GY__BUG_LEAKED_WAITER] = {"leaked-waiter", &scenario_primitives},
    [GY__BUG_CLIENT_ORDER] = {"client-order", &scenario_fetch},
    [GY__BUG_CLIENT_RETRY] = {"client-retry", &scenario_fetch},
    [GY__BUG_WS_PONG] = {"ws-pong", &scenario_websocket},
    [GY__BUG_WS_CLOSE] = {"ws-close-twice", &scenario_websocket},
    [GY__BUG_WS_PING] = {"ws-ping-in-message", &scenario_websocket},
    [GY__BUG_FLOW_AFTER_DEATH] = {"flow-after-death", &scenario_flows},
};

static struct options {
    const struct scenario *scenario;
    uint64_t seeds, first, until, minutes;
    unsigned jobs;
    bool hash, sums, trace;
} options = {.seeds = 100, .first = 1, .jobs = 1};

/* What the workers tell the parent; shared. */
static volatile struct progress {
    uint64_t seed; /* being run */
    uint64_t done;
} *progress;

static const char *program, *bug;
static char command[512];

/* ---- one run ---- */

/* Programs under test may print; the swarm prints here. */
static FILE *out;
static bool stopped; /* at the event asked for: no failure */

static int on_line(const char *line)
{
    stopped |= strncmp(line, "stopped at event", 16) == 0;
    return fprintf(out, "%s\n", line);
}

static void on_failure(void)
{
    fflush(out);
    _exit(stopped ? 0 : 1);
}

/* What runs a seed again, but for the seed. */
static void command_of(const struct scenario *scenario)
{
    snprintf(command, sizeof(command), "%s%s%s --scenario=%s --seeds=1 --first=", program,
             bug != NULL ? " --bug=" : "", bug != NULL ? bug : "", scenario->name);
}

static uint64_t run_seed(uint64_t seed)
{
    const struct scenario *scenario = options.scenario;
    struct gy_sim_config config;

    if (scenario == NULL)
        scenario = scenarios[seed % SCENARIOS];
    command_of(scenario);
    gy_sim_config_init(&config, seed, pages_calloc, pages_free, on_line, on_failure);
    gy_sim_config_swarm(&config, seed);
    config.command = command;
    config.trace = options.trace;
    config.stop_at_event = options.until;
    return scenario->run(&config);
}

/* ---- workers ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void work(unsigned job)
{
    double begun = seconds();

    for (uint64_t i = job; i < options.seeds; i += options.jobs) {
        uint64_t seed = options.first + i, hash;
        progress[job].seed = seed;
        alarm(SEED_SECONDS);
        hash = run_seed(seed);
        alarm(0);
        if (options.hash)
            fprintf(out, "%llu %016llx\n", (unsigned long long)seed, (unsigned long long)hash);
        progress[job].done++;
        if (options.minutes > 0 && seconds() - begun > 60.0 * (double)options.minutes)
            break;
    }
    if (options.sums)
        scenario_print_sums(out);
    fflush(out);
    _exit(0);
}

static void tell_end(unsigned job, int status)
{
    unsigned long long seed = (unsigned long long)progress[job].seed;
    const struct scenario *scenario =
        options.scenario != NULL ? options.scenario : scenarios[seed % SCENARIOS];

    if (WIFSIGNALED(status))
        fprintf(out, "seed %llu: %s\n", seed,
               WTERMSIG(status) == SIGALRM ? "does not end" : strsignal(WTERMSIG(status)));
    command_of(scenario);
    fprintf(out, "FAILED: seed %llu of %s; again: %s%llu\n", seed, scenario->name, command, seed);
}

static int swarm(void)
{
    pid_t pids[JOBS_MAX];
    uint64_t done = 0;
    double begun = seconds();
    int failed = 0;

    for (unsigned job = 0; job < options.jobs; job++) {
        fflush(out);
        pids[job] = fork();
        if (pids[job] == 0)
            work(job);
        if (pids[job] < 0) {
            perror("fork");
            return 2;
        }
    }
    for (unsigned left = options.jobs; left > 0; left--) {
        int status;
        pid_t pid = wait(&status);
        unsigned job = 0;
        while (job < options.jobs && pids[job] != pid)
            job++;
        if (job == options.jobs || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
            continue;
        /* What the others do is of no interest any more. */
        if (failed++ == 0)
            tell_end(job, status);
        for (unsigned i = 0; i < options.jobs; i++)
            if (i != job)
                kill(pids[i], SIGKILL);
        while (wait(&status) > 0)
            continue;
        break;
    }
    for (unsigned job = 0; job < options.jobs; job++)
        done += progress[job].done;
    if (!options.hash)
        fprintf(out, "%llu runs in %.1f s, %s\n", (unsigned long long)done, seconds() - begun,
               failed ? "one failed" : "none failed");
    return failed ? 1 : 0;
}

/* ---- the command line ---- */

static int usage(const char *what)
{
    fprintf(stderr, "swarm: %s\nscenarios:\n", what);
    for (size_t i = 0; i < SCENARIOS; i++)
        fprintf(stderr, "  %-10s %s\n", scenarios[i]->name, scenarios[i]->what);
    fprintf(stderr, "planted bugs, in the build that has them:\n");
    for (size_t i = 0; i < GY__BUGS; i++)
        fprintf(stderr, "  %s\n", bugs[i].name);
    return 2;
}

static bool number(const char *argument, const char *name, uint64_t *value)
{
    size_t len = strlen(name);
    char *end;

    if (strncmp(argument, name, len) != 0)
        return false;
    *value = strtoull(argument + len, &end, 0);
    return *end == 0 && end != argument + len;
}

/* -> false: there is none of that name, or none at all in this build. */
static bool switch_on(const char *name)
{
#ifdef GY_BUGS
    for (unsigned i = 0; i < GY__BUGS; i++)
        if (strcmp(bugs[i].name, name) == 0) {
            gy__bugs_on |= 1u << i;
            if (options.scenario == NULL)
                options.scenario = bugs[i].scenario;
            bug = name;
            return true;
        }
#endif
    (void)name;
    return false;
}

static bool parse(const char *argument)
{
    uint64_t jobs;

    if (strncmp(argument, "--bug=", 6) == 0)
        return switch_on(argument + 6);
    if (strcmp(argument, "--hash") == 0)
        return options.hash = true;
    if (strcmp(argument, "--sums") == 0)
        return options.sums = true;
    if (strcmp(argument, "--trace") == 0)
        return options.trace = true;
    if (number(argument, "--jobs=", &jobs)) {
        options.jobs = (unsigned)jobs;
        return jobs > 0 && jobs <= JOBS_MAX;
    }
    if (strncmp(argument, "--scenario=", 11) == 0) {
        for (size_t i = 0; i < SCENARIOS; i++)
            if (strcmp(scenarios[i]->name, argument + 11) == 0)
                options.scenario = scenarios[i];
        return options.scenario != NULL;
    }
    return number(argument, "--seeds=", &options.seeds) ||
           number(argument, "--first=", &options.first) ||
           number(argument, "--minutes=", &options.minutes) ||
           number(argument, "--until=", &options.until);
}

int main(int argc, char **argv)
{
    program = argv[0];
    for (int i = 1; i < argc; i++)
        if (!parse(argv[i]))
            return usage(argv[i]);
    progress = mmap(NULL, JOBS_MAX * sizeof(*progress), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return usage("no memory");
    out = fdopen(dup(STDOUT_FILENO), "w");
    if (out == NULL || freopen("/dev/null", "w", stdout) == NULL)
        return usage("no output");
    setvbuf(out, NULL, _IOFBF, 1 << 16);
    int status = swarm();
    return fclose(out) == 0 ? status : 2;
}
