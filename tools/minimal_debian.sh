#!/bin/bash
# Proves that a stranger's machine suffices: bash tools/minimal_debian.sh [folder]
#
# Makes a minimal Debian 12 with python3, python3-venv, git and make, and nothing else, in the folder (by
# default one under /tmp that is removed afterwards), clones the last commit of this checkout into it, and
# says there, as root, `make run` (until DNS and HTTP answer) and `make test`; prints how long each took.
# Needs root, debootstrap and about 3 GB. With a folder given, its Debian is kept and used again.
#
# Passed on into the Debian: variables of pip, of proxies and of this program (PIP_*, *_proxy, RBL_*, CI).
# SHARE='path ...' shows paths of this machine at the same place in there, where pip needs them here: an
# index in files, a certificate authority, a configuration. VERBS='run' or 'test' does one of the two, and
# ARGS='tests/zone -x' goes to `make test`.
set -eu

checkout=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$(mktemp -d /tmp/minimal-debian.XXXXXX)}
debian=$folder/debian
verbs=${VERBS:-run test}

[ "$(id -u)" = 0 ] || { echo "needs root, for debootstrap and chroot" >&2; exit 1; }
if [ "${IN_OWN_NAMESPACES:-}" != yes ]; then
    [ $# = 1 ] || trap 'rm -rf "$folder"' EXIT
    # Mounts and processes of its own: whatever happens, nothing of it outlives this script.
    IN_OWN_NAMESPACES=yes unshare --mount --pid --fork --kill-child bash "$0" "$folder"
    exit
fi

say() { echo "== $*"; }

if [ ! -e "$folder/complete" ]; then
    say "making a minimal Debian 12 in $debian"
    rm -rf "$debian"
    debootstrap --variant=minbase --include=python3,python3-venv,git,make bookworm "$debian" >"$folder/log" ||
        { tail "$folder/log" >&2; exit 1; }
    touch "$folder/complete"
fi

# Each run starts from the same Debian: what it writes goes to a layer of its own, which is not kept.
mount -t tmpfs -o size=6g none /mnt
mkdir /mnt/{written,work,root}
root=/mnt/root
mount -t overlay -o lowerdir="$debian",upperdir=/mnt/written,workdir=/mnt/work none $root
mount -t proc none $root/proc
mount --rbind /sys $root/sys
mount --rbind /dev $root/dev
mount -t tmpfs none $root/tmp
mkdir -p $root/run && mount -t tmpfs none $root/run
cp /etc/resolv.conf /etc/hosts $root/etc/
for path in ${SHARE:-}; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root${path%/*}"; touch "$root$path"; fi
    mount --rbind "$path" "$root$path"
done

passed=$(env | grep -E '^(PIP_[A-Z_]+|[a-z]+_proxy|RBL_[A-Z_]+|CI)=' | tr '\n' ' ')
# Word splitting is meant: several NAME=value. None of them holds a space.
# shellcheck disable=SC2086
inside() { chroot $root env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 $passed "$@"; }
in_clone() { inside sh -c "cd /rbl && $1"; }

git -C "$checkout" -c safe.directory='*' clone --quiet --no-hardlinks "$checkout" $root/rbl
say "$(inside python3 --version), $(inside make --version | head -n 1), no $(inside sh -c 'command -v cc gcc || echo compiler')"

# The point that every list answers (RFC 5782 §5), and the page that says all is well.
ask='
import os, socket, tomllib, urllib.request

host, port = os.environ.get("RBL_DNS__LISTEN", "127.0.0.1:5300").split(":")
with open("zones/relays.example.toml", "rb") as file:
    apex = tomllib.load(file)["apex"].rstrip(".")
labels = ["2", "0", "0", "127", *apex.split(".")]
name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + bytes(1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.settimeout(2)
    client.connect((host, int(port)))
    client.send(bytes([7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + name + bytes([0, 1, 0, 1]))
    answer = client.recv(4096)
assert answer[3] & 15 == 0 and answer[7] > 0, f"127.0.0.2 is not listed: {answer!r}"
web = os.environ.get("RBL_WEB__LISTEN", "127.0.0.1:8080")
print(urllib.request.urlopen(f"http://{web}/healthz", timeout=2).read().decode())
'

run_and_ask() {
    # A process group of its own (set -m), to be sent what Ctrl-C sends at a terminal.
    set -m
    in_clone 'exec make run' &
    local server=$!
    set +m
    until inside sh -c 'cd /rbl && python3 -c "$1" 2>/tmp/why' - "$ask"; do
        if ! kill -0 $server 2>/dev/null || [ $((SECONDS - started)) -gt 600 ]; then
            echo "make run gave no answer: $(inside tail -n 1 /tmp/why)" >&2
            return 1
        fi
        sleep 1
    done
    say "answers on DNS and HTTP after $((SECONDS - started)) s"
    kill -INT -- -$server
    wait $server || true
}

for verb in $verbs; do
    started=$SECONDS
    say "make $verb"
    case $verb in
    run) run_and_ask ;;
    *) in_clone "make $verb${ARGS:+ ARGS='$ARGS'}" ;;
    esac
    say "make $verb: $((SECONDS - started)) s"
done
