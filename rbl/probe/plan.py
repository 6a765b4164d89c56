"""Which envelopes a host is tested with: the forms that open relays are known to fall for, in order.

A table and a pure function; ``smtp`` sends them, ``runner`` brings the tokens. The forms are those
on which the relay testers of 1996 to 2013 agree (the MAPS, ORBS and OpenVAS tests and nmap's), under
stable ids. Commands as in RFC 5321 §4.1.1, except where breaking its syntax is the test.

Forms of one sender stand together, a *row*: they share one MAIL, and each costs one command more.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType

from publicsuffixlist import PublicSuffixList

from rbl.errors import BadInput
from rbl.probe.replies import host_name
from rbl.terms import Address
from rbl.testmessage import TokenKind, address_literal

TokenSource = Callable[[TokenKind], str]
"""Gives a new token of a kind each time it is called: its letter, then ``[a-z0-9]``, a whole local part."""

# RFC 5321 §4.5.3.1.4: a command line has at most 512 octets, with "MAIL FROM:" and CRLF.
MAX_ARGUMENT_OCTETS = 500
# 20 letters of base32 or 24 of hexadecimal carry 96 bits.
_TOKEN = re.compile(r"[rs][a-z0-9]{20,47}")
_ARGUMENT = re.compile(r"[\x21-\x7e]{1,500}")

NO_HOSTNAME = "not applicable: the server gives no host name"
NO_DOMAIN = "not applicable: no domain is known to which the server's host name belongs"
SAME_DOMAIN = "not applicable: the domain is the host name, which T08 tries"
TOO_LONG = "not applicable: longer than a command line may be"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who tests: the name in EHLO, the domain of the recipients (our collector) and of the senders.

    *others* are further pairs of the two, with which the forms of a plan take turns. *other_domain* is the
    collector's too, under another top-level domain, where it has one.
    """

    ehlo_name: str
    recipient_domain: str
    sender_domain: str
    others: tuple[tuple[str, str], ...] = ()
    other_domain: str | None = None

    def of_row(self, number: int) -> "Identity":
        """Return what the row *number* (0: the first) of a plan goes by: forms of one sender are a row."""
        pairs = ((self.recipient_domain, self.sender_domain), *self.others)
        recipient_domain, sender_domain = pairs[number % len(pairs)]
        other = self.recipient_domain if recipient_domain == self.other_domain else self.other_domain
        return Identity(self.ehlo_name, recipient_domain, sender_domain, self.others, other)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One form: the arguments of MAIL FROM and RCPT TO exactly as they are sent.

    *recipient_token* and *sender_token* are the whole local parts, ``r…`` and ``s…``, and the domains those
    of the addresses that the message names; empty: not known, from before they were kept. *skipped*
    says why the form does not apply to this host; its arguments are then empty.

    Raises:
        BadInput: an argument could not stand in one command line.
    """

    test: str
    title: str
    mail_from: str
    rcpt_to: str
    recipient_token: str
    sender_token: str
    skipped: str | None = None
    recipient_domain: str = ""
    sender_domain: str = ""

    def __post_init__(self) -> None:
        arguments = (self.mail_from, self.rcpt_to)
        if self.skipped is None and not all(_ARGUMENT.fullmatch(argument) for argument in arguments):
            raise BadInput(f"{self.test}: {arguments!a} cannot be sent as a command's argument")

    @property
    def sender_form(self) -> str:
        """The argument of MAIL FROM without its token: envelopes that have it in common share one MAIL."""
        return self.mail_from.replace(self.sender_token, "*", 1) if self.sender_token else self.mail_from


@dataclass(frozen=True, slots=True)
class _Form:
    test: str
    title: str
    mail_from: str
    rcpt_to: str


PLAIN_FORM = "T01"
"""The id of the form that is nothing but a stranger's mail for a stranger."""
_STRANGER = "<{sender}>"
_LOCAL = "<{sl}@{hostname}>"  # a forged sender of the host's own
_LOCAL_LITERAL = "<{sl}@{literal}>"  # the same where no host name is known
_PLAIN = "<{target}>"

# In the order of sending where nothing is known of what relays. The odd recipients share the last row, what
# mail servers log as attacks (quotes, two at signs) at its end: Exim ends a session after three such.
_FORMS = (
    _Form(PLAIN_FORM, "a stranger's sender, a stranger's recipient", _STRANGER, _PLAIN),
    _Form("T33", "a recipient whose domain ends in a dot", _STRANGER, "<{target}.>"),
    _Form("T34", "a recipient under another top-level domain", _STRANGER, "<{tl}@{other}>"),
    _Form("T03", "the null sender of bounces", "<>", _PLAIN),
    _Form("T04", "a sender without a domain", "<{sl}>", _PLAIN),
    _Form("T05", "a sender at localhost", "<{sl}@localhost>", _PLAIN),
    _Form("T07", "a sender in a domain that does not exist", "<{sl}@{nowhere}.{td}>", _PLAIN),
    _Form("T09", "a forged sender at the host's address", _LOCAL_LITERAL, _PLAIN),
    _Form("T10", "the host's own postmaster as the sender", "<postmaster@{hostname}>", _PLAIN),
    _Form("T11", "a forged sender at the host's domain", "<{sl}@{hostdom}>", _PLAIN),
    _Form("T02", "the recipient as its own sender", "<{target}>", _PLAIN),
    _Form("T06", "a sender at the tester's name", "<{sl}@{prober}>", _PLAIN),
    _Form("T12", "no angle brackets", "{sender}", "{target}"),
    _Form("T08", "a forged sender at the host's own name", _LOCAL, _PLAIN),
    _Form("T15", "percent sign, at the host's name", _LOCAL, "<{tl}%{td}@{hostname}>"),
    _Form("T24", "UUCP path, at the host's name", _LOCAL, "<{td}!{tl}@{hostname}>"),
    _Form("T13", "the whole recipient in quotes", _LOCAL, '<"{target}">'),
    _Form("T23", "UUCP path", _LOCAL, "<{td}!{tl}>"),
    _Form("T28", "a quoted address at the host's name", _LOCAL, '<"{target}"@{hostname}>'),
    _Form("T21", "source route through the host's name", _LOCAL, "<@{hostname}:{target}>"),
    _Form("T16", "percent sign, at the host's address", _LOCAL, "<{tl}%{td}@{literal}>"),
    _Form("T25", "UUCP path, at the host's address", _LOCAL, "<{td}!{tl}@{literal}>"),
    _Form("T20", "a quoted address at the host's address", _LOCAL, '<"{target}"@{literal}>'),
    _Form("T22", "source route through the host's address", _LOCAL, "<@{literal}:{target}>"),
    _Form("T14", "percent sign in quotes", _LOCAL, '<"{tl}%{td}">'),
    _Form("T19", "two at signs, all in quotes", _LOCAL, '<"{target}@{hostname}">'),
    _Form("T17", "two at signs, at the host's name", _LOCAL, "<{target}@{hostname}>"),
    _Form("T18", "two at signs, at the host's address", _LOCAL, "<{target}@{literal}>"),
)

# Tried only where ``suggested`` says so.
_EXTENSIONS = (
    _Form("T26", "percent sign and the null sender", "<>", "<{tl}%{td}@{hostname}>"),
    _Form("T27", "encapsulated Exchange address", _STRANGER, "<IMCEASMTP-{tl}+40{encapsulated}@{hostdom}>"),
    _Form("T29", "percent sign without a host", _LOCAL, "<{tl}%{td}>"),
    _Form("T30", "UUCP path through the host", _LOCAL, "<{hostname}!{td}!{tl}>"),
    _Form("T31", "source route of two hops", _LOCAL, "<@{hostname},@{hostname}:{target}>"),
    _Form("T32", "two percent signs", _LOCAL, "<{tl}%{td}%{hostname}@{hostname}>"),
)

# The faults that a platform is known for, and the longer forms of one that was not refused at RCPT.
_SUGGESTED_BY_PLATFORM = {
    "domino": ("T26",),
    "lotus_smtp_mta": ("T26",),
    "exchange_55": ("T27",),
}
_SUGGESTED_BY_FORM = {
    "T15": ("T29", "T32"),
    "T16": ("T29", "T32"),
    "T21": ("T31",),
    "T22": ("T31",),
    "T24": ("T30",),
    "T25": ("T30",),
}

_SUFFIXES = PublicSuffixList()


def plan(
    target: Address,
    identity: Identity,
    hostname: str | None,
    token: TokenSource,
    *,
    extensions: frozenset[str] = frozenset(),
    first: str | None = None,
    seen: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Envelope, ...]:
    """Return the envelopes to test *target* with, in the order of sending, each with two new tokens.

    *hostname* is what the server calls itself, or its PTR; None, and whatever is no host name,
    leaves out the forms that need one. *extensions* are ids from ``suggested``. *first* is the id of the
    form that relayed last: where it still does, nothing else need be tried. *seen* tells how often each
    form was seen to relay: the rows of what relays most come first.

    Raises:
        BadInput: a token is too short, too long or not ``[a-z0-9]``.
    """
    forms = _FORMS + tuple(form for form in _EXTENSIONS if form.test in extensions or form.test == first)
    if identity.other_domain is None:
        forms = tuple(form for form in forms if "{other}" not in form.rcpt_to)
    forms = _ordered(forms, first, seen)
    rows = enumerate(list(row) for _, row in groupby(forms, key=lambda form: form.mail_from))
    return tuple(
        _envelope(form, target, identity.of_row(number), hostname, token)
        for number, row in rows
        for form in row
    )


def further(
    tests: frozenset[str], target: Address, identity: Identity, hostname: str | None, token: TokenSource
) -> tuple[Envelope, ...]:
    """Return the envelopes of the forms *tests* alone, to be added to a plan.

    Raises:
        BadInput: a token is too short, too long or not ``[a-z0-9]``.
    """
    forms = (form for form in _FORMS + _EXTENSIONS if form.test in tests)
    return tuple(_envelope(form, target, identity, hostname, token) for form in forms)


def from_stranger(envelope: Envelope, identity: Identity) -> Envelope | None:
    """Return *envelope* with a stranger's sender; None where the sender is the test, or is one already.

    A server that refuses the host's own name as a sender has said nothing of the recipient.
    """
    form = next((form for form in _FORMS + _EXTENSIONS if form.test == envelope.test), None)
    sender = f"<{envelope.sender_token}@{identity.sender_domain}>"
    if form is None or form.mail_from != _LOCAL or form.rcpt_to == _PLAIN or envelope.mail_from == sender:
        return None
    return replace(envelope, mail_from=sender)


def suggested(platform: str | None, accepted: frozenset[str]) -> frozenset[str]:
    """Return the ids of the further forms (T26 to T32) worth trying on this host.

    *platform* as ``platforms.recognise`` names it; *accepted* are the forms it took at RCPT.
    """
    by_platform = _SUGGESTED_BY_PLATFORM.get(platform or "", ())
    by_form = (test for form in accepted for test in _SUGGESTED_BY_FORM.get(form, ()))
    return frozenset((*by_platform, *by_form))


def _ordered(forms: tuple[_Form, ...], first: str | None, seen: Mapping[str, int]) -> tuple[_Form, ...]:
    """Return *forms* with the row of *first* first, then the rows by what was seen to relay."""
    rows: dict[str, list[_Form]] = {}
    for form in forms:
        rows.setdefault(form.mail_from, []).append(form)
    for row in rows.values():
        row.sort(key=lambda form: (form.test != first, -seen.get(form.test, 0)))
    by_row = sorted(rows.values(), key=lambda row: (row[0].test != first, -seen.get(row[0].test, 0)))
    return tuple(form for row in by_row for form in row)


def domain_of(hostname: str | None) -> str | None:
    """Return the registered domain that *hostname* belongs to, or None where none is known."""
    return _SUFFIXES.privatesuffix(hostname) if hostname is not None else None


def title(test: str) -> str:
    """Return what the form *test* is called for people; "" for an id that is none."""
    return next((form.title for form in _FORMS + _EXTENSIONS if form.test == test), "")


def _envelope(
    form: _Form, target: Address, identity: Identity, hostname: str | None, token: TokenSource
) -> Envelope:
    tl = _checked(token(TokenKind.RECIPIENT))
    sl = _checked(token(TokenKind.SENDER))
    td = identity.recipient_domain
    hostname = host_name(hostname) if hostname is not None else None
    domain = domain_of(hostname)
    values = {
        "tl": tl,
        "sl": sl,
        "td": td,
        "target": f"{tl}@{td}",
        "other": identity.other_domain or "",
        "sender": f"{sl}@{identity.sender_domain}",
        "prober": identity.ehlo_name,
        "literal": address_literal(target),
        "hostname": hostname or "",
        "hostdom": domain or "",
        "nowhere": f"n{sl}",
        "encapsulated": td.replace(".", "+2E"),
    }
    sender = form.mail_from
    if hostname is None and sender == _LOCAL and form.rcpt_to != _PLAIN:
        sender = _LOCAL_LITERAL  # there the recipient is the test, and any sender of its own will do
    mail_from, rcpt_to = sender.format_map(values), form.rcpt_to.format_map(values)
    skipped = _not_applicable(sender + form.rcpt_to, hostname, domain)
    if skipped is None and max(len(mail_from), len(rcpt_to)) > MAX_ARGUMENT_OCTETS:
        skipped = TOO_LONG
    if skipped is not None:
        mail_from = rcpt_to = ""
    to = values["other"] if "{other}" in form.rcpt_to else td
    return Envelope(form.test, form.title, mail_from, rcpt_to, tl, sl, skipped, to, identity.sender_domain)


def _not_applicable(templates: str, hostname: str | None, domain: str | None) -> str | None:
    """Return why a form with *templates* means nothing for this host, or None."""
    if "{hostname}" in templates and hostname is None:
        return NO_HOSTNAME
    if "{hostdom}" not in templates:
        return None
    if domain is None:
        return NO_DOMAIN
    return SAME_DOMAIN if templates == "<{sl}@{hostdom}>" + _PLAIN and domain == hostname else None


def _checked(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise BadInput("a test token must be its letter and 20 to 47 lower-case letters and digits")
    return token
