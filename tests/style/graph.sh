#!/usr/bin/env bash
# Who may know whom. core includes a fixed list of headers and itself; http never sees uring; nobody but tests and
# perf sees http; public headers name neither private headers nor the libraries below. And the objects of core
# refer to no libc beyond mem* and str*, whatever they include.

set -uo pipefail
cd "$GYRE_SOURCE" || exit 1
failed=0

complain() # TEXT OFFENDING-LINES
{
    [ -n "$2" ] || return 0
    printf '%s:\n%s\n' "$1" "$2"
    failed=1
}

# Prints file:line:header for every include in the given files.
includes()
{
    [ $# -gt 0 ] || return 0
    grep -HnE '^[[:space:]]*#[[:space:]]*include' "$@" |
        sed -E 's/^([^:]*:[0-9]+:)[^<"]*[<"]([^>"]*)[>"].*/\1\2/'
}

files() # DIRECTORY...
{
    find "$@" \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) 2>/dev/null | sort
}

mapfile -t core < <(files core)
mapfile -t uring < <(files uring)
mapfile -t http < <(files http)
mapfile -t public < <(files core/gyre uring/gyre http/gyre)

# Sets folder to where a header named in an include lives, or to nothing if it is not gyre's.
folder_of() # HEADER INCLUDING-FILE
{
    local dir=${2%/*}
    case $1 in
    core/*|uring/*|http/*) folder=${1%%/*}; return ;;
    esac
    if [ -e "$dir/$1" ]; then folder=${dir%%/*}; return; fi
    for folder in core uring http; do
        [ ! -e "$folder/$1" ] || return
    done
    folder=
}

libc_of_core=' stddef.h stdint.h stdbool.h stdarg.h limits.h string.h errno.h stdatomic.h stdalign.h '

complain "core may include only$libc_of_core and itself" "$(
    includes "${core[@]}" | while IFS=: read -r file line header; do
        folder_of "$header" "$file"
        [ "$folder" = core ] && continue
        case $libc_of_core in *" $header "*) continue ;; esac
        echo "  $file:$line includes $header"
    done)"

complain "http must not know uring" "$(
    includes "${http[@]}" | while IFS=: read -r file line header; do
        folder_of "$header" "$file"
        case $folder:$header in
        uring:*|*:liburing*) echo "  $file:$line includes $header" ;;
        esac
    done)"

complain "core and uring must not know http" "$(
    includes "${core[@]}" "${uring[@]}" | while IFS=: read -r file line header; do
        folder_of "$header" "$file"
        case $folder:$header in
        http:*|*:llhttp*) echo "  $file:$line includes $header" ;;
        esac
    done)"

complain "public headers may include only gyre/ and plain C headers (no atomics, no libraries, nothing private)" "$(
    includes "${public[@]}" | while IFS=: read -r file line header; do
        case $header in
        gyre/*|stddef.h|stdint.h|stdbool.h|stdarg.h|limits.h|string.h|errno.h) ;;
        *) echo "  $file:$line includes $header" ;;
        esac
    done)"

# core/ uring/ http/ are on the include path: a private header there must not hide one of the system's.
complain "these names belong to the system" "$(
    for header in core/*.h uring/*.h http/*.h; do
        if [ -e "$header" ] && [ -e "/usr/include/${header##*/}" ]; then echo "  $header"; fi
    done)"

# Objects of sources that are gone stay in a build directory.
mapfile -t objects < <(
    for source in $(find core -name '*.c' | sort); do
        find "$GYRE_BUILD/CMakeFiles/gyre_core.dir/$source.o" 2>/dev/null
    done)
[ ${#objects[@]} -gt 0 ] || { echo "no objects of core in $GYRE_BUILD"; exit 1; }
# What core may use: mem* and str*, also under _FORTIFY_SOURCE; libgcc's arithmetic; what gcc itself refers to.
libc='^(mem|str|__mem.*_chk$|__str.*_chk$|__[a-z]*[sdt]i[234]$|__stack_chk_fail$|_GLOBAL_OFFSET_TABLE_$)'
complain "core may refer to no libc beyond mem* and str*" "$(
    "${NM:-nm}" -A "${objects[@]}" | awk -v libc="$libc" '
        { sub(/^.*\/core\//, "core/"); split($1, at, ":"); name = $NF }
        NF > 2 && $(NF - 1) == "U" { user[name] = user[name] " " at[1]; next }
        $(NF - 1) ~ /[A-TV-Z]/ { defined[name] = 1 }
        END {
            for (name in user)
                if (!(name in defined) && name !~ libc)
                    print "  " name " is used by" user[name]
        }')"

echo "${#core[@]} files in core, ${#uring[@]} in uring, ${#http[@]} in http, ${#objects[@]} objects of core"
exit $failed
