#!/usr/bin/env bash
# What must not compile does not, in any of the languages gyre is used from. Every case here is one file whose first
# line says what has to happen:
#
#     /* expect: silent */                  compiles without a word (the control: a case that it resembles is at fault,
#                                           not the compiler's flags)
#     /* expect: error PATTERN */           does not compile, and a line of the errors matches the extended PATTERN
#     /* expect: warning PATTERN */         compiles with a warning that matches
#     /* expect: link PATTERN */            compiles silently, and does not link: all that is undefined matches
#     /* expect-c++: ... */                 on the second line: where C++ differs
#
# Silent and link cases have a main() of their own and are linked with the library. The .h files are what the cases
# use rightly or wrongly.

set -uo pipefail
cd "$GYRE_SOURCE/tests/compile_fail" || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
have() { command -v "$1" >/dev/null 2>&1; }

include=(-I"$GYRE_SOURCE/core" -I"$GYRE_SOURCE/uring" -I"$GYRE_SOURCE/http")
warn=(-Wall -Wextra -Wshadow -Wpedantic)
count=0
failed=0
unset LANGUAGE
export LC_ALL=C

complain() # TEXT, the compiler's output is in $tmp/out
{
    echo "FAILED: $*"
    sed 's/^/    /' "$tmp/out" | head -n 12
    failed=$((failed + 1))
}

link() # COMPILER
{
    local libs
    libs=$(PKG_CONFIG_PATH=${GYRE_DEPS:-}/lib/pkgconfig:${PKG_CONFIG_PATH:-} pkg-config --libs liburing libllhttp)
    "$1" -o "$tmp/a.out" "$tmp/a.o" "$GYRE_BUILD/lib/libgyre.a" $libs -pthread >"$tmp/out" 2>&1
}

try() # COMPILER STANDARD LANGUAGE FILE
{
    local what kind pattern status strange strict
    what=$(sed -n '1s|^/\* expect: \(.*\) \*/$|\1|p' "$4")
    if [ "$3" = c++ ] && grep -q '^/\* expect-c++: ' "$4"; then
        what=$(sed -n '2s|^/\* expect-c++: \(.*\) \*/$|\1|p' "$4")
    fi
    kind=${what%% *}
    pattern=${what#* }
    count=$((count + 1))
    # C compilers differ by age in whether a pointer of the wrong type stops them; here all stop, as the newest do.
    strict=()
    [ "$3" = c++ ] || strict=(-Werror=incompatible-pointer-types)
    "$1" -x "$3" -std="$2" "${warn[@]}" "${strict[@]}" "${include[@]}" -c -o "$tmp/a.o" "$4" >"$tmp/out" 2>&1
    status=$?
    case $kind in
    silent)
        [ $status -eq 0 ] && [ ! -s "$tmp/out" ] || { complain "$4 by $1 -std=$2 is not silent"; return; }
        link "$1" || complain "$4 by $1 -std=$2 does not link" ;;
    error)
        [ $status -ne 0 ] || { complain "$4 by $1 -std=$2 compiles"; return; }
        grep -qE -- "error:.*$pattern" "$tmp/out" ||
            complain "$4 by $1 -std=$2 fails, but not with: $pattern" ;;
    warning)
        [ $status -eq 0 ] || { complain "$4 by $1 -std=$2 does not compile"; return; }
        grep -qE -- "warning:.*$pattern" "$tmp/out" ||
            complain "$4 by $1 -std=$2 does not warn of: $pattern" ;;
    link)
        [ $status -eq 0 ] && [ ! -s "$tmp/out" ] || { complain "$4 by $1 -std=$2 is not silent"; return; }
        if link "$1"; then complain "$4 by $1 -std=$2 links"; return; fi
        strange=$(grep 'undefined reference' "$tmp/out" | grep -vE -- "$pattern")
        grep -qE -- "$pattern" "$tmp/out" && [ -z "$strange" ] ||
            complain "$4 by $1 -std=$2 does not link, but not (only) for: $pattern" ;;
    *)
        : >"$tmp/out"
        complain "$4: the first line is no /* expect: silent|error|warning|link PATTERN */" ;;
    esac
}

for case in *.c; do
    [ -e "$case" ] || { echo "no cases"; exit 77; }
    if have gcc; then try gcc c11 c "$case"; try gcc c2x c "$case"; fi
    if have clang; then try clang c11 c "$case"; try clang c2x c "$case"; fi
    if have g++; then try g++ c++17 c++ "$case"; fi
    if have clang++; then try clang++ c++20 c++ "$case"; fi
done

have clang || echo "clang is not here: compiled with gcc only"
echo "$count compilations, $failed not as expected"
[ $failed -eq 0 ]
