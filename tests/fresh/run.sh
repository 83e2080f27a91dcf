#!/usr/bin/env bash
# Usage: tests/fresh/run.sh SUITE [DIRECTORY]
# The README's two commands on a fresh machine: makes a minimal tree of Debian SUITE (bookworm, trixie) with
# debootstrap, clones this repository's HEAD into it, and runs there what README.md says, nothing else. The demo that
# the first command ends with must answer and end with status 0 on SIGTERM.
# Needs root, debootstrap and a mirror in this machine's own apt configuration. DIRECTORY (default: a new one under
# TMPDIR) is removed at the end unless KEEP is set.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

suite=${1:?usage: tests/fresh/run.sh SUITE [DIRECTORY]}
[ "$(id -u)" -eq 0 ] || { echo "fresh: needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "fresh: debootstrap is not here"; exit 77; }

codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$codename" '$4 == "main" && ($2 == suite || $3 == suite) && !found { print $1; found = 1 }')
[ -n "$mirror" ] || { echo "fresh: apt knows no mirror"; exit 77; }

tree=${2:-$(mktemp -d)}
mkdir -p "$tree"
chmod 755 "$tree"     # the root directory of a machine is open to all its users
cleanup() { [ -n "${KEEP:-}" ] || rm -rf --one-file-system "$tree"; }
trap cleanup EXIT

# The commands are the README's, word for word.
mapfile -t commands < <(sed -n 's/^    \(\.\/install-dependencies\.sh .*\)/\1/p' README.md)
[ ${#commands[@]} -eq 2 ] || { echo "fresh: README.md has ${#commands[@]} commands, not 2"; exit 1; }

echo "=== debootstrap $suite"
start=$SECONDS
debootstrap --variant=minbase "$suite" "$tree" "$mirror" >"$tree.log" 2>&1 || { tail -n 20 "$tree.log"; exit 1; }
rm -f "$tree.log"
apt-config dump | grep '^Acquire' >"$tree/etc/apt/apt.conf.d/90host" || true
cp /etc/resolv.conf "$tree/etc/resolv.conf" 2>/dev/null || true
git clone -q --no-hardlinks . "$tree/root/gyre"
echo "--- $((SECONDS - start)) s"

# In a mount and process namespace of its own: whatever is mounted or left running ends with it.
inside() # SHELL-TEXT
{
    unshare --mount --pid --fork --kill-child sh -c '
        mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t sysfs sysfs "$1/sys" &&
            exec chroot "$1" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
                bash -c "cd /root/gyre && $2"' sh "$tree" "$1"
}

# The first command ends with a server that runs until it is stopped, at a port that may be taken here.
cat >"$tree/root/first.sh" <<'END'
bash -c "$1 --listen=127.0.0.1:0" >/root/first.log 2>&1 &
job=$!
for ((i = 0; i < 6000; i++)); do
    address=$(sed -n 's/.*\(127\.0\.0\.1:[0-9][0-9]*\).*/\1/p' /root/first.log | head -n 1)
    [ -z "$address" ] || break
    kill -0 $job 2>/dev/null || break
    sleep 0.1
done
cat /root/first.log
[ -n "$address" ] || { echo "fresh: the demo did not start"; exit 1; }
curl -sSf --retry 5 --retry-connrefused "http://$address/demo/hello" || { echo "fresh: the demo does not answer"; exit 1; }
echo
for demo in /proc/[0-9]*; do
    case $(readlink "$demo/exe" 2>/dev/null) in */gyre-demo) kill -TERM "${demo#/proc/}" ;; esac
done
wait $job
status=$?
echo "fresh: the demo answered and ended with status $status"
exit $status
END

failed=0
echo "=== $suite: ${commands[0]}"
start=$SECONDS
inside "bash /root/first.sh '${commands[0]}'" </dev/null || failed=1
echo "--- $((SECONDS - start)) s, $([ $failed = 0 ] && echo succeeded || echo FAILED)"
echo "=== $suite: ${commands[1]}"
start=$SECONDS
inside "${commands[1]}" </dev/null || failed=2
echo "--- $((SECONDS - start)) s, $([ $failed -lt 2 ] && echo succeeded || echo FAILED)"
exit $failed
