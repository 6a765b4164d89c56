"""What the end-to-end tests need of the machine, and what happens where it is missing.

One decision for all of them: on a person's machine a missing part skips the test and says what to do;
where CI=true a missing part is a failure, so that nobody mistakes a skipped story for a passed one.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
PACKAGES = _HERE.parents[1] / ".make" / "e2e"  # where packages.sh unpacks the servers
_FETCH = "run: sh tests/e2e/packages.sh"

# Done rather than looked up: only the attempt tells whether a container allows it.
_ATTEMPT = """
mount -t tmpfs none /mnt
mkdir /mnt/etc
mount -t overlay -o ro,lowerdir=/mnt/etc:/etc none /etc
mount -t overlay -o ro,lowerdir={packages}:/usr none /usr
ip link add name hub type bridge
ip link add name left type veth peer name right
"""


def decide(missing: list[str], environment: Mapping[str, str] = os.environ) -> None:
    """Return when nothing is missing; else skip, or fail where CI=true, naming every missing part."""
    if not missing:
        return
    reason = "; ".join(missing)
    if environment.get("CI") == "true":
        pytest.fail(f"CI=true and the end-to-end tests cannot run: {reason}", pytrace=False)
    pytest.skip(reason)


@cache
def missing() -> list[str]:
    """Return one sentence for each part that this machine lacks."""
    if os.geteuid() != 0:
        return ["network namespaces and mounts need root: run make test as root"]
    absent = [
        f"no program {name}: {_FETCH}"
        for name in ("ip", "unshare", "dig", "mdig", "kdig")
        if not shutil.which(name)
    ]
    absent += [
        f"package {name} is not unpacked in .make/e2e: {_FETCH}"
        for name in _servers()
        if not (PACKAGES / name / ".complete").exists()
    ]
    return absent or _refused_by_kernel()


def _servers() -> list[str]:
    words = [line.split("#")[0].split() for line in (_HERE / "packages.txt").read_text().splitlines()]
    return [line[1] for line in words if line and line[0] == "unpack"]


def _refused_by_kernel() -> list[str]:
    """Try everything once in namespaces that end with the attempt."""
    script = _ATTEMPT.format(packages=PACKAGES / _servers()[0] / "usr")
    attempt = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "sh", "-ec", script],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        [] if attempt.returncode == 0 else [f"namespaces or mounts are refused: {attempt.stderr.strip()}"]
    )
