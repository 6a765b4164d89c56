"""TXT templates: variables and the base text are filled in once, what was asked for with each answer."""

import re
from collections.abc import Mapping

# Text in pieces; between two of them stands what was asked for.
Template = tuple[bytes, ...]

BASE = b"="  # the variable that is the base text
_MARK = re.compile(rb"\$(\$|[0-9]|=)?")
_LONGEST_TEXT = 254  # what rbldnsd answers; one less than fits a character-string


def expand(text: bytes, variables: Mapping[bytes, bytes]) -> Template:
    """Return the template of an entry whose own text is *text*.

    ``$`` stands for what was asked for, ``$$`` for a dollar, ``$0`` to ``$9`` for variables, and where
    there is a base text, ``$=`` in it for the entry's own; a text that begins with ``=`` does without it.
    Variables that are not set stay as they are written. What is filled in is not looked at again.
    """
    base = variables.get(BASE, b"")
    if b"$" not in text and not base:  # a list may have a million such
        return (text.removeprefix(b"="),)
    own: Template
    if text.startswith(b"="):
        text = text[1:]
        own = (text,)
    elif base:
        own = (text,) if text else (b"", b"")
        text = base
    else:
        own = (text,)
    pieces = [b""]
    done = 0
    for mark in _MARK.finditer(text):
        pieces[-1] += text[done : mark.start()]
        done = mark.end()
        name = mark[1]
        filling: Template
        if name is None:
            filling = (b"", b"")
        elif name == b"$":
            filling = (b"$",)
        elif name == b"=":
            filling = own
        else:
            filling = (variables.get(name, mark[0]),)
        pieces[-1] += filling[0]
        pieces += filling[1:]
    pieces[-1] += text[done:]
    return tuple(pieces)


def render(template: Template, subject: bytes) -> bytes:
    """Return the text for *subject*; empty: there is none."""
    return subject.join(template)[:_LONGEST_TEXT]
