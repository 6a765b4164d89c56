"""Whom a refusal is for, by its words."""

import pytest

from rbl.probe.refusals import gist, knows_no_mailbox, names_us, wants_login

PROBER = ("tester.example.net", "192.0.2.25")


@pytest.mark.parametrize(
    ("reply", "names", "why"),
    [
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.example",
            True,
            "our address, and no word of relaying",
        ),
        ("550 tester.example.net is not welcome", True, "our name"),
        ("550 Your IP is on our blacklist", True, "no name, but it means us"),
        ("554 5.7.1 <unknown[192.0.2.25]>: Client host rejected: Access denied", True, "Postfix"),
        ("550-no\n550 TESTER.EXAMPLE.NET denied", True, "in another case and line"),
        ("554 5.7.1 <r1@td.example>: Relay access denied", False, "the common refusal"),
        (
            "550 5.7.1 Relaying denied. IP name lookup failed [192.0.2.25]",
            False,
            "Sendmail names us and relaying",
        ),
        ("550-tester.example.net [192.0.2.25] is not permitted to relay", False, "cPanel's Exim"),
        ("550 <r1@tester.example.net>: not here", False, "our name within an address of ours"),
        ("550 x!r1@tester.example.net unknown", False, "within a path"),
        ("550 192.0.2.250 is somebody else", False, "another address that begins alike"),
        ("550 mx.tester.example.net.org is somebody else", False, "another name that contains ours"),
        ("553 sorry, that domain isn't in my list of allowed rcpthosts", False, "qmail"),
        ("550 no such domain", False, "nobody is named"),
        ("", False, "nothing said"),
        # what admins write to keep testers out
        (
            "554 5.7.1 <t.example.net[192.0.2.25]>: Client host rejected: No relay testers please",
            True,
            "Postfix: a client map",
        ),
        ("550 rejected because 192.0.2.25 is in a black list at bl.example", True, "Exim: a DNS list"),
        ("550 5.7.1 No open relay tests from here, we relay nothing", True, "it knows what we do"),
        ("550 Relaying denied: your address is on our blacklist", True, "both, so it is about the client"),
        ("554 5.7.1 blocked using dnsbl.example", True, "a list of clients, and no name"),
        ("550 you are banned", True, "banned"),
        ("554 poor reputation, no relay", True, "Cisco's word"),
        # what closed servers write, and do not mean us
        ("454 4.7.1 <r1@td.example>: Relay access denied", False, "Postfix, by default"),
        ("554 5.7.1 <r1@td.example>: Recipient address rejected: Access denied", False, "Postfix: a map"),
        ("550 relay not permitted", False, "Exim, by default"),
        ("550-rbl.example.net [192.0.2.25] is not permitted to relay", False, "a tester may be called so"),
        ("550-relaytest.example.net [192.0.2.25] is not permitted to relay", False, "or so"),
        ("513 Relaying denied.", False, "Courier"),
        ("550 I cannot deliver mail for r1@td.example", False, "Haraka"),
        ("550 Invalid recipient: <r1@td.example>", False, "OpenSMTPD"),
        ("550 5.7.1 we do not relay", False, "Chasquid and others"),
        ("501 5.1.3 domain literals not allowed", False, "syntax"),
    ],
)
def test_refusal_of_us_is_told_from_refusal_of_relaying(reply: str, names: bool, why: str) -> None:  # noqa: FBT001
    """A refusal that names the tester and not relaying says nothing about relaying."""
    assert names == names_us(reply, PROBER), why


@pytest.mark.parametrize(
    ("reply", "login", "mailbox"),
    [
        ("530 5.7.0 Authentication required", True, False),
        ("550 5.7.1 please log in first", True, False),
        ("550 5.1.1 <postmaster@mx.example>: Recipient address rejected: User unknown", False, True),
        ("550 No such user here", False, True),
        ("550 5.7.1 Access denied", False, False),
        ("550 <author@auth.example> no", False, False),
    ],
)
def test_other_reasons_to_refuse(reply: str, login: bool, mailbox: bool) -> None:  # noqa: FBT001
    """For want of signing in, or for want of a mailbox: neither is about the tester."""
    assert (login, mailbox) == (wants_login(reply), knows_no_mailbox(reply))


def test_two_refusals_are_alike_whatever_addresses_they_give_back() -> None:
    """Addresses, numbers and names of hosts are not what a refusal says."""
    one = gist("554 5.7.1 <r1@td.example>: Access denied for 192.0.2.25 (id 17)")
    other = gist("550 5.7.1 <postmaster@mx.example>: Access denied for 192.0.2.26 (id 4)")

    assert one == other == "access denied for id"
