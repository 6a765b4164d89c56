"""What can run by itself under ``rbl serve``, by name."""

from enum import StrEnum

from rbl.errors import BadInput


class Part(StrEnum):
    """What can run by itself."""

    DNS = "dns"  # the responder and its follower
    WEB = "web"  # pages and API
    COLLECTOR = "collector"  # SMTP: test messages come back here
    WORKER = "worker"  # tests hosts, ends expired listings


def chosen(only: str | None) -> frozenset[Part]:
    """Return the parts that ``--only`` names, or all of them.

    Raises:
        BadInput: it names something that is no part.
    """
    if only is None:
        return frozenset(Part)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = set(names) - set(Part)
    if unknown or not names:
        raise BadInput(f"--only takes some of {', '.join(Part)}, not {only!r}", code="bad-part")
    return frozenset(Part(name) for name in names)
