"""The forms that a stranger tries: one envelope each, in his own words and not the tester's.

The corpus is held to what arrives by these, so that a form which the tester does not know, or spells
wrongly, is seen. Braces: ``r`` the recipient's local part, ``t`` the third party's domain, ``s`` the
sender's local part, ``from`` the stranger's domain, ``name``, ``domain`` and ``literal`` of the host.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """The arguments of MAIL FROM and RCPT TO, in braces what differs from host to host."""

    mail_from: str
    rcpt_to: str


_STRANGER = "<{s}@{from}>"
_THIRD_PARTY = "<{r}@{t}>"

FORMS: Mapping[str, Form] = {
    "plain": Form(_STRANGER, _THIRD_PARTY),
    # Whom the server takes for one of its own by the sender that he names.
    "null-sender": Form("<>", _THIRD_PARTY),
    "sender-host": Form("<{s}@{name}>", _THIRD_PARTY),
    "sender-literal": Form("<{s}@{literal}>", _THIRD_PARTY),
    "sender-domain": Form("<{s}@{domain}>", _THIRD_PARTY),
    "sender-postmaster": Form("<postmaster@{name}>", _THIRD_PARTY),
    "sender-bare": Form("<{s}>", _THIRD_PARTY),
    "sender-localhost": Form("<{s}@localhost>", _THIRD_PARTY),
    "sender-same": Form(_THIRD_PARTY, _THIRD_PARTY),
    "sender-client": Form("<{s}@{client}>", _THIRD_PARTY),
    "no-brackets": Form("{s}@{from}", "{r}@{t}"),
    # What the server takes for one of its own addresses, and then reads otherwise.
    "other-domain": Form(_STRANGER, "<{r}@{other}>"),
    "trailing-dot": Form(_STRANGER, "<{r}@{t}.>"),
    "percent-name": Form(_STRANGER, "<{r}%{t}@{name}>"),
    "percent-literal": Form(_STRANGER, "<{r}%{t}@{literal}>"),
    "percent-domain": Form(_STRANGER, "<{r}%{t}@{domain}>"),
    "percent-bare": Form(_STRANGER, "<{r}%{t}>"),
    "percent-twice": Form(_STRANGER, "<{r}%{t}%{name}@{name}>"),
    "quoted": Form(_STRANGER, '<"{r}@{t}">'),
    "quoted-percent": Form(_STRANGER, '<"{r}%{t}">'),
    "quoted-name": Form(_STRANGER, '<"{r}@{t}"@{name}>'),
    "quoted-literal": Form(_STRANGER, '<"{r}@{t}"@{literal}>'),
    "two-ats-name": Form(_STRANGER, "<{r}@{t}@{name}>"),
    "two-ats-literal": Form(_STRANGER, "<{r}@{t}@{literal}>"),
    "route-name": Form(_STRANGER, "<@{name}:{r}@{t}>"),
    "route-literal": Form(_STRANGER, "<@{literal}:{r}@{t}>"),
    "route-twice": Form(_STRANGER, "<@{name},@{name}:{r}@{t}>"),
    "bang": Form(_STRANGER, "<{t}!{r}>"),
    "bang-name": Form(_STRANGER, "<{t}!{r}@{name}>"),
    "bang-literal": Form(_STRANGER, "<{t}!{r}@{literal}>"),
    "bang-twice": Form(_STRANGER, "<{name}!{t}!{r}>"),
}
