r"""Every regular expression takes time in proportion to the text, whatever stranger wrote that.

The expressions are found in the source, so that a new one is tried from its first day. For each, texts are
made of what it looks for: the way into every repetition, what is repeated, and an end that does not fit;
and its own characters in all pairs. What takes long for 8 KiB is tried with 64 KiB, for which a quadratic
one needs seconds. Time is that of the processor for this thread alone: other programs do not lengthen it.

Those of pydantic's ``pattern=`` are not here: its engine takes no other than linear time.
"""

import ast
import importlib
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from re import _constants as sre  # what re itself reads patterns with
from re import _parser as sre_parser
from typing import Any, TypeAlias

import pytest

from rbl.mail import redact
from rbl.probe import platforms

ROOT = Path(__file__).parent.parent
_Parsed: TypeAlias = Any  # a part of a pattern as re takes it apart, for which it has no types
_FUNCTIONS = frozenset(
    {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
)
_SMALL, _LARGE = 8 * 1024, 64 * 1024
_SUSPICIOUS_SECONDS, _LONGEST_SECONDS = 0.002, 0.4
_UNBOUNDED = 200  # repetitions; more of them are as good as no limit
_CHARACTERS = 10  # of one expression that are tried in pairs

# Where less than 64 KiB is ever looked at: as many octets are tried.
SEEN = {
    "rbl/probe/platforms.py": platforms.MAX_TEXT,
    "rbl/probe/refusals.py": 2_000,
    "rbl/probe/economy.py": 2_000,
    "rbl/mail/received.py": 2_048,  # longer fields are refused
    "rbl/mail/envelope.py": 1_024,  # longer commands are
    "rbl/mail/redact.py": 16 * 1024,
}
# No text of strangers is looked at: not tried.
OWN = {
    "rbl/zone/tomltables.py": "lines of the operator's own zone file, read at a start",
    "rbl/zone/zonefile.py": "the same",
    "rbl/cli/demoserver.py": "what our own program prints",
}
# What the expressions that are made while the program runs are made of: hard examples.
MADE: dict[str, list[dict[str, object]]] = {
    "rbl/mail/redact.py": [{"names": ["a-" * 31 + str(number) for number in range(50)]}],
    "rbl/mail/source.py": [{"boundary": b"-" * 200}, {"boundary": b"\r"}],
    "rbl/store/dialogues.py": [{"token": "r" + "0" * 32}],
    "rbl/probe/platforms.py": [{"pattern": pattern.pattern} for _, pattern in platforms._PATTERNS],
    "rbl/probe/refusals.py": [{"pattern": r"(?<![\w.:-])tester\.example(?![\w:-]|\.\w)"}],
}


def _calls(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in _FUNCTIONS
        ):
            yield node


def _patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Yield where each expression of the program stands, and the expression."""
    for file in sorted((ROOT / "rbl").rglob("*.py")):
        name = str(file.relative_to(ROOT))
        if name in OWN:
            continue
        for call in _calls(file):
            module = importlib.import_module(
                name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            )
            examples: list[dict[str, object]] = [{}, *MADE.get(name, [])]
            found = [each for example in examples if (each := _evaluated(call, vars(module), example))]
            assert found, f"{name}:{call.lineno}: say in MADE of what {ast.unparse(call.args[0])} is made"
            for each in found:
                yield name, each


def _evaluated(call: ast.Call, names: dict[str, Any], made: dict[str, object]) -> re.Pattern[Any] | None:
    """Return the pattern of *call* where it can be known from module's *names* and what is *made*."""

    def value(node: ast.expr) -> _Parsed:
        return eval(compile(ast.Expression(node), "", "eval"), {**names, **made})

    try:
        pattern = value(call.args[0])
    except NameError:
        return None
    flags = [node.value for node in call.keywords if node.arg == "flags"]
    flags += [node for node in call.args[1:] if ast.unparse(node).startswith("re.")]
    return re.compile(pattern, value(flags[0]) if flags else 0)


def _example(nodes: _Parsed) -> str:
    """Return a text that the parsed expression *nodes* takes, as far as it is simple to find."""
    return "".join(_example_of(kind, value) for kind, value in nodes)


def _example_of(kind: _Parsed, value: _Parsed) -> str:
    if kind is sre.LITERAL:
        return chr(value)
    if kind is sre.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if kind is sre.IN:
        return _member(value)
    if kind is sre.ANY:
        return "a"
    if kind is sre.BRANCH:
        return _example(value[1][0])
    if kind is sre.SUBPATTERN:
        return _example(value[3])
    if kind is sre.ATOMIC_GROUP:
        return _example(value)
    if kind in _REPEATS:
        return _example(value[2]) * max(int(value[0]), 1)
    return ""


_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_CATEGORIES: dict[_Parsed, str] = {
    sre.CATEGORY_DIGIT: "0",
    sre.CATEGORY_NOT_DIGIT: "a",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_NOT_WORD: "-",
}


def _member(members: _Parsed) -> str:
    """Return one character of a set."""
    if members[0][0] is sre.NEGATE:
        texts = [chr(value) for kind, value in members if kind is sre.LITERAL]
        return next(c for c in "a0-.x~" if c not in texts)
    kind, value = members[-1]
    if kind is sre.LITERAL:
        return chr(value)
    return chr(value[0]) if kind is sre.RANGE else str(_CATEGORIES[value])


def _repetitions(nodes: _Parsed, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield for each repetition without a limit what leads to it, and what it repeats."""
    for kind, value in nodes:
        if kind in _REPEATS:
            if value[1] is sre.MAXREPEAT or value[1] > _UNBOUNDED:
                yield before, _example(value[2])
                # Each way through what is repeated.
                for inner, branch in value[2]:
                    alternatives = branch[1] if inner is sre.BRANCH else ()
                    yield from ((before, _example(each)) for each in alternatives)
            yield from _repetitions(value[2], before)
        elif kind is sre.SUBPATTERN:
            yield from _repetitions(value[3], before)
        elif kind is sre.BRANCH:
            for each in value[1]:
                yield from _repetitions(each, before)
        before += _example_of(kind, value)


def _literals(nodes: _Parsed) -> Iterator[str]:
    """Yield the characters that the expression names."""
    for kind, value in nodes:
        if kind in (sre.LITERAL, sre.NOT_LITERAL):
            yield chr(value)
        elif kind is sre.IN:
            yield from _literals(value)
        elif kind in _REPEATS:
            yield from _literals(value[2])
        elif kind is sre.SUBPATTERN:
            yield from _literals(value[3])
        elif kind is sre.BRANCH:
            for each in value[1]:
                yield from _literals(each)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            yield from _literals(value[1])


def _texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield beginnings, what is repeated, and ends."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    parsed = sre_parser.parse(text, pattern.flags & ~re.UNICODE)
    for before, repeated in dict.fromkeys(_repetitions(parsed)):
        for end in ("", "\0", "!", "\n", before):
            yield before, repeated, end
        yield "", before + repeated, "\0"
        yield "", before, "\0"
    # Letters are like one another here; signs are not.
    signs = [c for c in dict.fromkeys(_literals(parsed)) if not c.isalnum()]
    characters = [*dict.fromkeys([*signs[: _CHARACTERS - 4], "a", "0", " ", "\n", "\\", '"'])]
    for length in (1, 2):
        for pair in itertools.product(characters, repeat=length):
            yield "", "".join(pair), "\0"


def _seconds(pattern: re.Pattern[Any], text: str) -> float:
    given: Any = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    started = time.thread_time()
    for _ in pattern.finditer(given):
        pass
    pattern.fullmatch(given)
    return time.thread_time() - started


def _slow(pattern: re.Pattern[Any], seen: int) -> str | None:
    """Return of what a text is made that takes too long for as many characters as are *seen*, or None."""
    for before, repeated, end in _texts(pattern):
        for size in (min(_SMALL, seen), seen) if repeated else ():
            seconds = _seconds(pattern, before + repeated * (size // len(repeated)) + end)
            if seconds > _LONGEST_SECONDS:
                return f"{before!a} + {repeated!a} * n + {end!a}: {seconds:.2f} s"
            if seconds < _SUSPICIOUS_SECONDS:
                break
    return None


PATTERNS = list(_patterns())


@pytest.mark.parametrize(
    ("where", "pattern"), PATTERNS, ids=[f"{where}:{at}" for at, (where, _) in enumerate(PATTERNS)]
)
def test_no_text_takes_long(where: str, pattern: re.Pattern[Any]) -> None:
    """Of all texts that are made for it none takes long."""
    assert _slow(pattern, SEEN.get(where, _LARGE)) is None, pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        (r"\"(?:[^\"\\\n]|\\.)*\"(?=@)", 16 * 1024),
        (r"x.*: denied", _LARGE),
        (r"\s+$", 32 * 1024),
        (r"a*a*b", 2 * 1024),
        (r"(a+)+b", 24),
    ],
)
def test_a_slow_expression_is_found(pattern: str, size: int) -> None:
    """Expressions that are known to be slow are told, so that the test above can fail."""
    assert _slow(re.compile(pattern), size) is not None


@pytest.mark.parametrize(
    "unit", ['"\\', '"\\"', "a@", "=?a?q?", "http://a", "a.", "for ", "@", "%40", " \t", "&#", "<"]
)
def test_redaction_of_hostile_text(unit: str) -> None:
    """A whole message of the same few characters is redacted in a moment."""
    header = f"To: {unit * 500}\nSubject: {unit * 500}\nContent-Type: text/html\n\n"
    message = header.encode() + (unit * (_LARGE // len(unit))).encode()
    started = time.thread_time()
    redact.published(message)

    assert time.thread_time() - started < 2 * _LONGEST_SECONDS
