"""Which forms a mail server has already answered by its answer to another. Pure.

A table of proofs, for the three servers that most hosts run. Each stands on the server's own source or
manual, asks for its very words, and says in the form's reply why it was not tried. Where a server could
be set up otherwise by more than a rule that names the tester, nothing is spared: a refusal of one form
says nothing of the others. What a program of the admin's own decides (a policy service, rules in the
server's own language that compare a sender with the recipient) is beyond such proof; a form that was
ever seen to relay on a server of the kind, or on this host, is tried whatever is said here.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Proof:
    """*spared* pass no more than one of *shown_by* where its answer was *answer*, because of *ground*.

    *beside*: a form that must have been refused in these words as well.
    """

    platform: str
    shown_by: frozenset[str]
    answer: re.Pattern[str]
    spared: frozenset[str]
    ground: str
    beside: tuple[str, re.Pattern[str]] | None = None


_MAX_REPLY = 2_000  # characters; more would only slow the matching down
# What each of the three says to everybody, beside its name: a greeting alone is soon written.
_MANNERS = {
    "postfix": (
        re.compile(r"250[ -]ENHANCEDSTATUSCODES"),
        re.compile(r"250[ -]PIPELINING"),
        re.compile(r"250 2\.1\.0 Ok"),
    ),
    "exim": (
        re.compile(r"220 \S+ ESMTP Exim .+"),
        re.compile(r"250-\S+ Hello \S.* \[.+\]"),
        re.compile(r"250 OK"),
    ),
    "sendmail": (re.compile(r"250-\S+ Hello \S.* \[.+\].*"), re.compile(r"250 2\.1\.0 .*\.\.\. Sender ok")),
}
_POSTFIX = re.compile(r"[45]54 [45]\.7\.1 <\S+>: Relay access denied")
_EXIM = re.compile(r"550[ -](?:\S.*)?relay(?:ing)? (?:not permitted|denied)", re.IGNORECASE)
_SENDMAIL = re.compile(r"550 5\.7\.1 .+\.\.\. Relaying denied")


def _proof(platform: str, shown_by: str, answer: re.Pattern[str], spared: str, ground: str) -> _Proof:
    return _Proof(platform, frozenset(shown_by.split()), answer, frozenset(spared.split()), ground)


_PROOFS = (
    _proof(
        "postfix",
        *("T01", _POSTFIX, "T12"),
        "Postfix reads an address with and without brackets alike (smtpd.c, extract_addr), and refused it",
    ),
    _proof(
        "postfix",
        *("T08", _POSTFIX, "T21 T22 T31"),
        "Postfix drops a source route from an address (smtpd.c, extract_addr), and refused what is left",
    ),
    _proof(
        "postfix",
        *("T01", _POSTFIX, "T06 T07"),
        "Postfix compares no sender with the client, and permits none for what is unknown (postconf(5))",
    ),
    _proof(
        "postfix",
        *("T08", _POSTFIX, "T13"),
        "Postfix takes the quotes off an address (smtpd.c, extract_addr), and refused what is left",
    ),
    _proof(
        "postfix",
        *("T28", _POSTFIX, "T17 T19"),
        "Postfix takes the quotes off an address (smtpd.c, extract_addr), and refused what is left",
    ),
    _proof(
        "postfix",
        *("T20", _POSTFIX, "T18"),
        "Postfix takes the quotes off an address (smtpd.c, extract_addr), and refused what is left",
    ),
    _proof(
        "exim",
        *("T01", _EXIM, "T12"),
        "Exim reads an address with and without brackets alike (parse_extract_address), and refused it",
    ),
    _proof(
        "exim",
        *("T08", _EXIM, "T21 T22 T31"),
        "Exim ignores a source route (parse.c, parse_extract_address), and refused the address after it",
    ),
    # Where the host's own name is no sender, routes are offered from a stranger (plan.from_stranger).
    _Proof(
        "exim",
        frozenset({"T08"}),
        re.compile(r"550(?s:.*)Sender verify failed"),
        frozenset({"T21", "T22", "T31"}),
        "Exim ignores a source route (parse.c, parse_extract_address), and refused T01 from a stranger",
        beside=("T01", _EXIM),
    ),
    _proof(
        "exim",
        *("T09 T16 T18 T20 T22 T25", re.compile(r"501\b.*: domain literals not allowed")),
        "T09 T16 T18 T20 T22 T25",
        "Exim takes no domain literal (allow_domain_literals), and said so",
    ),
    _proof(
        "exim",
        *("T13 T14 T19 T23 T29 T30", re.compile(r"501 .*: recipient address must contain a domain")),
        "T13 T14 T19 T23 T29 T30",
        "Exim takes no recipient without a domain from us (recipient_unqualified_hosts), and said so",
    ),
    _proof(
        "exim",
        *("T17", re.compile(r"501\b.*: malformed address: @\S* may not follow "), "T18"),
        "Exim takes no address with two at signs (parse.c, parse_extract_address), and said so",
    ),
    _proof(
        "sendmail",
        *("T01", _SENDMAIL, "T12"),
        "Sendmail takes the brackets off an address (proto.m4, Canonify), and refused what is left",
    ),
    _proof(
        "sendmail",
        *("T01", _SENDMAIL, "T02 T06"),
        "Sendmail relays by the sender's own domain alone (cf/README, relay_mail_from, relay_local_from)",
    ),
)


def has_the_manners(platform: str | None, lines: Collection[str]) -> bool:
    """Whether a server that calls itself *platform* said in a session what every such server says."""
    manners = _MANNERS.get(platform or "", (re.compile(r"(?!)"),))
    return all(any(words.fullmatch(line) for line in lines) for words in manners)


def spared(platform: str | None, refusals: Mapping[str, str]) -> dict[str, str]:
    """Return the forms that need not be tried on *platform*, each with why not.

    *refusals* are the replies by which forms were refused for good.
    """
    found: dict[str, str] = {}
    for proof in _PROOFS:
        if proof.platform != platform or not _is_beside(proof, refusals):
            continue
        shown = (test for test in sorted(proof.shown_by & refusals.keys()))
        by = next((test for test in shown if proof.answer.match(refusals[test][:_MAX_REPLY])), None)
        if by is not None:
            for test in proof.spared - refusals.keys():
                found.setdefault(test, f"not tried: {proof.ground} ({by})")
    return found


def _is_beside(proof: _Proof, refusals: Mapping[str, str]) -> bool:
    if proof.beside is None:
        return True
    test, answer = proof.beside
    return answer.match(refusals.get(test, "")[:_MAX_REPLY]) is not None
