"""``rbl demo``, run as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rbl.cli.demoserver import APEX

QNAME = f"66.0.0.127.{APEX}"
LISTED = ("A 127.0.0.2", 'TXT "Open relay, see {page}"')
NOT_LISTED = ("NXDOMAIN", "NXDOMAIN")
WAYS = pytest.mark.parametrize("has_dig", [True, False], ids=["dig", "no dig"])


def run(folder: Path, path: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run ``rbl demo`` in *folder* with programs from *path*."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("RBL_")}
    return subprocess.run(
        [sys.executable, "-m", "rbl", "demo"],
        cwd=folder,
        env={**own, **settings, "PATH": path, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def answers(said: str) -> list[str]:
    """Return what DNS answered, in the order of the story."""
    return re.findall(r"→ (.*)", said)


@WAYS
def test_the_whole_story(tmp_path: Path, has_dig: bool) -> None:  # noqa: FBT001
    """Eight steps: the relay is not in DNS, is in DNS, and is not any more; with or without dig."""
    if has_dig and not shutil.which("dig"):
        pytest.skip("no dig: install the package bind9-dnsutils")
    path = os.environ["PATH"] if has_dig else str(tmp_path)

    ran = run(tmp_path, path)

    assert "" == ran.stderr
    assert 0 == ran.returncode
    steps = re.split(r"\n\n\d\. ", ran.stdout)
    assert 9 == len(steps)
    _, spam, nominated, proof, listed, refused, fixed, delisted, flows = steps
    (page,) = set(re.findall(r"http://127\.0\.0\.1:\d+/a/127\.0\.0\.66", ran.stdout))
    texts = [words.format(page=page) for words in LISTED]
    expected = texts if has_dig else [text.partition(" ")[2] for text in texts]
    assert list(NOT_LISTED) == answers(spam)
    assert "nomination 1 of 127.0.0.66: queued" in nominated
    assert re.search(
        r"RCPT TO:<r\w+@relaytest\.example>.*\n.*delivered it to our collector", proof, re.DOTALL
    )
    assert expected == answers(listed)
    assert f"554 5.7.1 Service unavailable; client [127.0.0.66] blocked: Open relay, see {page}" in refused
    assert "retest of 127.0.0.66: retest-queued" in fixed
    assert list(NOT_LISTED) == answers(delisted)
    assert "250 2.0.0 Ok" in flows
    asked = [line for line in ran.stdout.splitlines() if QNAME in line]
    assert 6 == len(asked)
    assert has_dig is all(line.strip().startswith("$ dig @127.0.0.1 -p ") for line in asked)


def test_leaves_nothing(tmp_path: Path) -> None:
    """It uses no settings of the user's, and leaves no file behind."""
    (tmp_path / "rbl.toml").write_text("[dns]\nlisten = 1\n", encoding="utf-8")

    ran = run(tmp_path, os.environ["PATH"], RBL_LOG__LEVEL="nonsense", RBL_DNS__LISTEN="nowhere")

    assert 0 == ran.returncode
    assert ["rbl.toml"] == [path.name for path in tmp_path.iterdir()]
