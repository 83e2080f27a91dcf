#!/usr/bin/env bash
# Installs what gyre needs to be built and tested.
#
# Debian 13 and newer, Fedora and Arch have everything in their own packages. Debian 12 has no llhttp and too old
# a liburing: these two are borrowed from the next release, headers and static libraries only, into the private
# prefix deps/ beside this script. The system's package lists, pins and packages are not touched by that.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
deps=$(realpath -m "${GYRE_DEPS:-$here/deps}")
donor=${GYRE_DONOR_SUITE:-trixie}

liburing_min=2.9
llhttp_min=9.2
cmocka_min=1.1.5
benchmark_min=1.7
cmake_min=3.25

usage()
{
    cat <<END
Usage: ./install-dependencies.sh [--check] [--all]

  (no option)  install what building, running and testing gyre needs, where it is missing
  --check      only report what is there and what is missing; exit status 1 if something is missing
  --all        also the tools of the longer checks: clang, spin, valgrind, strace, debootstrap, other
               servers and clients: wrk, ab, nginx, haproxy, node, python3, chromium, and libuv to
               measure beside

Root is needed for the distribution's packages only; sudo is used if it is there.

  GYRE_DEPS=DIR           the private prefix (default: deps/ beside this script)
  GYRE_DONOR_SUITE=SUITE  the release that Debian 12 borrows from (default: $donor)
END
}

say() { printf 'install-dependencies: %s\n' "$*"; }
die() { printf 'install-dependencies: %s\n' "$*" >&2; exit 1; }

check_only=no
all=no
for arg in "$@"; do
    case $arg in
    --check) check_only=yes ;;
    --all) all=yes ;;
    -h|--help) usage; exit 0 ;;
    *) printf 'install-dependencies: unknown option %s (allowed: --check, --all, --help)\n' "$arg" >&2; exit 2 ;;
    esac
done

export PKG_CONFIG_PATH=$deps/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
have() { command -v "$1" >/dev/null 2>&1; }

# ------------------------------------------------------------------------------------------------ report

missing=0     # of what building and testing need
wanted=0      # of the tools of the longer checks, with --all
row() # STATE NAME DETAIL
{
    printf '%-8s %-16s %s\n' "$1" "$2" "$3"
    [ "$1" != MISSING ] || missing=$((missing + 1))
}

at_least() # VERSION MINIMUM
{
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

check_tool() # NAME COMMAND
{
    if have "$2"; then row ok "$1" "$(command -v "$2")"; else row MISSING "$1" ""; fi
}

check_extra() # NAME PKG-CONFIG-NAME MINIMUM WHAT-FOR : gyre builds without it
{
    local version
    if have pkg-config && version=$(pkg-config --modversion "$2" 2>/dev/null) && at_least "$version" "$3"; then
        row ok "$1" "$version"
    else
        row without "$1" "no $4"
    fi
}

check_library() # NAME PKG-CONFIG-NAME MINIMUM
{
    local version
    if have pkg-config && version=$(pkg-config --modversion "$2" 2>/dev/null); then
        if at_least "$version" "$3"; then
            [ "$(pkg-config --variable=pcfiledir "$2")" != "$deps/lib/pkgconfig" ] || version="$version in $deps"
            row ok "$1" "$version"
        else
            row MISSING "$1" "found $version, needed is >= $3"
        fi
    else
        row MISSING "$1" "needed is >= $3"
    fi
}

check_optional() # NAME COMMAND
{
    if have "$2" || [ -x "$deps/bin/$2" ]; then row ok "$1" "for the longer checks"
    elif [ "$all" = yes ]; then row missing "$1" "for the longer checks"; wanted=$((wanted + 1))
    else row - "$1" "not there; only the longer checks use it (--all)"; fi
}

report()
{
    local version
    missing=0 wanted=0
    check_tool "C compiler" cc
    check_tool "C++ compiler" c++
    if have cmake && version=$(cmake --version | sed -n '1s/.* //p'); then
        if at_least "$version" $cmake_min; then row ok cmake "$version"
        else row MISSING cmake "found $version, needed is >= $cmake_min"; fi
    else
        row MISSING cmake "needed is >= $cmake_min"
    fi
    check_tool ninja ninja
    check_tool pkg-config pkg-config
    check_library liburing liburing $liburing_min
    check_library llhttp libllhttp $llhttp_min
    check_library cmocka cmocka $cmocka_min
    check_library google-benchmark benchmark $benchmark_min
    check_extra zlib zlib 1.2.11 gzip
    check_extra openssl libcrypto 3.0 "signed tokens"
    check_tool curl curl
    check_optional clang clang
    check_optional spin spin
    check_optional valgrind valgrind
    check_optional strace strace
    if [ "$all" = yes ]; then check_extra libuv libuv 1.38 "peer on libuv in perf/http/run"; fi
    check_optional wrk wrk
    check_optional ab ab
    check_optional hey hey
    check_optional nginx nginx
    check_optional haproxy haproxy
    check_optional node node
    check_optional python3 python3
    check_optional chromium chromium
    check_optional debootstrap debootstrap
}

if [ $check_only = yes ]; then
    report
    [ $((missing + wanted)) -gt 0 ] || exit 0
    say "$((missing + wanted)) missing; ./install-dependencies.sh$([ $all = no ] || echo ' --all') installs them" >&2
    exit 1
fi

# ------------------------------------------------------------------------------------- distribution packages

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then "$@"
    elif have sudo; then say "as root: $*"; sudo "$@"
    else die "root is needed for this, and there is no sudo; run it as root: $*"; fi
}

# ---------------------------------------------------------------------------------------------------- Debian

apt_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_updated=no
apt_update()
{
    [ $apt_updated = no ] || return 0
    say "apt-get update"
    as_root apt-get update -qq
    apt_updated=yes
}

apt_install() # PACKAGE...
{
    local package want=()
    for package in "$@"; do
        apt_installed "$package" || want+=("$package")
    done
    [ ${#want[@]} -gt 0 ] || return 0
    apt_update
    say "apt-get install ${want[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${want[@]}" \
        </dev/null >/dev/null
}

# What version the system's own sources would install; empty if they know none.
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '^(none)$' || true; }

# The system's own mirror, where it serves release $1; whatever form the sources have.
apt_mirror()
{
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$1" '$4 == "main" && ($2 == suite || $3 == suite) && !found { print $1; found = 1 }'
}

# Unpacks packages of release $2 into directory $1 with apt's own download and signature check, but with lists,
# caches, sources and pins of their own, so that the system's stay as they are.
apt_fetch() # DIRECTORY SUITE PACKAGE...
{
    local dir=$1 suite=$2 codename mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt_mirror "$codename")
    if [ -z "$mirror" ]; then
        apt_update
        mirror=$(apt_mirror "$codename")
    fi
    [ -n "$mirror" ] || die "apt knows no mirror of Debian $codename main; add one to its sources"
    [ -r $keyring ] || die "$keyring is missing; install debian-archive-keyring"

    mkdir -p "$dir"/apt/{lists/partial,cache/archives/partial,empty} "$dir/debs" "$dir/root"
    : >"$dir/apt/status"
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$dir/apt/sources.list"
    {
        apt-config dump | grep -E '^(Acquire|APT::Architecture)' || true   # proxies and the like
        echo 'APT::Sandbox::User "";'
        echo "Dir::Etc::main \"/dev/null\";"
        echo "Dir::Etc::parts \"$dir/apt/empty\";"
        echo "Dir::Etc::sourcelist \"$dir/apt/sources.list\";"
        echo "Dir::Etc::sourceparts \"$dir/apt/empty\";"
        echo "Dir::Etc::preferences \"/dev/null\";"
        echo "Dir::Etc::preferencesparts \"$dir/apt/empty\";"
        echo "Dir::State::lists \"$dir/apt/lists\";"
        echo "Dir::State::status \"$dir/apt/status\";"
        echo "Dir::State::extended_states \"$dir/apt/extended\";"
        echo "Dir::Cache \"$dir/apt/cache\";"
    } >"$dir/apt/conf"
    (
        cd "$dir/debs"
        APT_CONFIG=$dir/apt/conf apt-get update -qq
        APT_CONFIG=$dir/apt/conf apt-get download -qq "$@"
    ) || die "cannot fetch $* of Debian $suite; does the mirror carry that release?"
    local deb
    for deb in "$dir"/debs/*.deb; do
        dpkg-deb -x "$deb" "$dir/root"
    done
}

# liburing 2.9's compat.h wants linux/blkdev.h, which older kernel headers lack; its own configure script writes
# these lines on such a system.
fix_compat_h() # FILE
{
    awk '
        /^#include <linux\/blkdev\.h>/ {
            print "#include <linux/ioctl.h>"
            print "#ifndef BLOCK_URING_CMD_DISCARD"
            print "#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0)"
            print "#endif"
            next
        }
        { print }' "$1" >"$1.new"
    mv "$1.new" "$1"
}

borrow()
{
    local tmp prefix root deb pc
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    say "borrowing liburing and llhttp from Debian $donor into $deps"
    apt_fetch "$tmp" "$donor" liburing-dev libllhttp-dev
    root=$tmp/root
    prefix=$tmp/prefix
    mkdir -p "$prefix/lib/pkgconfig" "$prefix/share/doc"
    cp -r "$root/usr/include" "$prefix/include"
    # Static libraries only: nothing to find at run time, nothing to ship.
    find "$root/usr/lib" -name '*.a' -exec cp {} "$prefix/lib/" \;
    while IFS= read -r pc; do
        sed -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^exec_prefix=.*|exec_prefix=${prefix}|' \
            -e 's|^libdir=.*|libdir=${prefix}/lib|' -e 's|^includedir=.*|includedir=${prefix}/include|' \
            "$pc" >"$prefix/lib/pkgconfig/$(basename "$pc")"
    done < <(find "$root/usr/lib" "$root/usr/share" -name '*.pc')
    cp -r "$root"/usr/share/doc/. "$prefix/share/doc/"
    fix_compat_h "$prefix/include/liburing/compat.h"
    for deb in "$tmp"/debs/*.deb; do
        dpkg-deb -W --showformat '${Package} ${Version}\n' "$deb"
    done >"$prefix/VERSIONS"

    mkdir -p "$deps"
    rm -rf "$deps/include" "$deps/lib" "$deps/share"
    cp -r "$prefix/." "$deps/"
    rm -rf "$tmp"
    trap - EXIT
    sed 's/^/install-dependencies:   /' "$deps/VERSIONS"
    say "security updates of the distribution do not reach $deps: remove it and run this script again for those"
}

# nginx and haproxy are only tested and measured with. Their packages would start services on this machine, so take the
# programs alone.
program_debian() # NAME
{
    local tmp name=$1
    if have "$name" || [ -x "$deps/bin/$name" ]; then return 0; fi
    say "$name: the program alone into $deps/bin (its package would start a service)"
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    apt_fetch "$tmp" "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$name"
    mkdir -p "$deps/bin"
    cp "$tmp/root/usr/sbin/$name" "$deps/bin/$name"
    rm -rf "$tmp"
    trap - EXIT
    local lacks
    lacks=$(ldd "$deps/bin/$name" | awk '/not found/ { print $1 }')
    if [ -n "$lacks" ]; then
        say "$name lacks" $lacks >&2
        rm "$deps/bin/$name"
    fi
}

enough() # PKG-CONFIG-NAME MINIMUM
{
    have pkg-config && pkg-config --atleast-version="$2" "$1" 2>/dev/null
}

install_debian()
{
    apt_install build-essential cmake ninja-build pkg-config libcmocka-dev libbenchmark-dev ca-certificates curl \
        zlib1g-dev libssl-dev
    if ! enough liburing $liburing_min || ! enough libllhttp $llhttp_min; then
        [ -n "$(apt_candidate liburing-dev)" ] || apt_update
        local uring llhttp
        uring=$(apt_candidate liburing-dev)
        llhttp=$(apt_candidate libllhttp-dev)
        if [ -n "$uring" ] && [ -n "$llhttp" ] && at_least "$uring" $liburing_min && at_least "$llhttp" $llhttp_min
        then
            apt_install liburing-dev libllhttp-dev
        elif [ "$os_id" = debian ]; then
            borrow
        else
            die "$os_name has no liburing >= $liburing_min and llhttp >= $llhttp_min; install them by hand where pkg-config finds them"
        fi
    fi
    if [ $all = yes ]; then
        apt_install clang libclang-rt-dev spin valgrind strace wrk libuv1-dev debootstrap libpcre2-8-0 libssl3"$(apt_t64)" \
            apache2-utils hey python3 liblua5.3-0
        have node || apt_install nodejs
        # Ubuntu has it as a snap only.
        [ "$os_id" != debian ] || have chromium || apt_install chromium
        program_debian nginx
        program_debian haproxy
    fi
}

# Debian 13 renamed some libraries when time_t grew.
apt_t64() { if [ -n "$(apt_candidate libssl3t64)" ]; then echo t64; fi; }

# --------------------------------------------------------------------------------------------- Fedora and Arch

install_fedora()
{
    local want=(gcc gcc-c++ cmake ninja-build pkgconf-pkg-config liburing-devel llhttp-devel libcmocka-devel
                google-benchmark-devel curl zlib-devel openssl-devel)
    [ $all = no ] || want+=(clang compiler-rt valgrind strace nginx debootstrap haproxy nodejs httpd-tools python3
                           libuv-devel chromium)
    if rpm -q --quiet --whatprovides "${want[@]}"; then return 0; fi
    say "dnf install ${want[*]}"
    as_root dnf install -y "${want[@]}" </dev/null
    [ $all = no ] || say "spin and wrk are not in Fedora: checks that use them will be skipped"
}

install_arch()
{
    local want=(gcc make cmake ninja pkgconf liburing llhttp cmocka benchmark curl zlib openssl)
    [ $all = no ] || want+=(clang compiler-rt valgrind strace nginx wrk debootstrap haproxy nodejs apache python libuv
                           chromium)
    if pacman -Q "${want[@]}" >/dev/null 2>&1; then return 0; fi
    say "pacman -S --needed ${want[*]}"
    as_root pacman -S --needed --noconfirm "${want[@]}" </dev/null
    [ $all = no ] || say "spin is not in Arch's own packages: checks that use it will be skipped"
}

[ -r /etc/os-release ] || die "no /etc/os-release: cannot tell which distribution this is"
os_id=$(. /etc/os-release && echo "${ID:-}")
os_like=$(. /etc/os-release && echo "${ID_LIKE:-}")
os_name=$(. /etc/os-release && echo "${PRETTY_NAME:-${ID:-a distribution without a name}}")
say "$os_name"
case " $os_id $os_like " in
*" debian "*) install_debian ;;
*" fedora "*) install_fedora ;;
*" arch "*) install_arch ;;
*) say "no packages are known for $os_name, only for Debian, Fedora and Arch; this is what is there:" ;;
esac

report
[ $missing -eq 0 ] || die "$missing still missing; install them by hand where they are not in the packages"
# Not every distribution has all tools of the longer checks; those that lack one are skipped.
[ $wanted -eq 0 ] || say "$wanted tools of the longer checks are not to be had here"
say "done"
