#!/usr/bin/env bash
# The shape of the tree: what may stand at the top, what every folder has, and that no tracked file names a place on
# somebody's machine. How the code is formatted is not checked.

set -uo pipefail
cd "$GYRE_SOURCE" || exit 1
failed=0
complain() { [ -z "$2" ] || { printf '%s:\n%s\n' "$1" "$2"; failed=1; }; }

if git rev-parse --is-inside-work-tree >/dev/null 2>&1 && [ "$(git ls-files | wc -l)" -gt 0 ]; then
    files=$(git ls-files)
else
    files=$(find . -type f -not -path './build/*' -not -path './deps/*' -not -path './.git/*' | sed 's|^\./||')
fi

allowed='core uring http tests perf CMakeLists.txt CMakePresets.json README.md LICENSE install-dependencies.sh'
complain "may not stand at the top (allowed: $allowed and dot files)" \
    "$(echo "$files" | cut -d/ -f1 | sort -u | grep -v '^\.' | grep -vxF -e "${allowed// /$'\n'}")"

complain "every folder's README.md tells its architecture; missing" "$(
    for folder in core uring http tests perf; do
        [ ! -d $folder ] || [ -f $folder/README.md ] || echo "$folder/README.md"
    done)"

# Public headers carry their folder's name in no path but FOLDER/gyre/.
complain "public headers live in FOLDER/gyre/ only" \
    "$(echo "$files" | grep -E '(^|/)gyre/[^/]*$' | grep -vE '^(core|uring|http)/gyre/[a-z0-9_]+\.h$')"

complain "guards of public headers are GYRE_NAME_H" "$(
    for header in $(echo "$files" | grep -E '^(core|uring|http)/gyre/.*\.h$'); do
        guard=GYRE_$(basename "$header" .h | tr a-z A-Z)_H
        grep -qx "#ifndef $guard" "$header" || echo "$header: no #ifndef $guard"
    done)"

# A reader finds the test of a source by its name, or by the table of tests/README.md.
complain "has neither a test of its name nor a row in tests/README.md" "$(
    for source in $(echo "$files" | grep -E '^(core|core/sim|core/prim|uring|http)/[a-z0-9_]+\.c$'); do
        test=${source#core/sim/}
        [ "$test" = "$source" ] && test=tests/${source%/*}/test_${source##*/} || test=tests/sim/test_$test
        [ -f "$test" ] || grep -qE "^\|[^|]*\`$source\`" tests/README.md || echo "$source (no $test)"
    done)"
complain "tests/README.md says that it tests a source, and is not there" "$(
    sed -n '/^## Sources that are tested/,/^## End/s/^| `[^|]*| \([^|]*\)|.*/\1/p' tests/README.md | tr -d '` ' | tr ',' '\n' |
        while read -r test; do [ -f "tests/$test.c" ] || echo "$test"; done)"

# Home directories and mount points of one machine. Directories every Linux has are no such places.
complain "names a place on one machine" "$(
    echo "$files" | tr '\n' '\0' |
        xargs -0 grep -nIE '(^|[^A-Za-z0-9_./$}-])/(work|home|farm|Users|mnt|media|srv)/[A-Za-z0-9_]' 2>/dev/null |
        grep -v '^tests/style/layout.sh:')"

complain "names a package host" "$(
    echo "$files" | tr '\n' '\0' |
        xargs -0 grep -nIE '(deb|archive|security|mirror|snapshot|ftp)[a-z0-9.-]*\.(debian|ubuntu)\.(org|com)' 2>/dev/null)"

exit $failed
