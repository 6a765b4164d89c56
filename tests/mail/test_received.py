"""The reading of one Received field."""

from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rbl.mail import received

MX = "mx.nominator.example"
OWN = frozenset({MX, "store.nominator.example"})
PEER = ip_address("198.51.100.7")
FORGED = ip_address("203.0.113.9")

# Written by the servers named, as far as their source or a message shows; the peer is 198.51.100.7.
WRITTEN = {
    "postfix": "from helo.example (ptr.example [198.51.100.7]) by MX (Postfix) with ESMTP id 4F; d",
    "postfix, no reverse name": "from helo (unknown [198.51.100.7]) by MX (Postfix) with SMTP id 4F; d",
    "postfix with TLS": "from h (p [198.51.100.7]) (using TLSv1.3 with cipher TLS_AES_256 (256/256 bits)"
    ' key-exchange X25519) (Client CN "x", Issuer "y (z)" (not verified)) by MX (Postfix) with ESMTPS; d',
    "postfix, HELO imitates by": "from x?by?MX? (p [198.51.100.7]) by MX (Postfix) with ESMTP id 4F; d",
    "HELO literal": "from [203.0.113.9] (evil.example [198.51.100.7]) by MX with ESMTP; d",
    "sendmail": "from helo (ptr.example [198.51.100.7]) by MX (8.17.1/8.17.1) with ESMTP id 1 for <a@b>; d",
    "sendmail, forged name": "from helo (ptr.example [198.51.100.7] (may be forged)) by MX with SMTP; d",
    "sendmail, no name": "from helo ([198.51.100.7]) by MX (8.17.1/8.17.1) with ESMTP id 1; d",
    "sendmail, ident": "from helo (IDENT:[203.0.113.9]@ptr.example [198.51.100.7]) by MX with SMTP; d",
    "sendmail, ident, no name": "from helo (IDENT:203.0.113.9@[198.51.100.7]) by MX with SMTP; d",
    "exim": "from ptr.example ([198.51.100.7] helo=evil) by MX with esmtp (Exim 4.96) id 1; d",
    "exim, HELO literal": "from evil ([198.51.100.7] helo=[203.0.113.9]) by MX with esmtp (Exim 4.96); d",
    "exim, port": "from p ([198.51.100.7]:4321 helo=h ident=x) by MX with esmtps (Exim 4.96); d",
    "exim, no reverse name": "from [198.51.100.7] (helo=[203.0.113.9]) by MX with smtp (Exim 4.96); d",
    "exim, no name, port": "from [198.51.100.7] (port=4321 helo=a@203.0.113.9) by MX with smtp (Exim 4); d",
    "exim, HELO is the literal": "from [198.51.100.7] by MX with esmtp (Exim 4.96) id 1; d",
    "exim, HELO imitates by": "from p ([198.51.100.7] helo=x by MX y) by MX with esmtp (Exim 4.96); d",
    "exim, HELO closes the comment": "from p ([198.51.100.7] helo=x) (y) by MX with esmtp (Exim 4.96); d",
    "exim, sender": 'from p ([198.51.100.7]) by MX with esmtp (Exim 4.96) (envelope-from <"a)b"@c>); d',
    "qmail": "from unknown (HELO [203.0.113.9]) (198.51.100.7) by MX with SMTP; 5 Mar 2024 11:00:00 -0000",
    "qmail, HELO is the name": "from ptr.example (198.51.100.7) by MX with SMTP; d",
    "qmail, ident": "from ptr.example (HELO h) (203.0.113.9@198.51.100.7) by MX with SMTP; d",
    "qmail, HELO imitates by": "from unknown (HELO x by MX y) (198.51.100.7) by MX with SMTP; d",
    "qmail-ldap": "from p (HELO h) ([198.51.100.7]) (envelope-sender <x>) by MX (qmail-ldap) with SMTP; d",
    "exchange": "from mail.example (198.51.100.7) by MX (10.0.0.1) with Microsoft SMTP Server"
    " (version=TLS1_2, cipher=X) id 15.1.2507.35 via Frontend Transport; d",
    "iis": "from helo ([198.51.100.7]) by MX with Microsoft SMTPSVC(6.0.3790.4675); d",
    "courier": "from helo (ptr.example [::ffff:198.51.100.7]) (TLS: TLSv1.2,256bits,X) by MX with ESMTPS"
    " id 1.2; d",
    "opensmtpd": "from helo (<unknown> [198.51.100.7]) by MX (OpenSMTPD) with ESMTPS (TLSv1.3:X:NO); d",
    "haraka": "from helo (ptr.example [198.51.100.7]) by MX (Haraka/3.0.2) with ESMTPS id A.1"
    " envelope-from <a@b> (version=TLSv1.3); d",
    "gmail": "from h (p.example. [198.51.100.7]) by MX with ESMTPS id 5a-1 for <a@b>"
    " (version=TLS1_3 cipher=X bits=256/256); d",
    "icloud": "from h (h [198.51.100.7]) by MX (Postfix) with ESMTPS id 1F for <a@me.example>; d",
    "yahoo": "from 198.51.100.7 (EHLO helo) (198.51.100.7) by MX with SMTPS; d",
    "communigate": "from [198.51.100.7] (HELO h) by MX (CommuniGate Pro SMTP 6.2) with ESMTP id 1; d",
    "communigate, verified": "from h ([198.51.100.7] verified) by MX (CommuniGate Pro SMTP 6.2); d",
    "domino": "from h ([198.51.100.7]) by MX (Lotus Domino Release 8.5.3) with ESMTP id 1-2 ; d",
    "mapped": "from h (p [IPv6:::ffff:198.51.100.7]) by MX with ESMTP; d",
    "port": "from h (p [198.51.100.7]:4321) by MX with ESMTP; d",
    "nested comments": "from h (a(b (c)) [198.51.100.7] (d (e))) by MX with ESMTP; d",
    "quoted parenthesis": "from h (p\\) [198.51.100.7]) by MX with ESMTP; d",
    "folding": "from\th\t  (p\t[198.51.100.7])\tby\t MX\twith ESMTP; d",
    "letters": "FROM h (p [198.51.100.7]) BY Mx.Nominator.Example. WITH ESMTP; d",
    "NUL in HELO": "from a\0b (p [198.51.100.7]) by MX with ESMTP; d",
    "8-bit in HELO": "from m\xfcller\x85\xa0\x0b (p [198.51.100.7]) by MX with ESMTP; d",
    "encoded word": "from =?utf-8?q?=5B203=2E0=2E113=2E9=5D?= (p [198.51.100.7]) by MX with ESMTP; d",
    "HELO by": "from by (p [198.51.100.7]) by MX with ESMTP; d",
    "quoted HELO": 'from "x (y [203.0.113.9]) by MX z" (p [198.51.100.7]) by MX with ESMTP; d',
}


@pytest.mark.parametrize("field", WRITTEN.values(), ids=WRITTEN)
def test_peer(field: str) -> None:
    """The TCP peer is found in what each mail server writes, whatever the client said."""
    hop = received.read_hop(field.replace("MX", MX), OWN)

    assert (PEER, MX) == (hop.peer, hop.by)


@pytest.mark.parametrize(
    ("literal", "address"),
    [
        ("[IPv6:2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[fe80::1%eth0]", "fe80::1"),
    ],
)
def test_ipv6_peer(literal: str, address: str) -> None:
    """An IPv6 peer is read with and without its tag, and without its scope."""
    hop = received.read_hop(f"from x (y {literal}) by {MX} with ESMTP; d", OWN)

    assert ip_address(address) == hop.peer


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("from h by MX with ESMTP; d", "no TCP-info"),
        ("from [203.0.113.9] by MX with ESMTP; d", "a literal that may be the HELO"),
        ("from h (ptr.example) by MX with ESMTP; d", "a name only"),
        ("from h (a b [203.0.113.9]) by MX with ESMTP; d", "a shape nobody writes"),
        ("from h ([1.2.3.4.5]) by MX with ESMTP; d", "no address"),
        ("from h ([300.0.113.9]) by MX with ESMTP; d", "an octet too large"),
        ("from h (deadbeef) by MX with ESMTP; d", "a name of hexadecimal digits"),
        ("from h (p [203.0.113.9] x [203.0.113.9]) by MX with ESMTP; d", "two literals"),
    ],
)
def test_no_peer(field: str, reason: str) -> None:
    """A field without a peer in a known shape names nobody."""
    hop = received.read_hop(field.replace("MX", MX), OWN)

    assert (None, False, False) == (hop.peer, hop.local, hop.ambiguous), reason


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("from x (y [203.0.113.9]) by MX z (p [198.51.100.7]) by MX with ESMTP; d", "HELO ends early"),
        ("from x by MX z (p [198.51.100.7]) by MX with ESMTP; d", "HELO imitates by"),
        ("from x (y [203.0.113.9]) by MX (z (p [198.51.100.7]) by MX with ESMTP; d", "hidden in a comment"),
        ('from x (y [203.0.113.9]) by MX "z (p [198.51.100.7]) by MX with ESMTP; d', "hidden in a quote"),
        ("from x (y [203.0.113.9]) (p [198.51.100.7]) by MX with ESMTP; d", "two peers"),
        ("from x (HELO y) (203.0.113.9) (198.51.100.7) by MX with ESMTP; d", "two bare peers"),
        ("from [198.51.100.7] (helo=x) (y [203.0.113.9]) by MX with smtp (Exim 4.96); d", "HELO closes"),
        ("from p ([198.51.100.7] helo=x [203.0.113.9]) by MX with smtp (Exim 4); d", "HELO with a space"),
        ('from p ([198.51.100.7]) by MX (Exim 4) (envelope-from <"x) (y [203.0.113.9]) by MX ("@z>)', ""),
        ("from x by store.nominator.example (y [198.51.100.7]) by MX; d", "HELO names another server"),
        ("from x( (p [198.51.100.7]) by MX with ESMTP; d", "unclosed comment"),
        ("from x) (p [198.51.100.7]) by MX with ESMTP; d", "a parenthesis too many"),
        ('from x" (p [198.51.100.7]) by MX with ESMTP; d', "unclosed quote"),
        ("from x\\( (p [198.51.100.7]) by MX with ESMTP; d", "an escape counts only inside a comment"),
    ],
)  # fmt: skip
def test_imitation(field: str, reason: str) -> None:
    """A field that the client's text makes readable in two ways names nobody and says so."""
    hop = received.read_hop(field.replace("MX", MX), OWN)

    assert (None, True) == (hop.peer, hop.ambiguous), reason


@pytest.mark.parametrize(
    ("field", "by"),
    [
        ("by MX (Postfix, from userid 1000) id 4F; d", "MX"),
        ("(from www@localhost) by MX (8.17.1/8.17.1/Submit) id 1; d", "MX"),
        ("from mx.nominator.example by MX with LMTP id 1 (envelope-from <a@b>); d", "MX"),
        ("from mx ([203.0.113.20]) by MX (Dovecot) with LMTPS; d", "MX"),
        ("from root by MX with local (Exim 4.96) id 1; d", "MX"),
        ("(qmail 1234 invoked by uid 89); 5 Mar 2024 11:00:00 -0000", ""),
        ("by 2002:a05:6a10:1::1 with SMTP id 1; d", "2002:a05:6a10:1::1"),
    ],
)
def test_local_hop(field: str, by: str) -> None:
    """A hop inside one server has no TCP peer."""
    hop = received.read_hop(field.replace("MX", MX), OWN)

    assert (None, True, by.replace("MX", MX)) == (hop.peer, hop.local, hop.by)


@pytest.mark.parametrize(
    "field", ["", "by", "(", "nonsense", "(qmail) x", "from x (y [198.51.100.7])", ";", "from by mx"]
)
def test_writer_missing(field: str) -> None:
    """A field without by clause has no writer and no peer."""
    hop = received.read_hop(field.replace("MX", MX), OWN)

    assert ("", None, False) == (hop.by, hop.peer, hop.local)


@pytest.mark.parametrize(
    ("field", "helo"),
    [
        ("from helo.example (p [198.51.100.7]) by MX; d", "helo.example"),
        ("from p ([198.51.100.7] helo=evil ident=x) by MX; d", "evil"),
        ("from unknown (HELO evil) (198.51.100.7) by MX; d", "evil"),
        ("from h ([198.51.100.7]) by MX; d", "h"),
        ("from (p [198.51.100.7]) by MX; d", "p [198.51.100.7]"),
    ],
)
def test_helo(field: str, helo: str) -> None:
    """The client's own name is kept for people to read."""

    assert helo == received.read_hop(field.replace("MX", MX), OWN).helo


@pytest.mark.parametrize(("word", "signed_in"), [("ESMTPSA", True), ("esmtpa", True), ("ESMTPS", False)])
def test_signed_in(word: str, signed_in: bool) -> None:  # noqa: FBT001 - a column of the table
    """The protocol word tells a peer with a password from a stranger."""
    hop = received.read_hop(f"from h (p [198.51.100.7]) by {MX} with {word} id 1; d", OWN)

    assert signed_in == hop.signed_in


@pytest.mark.parametrize(
    ("after", "signed_in"),
    [
        ("(Postfix) with ESMTPSA id 1 for <a@b.example>", True),
        ("via TCP with ESMTPSA id 1", True),
        ("(Postfix) id 1 with ESMTPA", False),
        ("with ESMTP id 1 for <x with ESMTPA y@b.example>", False),
        ("with ESMTP id 1 (envelope-from <a@b>) with ESMTPA", False),
        ("for <a@b.example> with ESMTPSA", False),
        ("with", False),
        ("via with ESMTPA", False),
    ],
)
def test_a_password_is_believed_where_the_server_writes_it(after: str, signed_in: bool) -> None:  # noqa: FBT001
    """Only the with clause behind the by clause says ESMTPA: the client's text comes in elsewhere."""
    hop = received.read_hop(f"from h (p [198.51.100.7]) by {MX} {after}; d", OWN)

    assert signed_in == hop.signed_in


@given(
    helo=st.text(st.characters(codec="latin-1", exclude_characters="\n")),
    shape=st.sampled_from(
        [
            "from {} (p.example [198.51.100.7]) by {} (Postfix) with ESMTP id 1; d",
            "from {} ([198.51.100.7]) by {} with Microsoft SMTPSVC(6.0); d",
            "from {} (198.51.100.7) by {} (10.0.0.1) with Microsoft SMTP Server; d",
            "from p.example ([198.51.100.7] helo={}) by {} with esmtp (Exim 4.96); d",
            "from [198.51.100.7] (helo={}) by {} with esmtp (Exim 4.96); d",
            "from unknown (HELO {}) (198.51.100.7) by {} with SMTP; d",
            "from helo ({} [198.51.100.7]) by {} with ESMTP; d",
        ]
    ),
    imitation=st.sampled_from(
        [
            "{}",
            "[203.0.113.9]{}",
            "x (y [203.0.113.9]) by " + MX + " {}",
            "x ([203.0.113.9] helo={}",
            "x) (y [203.0.113.9]){}",
            "{}) ([203.0.113.9]) by " + MX + " (",
            "x (HELO y) (203.0.113.9){}",
            "[203.0.113.9] (helo={})",
            "{} by " + MX + " with LMTP (",
            '"{} (203.0.113.9)"',
        ]
    ),
)
@example(
    helo="0(",
    shape="from [198.51.100.7] (helo={}) by {} with esmtp (Exim 4.96); d",
    imitation="x) (y [203.0.113.9]){}",
)
def test_client_text_never_names_the_peer(helo: str, shape: str, imitation: str) -> None:
    """Whatever octets a server lets through in HELO or a reverse name, nobody but its peer is named."""
    hop = received.read_hop(shape.format(imitation.format(helo), MX), OWN)

    assert hop.peer in (PEER, None)


@given(
    helo=st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=' <>()\\";@'), min_size=1
    )
)
def test_postfix_helo(helo: str) -> None:
    """The characters that Postfix lets through in HELO leave the peer certain."""
    hop = received.read_hop(f"from {helo} (unknown [198.51.100.7]) by {MX} (Postfix) with SMTP; d", OWN)

    assert (PEER, helo) == (hop.peer, hop.helo)


@given(st.text(st.characters(codec="latin-1")), st.lists(st.sampled_from(
    ["from", "by", MX, "(", ")", "[198.51.100.7]", "helo=", "HELO ", '"', "\\", ";", " ", "with", "LMTP"]
)))  # fmt: skip
def test_any_text(text: str, words: list[str]) -> None:
    """Any text is read without an exception."""
    hop = received.read_hop(" ".join(words) + text, OWN)

    assert hop.peer is None or not hop.ambiguous


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("Tue, 5 Mar 2024 12:00:00 +0100", 11),
        ("Tue, 05 Mar 2024 12:00:00 +0100 (CET)", 11),
        ("5 Mar 2024 11:00:00 -0000", 11),
        ("Tue, 5 Mar 2024 11:00 GMT", 11),
        ("Tue, 5 Mar 2024 03:00:00 PST", 11),
    ],
)
def test_date(text: str, hour: int) -> None:
    """The date after the last semicolon is read with its zone."""

    assert datetime(2024, 3, 5, hour, tzinfo=UTC) == received.read_date(f"from x; by y (z; w);  {text} ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Tue, 5 Mar 2024 12:00:00",
        "Tue, 5 Mar 24 12:00:00 +0100",
        "Tue, 31 Feb 2024 12:00:00 +0100",
        "Tue, 5 Mar 2024 25:00:00 +0100",
        "Tue, 5 Mar 2024 12:00:00 +0100 trailing",
        "Tue, 5 Mar 2024 12:00:00 +9999",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Tue, 5 Xyz 2024 12:00:00 +0100",
    ],
)
def test_no_date(text: str) -> None:
    """What is no date with a zone is none."""

    assert received.read_date(f"by x; {text}") is None
