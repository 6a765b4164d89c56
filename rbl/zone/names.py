"""DNS names as tuples of labels: reading them from text, and the limits of the wire.

RFC 1035 §2.3.4 (sizes), §5.1 (text), §8 (a mailbox as a name). Nothing here asks the DNS. Names keep
the case they were written in; who needs lower case asks for it.
"""

from collections.abc import Iterable

from rbl.errors import BadInput

# Labels, most specific first, without the empty label of the root.
Name = tuple[bytes, ...]

_LONGEST_LABEL = 63  # RFC 1035 §2.3.4
_LONGEST_NAME = 255  # RFC 1035 §2.3.4, with the octet before each label and the root
_HOST_OCTETS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def parse_name(text: str) -> Name:
    """Return the labels of the domain name that *text* writes, with or without the final dot.

    Letters, digits, hyphens and underscores only: what a name server, a mail exchanger and a listed
    name consist of. A name in another script is written in its ``xn--`` form.

    Raises:
        BadInput: no name, or longer than the wire allows.
    """
    shown = ascii(text[:80])
    labels = tuple(label.encode("utf-8", "replace") for label in text.removesuffix(".").split("."))
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
