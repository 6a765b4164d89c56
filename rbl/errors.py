"""The exceptions of the program: one small tree.

    RblError
    ├── ConfigError   the configuration is wrong; raised at start only, names every fault at once
    ├── BadInput      what was given can never be accepted as it is         → 400 / 422, exit 1
    ├── NotFound      the thing named does not exist                        → 404
    ├── Conflict      it exists already, or its state forbids the change    → 409
    ├── Refused       understood, and not allowed                           → 401 / 403 / 429
    └── Unavailable   a part this needs is down; the same call may work later → 503

The message is a sentence for the person who must act, with the value in it. What a remote host
does (a refused recipient, a closed port) is evidence, never an exception.
"""

from datetime import timedelta


class RblError(Exception):
    """Any failure that a person or a client is told about in words."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        """Keep *message* for the reader and *code* for programs.

        *code* is a short stable word such as ``evidence-too-old``: the last part of the problem
        document's type (RFC 9457 §3.1.1), and what tests and clients compare.
        """
        super().__init__(message)
        self.message = message
        self.code = code or "error"


class ConfigError(RblError):
    """The configuration cannot be used; *faults* has a line for each fault, with its place."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults), code="configuration")
        self.faults = faults


class BadInput(RblError):
    """The input can never be accepted as it is: say what is wrong with which value."""


class NotFound(RblError):
    """The thing named does not exist."""


class Conflict(RblError):
    """The state of the thing forbids this change, or it exists already."""


class Refused(RblError):
    """Understood and not allowed; *retry_after*, where set, says from when it may be."""

    def __init__(
        self, message: str, *, code: str | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(RblError):
    """A part that this needs does not answer now; the same call may work later."""
