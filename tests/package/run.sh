#!/usr/bin/env bash
# Installs the build into an empty prefix, moves that prefix, and builds and runs a small C and a small C++ program
# against it, by pkg-config and by CMake, with the shared and with the static library.

set -euo pipefail

here=$GYRE_SOURCE/tests/package
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Not the way the library was found when it was built: an installed gyre stands alone.
unset GYRE_DEPS PKG_CONFIG_PATH CMAKE_PREFIX_PATH

cmake --install "$GYRE_BUILD" --prefix "$tmp/first" >"$tmp/log" || { cat "$tmp/log"; exit 1; }
mv "$tmp/first" "$tmp/prefix"

fail() { echo "$*" >&2; exit 1; }

libdir=$(dirname "$(find "$tmp/prefix" -name libgyre.a)")
version=$(sed -n 's/^Version: //p' "$libdir/pkgconfig/gyre.pc")
want="gyre $version"

[ -L "$libdir/libgyre.so" ] || fail "libgyre.so is no link"
soname=$(readelf -d "$libdir/libgyre.so" | sed -n 's/.*soname: \[\(.*\)\]/\1/p')
[ "$soname" = "libgyre.so.${version%%.*}" ] || fail "the soname is $soname"
[ -f "$libdir/$soname" ] || fail "$soname is not installed"
! grep -rIl "$GYRE_SOURCE" "$tmp/prefix" || fail "the installed files above name the place they were built in"
strange=$("${NM:-nm}" -D --defined-only "$libdir/libgyre.so" | awk '$3 !~ /^gy_/ { print $3 }')
[ -z "$strange" ] || fail "libgyre.so exports what is not gy_: $strange"

run() # PROGRAM
{
    local got
    got=$(LD_LIBRARY_PATH=$libdir "$1") || fail "$1 failed"
    [ "$got" = "$want" ] || fail "$1 printed '$got', not '$want'"
    echo "ok $(basename "$1")"
}

export PKG_CONFIG_PATH=$libdir/pkgconfig
shared=$(pkg-config --cflags --libs gyre)
static=$(pkg-config --cflags --libs gyre-static)
# Unquoted on purpose: these are lists of words.
${CC:-cc} -std=c11 -o "$tmp/pc_c_shared" "$here/consumer.c" $shared
${CXX:-c++} -std=c++11 -o "$tmp/pc_cxx_shared" "$here/consumer.cc" $shared
${CC:-cc} -std=c11 -o "$tmp/pc_c_static" "$here/consumer.c" $static
${CXX:-c++} -std=c++11 -o "$tmp/pc_cxx_static" "$here/consumer.cc" $static
for program in "$tmp"/pc_*; do
    run "$program"
    case $program in
    *_static) ! readelf -d "$program" | grep -q 'NEEDED.*libgyre' || fail "$program needs the shared library" ;;
    esac
done

cmake -S "$here" -B "$tmp/build" -DCMAKE_PREFIX_PATH="$tmp/prefix" >"$tmp/log" &&
    cmake --build "$tmp/build" >>"$tmp/log" || { cat "$tmp/log"; exit 1; }
for program in c_gyre c_gyre_static cxx_gyre cxx_gyre_static; do
    run "$tmp/build/$program"
done
