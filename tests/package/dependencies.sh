#!/usr/bin/env bash
# install-dependencies.sh on distributions that this machine is not: in a mount namespace with another
# /etc/os-release, and with package managers that only say what they were told.

set -uo pipefail

script=$GYRE_SOURCE/install-dependencies.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
namespace=(unshare --mount)
[ "$(id -u)" -eq 0 ] || namespace=(unshare --mount --map-root-user)
"${namespace[@]}" mount --bind "$tmp" /mnt 2>/dev/null || { echo "no mount namespace can be made here"; exit 77; }

mkdir "$tmp/bin"
printf '#!/bin/sh\nexit 1\n' >"$tmp/bin/rpm"
printf '#!/bin/sh\n[ "$1" != -Q ] || exit 1\necho "TOLD pacman $*"\n' >"$tmp/bin/pacman"
printf '#!/bin/sh\necho "TOLD dnf $*"\n' >"$tmp/bin/dnf"
chmod +x "$tmp"/bin/*

failed=0
on() # OS-RELEASE DEPS : sets output and status
{
    printf "$1" >"$tmp/os-release"
    output=$(PATH=$tmp/bin:$PATH GYRE_DEPS=$2 "${namespace[@]}" \
        sh -c 'mount --bind "$1" /etc/os-release && exec bash "$2"' sh "$tmp/os-release" "$script" 2>&1)
    status=$?
}
expect() # WHAT STATUS PATTERN
{
    [ "$status" -eq "$2" ] || { echo "$1: status $status, not $2"; failed=1; }
    grep -qE -- "$3" <<<"$output" || { echo "$1: nothing like '$3' in:"; echo "$output"; failed=1; }
}

deps=${GYRE_DEPS:-$GYRE_SOURCE/deps}
on 'ID=fedora\n' "$deps"
expect fedora 0 '^TOLD dnf install -y gcc .*liburing-devel llhttp-devel libcmocka-devel google-benchmark-devel'
on 'ID=rocky\nID_LIKE="rhel centos fedora"\n' "$deps"
expect rocky 0 '^TOLD dnf install'
on 'ID=arch\n' "$deps"
expect arch 0 '^TOLD pacman -S --needed --noconfirm gcc .*liburing llhttp cmocka benchmark'
# Where nothing is known, what is there decides.
on 'ID=other\nPRETTY_NAME="Other 1"\n' "$deps"
expect other 0 'no packages are known for Other 1, only for Debian, Fedora and Arch'
on '' "$deps"
expect nameless 0 'no packages are known for a distribution without a name'
exit $failed
