#!/bin/sh
# Fetch what the end-to-end tests need: sh tests/e2e/packages.sh [folder [list]]
#
# Reads packages.txt, or another list in its form. Tools are installed; servers are unpacked into
# folder/<package> (by default .make/e2e), together with those of their libraries that this machine lacks;
# what comes from npm is put there too, where this machine has npm.
# Done once: what is there already is left alone. Debian and its relatives, as root. Starts no service.
set -eu

here=$(dirname "$0")
target=${1:-$here/../../.make/e2e}
list=${2:-$here/packages.txt}
mkdir -p "$target"
target=$(cd "$target" && pwd)

command -v apt-get >/dev/null || { echo "packages.sh: needs apt-get (Debian and relatives)" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "packages.sh: needs root" >&2; exit 1; }

packages() { sed -n "s/^$1 *\([a-z0-9.+-]*\).*/\1/p" "$list"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Quiet, never asks, does not mind that the folder is not the _apt user's, and waits for another apt-get.
apt() {
    DEBIAN_FRONTEND=noninteractive apt-get --quiet --quiet --yes --no-install-recommends \
        -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@"
}

missing_tools=
for package in $(packages install); do
    installed "$package" || missing_tools="$missing_tools $package"
done
missing_servers=
for package in $(packages unpack); do
    [ -e "$target/$package/.complete" ] || missing_servers="$missing_servers $package"
done

# The first word names the folder, the others the packages in it.
sed -n 's/^npm *\([^#]*\).*/\1/p' "$list" | while read -r name others; do
    folder=$target/$name
    if [ -e "$folder/.complete" ] || ! command -v npm >/dev/null; then continue; fi
    rm -rf "$folder"
    mkdir -p "$folder/etc" "$folder/usr/lib/$name"
    # Word splitting is meant. No script of a package runs, and nothing is built.
    # shellcheck disable=SC2086
    npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts \
        --prefix "$folder/usr/lib/$name" $others
    touch "$folder/.complete"
done
[ -n "$missing_tools$missing_servers" ] || exit 0

apt update
# Word splitting is meant: several packages.
# shellcheck disable=SC2086
[ -z "$missing_tools" ] || apt install $missing_tools

for package in $missing_servers; do
    folder=$target/$package
    rm -rf "$folder"
    mkdir -p "$folder/.debs/partial"
    # Downloads the package and what it depends on that this machine lacks; changes nothing else.
    apt install --download-only --reinstall -o Dir::Cache::archives="$folder/.debs" "$package"
    for deb in "$folder"/.debs/*.deb; do dpkg-deb --extract "$deb" "$folder"; done
    rm -rf "$folder/.debs"
    # The machine's /bin, /lib and /sbin are links into /usr: only usr and etc are laid over its own.
    for old in bin lib lib64 sbin; do
        [ -d "$folder/$old" ] || continue
        mkdir -p "$folder/usr/$old"
        cp -a "$folder/$old/." "$folder/usr/$old/"
        rm -r "${folder:?}/$old"
    done
    touch "$folder/.complete"
done
