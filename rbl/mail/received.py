"""One Received field read strictly: who wrote it, and whom it names as its TCP peer.

The text of a Received field is partly the sender's: the name in HELO, the reverse name, the ident
answer, the envelope sender. So the peer is read from a closed list of shapes that mail servers
write, and from nothing else; a field with two readings names nobody. Whether the writer is to be
believed is for ``evidence``. RFC 5321 §4.4 (grammar), RFC 3848 (``with`` words). Pure; logs nothing.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from rbl.addresses import parse_address
from rbl.errors import BadInput
from rbl.terms import Address

_BLANK = re.compile(r"[ \t]+")
_LITERAL = re.compile(
    r"\[(?:IPv6:)?(?P<address>[0-9a-f:.]+)(?:%[\w.-]+)?\](?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII
)
# qmail writes the ident answer and an at sign before the address, qmail-ldap brackets around it.
_BARE = re.compile(r"(?:[^ \t]*@)?(?P<address>\[?[0-9a-f:.]+\]?)", re.IGNORECASE)
_QMAIL_NOTE = re.compile(r"qmail [0-9]+ invoked .*", re.DOTALL)
_EXIM = re.compile(r"Exim [0-9]")
# What Exim and CommuniGate write after the address, before what the client said.
_AFTER_ADDRESS = ("helo=", "ident=", "port=")
_HELO_WORDS = ("HELO ", "EHLO ", "LHLO ")
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, *)?[0-9]{1,2} +[A-Z][a-z]{2} +[0-9]{4} +"
    r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})? +(?:[+-][0-9]{4}|GMT|UTC?|[ECMP][SD]T)(?: *\([^()]*\))?",
    re.ASCII,
)
# RFC 3848, RFC 6531 §4.3: the peer signed in, so it is a user of the server that writes.
_SIGNED_IN = frozenset({"ESMTPA", "ESMTPSA", "UTF8SMTPA", "UTF8SMTPSA", "SMTPA", "SMTPSA"})


class _Kind(Enum):
    WORD = auto()
    COMMENT = auto()  # without its outer parentheses
    BROKEN = auto()  # an unclosed comment or quoted string, or a parenthesis too many: all that follows


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    end: int  # offset in the field, behind the token

    def is_word(self, word: str) -> bool:
        return self.kind is _Kind.WORD and self.text.lower() == word


@dataclass(frozen=True, slots=True)
class Hop:
    """What one Received field says.

    *by* is the host that wrote it, lower case without a trailing dot, or empty. *peer* is None
    where the field names no TCP peer: a *local* hop (LMTP, a pipe, a note of qmail's), or, where
    *local* is False, a field that cannot be read with certainty. *ambiguous* says that the text
    of the client imitates the writer's. *signed_in* says that the peer had a password.
    """

    by: str
    peer: Address | None
    helo: str
    local: bool = False
    signed_in: bool = False
    ambiguous: bool = False


def read_hop(field: str, own_names: frozenset[str]) -> Hop:
    """Return what the unfolded Received *field* says, where hosts called *own_names* are believed.

    *own_names* only serve to notice that text of the client imitates one of them.
    """
    tokens = list(_tokens(field))
    at = _by_clause(tokens)
    if at is None:
        broken = any(token.kind is _Kind.BROKEN for token in tokens)
        note = bool(tokens) and tokens[0].kind is _Kind.COMMENT and _QMAIL_NOTE.fullmatch(tokens[0].text)
        return Hop("", None, "", local=bool(note), ambiguous=broken)
    by = _host(tokens[at + 1].text)
    after = tokens[at + 2 :]
    if _names_writer_again(field[tokens[at + 1].end :], own_names | {by}):
        return Hop(by, None, "", ambiguous=True)
    protocol = _protocol(after)
    if not tokens[0].is_word("from") or protocol.startswith(("LMTP", "UTF8LMTP", "LOCAL")):
        return Hop(by, None, "", local=True)
    clause = tokens[1:at]
    exim = any(token.kind is _Kind.COMMENT and _EXIM.match(token.text) for token in after)
    peers = _peers(clause, exim=exim)
    return Hop(
        by,
        peers.pop() if len(peers) == 1 else None,
        _helo(clause),
        signed_in=protocol in _SIGNED_IN,
        ambiguous=len(peers) > 1,
    )


def read_date(field: str) -> datetime | None:
    """Return the date after the last semicolon of *field* in UTC, or None where it is none with a zone."""
    written = field.rpartition(";")[2].strip(" \t")
    if not _DATE.fullmatch(written):
        return None
    try:
        date = parsedate_to_datetime(written)
        # "-0000" gives no zone: the time is UTC, only the writer's own is unknown (RFC 5322 §3.3).
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # the 31st of February; a zone of 99 hours; the year 9999
        return None


def _by_clause(tokens: list[_Token]) -> int | None:
    """Return where the first ``by`` with a host stands; the word after ``from`` is a name, even "by"."""
    first = 2 if tokens and tokens[0].is_word("from") else 0
    for at, (token, following) in enumerate(itertools.pairwise(tokens[first:]), first):
        if token.is_word("by") and following.kind is _Kind.WORD:
            return at
    return None


def _peers(clause: list[_Token], *, exim: bool) -> set[Address]:
    """Return each address that the from *clause* can be read to name as TCP peer: one, unless forged."""
    names = [token.text for token in clause if token.kind is _Kind.WORD]
    comments = [_flat(token.text) for token in clause if token.kind is _Kind.COMMENT]
    found: set[Address] = set()
    # qmail, Exim without a reverse name, CommuniGate: the first comment is what the client said.
    client_talks = bool(comments) and comments[0].startswith((*_HELO_WORDS, *_AFTER_ADDRESS))
    if client_talks and len(names) != 1:
        return set()  # servers write one name there: the others are of a client that closed its comment
    if len(names) == 1 and (client_talks or (exim and not comments)):
        found |= _literals(names)
    for comment in comments[1 if client_talks else 0 :]:
        found |= _tcp_info(comment) | _bare(comment)
    return found


def _tcp_info(comment: str) -> set[Address]:
    """Return the address where *comment* is the TCP-info of RFC 5321 §4.4, or Exim's form of it.

    ``[192.0.2.1]``, ``name [192.0.2.1]``, and ``[192.0.2.1] helo=…``, after which the client talks:
    where it says something that looks like the second form, both are returned.
    """
    first, *rest = comment.split(" ")
    if not rest or rest == ["verified"]:
        return _literals([first])
    if rest[0].startswith(_AFTER_ADDRESS):
        return _literals([first, *rest])
    return _literals(rest) if len(rest) == 1 else set()


def _bare(comment: str) -> set[Address]:
    """Return the address where *comment* is nothing else, as qmail and Exchange write it."""
    match = _BARE.fullmatch(comment)
    address = _address(match["address"].strip("[]")) if match else None
    return {address} if address else set()


def _literals(words: list[str]) -> set[Address]:
    """Return the addresses of those *words* that are address literals (RFC 5321 §4.1.3), port or not."""
    matches = [_LITERAL.fullmatch(word) for word in words]
    return {address for match in matches if match and (address := _address(match["address"]))}


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except BadInput:
        return None


def _helo(clause: list[_Token]) -> str:
    """Return the name the client gave, as far as the clause tells: to be shown, never believed."""
    for token in clause:
        if token.kind is _Kind.COMMENT:
            for word in _HELO_WORDS:
                if token.text.startswith(word):
                    return token.text.removeprefix(word)
            _, found, said = token.text.partition("helo=")
            if found:
                return said.partition(" ")[0]
    return clause[0].text if clause else ""


def _names_writer_again(rest: str, names: frozenset[str]) -> bool:
    """Whether *rest*, which follows a by clause, has another by clause of one of *names*.

    Then the first may be text that the client put into HELO, or the second text of its envelope
    sender: nobody can say which. Looks at the raw text, so that no parenthesis hides it.
    """
    return any(
        _host(match[1]) in names
        for match in re.finditer(r"\bby[ \t]+([^ \t;()]+)", rest, re.IGNORECASE | re.ASCII)
    )


def _protocol(after: list[_Token]) -> str:
    """Return the word after ``with`` where the writer puts it (RFC 5321 §4.4), in capitals, or nothing.

    That is behind the by clause, its comments, and a via clause. What comes later (an id, the
    recipient, notes) may have text of the client's.
    """
    words = [token for token in after if token.kind is not _Kind.COMMENT]
    if words and words[0].is_word("via"):
        words = words[2:]
    named = len(words) > 1 and words[0].is_word("with") and words[1].kind is _Kind.WORD
    return words[1].text.upper() if named else ""


def _host(word: str) -> str:
    return word.lower().removesuffix(".")


def _flat(comment: str) -> str:
    """Return *comment* without the comments in it, ``(may be forged)``, and with single spaces."""
    outside: list[str] = []
    depth = 0
    for mark in re.finditer(r"\\.|[()]|[^\\()]+|\\", comment, re.DOTALL):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if not depth and mark[0] != ")":
            outside.append(mark[0])
    return _BLANK.sub(" ", "".join(outside)).strip(" ")


def _tokens(field: str) -> Iterator[_Token]:
    """Yield the words and comments of *field*; a quoted string belongs to its word, a semicolon is one."""
    at = 0
    while at < len(field):
        if field[at] in " \t":
            at += 1
            continue
        start = at
        if field[at] == "(":
            at = _comment_end(field, at)
            kind = _Kind.COMMENT
        elif field[at] == ";":
            at += 1
            kind = _Kind.WORD
        else:
            at = _word_end(field, at)
            kind = _Kind.WORD
        if at < 0:
            yield _Token(_Kind.BROKEN, field[start:], len(field))
            return
        text = field[start + 1 : at - 1] if kind is _Kind.COMMENT else field[start:at]
        yield _Token(kind, text, at)


def _comment_end(field: str, start: int) -> int:
    """Return the offset behind the comment that opens at *start*, or -1 where it does not close."""
    depth = 0
    for mark in re.finditer(r"\\.|[()]", field[start:], re.DOTALL):
        depth += {"(": 1, ")": -1}.get(mark[0], 0)
        if not depth:
            return start + mark.end()
    return -1


def _word_end(field: str, start: int) -> int:
    """Return the offset behind the word at *start*, or -1 where a quote or a parenthesis is unbalanced."""
    match = re.compile(r'(?:[^ \t();"]|"(?:[^"\\]|\\.)*")+', re.DOTALL).match(field, start)
    if match is None or field[match.end() : match.end() + 1] in ('"', ")"):
        return -1
    return match.end()
