"""What a daemon asks of the system; how it gives up root is tested with the daemon."""

import logging
import os
import pwd
import signal
import threading
from pathlib import Path

import pytest

from rbl.cli import rbldnsdprocess
from rbl.errors import ConfigError

_NOBODY = pwd.getpwnam("nobody")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nobody", (_NOBODY.pw_uid, _NOBODY.pw_gid)),
        ("nobody:daemon", (_NOBODY.pw_uid, 1)),
        ("1234", (1234, 1234)),
        ("1234:55", (1234, 55)),
    ],
)
def test_user(text: str, expected: tuple[int, int]) -> None:
    """-u names a user and perhaps a group, by name or number."""
    assert expected == rbldnsdprocess.user(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("root", "should not run as root"),
        ("0", "should not run as root"),
        ("no-such-user", "no-such-user"),
        ("nobody:no-such-group", "no-such-group"),
    ],
)
def test_a_user_that_is_none(text: str, why: str) -> None:
    """Root and unknown users and groups are refused."""
    with pytest.raises(ConfigError, match=why):
        rbldnsdprocess.user(text)


def test_user_where_none_is_said() -> None:
    """Root becomes somebody else; anybody else stays who he is."""
    found = rbldnsdprocess.user(None)

    assert (os.getuid() == 0) == (found is not None)


def test_nobody_to_become() -> None:
    """Who stays who he is asks nothing of the system."""
    rbldnsdprocess.become(None)


def test_files_and_folders_that_are_not_there(tmp_path: Path) -> None:
    """What cannot be entered or written is named."""
    with pytest.raises(ConfigError, match=r"unable to enter .*nowhere"):
        rbldnsdprocess.enter_folders(None, tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"unable to write pidfile .*nowhere"):
        rbldnsdprocess.write_process_file(tmp_path / "nowhere" / "pid")


def test_the_process_file_has_the_number(tmp_path: Path) -> None:
    """-p has the number of the process."""
    rbldnsdprocess.write_process_file(tmp_path / "pid")

    assert f"{os.getpid()}\n" == (tmp_path / "pid").read_text()


def test_a_signal_that_another_thread_is_given_is_seen() -> None:
    """Signals come in order, whichever thread the system gives them to while the first one waits."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    signals = rbldnsdprocess.Signals(kept)
    try:
        sender = threading.Thread(target=_give_itself, args=(signal.SIGUSR1, signal.SIGUSR2))
        sender.start()
        came = [signals.next(60), signals.next(60)]
        sender.join()
        nothing = signals.next(1)
    finally:
        signals.close()
        for number, handler in kept.items():
            signal.signal(number, handler)

    assert ([signal.SIGUSR1, signal.SIGUSR2], None) == (came, nothing)


def _give_itself(*numbers: int) -> None:
    for number in numbers:
        signal.pthread_kill(threading.get_ident(), number)


def test_the_systems_log_is_used_where_there_is_one() -> None:
    """Lines go to the system's log too; one that is lost is no complaint."""
    root = logging.getLogger()
    before = list(root.handlers)
    plain = logging.StreamHandler()
    root.handlers[:] = [plain]
    try:
        rbldnsdprocess.log_to_syslog("daemon")
        added = root.handlers[1:]
        for handler in added:
            handler.handle(logging.makeLogRecord({"msg": "a test of rbl", "levelno": logging.INFO}))
            handler.close()
    finally:
        root.handlers[:] = before

    assert len(added) <= 1
