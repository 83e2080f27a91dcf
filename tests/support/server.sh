# For end-to-end scripts: start gyre-demo on a free port, stop it whatever happens, complain, count failures.
#
#   . "${GYRE_SOURCE:?names the sources}/tests/support/server.sh" || exit 1
#   need curl                      status 77 (skipped) without it
#   start_server --shards=2        sets pid, url, port; its output goes to $out
#   check "what" COMMAND...        one line when it fails
#   stop_server                    SIGTERM; must end with status 0
#   finish                         the script's status
#
# Nothing outlives the script: the server is killed by its pid when the script ends.

set -uo pipefail
demo=${GYRE_BIN:?GYRE_BIN names the directory of the programs}/gyre-demo
out=$(mktemp -d)
pid=
failures=0

clean_up()
{
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
    rm -rf "$out"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

need() # TOOL...
{
    local tool
    for tool; do
        command -v "$tool" >/dev/null || { echo "skipped: this machine has no $tool"; exit 77; }
    done
}

complain() # TEXT...
{
    printf 'FAILED: %s\n' "$*"
    failures=$((failures + 1))
}

check() # WHAT COMMAND...
{
    local what=$1
    shift
    "$@" || complain "$what"
}

equal() # WHAT EXPECTED GOT
{
    [ "$2" = "$3" ] || complain "$1: expected '$2', got '$3'"
}

has() # WHAT PART TEXT
{
    case $3 in
    *"$2"*) ;;
    *) complain "$1: '$2' is not in: $3" ;;
    esac
}

alive() # PID: is it running? (a zombie is not)
{
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 1
    case $state in ''|Z*|X*) return 1 ;; esac
}

start_server() # ARGUMENT...
{
    local i
    : >"$out/stdout" # not what the last one said
    "$demo" --listen=127.0.0.1:0 "$@" >"$out/stdout" 2>"$out/stderr" &
    pid=$!
    for ((i = 0; i < 300; i++)); do
        url=$(sed -n 's/^listening on \(http:.*\)/\1/p' "$out/stdout")
        [ -z "$url" ] || break
        alive "$pid" || break
        sleep 0.1
    done
    if [ -z "$url" ]; then
        echo "FAILED: gyre-demo $* does not say what it listens on"
        cat "$out/stdout" "$out/stderr"
        exit 1
    fi
    port=${url##*:}
}

stop_server()
{
    local i status=0
    kill -TERM "$pid" 2>/dev/null
    for ((i = 0; i < 300; i++)); do
        alive "$pid" || break
        sleep 0.1
    done
    if alive "$pid"; then
        complain "gyre-demo has not ended 30 s after SIGTERM"
        kill -KILL "$pid"
    fi
    wait "$pid" || status=$?
    pid=
    if [ "$status" -ne 0 ]; then
        complain "gyre-demo ended with status $status"
        tail -n 20 "$out/stderr"
    fi
}

finish()
{
    [ -z "$pid" ] || stop_server
    [ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
    exit 0
}
