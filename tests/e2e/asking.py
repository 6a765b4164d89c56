"""Asking DNS with the programs that postmasters have: dig, mdig and kdig, and what they understood.

What a program prints is brought to a few words that a table can hold: the RCODE and the flags, the
records, the EDNS of the answer, and what is wrong with it.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.e2e.hosts import Host

_HEADER = re.compile(r"opcode: (\w+)[,;] status: (\w+)[,;] id: \d+")
_FLAGS = re.compile(r"^;; flags: ?([a-z ]*); ", re.IGNORECASE | re.MULTILINE)
_DIG_EDNS = re.compile(
    r"^; EDNS: version: (\d+), flags:([a-z ]*);(?: MBZ: \w+,?)? udp: (\d+)$", re.MULTILINE
)
_KDIG_EDNS = re.compile(
    r"^;; Version: (\d+); flags:([a-z ]*); UDP size: (\d+) B; ext-rcode: (\w+)$", re.MULTILINE
)
_DIG_OPTION = re.compile(r"^; (?!EDNS)([A-Z][\w -]*): ", re.MULTILINE)
_KDIG_OPTION = re.compile(
    r"^;; (COOKIE|EDE|NSID|PADDING|CLIENT-SUBNET|Unknown option[^:]*): ", re.MULTILINE
)
# What the programs complain of.
_FAULT = re.compile(r"^;; ?(?:WARNING|Warning|Got bad|Question section mis|.*malformed).*$", re.MULTILINE)
_EXPECTED_WARNING = "recursion requested but not available"


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as a program printed it. *edns* has version, flags and size, or is empty."""

    head: str  # the RCODE, then the flags
    records: tuple[str, ...] = ()  # of ANSWER and AUTHORITY: owner, TTL, class, type and data
    edns: str = ""
    options: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    text: str = field(default="", compare=False, repr=False)

    @property
    def brief(self) -> str:
        """The head, the types of the records, and the EDNS, in one line."""
        types = sorted({record.split()[3] for record in self.records})
        return "; ".join([" ".join([self.head, *types]), self.edns, *self.options, *self.faults])


def dig(host: Host, server: str, *arguments: str) -> Said:
    """Return what dig understood of the answer of *server*, which it asks once."""
    return _dig_said(_run(host, ["dig", f"@{server}", *_SHOWN, "+tries=1", "+timeout=20", *arguments]))


def dig_each(host: Host, server: str, questions: Sequence[tuple[str, str]], *arguments: str) -> list[Said]:
    """Return the answers, in order, to *questions* (name and type), which one dig asks one by one."""
    asked = [word for question in questions for word in question]
    # What stands before the first name holds for all.
    once = (f"@{server}", *_SHOWN, "+tries=1", "+timeout=20", *arguments)
    text = _run(host, ["dig", *once, *asked])
    return [_dig_said(part) for part in re.split(r"(?m)^(?=;; Got answer:)", text) if "status:" in part]


def mdig(host: Host, server: str, questions: Sequence[str]) -> list[Said]:
    """Return the answers, as they came, to *questions* all sent at once over one TCP connection."""
    text = _run(host, ["mdig", f"@{server}", "+tcp", "+noall", "+comments", "+answer", *questions])
    return [_dig_said(part) for part in re.split(r"(?m)^(?=;; Got answer:)", text) if "status:" in part]


def kdig(host: Host, server: str, *arguments: str) -> Said:
    """Return what kdig understood of the answer of *server*."""
    text = _run(
        host, ["kdig", f"@{server}", *_SHOWN, "+header", "+opt", "+retry=0", "+timeout=20", *arguments]
    )
    edns = _KDIG_EDNS.search(text)
    said = _said(text, edns, _KDIG_OPTION)
    return said if edns is None or edns[4] == "NOERROR" else _with_rcode(said, edns[4])


_SHOWN = ("+noall", "+comments", "+answer", "+authority")


def _run(host: Host, argv: Sequence[str]) -> str:
    done = subprocess.run(host.command(argv), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def _dig_said(text: str) -> Said:
    return _said(text, _DIG_EDNS.search(text), _DIG_OPTION)


def _said(text: str, edns: "re.Match[str] | None", option: "re.Pattern[str]") -> Said:
    header, flags = _HEADER.search(text), _FLAGS.search(text)
    assert header is not None, text
    assert flags is not None, text
    faults = [line for line in _FAULT.findall(text) if _EXPECTED_WARNING not in line]
    if "MBZ" in text:
        faults.append("MBZ")
    opcode = "" if header[1] == "QUERY" else f" {header[1]}"
    lines = [line for line in text.splitlines() if line and not line.startswith(";")]
    return Said(
        head=f"{header[2]}{opcode} {flags[1].strip()}",
        records=tuple(" ".join(line.split()) for line in lines),
        edns="" if edns is None else f"EDNS {edns[1]}{edns[2].rstrip()} {edns[3]}",
        options=tuple(option.findall(text)),
        faults=tuple(faults),
        text=text,
    )


def _with_rcode(said: Said, rcode: str) -> Said:
    _, _, flags = said.head.partition(" ")
    return Said(f"{rcode} {flags}", said.records, said.edns, said.options, said.faults, said.text)
