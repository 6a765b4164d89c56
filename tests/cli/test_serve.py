"""``rbl serve`` as a process: how it starts, what it says, how it stops."""

import json
import os
import signal
import smtplib
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.config import Listen
from tests import postgresql
from tests.cli.process import DOMAIN, Installation, Serving, spam
from tests.postgresql import Databases

PARTS = ("dns", "web", "collector", "worker")
POSTMASTER = f"postmaster@{DOMAIN}"
BOTH_STOPS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "ctrl-c"])


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A list on SQLite that tests nobody."""
    return Installation(tmp_path)


def ask(listen: Listen, qname: str = "2.0.0.127.relays.example", rtype: str = "A") -> str:
    """Return what DNS answers."""
    reply = dns_query.udp(dns_message.make_query(qname, rtype), listen.host, 10, listen.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


def answers(process: Serving, part: str) -> bool:
    """Whether *part* of *process* does its work."""
    match part:
        case "dns":
            return ask(process.dns) == "127.0.0.2"
        case "web":
            return httpx2.get(f"{process.web}/healthz").is_success
        case "collector":
            with smtplib.SMTP(*process.collector) as client:
                return client.noop()[0] == 250
        case _:
            return process.places["worker"] == "tests are off (probe.enabled = false)"


def test_the_first_key_is_shown_once(installation: Installation) -> None:
    """At its first start it shows where it listens and an admin key; later only where it listens."""
    with installation.serving() as process:
        assert "rbl" == process.said[0].split()[0]
        assert PARTS == tuple(sorted(process.places, key=PARTS.index))
        key = process.first_key
        me = httpx2.get(f"{process.web}/v1/keys", headers={"Authorization": f"Bearer {key}"})
        assert 200 == me.status_code
        assert 0 == process.end()
        assert ["stopping; a second signal ends it at once", "stopped"] == process.said[-2:]
        assert str(key) not in process.log()

    with installation.serving() as process:
        assert process.first_key is None


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone(installation: Installation, database_url: str, part: str) -> None:
    """Each part runs in a process of its own, on either kind of database."""
    installation.settings["RBL_DATABASE__URL"] = database_url

    with installation.serving("--only", part) as process:
        assert {part} == set(process.places)
        assert answers(process, part)
        assert 0 == process.end()


def test_some_parts(installation: Installation) -> None:
    """Parts are chosen in any order, and only they run."""
    with installation.serving("--only", "web, dns") as process:
        assert {"dns", "web"} == set(process.places)


def test_processes_that_start_at_once(installation: Installation, databases: Databases) -> None:
    """Four processes start at the same moment on an empty database: one of them shows the first key."""
    name = databases.empty()
    installation.settings["RBL_DATABASE__URL"] = databases.url(name)

    with ExitStack() as running:
        processes = [running.enter_context(installation.beginning("--only", part)) for part in PARTS]
        for process in processes:
            process.until_ready()
        shown = [process.first_key for process in processes if process.first_key]
        statuses = [process.end() for process in processes]
    databases.drop(name)

    assert 1 == len(shown)
    assert [0, 0, 0, 0] == statuses


@BOTH_STOPS
def test_stop_when_idle(installation: Installation, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end it with status 0, without a word of complaint."""
    with installation.serving() as process:
        assert 0 == process.end(number)
        assert "Traceback" not in process.log()
        assert "level=error" not in process.log()


@BOTH_STOPS
def test_nothing_is_cut_off(installation: Installation, number: signal.Signals) -> None:
    """A slow request, a message and a DNS query under way at the signal are answered."""
    with installation.serving() as process, ExitStack() as clients:
        web = clients.enter_context(_connected(process.web))
        dns = clients.enter_context(socket.create_connection(process.dns, 20))
        smtp = smtplib.SMTP(*process.collector, timeout=20)
        clients.callback(smtp.close)
        body = json.dumps({"name": "isp.example", "role": "nominator"}).encode()
        web.sendall(_post("/v1/keys", process.first_key or "", len(body)) + body[:5])
        smtp.ehlo("mx.example")
        smtp.mail("<>")
        assert 250 == smtp.rcpt(POSTMASTER)[0]

        process.send(number)
        assert "stopping; a second signal ends it at once" == process.line()

        dns.sendall(_framed(dns_message.make_query("2.0.0.127.relays.example", "A").to_wire()))
        assert 250 == smtp.data(b"Subject: back\r\n\r\nhere\r\n")[0]
        web.sendall(body[5:])
        assert b"HTTP/1.1 201" == _all(web)[:12]
        (length,) = struct.unpack("!H", _exactly(dns, 2))
        answer = dns_message.from_wire(_exactly(dns, length)).answer
        assert ["127.0.0.2"] == [record.to_text() for rrset in answer for record in rrset]
        assert 0 == process.wait()
        assert "level=error" not in process.log()


def test_watchers_of_a_test_are_told_to_come_again(installation: Installation) -> None:
    """An event stream ends with a word when the program stops, and does not hold it up."""
    with installation.serving() as process:
        key = process.first_key or ""
        installation.settings["RBL_CLIENT__SERVER"] = process.web
        _nominate(process, key)
        with httpx2.stream("GET", f"{process.web}/v1/addresses/9.9.9.9/events", timeout=20) as stream:
            lines = stream.iter_lines()
            assert "event: state" == next(lines)
            process.send(signal.SIGTERM)
            told = [line for line in lines if line.startswith("event:")]
        assert 0 == process.wait()
        assert "level=error" not in process.log()

    assert ["event: pause"] == told[-1:]


def test_a_client_that_hangs(installation: Installation) -> None:
    """A request that never ends does not keep it from stopping."""
    with installation.serving() as process, _connected(process.web) as client:
        client.sendall(_post("/v1/keys", process.first_key or "", 100) + b"{")
        httpx2.get(f"{process.web}/healthz")

        assert 0 == process.end()
        assert b"HTTP/1.1 503" == _all(client)[:12]
        assert "Traceback" not in process.log()


@BOTH_STOPS
def test_second_signal(installation: Installation, number: signal.Signals) -> None:
    """A second signal ends it at once, whatever it waits for."""
    with installation.serving() as process, smtplib.SMTP(*process.collector, timeout=20) as client:
        client.ehlo("mx.example")
        client.mail("<>")
        process.send(number)
        assert "stopping; a second signal ends it at once" == process.line()

        assert -number == process.end(number)

    with installation.serving() as process:
        assert answers(process, "dns")


def test_addresses_in_use(installation: Installation) -> None:
    """Every address that cannot be listened on is named, nothing is left running, and the status is 1."""
    with ExitStack() as sockets:
        taken = {}
        for part, host in (("dns", "127.0.0.1"), ("web", "127.0.0.1"), ("collector", "127.0.0.10")):
            other = sockets.enter_context(socket.create_server((host, 0)))
            taken[part] = f"{host}:{other.getsockname()[1]}"
            installation.settings[f"RBL_{part.upper()}__LISTEN"] = taken[part]

        ran = installation.run("serve")

    assert 1 == ran.returncode
    assert b"" == ran.stdout
    assert "rbl cannot start, since the configuration has faults:" in ran.stderr.decode()
    assert {
        f"  {part}.listen: cannot listen on {place}: Address already in use"
        for part, place in taken.items()
    } == {line for line in ran.stderr.decode().splitlines() if "cannot listen" in line}
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize("is_down", [False, True], ids=["database up", "database down"])
def test_address_in_use_at_a_later_start(installation: Installation, is_down: bool) -> None:  # noqa: FBT001
    """With an index on disk DNS begins first, and its fault is told all the same."""
    with installation.serving() as process:
        assert 0 == process.end()
    with socket.create_server(("127.0.0.1", 0)) as other:
        installation.settings["RBL_DNS__LISTEN"] = f"127.0.0.1:{other.getsockname()[1]}"
        if is_down:
            _no_database(installation)

        ran = installation.run("serve")

    assert 1 == ran.returncode
    assert f"dns.listen: cannot listen on {installation.settings['RBL_DNS__LISTEN']}" in ran.stderr.decode()


def _spoil_zone(installation: Installation) -> None:
    text = installation.zone_file.read_text(encoding="utf-8")
    installation.zone_file.write_text(text.replace("127.0.0.2", "10.0.0.1"), encoding="utf-8")


def _same_apex(installation: Installation) -> None:
    second = installation.folder / "second.toml"
    second.write_bytes(installation.zone_file.read_bytes())
    installation.settings["RBL_ZONES"] += f",{second}"


def _no_zone(installation: Installation) -> None:
    installation.settings["RBL_ZONES"] = ""


def _no_identity(installation: Installation) -> None:
    installation.settings["RBL_PROBE__ENABLED"] = "true"


def _data_dir_is_a_file(installation: Installation) -> None:
    (installation.folder / "var").write_text("", encoding="utf-8")


def _database_is_no_database(installation: Installation) -> None:
    (installation.folder / "rbl.db").write_bytes(b"no database" * 1000)


def _no_database(installation: Installation) -> None:
    installation.settings["RBL_DATABASE__URL"] = f"postgresql:///rbl?host={installation.folder}"


def _newer_schema(installation: Installation) -> None:
    installation.run("probing", "on")
    with sqlite3.connect(installation.folder / "rbl.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_spoil_zone, "10.0.0.1"),
        (_same_apex, "has the apex relays.example of another zone file"),
        (_no_zone, "zones: name at least one zone file"),
        (_no_identity, "probe"),
        (_data_dir_is_a_file, "data_dir: cannot write to"),
        (_database_is_no_database, "the database cannot be used: file is not a database"),
        (_newer_schema, "the database has schema 9999, unknown to this version: upgrade rbl"),
    ],
)
def test_faults_at_the_start(installation: Installation, spoil: object, words: str) -> None:
    """What cannot be started is told in a sentence that names it, with status 1 and no traceback."""
    assert callable(spoil)
    spoil(installation)

    ran = installation.run("serve")

    assert 1 == ran.returncode
    assert b"" == ran.stdout
    assert words in ran.stderr.decode()
    assert b"Traceback" not in ran.stderr


def test_start_without_the_database(installation: Installation) -> None:
    """DNS answers from the index on disk while the database is down; the rest follows when it is back."""
    with postgresql.own_server() as server:
        installation.settings["RBL_DATABASE__URL"] = server.url
        with installation.serving() as process:
            _list(process, process.first_key or "", "192.0.2.1")
            assert 0 == process.end()
        server.stop()
        port = _free_port()
        installation.settings["RBL_DNS__LISTEN"] = f"127.0.0.1:{port}"
        with installation.beginning() as process:
            _until_asked(Listen("127.0.0.1", port))
            assert "127.0.0.2" == ask(Listen("127.0.0.1", port), "1.2.0.192.relays.example")
            assert [] == process.said
            _until_told(process, "event=database_awaited")

            server.start()
            process.until_ready()
            assert {"dns", "collector", "worker", "web"} == set(process.places)
            assert 1 == process.log().count("event=database_awaited")
            assert 0 == process.end()


def test_stop_while_the_database_is_awaited(installation: Installation, tmp_path: Path) -> None:
    """It can be stopped while it waits for its database."""
    with installation.serving() as process:
        assert 0 == process.end()
    _no_database(installation)
    port = _free_port()
    installation.settings["RBL_DNS__LISTEN"] = f"127.0.0.1:{port}"

    with installation.beginning() as process:
        _until_asked(Listen("127.0.0.1", port))

        assert 0 == process.end()
        assert "ready" not in process.said


def test_a_database_that_is_away_stops_the_parts_that_need_it(installation: Installation) -> None:
    """Without DNS among them, parts that can do nothing end with a sentence; a supervisor tries again."""
    _no_database(installation)

    ran = installation.run("serve", "--only", "web,worker,collector")

    assert (1, b"") == (ran.returncode, ran.stdout)
    assert "rbl: the database does not answer" in ran.stderr.decode()


def test_first_start_without_the_database(installation: Installation) -> None:
    """Where there never was a list DNS says so, and all parts are there once the database is."""
    port = _free_port()
    listen = Listen("127.0.0.1", port)
    installation.settings["RBL_DNS__LISTEN"] = f"127.0.0.1:{port}"
    with postgresql.own_server() as server:
        installation.settings["RBL_DATABASE__URL"] = server.url
        server.stop()
        with installation.beginning() as process:
            said = [process.line() for _ in range(4)]
            replies = [_edns_reply(listen, over) for over in (dns_query.udp, dns_query.tcp)]

            server.start()
            process.until_ready()
            assert "127.0.0.2" == ask(listen)
            assert {"collector", "worker", "web"} == set(process.places)
            assert process.first_key
            assert 0 == process.end()

    assert [("SERVFAIL", [14])] * 2 == replies
    assert said[2].startswith("not ready: the database does not answer: connection ")
    assert said[2].endswith("; DNS answers for relays.example SERVFAIL: there never was a list")
    assert "not ready: web, collector, worker: waiting for the database" == said[3]
    assert 1 == process.said.count("ready")


def test_a_stop_is_not_ready(installation: Installation) -> None:
    """Who is stopped while he waits never says that he is ready."""
    _no_database(installation)
    with installation.beginning() as process:
        _until_told(process, "event=database_awaited")

        assert (0, False, "stopped") == (process.end(), "ready" in process.said, process.said[-1])


def test_a_first_list_that_is_held_back(installation: Installation) -> None:
    """A list that may not be answered from is told with its reason; when it is mended it is ready."""
    text = installation.zone_file.read_text("utf-8")
    with installation.serving() as process:
        _list(process, process.first_key or "", "10.0.0.1")
        assert 0 == process.end()
    installation.zone_file.write_text(text.replace("list_reserved = true", ""), encoding="utf-8")
    for file in (installation.folder / "var").iterdir():
        file.unlink()
    dns, web = Listen("127.0.0.1", _free_port()), Listen("127.0.0.1", _free_port())
    installation.settings |= {"RBL_DNS__LISTEN": str(dns), "RBL_WEB__LISTEN": str(web)}
    with installation.beginning() as process:
        while not process.line().startswith("not ready: "):
            pass
        servfail = ask(dns)
        headers = {"Authorization": f"Bearer {_new_admin(installation)}"}
        url = f"http://{web}/v1/listings/open-relay/10.0.0.1"
        httpx2.delete(url, params={"why": "reserved"}, headers=headers).raise_for_status()
        process.until_ready()

        assert ("SERVFAIL", "127.0.0.2") == (servfail, ask(dns))
        assert process.end() == 0

    why = "10.0.0.1/32 is listed, but 10.0.0.0/8 is reserved: private use (RFC 1918)."
    told = [line for line in process.said if line.startswith("not ready")]
    assert [True] == [f"not ready: DNS answers SERVFAIL for relays.example: {why}" in line for line in told]
    assert 1 == process.log().count("event=not_ready")


def test_a_change_of_schema_is_logged(installation: Installation) -> None:
    """Whoever makes the schema, or brings it to the newest, says from what to what; afterwards nothing."""
    logs = []
    for _ in range(2):
        with installation.serving("--only", "web") as process:
            assert 0 == process.end()
        logs.append(
            [line.partition("event=")[2] for line in process.log().splitlines() if "schema" in line]
        )

    newest = logs[0][0].rpartition("became=")[2]
    assert [[f"schema_changed was=none became={newest}"], []] == logs


def test_files_that_others_may_read_are_told(installation: Installation) -> None:
    """New files are the user's alone; where they are not, it says so, with what to do."""
    folder = installation.folder / "data"
    installation.settings["RBL_DATABASE__URL"] = f"sqlite:///{folder}/rbl.db"
    umask = os.umask(0)
    try:
        with installation.serving() as process:
            modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
            folders = [each.stat().st_mode & 0o777 for each in (folder, installation.folder / "var")]
            assert 0 == process.end()
    finally:
        os.umask(umask)
    first = [line for line in process.said if line.startswith("warning: ")]
    (folder / "rbl.db").chmod(0o644)
    (installation.folder / "var").chmod(0o755)
    with installation.serving() as process:
        assert 0 == process.end()

    assert ({"rbl.db": 0o600, "rbl.db-wal": 0o600, "rbl.db-shm": 0o600}, [0o700] * 2) == (modes, folders)
    assert [] == first
    files = [
        f"chmod 600 {folder}/rbl.db{beside}" for beside in ("", "-wal", "-shm")
    ]  # SQLite's have its mode
    assert [*files, f"chmod 700 {installation.folder}/var"] == [
        line.rpartition(": ")[2] for line in process.said if line.startswith("warning: ")
    ]
    assert 4 == process.log().count("event=files_exposed")


def _edns_reply(listen: Listen, over: Callable[..., dns_message.Message]) -> tuple[str, list[int]]:
    """Return the RCODE and the extended errors (RFC 8914) of an answer."""
    query = dns_message.make_query("2.0.0.127.relays.example", "A", use_edns=0)
    reply = over(query, listen.host, 10, listen.port)
    return dns_rcode.to_text(reply.rcode()), [int(each.code) for each in reply.options if each.otype == 15]


def _new_admin(installation: Installation) -> str:
    """Return a new operator's key."""
    return installation.run("key", "make", "night shift", "--role", "operator").stdout.decode().strip()


def _nominate(process: Serving, admin: str) -> None:
    """Nominate 9.9.9.9, which is not tested."""
    new = {"name": "isp", "role": "nominator", "mx_names": ["mx.isp.example"]}
    made = httpx2.post(f"{process.web}/v1/keys", json=new, headers={"Authorization": f"Bearer {admin}"})
    answer = httpx2.post(
        f"{process.web}/v1/nominations",
        content=spam("9.9.9.9"),
        headers={"Authorization": f"Bearer {made.json()['key']}", "Content-Type": "message/rfc822"},
    )
    assert 201 == answer.status_code, answer.text


def _list(process: Serving, admin: str, address: str) -> None:
    answer = httpx2.post(
        f"{process.web}/v1/listings",
        json={"network": address, "reason": "open-relay", "why": "by hand"},
        headers={"Authorization": f"Bearer {admin}"},
    )
    assert 201 == answer.status_code, answer.text


def _connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), 20)


def _post(path: str, key: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def _all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def _exactly(client: socket.socket, octets: int) -> bytes:
    got = b""
    while len(got) < octets:
        more = client.recv(octets - len(got))
        assert more, "the connection ended"
        got += more
    return got


def _framed(packet: bytes) -> bytes:
    return struct.pack("!H", len(packet)) + packet


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _until_asked(listen: Listen) -> None:
    """Wait until DNS accepts connections at *listen*."""
    for _ in _tries():
        try:
            socket.create_connection(listen, 20).close()
        except ConnectionRefusedError:
            continue
        return


def _until_told(process: Serving, words: str) -> None:
    """Wait until the log of *process* has *words*."""
    for _ in _tries():
        if words in process.log():
            return


def _tries() -> Iterator[None]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    raise AssertionError("not within a minute")
