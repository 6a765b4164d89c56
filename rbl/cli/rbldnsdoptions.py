"""rbldnsd's own command line, read as rbldnsd reads it: single letters, then zones, in any order."""

import getopt
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rbl.config import Listen, parse_listen
from rbl.errors import BadInput, ConfigError
from rbl.zone.rbldnsd.values import parse_seconds

_LETTERS = "u:r:b:w:t:c:p:nel:qs:h46dvaAfF:Cx:X:DU:"
_UNSUPPORTED = {
    "-x": "extensions written in C cannot be loaded",
    "-X": "extensions written in C cannot be loaded",
    "-U": "there is no live update over a socket: write the file anew, or use rbl's API",
    "-D": "there is no live update over a socket: write the file anew, or use rbl's API",
}
_MOST_ADDRESSES = 20
FACILITIES: tuple[str, ...] = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)

_FLAGS: Mapping[str, tuple[str, bool | int]] = {
    "-n": ("foreground", True),
    "-e": ("accept_host_bits", True),
    "-q": ("quick", True),
    "-4": ("family", socket.AF_INET),
    "-6": ("family", socket.AF_INET6),
    "-d": ("dump", True),
    "-a": ("minimal", True),
    "-A": ("minimal", False),
    "-C": ("decompress", False),
    "-h": ("help", True),
    "--help": ("help", True),
    "--any-change": ("any_change", True),
}
_PATHS = {"-r": "root", "-w": "folder", "-p": "process_file"}

USAGE = """\
Usage: rbl rbldnsd options zone:type:file,file…

 -u user[:group]   run as this user (rbldns)
 -r folder         chroot to it
 -w folder         working folder with the zone files
 -b address[/port] listen there, over UDP and TCP; up to 20 times (required)
 -4, -6            IPv4 or IPv6 only
 -t ttl:min:max    TTL of answers where the files set none (35m), and bounds for those they set
 -v                tell no version; twice: refuse the question
 -e                take networks with bits to the right of the prefix: 127.0.0.1/8
 -c seconds        how often to look for files that changed (1m)
 -p file           write the number of the process there
 -n                stay in the foreground
 -f                nothing: what is being read never keeps an answer waiting
 -q                answer before the files are read
 -l [+]file        log queries; +: each at once; - for standard output
 -s [+]file        log numbers at each look for changes; +: what came since the last
 -a, -A            leave name servers out of answers, or have them in (default)
 -F facility       of syslog (daemon)
 -C                do not read compressed files
 -d                print all zones as a BIND file, and end
 --metrics a:port  serve /metrics for Prometheus there; rbldnsd has no such option
 --any-change      serve any change of a file at once, as rbldnsd does: else one that is being written
                   is waited for, and one that takes many entries away is held back until HUP comes twice

Types: ip4set ip4tset ip4trie ip6tset ip6trie dnset dnhash generic combined acl aclkey
"""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file to write to; *plus* is the + before its name."""

    path: str
    plus: bool


@dataclass(slots=True)
class CommandLine:
    """Everything the command line says."""

    zones: tuple[str, ...] = ()
    addresses: list[str] = field(default_factory=list)
    family: int = socket.AF_UNSPEC
    user: str | None = None
    root: Path | None = None
    folder: Path = Path()
    ttl_seconds: int = 35 * 60
    least_ttl_seconds: int = 0
    most_ttl_seconds: int = 0
    check_seconds: int = 60
    process_file: Path | None = None
    foreground: bool = False
    accept_host_bits: bool = False
    decompress: bool = True
    quick: bool = False
    minimal: bool = False
    hidden: int = 0
    dump: bool = False
    help: bool = False
    any_change: bool = False
    metrics: Listen | None = None
    query_log: LogFile | None = None
    statistics: LogFile | None = None
    facility: str = "daemon"


def parse(arguments: Sequence[str]) -> CommandLine:
    """Return what *arguments* say.

    Raises:
        BadInput: an option is unknown, not supported, or its value wrong; the message names it.
    """
    try:
        options, zones = getopt.gnu_getopt(list(arguments), _LETTERS, ["help", "metrics=", "any-change"])
    except getopt.GetoptError as fault:
        raise BadInput(f"{fault.msg}; type rbl rbldnsd -h for help", code="bad-option") from None
    line = CommandLine(zones=tuple(zones))
    for letter, value in options:
        if letter in _UNSUPPORTED:
            raise BadInput(f"option {letter} is not supported: {_UNSUPPORTED[letter]}", code="bad-option")
        if letter in _PATHS:
            setattr(line, _PATHS[letter], Path(value))
        elif not _take_flag(line, letter):
            _take_value(line, letter, value)
    if line.help:
        return line
    if not line.zones:
        raise BadInput("no zone(s) to service specified (-h for help)", code="bad-option")
    if not line.addresses and not line.dump:
        raise BadInput("no address to listen on (-b option) specified", code="bad-option")
    return line


def listening(line: CommandLine) -> tuple[Listen, ...]:
    """Return the addresses to listen on; names of hosts and ports are looked up.

    Raises:
        ConfigError: one means nothing here.
    """
    found: dict[Listen, None] = {}
    faults = []
    for text in line.addresses:
        host, slash, port = text.partition("/")
        if slash and not host:
            faults.append(f"missing host part in bind address {text[:60]!a}")
            continue
        try:
            resolved = socket.getaddrinfo(
                host, port or "domain", line.family, socket.SOCK_DGRAM, 0, socket.AI_PASSIVE
            )
        except (socket.gaierror, UnicodeError) as fault:
            faults.append(f"-b {text[:60]}: {fault}")
            continue
        for _, _, _, _, at in resolved:
            found[Listen(str(at[0]), int(at[1]))] = None
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def _take_flag(line: CommandLine, letter: str) -> bool:
    """Take an option without a value; False where *letter* is none."""
    if letter == "-v":
        line.hidden += 1
    elif letter in _FLAGS:
        name, value = _FLAGS[letter]
        setattr(line, name, value)
    return letter in {"-v", "-f", *_FLAGS}  # -f: reading never keeps an answer waiting anyhow


def _take_value(line: CommandLine, letter: str, value: str) -> None:
    match letter:
        case "-u":
            line.user = value
        case "-l":
            line.query_log = _log_file(value)
        case "-s":
            line.statistics = _log_file(value)
        case "-b":
            line.addresses.append(value)
            if len(line.addresses) > _MOST_ADDRESSES:
                raise BadInput(
                    f"too many addresses to listen on ({_MOST_ADDRESSES} max)", code="bad-option"
                )
        case "-t":
            _take_ttl(line, value)
        case "-c":
            line.check_seconds = _seconds(value, "check interval (-c)")
        case "--metrics":
            line.metrics = _listen(value)
        case _:
            if value not in FACILITIES:
                raise BadInput(f"log facility {value[:40]!a} is not valid", code="bad-option")
            line.facility = value


def _take_ttl(line: CommandLine, value: str) -> None:
    """Take ``default:least:most``, of which each may be left out."""
    parts = value.split(":")
    if len(parts) > 3:
        raise BadInput(f"invalid value for -t (ttl) option: {value[:50]!a}", code="bad-option")
    parts += [""] * (3 - len(parts))
    names = ("ttl (-t)", "minttl (-t)", "maxttl (-t)")
    default, least, most = (
        _seconds(part, name) if part else 0 for part, name in zip(parts, names, strict=True)
    )
    if parts[0] and not default:
        raise BadInput(f"invalid ttl (-t) value {value[:50]!a}", code="bad-option")
    line.ttl_seconds = default or line.ttl_seconds
    line.least_ttl_seconds, line.most_ttl_seconds = least, most
    ttl = line.ttl_seconds
    if (least and most and least > most) or (least and ttl < least) or (most and ttl > most):
        raise BadInput(f"inconsistent def:min:max ttl: {ttl}:{least}:{most}", code="bad-option")


def _seconds(text: str, what: str) -> int:
    found = parse_seconds(text.encode())
    if found is None:
        raise BadInput(f"invalid {what} value {text[:50]!a}", code="bad-option")
    return found


def _listen(text: str) -> Listen:
    try:
        return parse_listen(text)
    except ValueError as fault:
        raise BadInput(f"--metrics: {fault}", code="bad-option") from None


def _log_file(value: str) -> LogFile | None:
    path = value.removeprefix("+")
    return LogFile(path, value.startswith("+")) if path else None
