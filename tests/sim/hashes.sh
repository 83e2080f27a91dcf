#!/usr/bin/env bash
# The same seeds give the same events whatever compiled the program and wherever it was loaded: the swarm is built by
# each compiler at hand at -O0 and -O3, each build runs the seeds three times (addresses differ from run to run), and
# all hashes must be equal.
#
#     hashes.sh [SEEDS]      with GYRE_SOURCE and GYRE_DEPS as the tests set them

set -uo pipefail
cd "${GYRE_SOURCE:-$(dirname "$0")/../..}" || exit 1
seeds=${1:-100}
deps=${GYRE_DEPS:-deps}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sources=(core/*.c core/prim/*.c core/sim/*.c http/*.c tests/sim/scenario*.c)
# What else is in the swarm is said once, where it is built.
for source in $(sed -n 's/^set(swarm_sources \(.*\) ${scenario_sources}.*/\1/p' tests/CMakeLists.txt); do
    sources+=("tests/$source")
done
for source in tests/examples/demo/*.c; do
    case $source in */main.c | */test_*) ;; *) sources+=("$source") ;; esac
done
flags=(-std=c11 -D_GNU_SOURCE -DGY__OPENSSL=0 -DGY__ZLIB=0 -I. -Icore -Iuring -Ihttp -Itests/examples/demo -w)
export PKG_CONFIG_PATH=$deps/lib/pkgconfig:${PKG_CONFIG_PATH:-}
read -ra llhttp < <(pkg-config --libs libllhttp) && read -ra include < <(pkg-config --cflags libllhttp; echo) || { echo "no llhttp"; exit 1; }

randomize=$(cat /proc/sys/kernel/randomize_va_space 2>/dev/null || echo "?")
builds=0
failed=0
for compiler in gcc clang; do
    command -v $compiler >/dev/null 2>&1 || { echo "$compiler is not here"; continue; }
    for level in -O0 -O3; do
        swarm=$work/swarm$compiler$level
        mkdir -p "$work/o" && rm -f "$work"/o/*
        printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -I '{}' sh -c '
            source=$1; objects=$2; shift 2
            exec "$@" -c "$source" -o "$objects/$(echo "$source" | tr / _).o"' sh '{}' "$work/o" \
            $compiler $level "${flags[@]}" "${include[@]}" || exit 1
        $compiler "$work"/o/*.o "${llhttp[@]}" -o "$swarm" || exit 1
        builds=$((builds + 1))
        for run in 1 2 3; do
            "$swarm" --seeds="$seeds" --hash >"$work/hashes" || { tail -5 "$work/hashes"; exit 1; }
            [ -e "$work/first" ] || cp "$work/hashes" "$work/first"
            if ! cmp -s "$work/first" "$work/hashes"; then
                echo "DIFFERS: $compiler $level, run $run:"
                diff "$work/first" "$work/hashes" | head -4
                failed=1
            fi
        done
    done
done
echo "$seeds seeds, $builds builds, 3 runs each, address randomisation $randomize: hash of hashes" \
    "$(cksum <"$work/first" | cut -d' ' -f1)"
exit $failed
