"""``rbl rbldnsd`` in processes of its own: asked, told to read anew, told to stop."""

import os
import pwd
import re
import signal
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rbl.responder import compiled
from tests.cli.dropin import HEADER, Running, asked, command, ran, running, write

ZONE = "bl.test:ip4set:z"
LISTED = "2.0.0.127.bl.test"
SERVING = ("-n", "-b", "127.0.0.1/0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one data file."""
    write(tmp_path / "z", f"{HEADER}127.0.0.2 :2:old\n")
    return tmp_path


def test_answers_over_udp_and_tcp_until_it_is_told_to_stop(folder: Path) -> None:
    """It answers at every address, over UDP and over TCP, and TERM ends it with status 0."""
    with running(folder, *SERVING, "-b", "127.0.0.2/0", ZONE) as daemon:
        first, second = daemon.bound()
        answers = [
            asked(first, LISTED, "TXT"),
            asked(second, LISTED),
            asked(first, LISTED, tcp=True),
            asked(first, "3.0.0.127.bl.test"),
        ]
        status = daemon.end(signal.SIGTERM)

    assert (['NOERROR "old"', "NOERROR 127.0.0.2", "NOERROR 127.0.0.2", "NXDOMAIN"], 0) == (answers, status)


def test_an_interrupt_stops_it_too(folder: Path) -> None:
    """INT, from a terminal, ends it with status 0."""
    with running(folder, *SERVING, ZONE) as daemon:
        daemon.bound()

        assert 0 == daemon.end(signal.SIGINT)


def test_reads_a_changed_file_at_the_next_look(folder: Path) -> None:
    """A file with another time is read at the next look for changes, without any signal."""
    with running(folder, *SERVING, "-c", "1", ZONE) as daemon:
        (at,) = daemon.bound()
        before = asked(at, LISTED, "TXT")
        write(folder / "z", f"{HEADER}127.0.0.2 :2:new\n", 1_700_000_001)
        daemon.until("event=dataset_loaded")
        while (after := asked(at, LISTED, "TXT")) == before:
            pass  # read, and swapped in a moment

    assert ('NOERROR "old"', 'NOERROR "new"') == (before, after)


def test_reads_a_changed_file_when_told_to(folder: Path) -> None:
    """HUP reads what changed at once."""
    with running(folder, *SERVING, "-c", "0", ZONE) as daemon:
        (at,) = daemon.bound()
        write(folder / "z", f"{HEADER}127.0.0.9\n", 1_700_000_001)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until("event=dataset_loaded")
        while asked(at, "9.0.0.127.bl.test") != "NOERROR 127.0.0.2":
            pass

        assert "NXDOMAIN" == asked(at, LISTED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "unable to open file"),
        ("$TIMESTAMP 2037:01:01\n127.0.0.9\n", "in the future"),
    ],
    ids=["vanished", "broken"],
)
def test_a_failed_reload_leaves_the_old_data_in_service(folder: Path, text: str | None, why: str) -> None:
    """A file that vanishes or breaks is told with its reason and counted; what was read before answers."""
    with running(folder, *SERVING, "--metrics", "127.0.0.1:0", ZONE) as daemon:
        metrics = re.search(r" address=(\S+)", daemon.until("event=metrics_listening"))
        assert metrics is not None
        (at,) = daemon.bound()
        if text is None:
            (folder / "z").unlink()
        else:
            write(folder / "z", text, 1_700_000_001)
        daemon.process.send_signal(signal.SIGHUP)
        said = daemon.until("event=dataset_refused")
        answer = asked(at, LISTED, "TXT")
        with urllib.request.urlopen(f"http://{metrics[1]}/metrics") as reply:
            counted = reply.read().decode()

    assert (True, True, 'NOERROR "old"') == (why in said, "serving=true" in said.lower(), answer)
    assert 'rbl_dataset_failed{dataset="ip4set:z"} 1.0' in counted


def test_starts_without_a_file_where_it_is_to_be_quick(folder: Path) -> None:
    """With -q it starts before the files are read: a zone without them is SERVFAIL until they come."""
    (folder / "z").unlink()
    with running(folder, *SERVING, "-q", "-c", "0", ZONE) as daemon:
        (at,) = daemon.bound()
        daemon.until("event=zone_not_served")
        before = asked(at, LISTED)
        write(folder / "z", "127.0.0.2\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until("event=dataset_loaded")
        while (after := asked(at, LISTED)) == before:
            pass

    assert ("SERVFAIL", "NOERROR 127.0.0.2") == (before, after)


def test_writes_down_queries_and_numbers(folder: Path) -> None:
    """-l has a line for each query, -s one of numbers when asked; a log that was moved is begun anew."""
    log, numbers = folder / "log", folder / "numbers"
    with running(folder, *SERVING, "-c", "0", "-l", "+log", "-s", "numbers", "-p", "pid", ZONE) as daemon:
        (at,) = daemon.bound()
        asked(at, LISTED)
        asked(at, "9.9.9.9.bl.test", "TXT")
        first = log.read_text()
        log.rename(folder / "log.1")
        daemon.process.send_signal(signal.SIGHUP)
        while not log.exists():
            pass  # it is reopened in a moment
        asked(at, "bl.test", "SOA")
        second = log.read_text()
        daemon.process.send_signal(signal.SIGUSR2)
        told = daemon.until("event=queries_counted", "zone=bl.test")
        number = int((folder / "pid").read_text())
        status = daemon.end(signal.SIGTERM)

    lines = [re.sub(r"^\d+ ", "", line) for line in (first + second).splitlines()]
    assert [
        "127.0.0.1 2.0.0.127.bl.test A IN: NOERROR/1/76",
        "127.0.0.1 9.9.9.9.bl.test TXT IN: NXDOMAIN/0/98",
        "127.0.0.1 bl.test SOA IN: NOERROR/1/115",
    ] == lines
    assert ("ok=2", "nxdomain=1", 0) == (*re.findall(r"ok=\d+|nxdomain=\d+", told), status)
    assert number
    began, counted, again, last = numbers.read_text().splitlines()
    assert re.fullmatch(r"\d+ bl\.test:3:2:1:\d+:\d+ \*:3:2:1:\d+:\d+", counted)
    assert re.fullmatch(r"\d+", began)
    assert re.fullmatch(r"\d+", again)
    assert re.fullmatch(r"\d+ bl\.test:0:0:0:0:0 \*:0:0:0:0:0", last)


def test_numbers_without_a_log(folder: Path) -> None:
    """What the compiled path answered is in the numbers as what it leaves to the other is, once each."""
    write(folder / "a", "192.0.2.0/24 :refuse\n")
    zones = (ZONE, "up.test:ip4set:z", "up.test:acl:a")
    with running(folder, *SERVING, "-c", "0", "-s", "+numbers", *zones) as daemon:
        (at,) = daemon.bound()
        said = daemon.said[-1]
        for name in (LISTED, "9.9.9.9.bl.test", "2.0.0.127.up.test", "elsewhere.test"):
            asked(at, name)
        asked(at, LISTED, tcp=True)
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.until("event=queries_counted", "zone=*")
        asked(at, LISTED)
        daemon.process.send_signal(signal.SIGUSR2)
        while len((folder / "numbers").read_text().splitlines()) < 4:
            pass  # it tells, and begins anew in a moment
        asked(at, "8.8.8.8.bl.test")
        daemon.end(signal.SIGTERM)

    lines = (folder / "numbers").read_text().splitlines()
    assert [
        "",
        "bl.test:3:2:1 up.test:1:1:0 *:5:3:1",
        "bl.test:1:1:0 up.test:0:0:0 *:1:1:0",
        "",
        "bl.test:1:0:1 up.test:0:0:0 *:1:0:1",
    ] == [re.sub(r"^\d+ ?|:\d+:\d+(?= |$)", "", line) for line in lines]
    assert f'answered_by="{compiled.describe()}"' in said


def test_a_log_of_queries_is_written_by_the_reference_path(folder: Path) -> None:
    """With -l every query goes where it is logged, and the start says so."""
    with running(folder, *SERVING, "-l", "+log", ZONE) as daemon:
        daemon.bound()

        assert "reference path" in daemon.said[-1]


def test_a_log_that_cannot_be_written_is_told_and_queries_are_answered(folder: Path) -> None:
    """A folder in the place of a log costs the log, not the answers."""
    (folder / "log").mkdir()
    with running(folder, *SERVING, "-l", "log", "-s", "log", ZONE) as daemon:
        daemon.until("event=log_unwritten", "file=log")
        daemon.until("event=log_unwritten", "file=log")
        (at,) = daemon.bound()

        assert "NOERROR 127.0.0.2" == asked(at, LISTED)


def test_goes_into_the_background_once_it_answers(folder: Path) -> None:
    """Without -n the command ends with status 0 when queries are answered; the daemon goes on."""
    with running(folder, "-b", "127.0.0.1/0", "-p", "pid", ZONE) as starter:
        (at,) = starter.bound()
        status = starter.process.wait(60)
        answer = asked(at, LISTED)
        os.kill(int((folder / "pid").read_text()), signal.SIGTERM)

    assert (0, "NOERROR 127.0.0.2") == (status, answer)


def test_says_why_it_does_not_start_in_the_background(folder: Path) -> None:
    """Without -n too a file that cannot be read ends the command with status 1 and the reason."""
    done = ran(folder, "-b", "127.0.0.1/0", "bl.test:ip4set:nowhere")

    assert 1 == done.returncode
    assert "rbl rbldnsd: zone loading errors, aborting: file nowhere: unable to open file" in done.stderr
    assert "Traceback" not in done.stderr


def test_prints_zones_as_a_master_file(folder: Path) -> None:
    """-d prints all zones and ends, without any address to listen on."""
    done = ran(folder, "-d", ZONE, ":acl:z")

    shown = [line for line in done.stdout.splitlines() if not line.startswith(";")]
    assert [
        "$ORIGIN\tbl.test.",
        "@\t300\tSOA\tns1.bl.test.\thostmaster.bl.test.\t(1 3600 900 604800 300)",
        "\t86400\tNS\tns1.bl.test.",
        "$TTL 600",
        "2.0.0.127\tA\t127.0.0.2",
        '\tTXT\t"old"',
    ] == shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-n", ZONE], "no address to listen on (-b option) specified"),
        (["-n", "-b", "127.0.0.1/0"], "no zone(s) to service specified"),
        ([*SERVING, "-x", "e.so", ZONE], "option -x is not supported"),
        ([*SERVING, "-U", "127.0.0.1/9", ZONE], "option -U is not supported"),
        ([*SERVING, "-Z", ZONE], "option -Z not recognized"),
        ([*SERVING, "bl.test:mystery:z"], "unknown dataset type 'mystery'"),
        ([*SERVING, "-b", "no.such.invalid/53", ZONE], "-b no.such.invalid/53: "),
        ([*SERVING, "-b", "/53", ZONE], "missing host part in bind address '/53'"),
        (["-n", "-b", "192.0.2.1/0", ZONE], "cannot listen on 192.0.2.1:0"),
        ([*SERVING, "-w", "nowhere", ZONE], "unable to enter nowhere"),
        ([*SERVING, "-p", "no/where", ZONE], "unable to write pidfile no/where"),
        ([*SERVING, "-u", "nobody-at-all", ZONE], "nobody-at-all"),
        ([*SERVING, "-u", "root", ZONE], "daemon should not run as root, specify -u option"),
        ([*SERVING, "--metrics", "192.0.2.1:0", ZONE], "--metrics: cannot listen on 192.0.2.1:0"),
        ([*SERVING, "bl.test:ip4set:nowhere"], "file nowhere: unable to open file"),
        (["-d", "bl.test:ip4set:nowhere"], "file nowhere: unable to open file"),
    ],
)
def test_says_why_it_does_not_start(folder: Path, arguments: list[str], words: str) -> None:
    """What cannot be as the command line says ends it with status 1 and a sentence, never a traceback."""
    done = ran(folder, *arguments)

    assert (1, True) == (done.returncode, words in done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_its_own(folder: Path) -> None:
    """-h shows the options as rbldnsd has them, and ends with status 0."""
    done = ran(folder, "-h")

    assert (0, "Usage: rbl rbldnsd options zone:type:file,file…") == (
        done.returncode,
        done.stdout.splitlines()[0],
    )


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a data file that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "data").mkdir(mode=0o755)
        write(path / "data" / "z", "127.0.0.2\n")
        yield path


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_gives_up_root_and_sees_one_tree_only(open_folder: Path) -> None:
    """Started by root it runs as the user of -u, in the folder of -w within the tree of -r."""
    with running(
        open_folder, *SERVING, "-u", "nobody", "-r", str(open_folder), "-w", "data", ZONE, as_root=True
    ) as daemon:
        (at,) = daemon.bound()
        answer = asked(at, LISTED)
        process = Path("/proc", str(daemon.process.pid))
        seen = ((process / "root").readlink(), (process / "cwd").readlink(), process.stat().st_uid)

    assert "NOERROR 127.0.0.2" == answer
    assert (open_folder, open_folder / "data", pwd.getpwnam("nobody").pw_uid) == seen


def _resident(daemon: Running) -> int:
    """Return how many kilobytes the daemon has in memory now."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


def test_reloads_cost_no_memory(folder: Path) -> None:
    """What was needed to read a large file is given back: after four reloads it has what it had."""
    last = "255.255.2.10.bl.test"  # of the file's last line
    addresses = "".join(
        f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n" for number in range(196_608)
    )
    write(folder / "z", f"{HEADER}:2:0\n{addresses}")
    with running(folder, *SERVING, ZONE) as daemon:
        (at,) = daemon.bound()
        first = _resident(daemon)
        for number in range(1, 5):
            write(folder / "z", f"{HEADER}:2:{number}\n{addresses}")
            daemon.process.send_signal(signal.SIGHUP)
            while asked(at, last, "TXT") != f'NOERROR "{number}"':
                pass
        daemon.process.send_signal(signal.SIGUSR1)  # told after what is given back
        daemon.until("event=queries_counted")

        assert _resident(daemon) < first * 1.15


def test_is_the_command_of_rbl() -> None:
    """The tests start it as ``rbl rbldnsd``."""
    assert ["rbl", "rbldnsd"] == command()[-2:]
