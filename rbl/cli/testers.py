"""From where tests go out, in words for whoever starts a worker."""

from rbl.config import Probe


def described(probe: Probe) -> str:
    """Return whether tests go out, from where, and what one more address would be good for.

    Other workers may have it: that is not known at the start, and said so.
    """
    if not probe.enabled:
        return "tests are off (probe.enabled = false)"
    line = f"tests go out from {', '.join(map(str, probe.sources))}"
    families = [address.version for address in probe.sources]
    alone = [f"IPv{version}" for version in (4, 6) if families.count(version) == 1]
    if not alone:
        return line
    return (
        f"{line}; with a second {' and '.join(alone)} address, here or of a worker on another machine, a"
        " robot can tell a host that refuses only this one from a closed one (docs/probing.md)"
    )
