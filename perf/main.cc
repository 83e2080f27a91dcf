// gyre-perf: what gyre's messages cost, each beside the least that the work can cost.
//
// A row is one piece of work in two versions, gyre's and its roof, which is a bare loop or a bare
// ring that does the same work with none of gyre's duties. They run in turn, roof, gyre, roof,
// gyre, and every pair gives one ratio: absolute figures drift with the machine, ratios within a
// pair hardly do. A row is one google-benchmark benchmark with manual time, one iteration per
// pair; medians over the pairs become its counters. Each sample also counts what arrived, and a
// row whose counts are wrong is an error and has no figure.

#include <benchmark/benchmark.h>

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "commit.h"
#include "gyre/args.h"
#include "options.h"
#include "perf.h"

namespace
{

// What gyre must reach, as a cost derived from what the same pair measured for the roof and c2c.
enum class GoalKind {
    kRatio, // value x roof
    kCost,  // value, whatever the roof
    kAtC2c, // value up to a c2c of 84 ns, in proportion above
    kOnTop, // roof + value
};

struct Goal {
    GoalKind kind;
    double value;
};

struct Roof {
    const char *name;
    perf_fn run;
};

struct Row {
    const char *name;
    const char *unit;
    bool cross; // between two shards
    uint64_t ops, quick_ops;
    std::vector<Roof> roofs; // the one with the lowest median is the roof of the run
    perf_fn gyre;
    Goal goal;
};

const double kC2cNear = 84; // ns; the goals of rows of kind kAtC2c were set at such distances

// clang-format off
const std::vector<Row> kRows = {
    {"local/count", "ns", false, 20000000, 2000000,
     {{"fifo", roof_local_count}}, gyre_local_count, {GoalKind::kRatio, 6 / 2.8}},
    {"local/pingpong", "ns", false, 5000000, 500000,
     {{"fifo", roof_local_pingpong}}, gyre_local_pingpong, {GoalKind::kRatio, 14 / 6.3}},
    {"local/ring", "ns", false, 10000000, 1000000,
     {{"fifo", roof_local_ring}}, gyre_local_ring, {GoalKind::kRatio, 7 / 3.0}},
    {"local/ask", "ns", false, 5000000, 500000,
     {{"fifo", roof_local_ask}}, gyre_local_ask, {GoalKind::kRatio, 25 / 11.6}},
    {"local/spawn", "ns", false, 2000000, 200000,
     {{"free list", roof_local_spawn}}, gyre_local_spawn, {GoalKind::kCost, 40}},
    {"local/idle_bytes", "bytes", false, 100000, 50000,
     {{"actor", roof_local_idle_bytes}}, gyre_local_idle_bytes, {GoalKind::kCost, 160}},
    {"local/then", "ns", false, 5000000, 500000,
     {{"slot", roof_local_then}}, gyre_local_then, {GoalKind::kCost, 15}},
    {"local/spawn_cold", "ns", false, 1000000, 200000,
     {{"touch", roof_local_spawn_cold}}, gyre_local_spawn_cold, {GoalKind::kRatio, 1.3}},
    {"local/skynet", "ms", false, 1000000, 1000000,
     {{"free list", roof_local_skynet}}, gyre_local_skynet, {GoalKind::kCost, 90}},
    {"local/skynet_cold", "ms", false, 1000000, 1000000,
     {{"touch", roof_local_skynet_cold}}, gyre_local_skynet_cold, {GoalKind::kCost, 250}},
    {"local/big", "ns", false, 10000000, 1000000,
     {{"prefetch", roof_local_many_1k}}, gyre_local_many_1k, {GoalKind::kCost, 12}},
    {"local/many_100k", "ns", false, 10000000, 1000000,
     {{"prefetch", roof_local_many_100k}}, gyre_local_many_100k, {GoalKind::kRatio, 14 / 8.2}},
    {"local/many_1m", "ns", false, 10000000, 1000000,
     {{"prefetch", roof_local_many_1m}}, gyre_local_many_1m, {GoalKind::kRatio, 32 / 15.8}},
    {"timer/arm", "ns", false, 10000000, 1000000,
     {{"list", roof_timer_arm}}, gyre_timer_arm, {GoalKind::kCost, 10}},
    {"timer/late", "ns", false, 20000, 5000,
     {{"clock", roof_timer_late}}, gyre_timer_late, {GoalKind::kCost, 50000}},
    {"mesh/rtt", "ns", true, 200000, 30000,
     {{"lap", roof_rtt_lap}, {"lazy", roof_rtt_lazy}}, gyre_mesh_rtt, {GoalKind::kRatio, 1.0}},
    {"mesh/oneway", "ns", true, 2000000, 300000,
     {{"lap", roof_oneway_lap}, {"lazy", roof_oneway_lazy}, {"batch", roof_oneway_batch}},
     gyre_mesh_oneway, {GoalKind::kRatio, 1.6}},
    {"mesh/pairs", "ns", true, 1000000, 150000,
     {{"lap", roof_pairs_lap}, {"lazy", roof_pairs_lazy}}, gyre_mesh_pairs, {GoalKind::kAtC2c, 40}},
    {"mesh/busy", "ns", true, 4000, 2000,
     {{"lap", roof_busy}}, gyre_mesh_busy, {GoalKind::kCost, 30000}},
    {"mesh/wake", "ns", true, 3000, 600,
     {{"msg_ring", roof_wake_msg_ring}, {"eventfd", roof_wake_eventfd}, {"futex", roof_wake_futex}},
     gyre_mesh_wake, {GoalKind::kOnTop, 2000}},
};
// clang-format on

perf_options options;
double gate; // > 0: end with status 1 if a row surely misses this multiple of its goal
int cpus[2] = {-1, -1};
bool table_begun, any_failed, any_missed;

double goal_cost(const Goal &goal, double roof, double c2c)
{
    switch (goal.kind) {
    case GoalKind::kRatio:
        return goal.value * roof;
    case GoalKind::kCost:
        return goal.value;
    case GoalKind::kAtC2c:
        return goal.value * std::max(1.0, c2c / kC2cNear);
    case GoalKind::kOnTop:
        return roof + goal.value;
    }
    abort();
}

std::string goal_text(const Goal &goal, const char *unit)
{
    char text[64];
    switch (goal.kind) {
    case GoalKind::kRatio:
        snprintf(text, sizeof(text), "%.2f x roof", goal.value);
        break;
    case GoalKind::kCost:
        snprintf(text, sizeof(text), "%.0f %s", goal.value, unit);
        break;
    case GoalKind::kAtC2c:
        snprintf(text, sizeof(text), "%.0f ns near", goal.value);
        break;
    case GoalKind::kOnTop:
        snprintf(text, sizeof(text), "roof + %.0f", goal.value);
        break;
    }
    return text;
}

double median(std::vector<double> v)
{
    return perf_median(v.data(), static_cast<unsigned>(v.size()));
}

// The 95 % interval of a median, by order statistics: no assumption about the noise but that the
// pairs are independent. Fewer than 6 pairs cannot give one; then it is all of their range.
struct Interval {
    double low, high;
};

Interval interval(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    size_t n = v.size(), k = 0;
    double chance = std::pow(0.5, static_cast<double>(n)), below = chance;
    while (2 * below <= 0.05) {
        k++;
        chance *= static_cast<double>(n - k + 1) / static_cast<double>(k);
        below += chance;
    }
    if (k > 0)
        k--;
    return {v[k], v[n - 1 - k]};
}

// One sample; -> its value, or NaN after the row was marked as failed.
double sample(benchmark::State &state, const char *who, perf_fn run, uint64_t ops)
{
    static std::string text; // SkipWithError keeps the pointer
    perf_sample s = {};
    s.cpu[0] = cpus[0];
    s.cpu[1] = cpus[1];
    s.ops = ops;
    int err = run(&s);
    if (err < 0)
        text = std::string(who) + ": " + (s.error ? s.error : "failed") + ": " + strerror(-err);
    else if (s.handled != s.expected || s.expected == 0)
        text = std::string(who) + ": " + std::to_string(s.handled) + " arrived instead of " +
               std::to_string(s.expected);
    else if (!(s.value > 0))
        text = std::string(who) + ": no time was measured";
    else
        return s.value;
    any_failed = true;
    state.SkipWithError(text.c_str());
    printf("%-17s %s\n", "", text.c_str());
    return NAN;
}

struct Pairs {
    std::vector<std::vector<double>> roofs;
    std::vector<double> gyre, c2c;
};

void print_row(const Row &row, const Roof &roof, double gyre_ns, double roof_ns, double ratio,
               Interval ratios, double c2c, double margin, Interval margins)
{
    const char *verdict = margin <= 1 ? "met" : margins.low <= 1 ? "noise > difference" : "missed";
    if (!table_begun) {
        printf("%-17s %10s %10s %-9s %6s %13s %7s  %-15s %7s  %s\n", "row", "gyre", "roof",
               "(which)", "ratio", "95 % of it", "c2c ns", "goal", "of goal", "verdict");
        table_begun = true;
    }
    char spread[32], distance[16] = "";
    snprintf(spread, sizeof(spread), "%.2f .. %.2f", ratios.low, ratios.high);
    if (row.cross)
        snprintf(distance, sizeof(distance), "%.0f", c2c);
    printf("%-17s %10.2f %10.2f %-9s %6.2f %13s %7s  %-15s %6.2fx  %s\n", row.name, gyre_ns,
           roof_ns, roof.name, ratio, spread, distance, goal_text(row.goal, row.unit).c_str(),
           margin, verdict);
    fflush(stdout);
}

void run_row(benchmark::State &state, const Row &row)
{
    uint64_t ops = options.quick ? row.quick_ops : row.ops;
    Pairs pairs;
    pairs.roofs.resize(row.roofs.size());
    if (row.cross && cpus[1] < 0) {
        state.SkipWithError("needs two CPUs");
        printf("%-17s skipped: needs two CPUs\n", row.name);
        return;
    }
    for (auto _ : state) {
        for (size_t i = 0; i < row.roofs.size(); i++)
            pairs.roofs[i].push_back(sample(state, row.roofs[i].name, row.roofs[i].run, ops));
        if (row.cross)
            pairs.c2c.push_back(sample(state, "c2c", roof_c2c, 100000));
        pairs.gyre.push_back(sample(state, "gyre", row.gyre, ops));
        if (std::isnan(pairs.gyre.back()))
            return;
        state.SetIterationTime(pairs.gyre.back() * 1e-9);
    }
    size_t best = 0;
    for (size_t i = 0; i < row.roofs.size(); i++) {
        if (std::any_of(pairs.roofs[i].begin(), pairs.roofs[i].end(),
                        [](double v) { return std::isnan(v); }))
            return;
        if (median(pairs.roofs[i]) < median(pairs.roofs[best]))
            best = i;
    }
    std::vector<double> ratios, margins;
    for (size_t i = 0; i < pairs.gyre.size(); i++) {
        double roof = pairs.roofs[best][i], c2c = row.cross ? pairs.c2c[i] : 0;
        ratios.push_back(pairs.gyre[i] / roof);
        margins.push_back(pairs.gyre[i] / goal_cost(row.goal, roof, c2c));
    }
    double gyre = median(pairs.gyre), roof = median(pairs.roofs[best]), ratio = median(ratios);
    double margin = median(margins), c2c = row.cross ? median(pairs.c2c) : 0;
    Interval wide = interval(ratios), wide_margin = interval(margins);
    if (gate > 0 && wide_margin.low > gate)
        any_missed = true;
    state.counters["ns_per_op"] = gyre;
    state.counters["roof_ns"] = roof;
    state.counters["ratio"] = ratio;
    state.counters["ratio_low"] = wide.low;
    state.counters["ratio_high"] = wide.high;
    state.counters["of_goal"] = margin;
    state.counters["pairs"] = static_cast<double>(pairs.gyre.size());
    if (row.cross)
        state.counters["c2c_ns"] = c2c;
    state.SetLabel(std::string(row.unit) + ", roof: " + row.roofs[best].name);
    print_row(row, row.roofs[best], gyre, roof, ratio, wide, c2c, margin, wide_margin);
}

// The rows print themselves as they end.
class Silent : public benchmark::BenchmarkReporter
{
  public:
    bool ReportContext(const Context &) override
    {
        return true;
    }
    void ReportRuns(const std::vector<Run> &) override
    {
    }
};

// The library appends how a benchmark was run to its name; here a row is called what it is called.
class Json : public benchmark::JSONReporter
{
  public:
    void ReportRuns(const std::vector<Run> &runs) override
    {
        std::vector<Run> named = runs;
        for (Run &run : named) {
            run.run_name.iterations.clear();
            run.run_name.time_type.clear();
        }
        benchmark::JSONReporter::ReportRuns(named);
    }
};

std::string first_line(const char *path, const char *otherwise)
{
    std::ifstream file(path);
    std::string line;
    return std::getline(file, line) ? line : otherwise;
}

std::string cpu_model()
{
    std::ifstream file("/proc/cpuinfo");
    std::string line;
    while (std::getline(file, line))
        if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
            return line.substr(line.find(": ") + 2);
    return "unknown";
}

void add_context(const std::string &given)
{
    utsname name;
    uname(&name);
    benchmark::AddCustomContext("gyre_commit", PERF_COMMIT);
    benchmark::AddCustomContext("compiler", __VERSION__);
    benchmark::AddCustomContext("kernel", std::string(name.sysname) + " " + name.release);
    benchmark::AddCustomContext("cpu", cpu_model());
    benchmark::AddCustomContext(
        "governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "none"));
    benchmark::AddCustomContext("arguments", given);
    benchmark::AddCustomContext("cpus", std::to_string(cpus[0]) + "," + std::to_string(cpus[1]));
}

// The first two CPUs of --cpuset, or of those allowed here.
void choose_cpus(const gy_config *config)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof(set), &set);
    bool given = gy_cpuset_count(&config->cpuset) > 0;
    int n = 0;
    for (unsigned cpu = 0; cpu < GY_CPUS_MAX && n < 2; cpu++)
        if (given ? gy_cpuset_has(&config->cpuset, cpu) : CPU_ISSET(cpu, &set))
            cpus[n++] = static_cast<int>(cpu);
}

int refuse(const std::string &what, const std::string &why)
{
    fprintf(stderr, "gyre-perf: %s: %s\n", what.c_str(), why.c_str());
    return 2;
}

int once(int argc, char **argv)
{
    if (argc != 4)
        return refuse("once",
                      "a row and a number of operations are wanted, as once local/count 100000");
    for (const Row &row : kRows) {
        if (strcmp(row.name, argv[2]) != 0)
            continue;
        perf_sample s = {};
        s.cpu[0] = cpus[0];
        s.cpu[1] = cpus[1];
        s.ops = strtoull(argv[3], nullptr, 10);
        int err = row.gyre(&s);
        if (err < 0 || s.handled != s.expected) {
            fprintf(stderr, "gyre-perf: %s: %s\n", row.name,
                    s.error ? s.error : "messages got lost");
            return 1;
        }
        return 0;
    }
    return refuse(argv[2], "no row is called so: gyre-perf list shows them");
}

int run(int argc, char **argv, const std::string &given)
{
    // Behind "--" stands what is google-benchmark's own.
    std::vector<std::string> passed = {argv[0]};
    if (argc > 2 && strcmp(argv[2], "--") != 0)
        return refuse(argv[2], "run takes options only; gyre-perf --help shows them");
    for (int i = 3; i < argc; i++)
        passed.push_back(argv[i]);
    if (options.pairs == 0)
        options.pairs = options.quick ? 3 : 9;
    if (options.gate) {
        gate = atof(options.gate);
        if (!(gate > 0))
            return refuse(std::string("--gate=") + options.gate,
                          "a number above 0 is wanted, as 1.5");
    }

    std::regex filter;
    try {
        filter.assign(options.filter ? options.filter : "");
    } catch (const std::regex_error &) {
        return refuse(std::string("--filter=") + options.filter, "not a regular expression");
    }
    unsigned chosen = 0;
    for (const Row &row : kRows) {
        if (!std::regex_search(row.name, filter))
            continue;
        benchmark::RegisterBenchmark(row.name,
                                     [&row](benchmark::State &state) { run_row(state, row); })
            ->UseManualTime()
            ->Iterations(options.pairs)
            ->Unit(benchmark::kNanosecond);
        chosen++;
    }
    if (chosen == 0)
        return refuse(std::string("--filter=") + options.filter,
                      "no row matches: gyre-perf list shows them");

    if (options.json) {
        FILE *probe = fopen(options.json, "w");
        if (!probe)
            return refuse(std::string("--json=") + options.json, strerror(errno));
        fclose(probe);
        passed.push_back(std::string("--benchmark_out=") + options.json);
    }
    std::vector<char *> passed_argv;
    for (std::string &arg : passed)
        passed_argv.push_back(arg.data());
    int passed_argc = static_cast<int>(passed_argv.size());
    benchmark::Initialize(&passed_argc, passed_argv.data());
    if (benchmark::ReportUnrecognizedArguments(passed_argc, passed_argv.data()))
        return 2;
    add_context(given);
    Silent silent;
    Json json;
    if (!options.json)
        benchmark::RunSpecifiedBenchmarks(&silent);
    else
        benchmark::RunSpecifiedBenchmarks(&silent, &json);
    return any_failed || any_missed;
}

} // namespace

int main(int argc, char **argv)
{
    std::string given;
    for (int i = 1; i < argc; i++)
        given += std::string(i > 1 ? " " : "") + argv[i];
    gy_config_init(perf_config());
    int err = perf_options_parse(&options, perf_config(), &argc, argv);
    if (err != 0)
        return gy_exit_status(err);
    choose_cpus(perf_config());
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (const Row &row : kRows)
            puts(row.name);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "run") == 0)
        return run(argc, argv, given);
    if (argc >= 2 && strcmp(argv[1], "once") == 0)
        return once(argc, argv);
    return refuse(argc > 1 ? argv[1] : "nothing to do",
                  "list, run and once are known; --help tells more");
}
