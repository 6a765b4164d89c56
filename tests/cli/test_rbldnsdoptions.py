"""rbldnsd's command line."""

import socket
from pathlib import Path

import pytest

from rbl.cli.rbldnsdoptions import CommandLine, LogFile, listening, parse
from rbl.config import Listen
from rbl.errors import BadInput, ConfigError

_NEEDED = ["-b", "127.0.0.1/53", "z:ip4set:f"]


def test_everything_together() -> None:
    """Letters may stand together, values beside them, zones anywhere."""
    line = parse(
        [
            *("-nefqaC4", "-v", "-v", "-w/var/lib", "-r", "/jail", "-p", "pid", "-u", "me:us"),
            *("-t", "1h:5m:2h", "-c5m", "a:ip4set:f", "-l", "+log", "-s", "numbers", "-F", "local3"),
            *("-b", "::1/5300", "b:acl:g", "--metrics", "[::1]:9153"),
        ]
    )

    assert line == CommandLine(
        zones=("a:ip4set:f", "b:acl:g"),
        addresses=["::1/5300"],
        family=socket.AF_INET,
        user="me:us",
        root=Path("/jail"),
        folder=Path("/var/lib"),
        ttl_seconds=3600,
        least_ttl_seconds=300,
        most_ttl_seconds=7200,
        check_seconds=300,
        process_file=Path("pid"),
        foreground=True,
        accept_host_bits=True,
        decompress=False,
        quick=True,
        minimal=True,
        hidden=2,
        metrics=Listen("::1", 9153),
        query_log=LogFile("log", plus=True),
        statistics=LogFile("numbers", plus=False),
        facility="local3",
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["-Q", *_NEEDED], "option -Q not recognized"),
        (["-b"], "option -b requires argument"),
        (["-x", "e.so", *_NEEDED], "option -x is not supported"),
        (["-X", "arg", *_NEEDED], "option -X is not supported"),
        (["-U", "socket", *_NEEDED], "option -U is not supported"),
        (["-D", *_NEEDED], "option -D is not supported"),
        (["-F", "nowhere", *_NEEDED], "log facility 'nowhere' is not valid"),
        (["-c", "soon", *_NEEDED], "invalid check interval (-c) value 'soon'"),
        (["-t", "1:2:3:4", *_NEEDED], "invalid value for -t (ttl) option: '1:2:3:4'"),
        (["-t", "0", *_NEEDED], "invalid ttl (-t) value '0'"),
        (["-t", "5m:x", *_NEEDED], "invalid minttl (-t) value 'x'"),
        (["-t", "5m:10m", *_NEEDED], "inconsistent def:min:max ttl: 300:600:0"),
        (["-t", "5m::1m", *_NEEDED], "inconsistent def:min:max ttl: 300:0:60"),
        (["--metrics", "here", *_NEEDED], "--metrics: 'here' is no address and port"),
        (["-b", "::1"] * 21, "too many addresses to listen on (20 max)"),
        (["z:ip4set:f"], "no address to listen on (-b option) specified"),
        (["-b", "::1"], "no zone(s) to service specified"),
    ],
)
def test_what_is_refused(arguments: list[str], why: str) -> None:
    """Options that are unknown, not taken or have a wrong value are refused by name."""
    with pytest.raises(BadInput) as refused:
        parse(arguments)

    assert why in refused.value.message


def test_what_may_be_left_out() -> None:
    """Help needs nothing, a dump no address; each part of -t, and a log's name, may be empty."""
    assert parse(["-h"]).help
    assert parse(["-d", "z:ip4set:f"]).dump
    line = parse(["-t", ":5m:1h", "-l", "+", "-A", *_NEEDED])
    assert (2100, 300, 3600, None, False) == (
        line.ttl_seconds,
        line.least_ttl_seconds,
        line.most_ttl_seconds,
        line.query_log,
        line.minimal,
    )


def test_listening() -> None:
    """Addresses are those of hosts, each once, at port 53 where none is said."""
    line = CommandLine(addresses=["127.0.0.1", "127.0.0.1/53", "::1/5300"])

    assert (Listen("127.0.0.1", 53), Listen("::1", 5300)) == listening(line)


def test_addresses_that_mean_nothing_are_told_together() -> None:
    """Every wrong address is named."""
    line = CommandLine(addresses=["/53", "::1/x", "127.0.0.1/53"], family=socket.AF_INET)

    with pytest.raises(ConfigError) as refused:
        listening(line)

    first, second = refused.value.faults
    assert "missing host part in bind address '/53'" == first
    assert second.startswith("-b ::1/x: ")
