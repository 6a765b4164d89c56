#!/bin/sh
# Installs the Debian packages that tests use and this machine lacks: sh tools/test_packages.sh
#
# PostgreSQL for the store's tests, and what tests/e2e/packages.txt names. Only as root and where there is
# apt-get; elsewhere those tests are skipped and say so. No daemon is started, now or at the next boot, and
# no database is made: the tests start what they need themselves.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
kept=$(mktemp -d)

restore() {
    rm -f $policy $clusters/rbl-tests.conf
    [ ! -e "$kept/policy-rc.d" ] || mv "$kept/policy-rc.d" $policy
    rm -rf "$kept"
}

# What Debian's packages ask before they start a service: 101 means "not allowed" (invoke-rc.d(8)).
forbid_daemons() {
    [ ! -e $policy ] || mv $policy "$kept/policy-rc.d"
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    mkdir -p $clusters
    echo 'create_main_cluster = false' >$clusters/rbl-tests.conf
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

trap restore EXIT
trap 'exit 1' HUP INT TERM
forbid_daemons
if ! installed postgresql; then
    echo "tests: installing the Debian package postgresql" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install postgresql >"$kept/log" 2>&1 ||
        { cat "$kept/log" >&2; exit 1; }
fi
[ -e .make/e2e ] || echo "tests: fetching the servers of the end-to-end tests" >&2
sh tests/e2e/packages.sh >"$kept/log" 2>&1 || { cat "$kept/log" >&2; exit 1; }
