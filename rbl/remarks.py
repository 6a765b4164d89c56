"""Remarks: what people write about what they do, told apart by who may read it.

``why`` is public wherever the act itself is: on the page of an address, in the API, in the journal.
``note`` is for operators alone, and is kept in the audit only. Both are one line of visible text: a
control character breaks a log and a terminal, and a mark that turns or hides text lets a line read as
what it does not say (Unicode TR 36 §2; UTS 55 §4).
"""

LONGEST = 500  # characters
# Categories Cc, Cf, Cs, Co, Zl and Zp of Unicode 16, and what shows nothing though it counts as a letter.
_REFUSED = (
    (0x0000, 0x001F), (0x007F, 0x009F), (0x00AD, 0x00AD), (0x034F, 0x034F), (0x0600, 0x0605),
    (0x061C, 0x061C), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891), (0x08E2, 0x08E2),
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E),
    (0x2060, 0x206F), (0x3164, 0x3164), (0xD800, 0xF8FF), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB), (0xFFFE, 0xFFFF), (0x110BD, 0x110BD), (0x110CD, 0x110CD),
    (0x13430, 0x1343F), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0x10FFFF),
)  # fmt: skip


def _written(code: int) -> str:
    """Return a character as both Python's and ECMAScript's regular expressions write it in a class."""
    return f"\\u{code:04x}" if code <= 0xFFFF else chr(code)


_CLASS = "".join(f"{_written(first)}-{_written(last)}" for first, last in _REFUSED)
# For the API's description: the same in JSON Schema's words. It is not what remarks are read with.
PATTERN = rf"^[^{_CLASS}]*[^{_CLASS}\s][^{_CLASS}]*$"


def fault(text: str) -> str | None:
    """Return what is wrong with *text* as a remark, in words, or None where nothing is."""
    refused = next((char for char in text if _is_refused(ord(char))), None)
    if refused is not None:
        return (
            f"U+{ord(refused):04X} cannot stand in it: write one line of visible characters, without"
            " control characters and marks that turn or hide text"
        )
    if not text.strip():
        return "it says nothing"
    if len(text) > LONGEST:
        return f"it has {len(text)} characters, and at most {LONGEST} are kept"
    return None


def _is_refused(code: int) -> bool:
    return any(first <= code <= last for first, last in _REFUSED)
