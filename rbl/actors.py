"""Who does things without a key, and which names a key must not have, since they read like those.

Journal, audit and log name whoever did something. A person's name for a key must not be taken for the
program's own words, in whatever case, script or punctuation it is written: ``Public``, ``PUBLIC`` with
a Greek rho, ``key 9``. The audit tells them apart in any case, by the key's number.
"""

import unicodedata

_OURS = ("public", "timer", "timetable", "collector", "worker", "set-up", "setup", "shell")
_ROLES = ("operator", "admin", "administrator", "nominator", "somebody", "nobody", "anybody")
# What pages and log lines call whoever did it.
_IN_WORDS = ("an operator", "a nominator", "our tester", "tester", "somebody who asked", "the timetable")
_PROGRAM = ("rbl", "system", "root", "api", "web", "dns", "journal", "audit")
# Commands of the shell; a test holds them to what there is.
_COMMANDS = (
    "serve", "demo", "nominate", "settings", "rbldnsd", "export", "import", "zone", "customer", "key",
    "keys", "probing", "doctor", "restore", "backup",
)  # fmt: skip
# Letters of other scripts, and digits, that are read as Latin letters (UTS 39 §4, the common ones).
_LOOKALIKES = str.maketrans(
    "авеіјкмнорсԁѕтухһԛԝьαβεηικμνορτυχγζi1|0",
    "abeljkmhopcdstyxhqwbabehlkmnoptuxyzlllo",
)


def reads_like_ours(name: str) -> bool:
    """Whether *name* could be taken for one of the program's own actors."""
    return any(form in _RESERVED or _is_numbered_key(form) for form in _forms(name))


def _is_numbered_key(form: str) -> bool:
    """Whether *form* reads like what the audit calls a key by its number: ``key 9 (mx-admin)``."""
    return form.startswith("key") and form[3:4].isdecimal()


def _forms(name: str) -> set[str]:
    """Return what is read of *name*: its letters and digits, without case, accents and scripts."""
    folded = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(char for char in folded if not unicodedata.combining(char))
    letters = "".join(char for char in plain if char.isalnum() or char == "|")
    return {letters, letters.translate(_LOOKALIKES)}


_RESERVED = frozenset(
    form for name in (*_OURS, *_ROLES, *_IN_WORDS, *_PROGRAM, *_COMMANDS) for form in _forms(name)
)
