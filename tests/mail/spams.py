"""The spams of tests/mail/redaction: what must and what must not be left of each when it is published."""

import base64
import quopri
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "redaction"
MX_NAMES = frozenset({"mx.trap.example"})
TOP = """\
Received: from relay.example (relay.example [198.51.100.7])
\tby mx.trap.example (Postfix) with ESMTP id 4F; Tue, 5 Mar 2024 12:00:00 +0000
"""


@dataclass(frozen=True, slots=True)
class Spam:
    """One spam as it came in; *gone* in lower case."""

    what: str
    message: bytes
    gone: tuple[str, ...]
    kept: tuple[str, ...]


def spams() -> list[Spam]:
    """Return all of them, in the order of their files."""
    return [
        _spam(f"{file.stem}: {row['what']}", row)
        for file in sorted(FOLDER.glob("*.toml"))
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["spam"]
    ]


def _spam(what: str, row: dict[str, str]) -> Spam:
    charset, encoding = row.get("charset", "utf-8"), row.get("encoding", "8bit")
    body = row["body"].encode(charset)
    if encoding == "base64":
        body = base64.encodebytes(body)
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body)
    header = f"""{TOP}{row["header"]}
MIME-Version: 1.0
Content-Type: {row.get("type", "text/plain")}; charset={charset}
Content-Transfer-Encoding: {encoding}

"""
    return Spam(what, header.encode() + body, tuple(row["gone"]), tuple(row["kept"]))
