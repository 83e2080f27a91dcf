#!/usr/bin/env bash
# Usage: tests/fuzz/run.sh [SECONDS]
# Builds the fuzz targets with clang and libFuzzer and runs them for SECONDS (60) altogether, one after the other, each
# from its corpus.
# What crashes one is kept in build/fuzz/found/; minimised, it belongs into tests/fuzz/corpus/.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
command -v clang >/dev/null || { echo "fuzz: clang is not here"; exit 77; }
targets=(tests/fuzz/fuzz_*.c)
[ -e "${targets[0]}" ] || { echo "fuzz: no targets"; exit 77; }

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --target fuzz
failed=0 left=${#targets[@]} end=$((SECONDS + seconds))
mkdir -p build/fuzz/found
for target in "${targets[@]}"; do
    each=$(((end - SECONDS) / left)) # what one took too long, by reading its corpus, the others have less
    [ $each -ge 1 ] || each=1
    left=$((left - 1))
    name=$(basename "$target" .c)
    subject=${name#fuzz_}
    grown=build/fuzz/corpus/$subject
    mkdir -p "$grown"
    echo "fuzz: $subject for $each s"
    # New inputs go into the first directory; the tracked one is only read.
    build/fuzz/tests/fuzz/"$name" -max_total_time=$each -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/found/$subject-" "$grown" "tests/fuzz/corpus/$subject" 2>"build/fuzz/$subject.log" || {
        tail -n 60 "build/fuzz/$subject.log"
        echo "fuzz: $subject FAILED; the input is in build/fuzz/found/"
        failed=1
        continue
    }
    grep -E 'number_of_executed_units|new_units_added' "build/fuzz/$subject.log" || true
done
exit $failed
