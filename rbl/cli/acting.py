"""What somebody does from the shell: the public reason and the private note that commands take."""

from typing import Annotated

import typer

from rbl import remarks
from rbl.cli.opening import now
from rbl.errors import BadInput
from rbl.terms import Act

ACTOR = "shell"

Why = Annotated[str, typer.Option(help="Why: public wherever the change itself is.")]
Note = Annotated[
    str | None, typer.Option(help="For operators only: kept in the audit, shown nowhere else.")
]


def act(why: str, note: str | None = None) -> Act:
    """Return what is done now from the shell, with its reason and note.

    Raises:
        BadInput: one of them is no line of visible text.
    """
    for option, text in (("--why", why), ("--note", note)):
        fault = None if text is None else remarks.fault(text)
        if fault is not None:
            raise BadInput(f"{option}: {fault}", code="bad-remark")
    return Act(ACTOR, why.strip(), now(), note=None if note is None else note.strip())
