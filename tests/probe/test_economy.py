"""What a server's answer to one form says of others, by what real servers answered."""

import pytest

from rbl.probe.economy import has_the_manners, spared

POSTFIX = "454 4.7.1 <r1@td.example>: Relay access denied"
EXIM = "550 relay not permitted"
SENDMAIL = "550 5.7.1 <r1@td.example>... Relaying denied"
LITERALS = "501 <s1@[203.0.113.9]>: domain literals not allowed"
UNQUALIFIED = '501 <"r1@td.example">: recipient address must contain a domain'
MALFORMED = "501 <r1@td.example@mx.example>: malformed address: @mx.example> may not follow <r1@td.example"


@pytest.mark.parametrize(
    ("platform", "refusals", "expected", "why"),
    [
        ("postfix", {"T01": POSTFIX}, "T06 T07 T12", "the plain form refused"),
        ("postfix", {"T01": POSTFIX, "T06": POSTFIX}, "T07 T12", "what was tried is not said again"),
        ("postfix", {"T08": POSTFIX.replace("454 4", "554 5")}, "T13 T21 T22 T31", "routes and quotes"),
        ("postfix", {"T28": POSTFIX, "T20": POSTFIX}, "T17 T18 T19", "quotes around two at signs"),
        (
            "postfix",
            {"T01": "554 5.7.1 Relay access denied"},
            "",
            "a text without the address: not Postfix's",
        ),
        ("postfix", {"T01": "550 5.1.1 <r1@td.example>: User unknown"}, "", "refused for something else"),
        ("exim", {"T01": EXIM, "T08": EXIM}, "T12 T21 T22 T31", "brackets and routes"),
        ("exim", {"T08": "550 Sender verify failed"}, "", "the sender was refused, not the recipient"),
        (
            "exim",
            {"T01": EXIM, "T08": "550-Unknown user\n550 Sender verify failed"},
            "T12 T21 T22 T31",
            "routes are a stranger's then, and his plain form was refused",
        ),
        ("exim", {"T09": LITERALS}, "T16 T18 T20 T22 T25", "no literals, whoever uses one"),
        ("exim", {"T13": UNQUALIFIED}, "T14 T19 T23 T29 T30", "no recipient without a domain"),
        ("exim", {"T17": MALFORMED}, "T18", "two at signs"),
        ("sendmail", {"T01": SENDMAIL, "T08": SENDMAIL}, "T02 T06 T12", "brackets and senders"),
        ("sendmail", {"T01": "550 5.7.1 denied"}, "", "other words"),
        ("haraka", {"T01": POSTFIX}, "", "nothing is known of it"),
        (None, {"T01": POSTFIX}, "", "nobody knows what it is"),
    ],
)
def test_what_an_answer_spares(
    platform: str | None, refusals: dict[str, str], expected: str, why: str
) -> None:
    """Only the server's very words spare anything, and each form says why and by which answer."""
    found = spared(platform, refusals)

    assert expected.split() == sorted(found), why
    assert all(reason.startswith("not tried: ") and reason.endswith(")") for reason in found.values())


@pytest.mark.parametrize(
    ("platform", "lines", "expected", "why"),
    [
        (
            "postfix",
            ["220 mx.example ESMTP Postfix", "250-PIPELINING", "250-ENHANCEDSTATUSCODES", "250 2.1.0 Ok"],
            True,
            "a real one",
        ),
        (
            "postfix",
            ["220 mx.example ESMTP Postfix", "250 mx.example", "250 Ok"],
            False,
            "a name is no proof",
        ),
        (
            "exim",
            [
                "220 mx.example ESMTP Exim 4.96 Tue, 24 Nov 2026 23:03:08 +0000",
                "250-mx.example Hello tester.example [198.51.100.7]",
                "250 OK",
            ],
            True,
            "a real one",
        ),
        (
            "sendmail",
            [
                "250-mx.example Hello tester.example [198.51.100.7], pleased to meet you",
                "250 2.1.0 <s1@sd.example>... Sender ok",
            ],
            True,
            "a real one",
        ),
        ("haraka", ["250 OK"], False, "nothing is known of it"),
        (None, [], False, "nobody knows what it is"),
    ],
)
def test_a_server_is_what_it_says(platform: str | None, lines: list[str], expected: bool, why: str) -> None:  # noqa: FBT001
    """A proof is for the servers it was made for: their greeting alone does not make them."""
    assert expected == has_the_manners(platform, lines), why
