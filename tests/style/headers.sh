#!/usr/bin/env bash
# Every public header compiles alone, without a warning, in each language a user may include it from: C11, C2x, C++11
# and C++20, by gcc and by clang. Twice in one file, so that a missing include guard shows.

set -uo pipefail
cd "$GYRE_SOURCE" || exit 1

warn=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -Icore -Iuring -Ihttp)
headers=$(find core/gyre uring/gyre http/gyre -name '*.h' 2>/dev/null | sort)
failed=0
count=0
have() { command -v "$1" >/dev/null 2>&1; }

compile() # COMPILER STANDARD LANGUAGE HEADER
{
    local name=${4#*/}
    count=$((count + 1))
    printf '#include <%s>\n#include <%s>\nextern int gy_test_not_empty;\n' "$name" "$name" |
        "$1" -x "$3" -std="$2" "${warn[@]}" - || {
        echo "FAILED: $1 -std=$2 <$name>"
        failed=$((failed + 1))
    }
}

for header in $headers; do
    for compiler in gcc clang; do
        have $compiler || continue
        compile $compiler c11 c "$header"
        compile $compiler c2x c "$header"
    done
    for compiler in g++ clang++; do
        have $compiler || continue
        compile $compiler c++11 c++ "$header"
        compile $compiler c++20 c++ "$header"
    done
done

have clang || echo "clang is not here: compiled with gcc only"
echo "$count compilations of $(echo "$headers" | wc -w) headers, $failed failed"
[ $count -gt 0 ] && [ $failed -eq 0 ]
