"""Whom a refusal is for: the envelope, as a closed server refuses it, or the tester itself.

Words only, of any language that mail servers are shipped with; what follows from them is for
``verdict``. A server that wants to be taken for closed can choose its words: see ``control`` for what
it cannot choose so well.
"""

import re
from collections.abc import Sequence

_MAX_REPLY = 2000  # characters; more would only slow the search down
# A reply that speaks of relaying refuses the envelope, whomever else it names: Sendmail's
# "Relaying denied. IP name lookup failed [192.0.2.1]", cPanel's "… is not permitted to relay".
_OF_RELAYING = re.compile(
    r"relay|rcpthosts|authenticat|log ?in|recipient|mailbox|unknown user|user unknown"
    r"|sender (?:address|verif)",
    re.IGNORECASE,
)
# … unless it says that a client, a list of clients or a tester is meant: Postfix's check_client_access
# writes its fixed words before the admin's own, "Client host rejected: No relay testers please".
_OF_CLIENTS = re.compile(
    r"client host rejected|client host \S* ?blocked|blocked (?:using|by)|black[- ]?list|block[- ]?list"
    r"|\bdnsbl\b|\brbl\b|\bbanned\b|reputation|relay[- ]?(?:test|prob|check|scan)|\btesters?\b",
    re.IGNORECASE,
)
_OF_THE_CLIENT = re.compile(
    r"\b(?:your|client) (?:ip|host|hostname|address|server|network|connection)\b", re.IGNORECASE
)
_OF_SIGNING_IN = re.compile(r"authenticat|log ?in|\bauth\b|credential", re.IGNORECASE)
_OF_A_MAILBOX = re.compile(
    r"\b5\.1\.[16]\b|unknown user|user unknown|no such (?:user|person|mailbox|recipient)|unknown recipient"
    r"|recipient unknown|mailbox (?:unavailable|not found|does not)|no mailbox",
    re.IGNORECASE,
)
# Words that are an address of ours, given back: they hold our names too.
_ECHOED_ADDRESS = re.compile(r"(?<!\S)\S*[\w\"][@!%][\w\"\[]\S*")
# Host names, addresses, links: a tester may be called rbl or relaytest, and be told that it may not relay.
_DOTTED = re.compile(r"\S*\w[.:]\w\S*")
_NOT_LETTERS = re.compile(r"[^a-z]+")


def names_us(reply: str, names: Sequence[str]) -> bool:
    """Whether *reply* refuses the tester rather than the envelope: it means the client, or names us.

    "554 5.7.1 Client host [192.0.2.1] blocked using …" does; "550 Relaying denied" does not.
    """
    words = _without_echo(reply)
    if _OF_CLIENTS.search(_DOTTED.sub(" ", words)):
        return True
    if _OF_RELAYING.search(words):
        return False
    if _OF_THE_CLIENT.search(words):
        return True
    ours = (rf"(?<![\w.:-]){re.escape(name)}(?![\w:-]|\.\w)" for name in names)
    return any(re.search(pattern, words, re.IGNORECASE) for pattern in ours)


def wants_login(reply: str) -> bool:
    """Whether *reply* refuses whoever has not signed in: no stranger's mail passes there."""
    return _OF_SIGNING_IN.search(_without_echo(reply)) is not None


def knows_no_mailbox(reply: str) -> bool:
    """Whether *reply* says that there is no such recipient, so that it looked for one."""
    return _OF_A_MAILBOX.search(_without_echo(reply)) is not None


def gist(reply: str) -> str:
    """Return what *reply* says without the addresses, names and numbers in it, to be compared."""
    return _NOT_LETTERS.sub(" ", _DOTTED.sub(" ", _without_echo(reply)).lower()).strip()


def _without_echo(reply: str) -> str:
    return _ECHOED_ADDRESS.sub(" ", reply[:_MAX_REPLY])
