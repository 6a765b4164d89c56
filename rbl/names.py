"""DNS names as tuples of labels: reading them from text, and the limits of the wire.

RFC 1035 §2.3.4 (sizes), §5.1 (text), §8 (a mailbox as a name); RFC 5782 §3 (lists of names). Nothing
here asks the DNS. Names keep the case they were written in, but for the owner names of a list.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rbl.errors import BadInput

# Labels, most specific first, without the empty label of the root.
Name = tuple[bytes, ...]

TEST: Name = (b"test",)  # RFC 5782 §5: always listed
INVALID: Name = (b"invalid",)  # RFC 5782 §5: never listed

_LONGEST_LABEL = 63  # RFC 1035 §2.3.4
_LONGEST_NAME = 255  # RFC 1035 §2.3.4, with the octet before each label and the root
_HOST_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@dataclass(frozen=True, slots=True)
class OwnerName:
    """What a listing in a list of names is about: a name, or all names below it but not itself."""

    labels: Name  # lower case, without the apex
    wildcard: bool

    def __str__(self) -> str:
        """Return the canonical form: ``example.net`` or ``*.example.net``, without the final dot."""
        return name_text((b"*", *self.labels) if self.wildcard else self.labels)

    def covering(self) -> "Iterator[OwnerName]":
        """Yield all that a listing which covers this one can be about, the most specific first."""
        yield self
        for at in range(1, len(self.labels) + 1):
            yield OwnerName(self.labels[at:], wildcard=True)


def parse_owner_name(text: str) -> OwnerName:
    """Return the name that *text* writes, or with ``*.`` before it all names below; ``*`` is every name.

    Raises:
        BadInput: neither of them.
    """
    if text == "*":
        return OwnerName((), wildcard=True)
    labels = parse_name(text.removeprefix("*."))
    return OwnerName(tuple(label.lower() for label in labels), wildcard=text.startswith("*."))


def reserved_reason(name: OwnerName) -> str | None:
    """Return why *name* may never be listed, or None."""
    if not name.wildcard and name.labels in {TEST, INVALID}:
        return "a test point, about which the list itself says what it must (RFC 5782 §5)"
    return None


def parse_name(text: str) -> Name:
    """Return the labels of the domain name that *text* writes, with or without the final dot.

    Letters, digits, hyphens and underscores only: what a name server, a mail exchanger and a listed
    name consist of. A name in another script is written in its A-labels (``xn--…``).

    Raises:
        BadInput: no name, or longer than the wire allows.
    """
    shown = ascii(text[:80])
    if not text.isascii():
        # Which A-label is meant is for the writer to say: IDNA2003 and IDNA2008 differ (RFC 5891 §3.2).
        raise BadInput(
            f"{shown} is not ASCII: write the A-labels of the name (xn--…, RFC 5890 §2.3.2.1)",
            code="bad-name",
        )
    labels = tuple(label.encode("ascii") for label in text.removesuffix(".").split("."))
    if not all(labels):
        raise BadInput(f"{shown} is not a domain name: it has an empty label", code="bad-name")
    if not all(_HOST_OCTETS.issuperset(label) for label in labels):
        raise BadInput(
            f"{shown} is not a domain name: letters, digits, hyphens and underscores only",
            code="bad-name",
        )
    return _checked(labels, shown)


def parse_mailbox(text: str) -> Name:
    """Return the SOA's form of a mailbox: ``host.master@example.org`` or the name that stands for it.

    The local part is one label whatever dots are in it (RFC 1035 §8).

    Raises:
        BadInput: neither a mailbox nor a domain name.
    """
    local, at, domain = text.partition("@")
    if not at:
        return parse_name(text)
    shown = ascii(text[:80])
    if not local or not local.isascii() or not local.isprintable() or set(' "\\(),:;<>[]') & set(local):
        raise BadInput(
            f"{shown} is not a plain mail address: check what stands before the @", code="bad-name"
        )
    return _checked((local.encode("ascii"), *parse_name(domain)), shown)


def wire_octets(labels: Iterable[bytes]) -> int:
    """Return how many octets *labels* take on the wire, the root's octet included."""
    return 1 + sum(1 + len(label) for label in labels)


def name_text(labels: Name) -> str:
    """Return *labels* as text without the final dot; dots inside a label are escaped (RFC 1035 §5.1)."""
    return ".".join(label.decode("ascii").replace(".", r"\.") for label in labels)


def _checked(labels: Name, shown: str) -> Name:
    if any(len(label) > _LONGEST_LABEL for label in labels):
        raise BadInput(f"{shown} has a label of more than 63 octets", code="bad-name")
    if wire_octets(labels) > _LONGEST_NAME:
        raise BadInput(f"{shown} is longer than the 255 octets of a name", code="bad-name")
    return labels
