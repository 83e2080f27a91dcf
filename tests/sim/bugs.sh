#!/usr/bin/env bash
# The swarm finds each planted bug (core/bugs.h) within 1,000 seeds of one scenario, and nothing where none is.
#
#     bugs.sh SWARM-BUGS

set -uo pipefail
swarm=$1
failed=0

"$swarm" --seeds=40 >/dev/null || { echo "it finds something without a bug"; failed=1; }
bugs=$("$swarm" --help 2>&1 | sed -n '/^planted/,$ { /^  /s/ //gp }')
[ -n "$bugs" ] || { echo "no planted bugs in this build"; exit 1; }
for bug in $bugs; do
    out=$("$swarm" --bug="$bug" --seeds=1000 2>&1)
    status=$?
    case $status:$out in
    1:*FAILED:*) # what was found, and after how many seeds
        printf '%-20s %s\n%20s %s\n' "$bug" "$(sed -n 's/^simulation failed: //p' <<<"$out" | tail -1)" \
            "" "$(grep '^FAILED' <<<"$out" | sed 's/; again.*//')" ;;
    *)
        printf '%-20s NOT FOUND (status %s)\n' "$bug" "$status"
        failed=1 ;;
    esac
done
exit $failed
