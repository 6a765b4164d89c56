"""What a customer's key looks like."""

import pytest

from rbl.customerkey import LABEL_OCTETS, digest_of, is_key, new_label

KEY = b"abcdefghijklmnopqrstuvwx23"


@pytest.mark.parametrize(
    ("label", "expected", "why"),
    [
        (KEY, True, "26 letters and digits of base32"),
        (KEY[1:], False, "25 of them"),
        (KEY + b"a", False, "27 of them"),
        (KEY[:-1] + b"1", False, "1 is no digit of base32 (RFC 4648 §6)"),
        (KEY.upper(), False, "labels are looked up in lower case"),
        (b"", False, "nothing"),
        (b"255", False, "an octet"),
        (b"f", False, "a nibble"),
        (b"xn--vermgensberatung-pwb", False, "the longest top-level domain"),
    ],
)
def test_what_is_a_key(
    label: bytes,
    expected: bool,  # noqa: FBT001  # one column of the table
    why: str,
) -> None:
    """A key is told from what else stands before an apex by its form alone."""
    assert expected == is_key(label), why


def test_a_new_key_is_a_key() -> None:
    """New keys have the form, and differ."""
    labels = {new_label() for _ in range(50)}

    assert 50 == len(labels)
    assert all(is_key(label.encode()) and len(label) == LABEL_OCTETS for label in labels)


def test_a_digest_is_sha_256() -> None:
    """What is kept is SHA-256 in hexadecimal."""
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" == digest_of(b"abc")
