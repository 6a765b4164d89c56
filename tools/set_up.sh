#!/bin/sh
# Makes .venv and installs what a lock file names, then this checkout: sh tools/set_up.sh requirements.lock
#
# Done again only when the lock, pyproject.toml or what is compiled changes, when a compiler comes or goes,
# or when .venv does not work (made by another Python, moved, or left half made by a set-up that was
# interrupted: then it is made anew).
# Needs Python 3.11 with its venv module. PYTHON names another interpreter than python3.
set -eu
cd "$(dirname "$0")/.."
lock=$1
python=${PYTHON:-python3}
under_way=.make/set-up-under-way

say() { echo "set-up: $*" >&2; }
fail() { say "$*"; exit 1; }

# The programs in it start with the path that it was made at.
works() { .venv/bin/python -c 'import pip' 2>/dev/null && grep -qF "$(pwd -P)/.venv/" .venv/bin/pip; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "needs Python 3.11 or later, and $python is not: say PYTHON=... where it has another name"

mkdir -p .make
# Two of these at once (make run and make test in two terminals) would spoil each other's work.
exec 9>.make/set-up-lock
if command -v flock >/dev/null; then flock 9; fi

done_for=$({ cat "$lock" pyproject.toml hatch_build.py rbl/responder/_hotpath*.p* 2>/dev/null
    command -v cc gcc clang || echo no compiler; } | cksum)
stamp=.make/$(basename "$lock" .lock)
if [ ! -e $under_way ] && works && [ "$(cat "$stamp" 2>/dev/null)" = "$done_for" ]; then exit 0; fi

if [ -e $under_way ] || ! works; then
    say "making .venv"
    rm -rf .venv .make/requirements*
    touch $under_way
    "$python" -m venv .venv ||
        fail "$python cannot make a virtual environment: on Debian, apt-get install python3-venv"
fi
touch $under_way
# The lock says everything: no newer pip, nothing asked, nothing built but this package.
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input "$@"; }
say "installing the $(grep -c '^[a-z0-9].*==' "$lock") packages of $lock (a minute or two the first time)"
pip install --require-hashes --only-binary :all: -r "$lock"
pip install --no-deps --no-build-isolation --editable .
echo "$done_for" >"$stamp"
rm $under_way
say "done: $(.venv/bin/rbl --version)"
