"""Mail servers, by what they say of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.probe.platforms import PLATFORMS, recognise

MD5 = "0123456789abcdef0123456789ABCDEF"


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        (
            "220 AM5EUR03.mail.protection.outlook.com Microsoft ESMTP MAIL Service ready at Mon",
            "exchange_online",
        ),
        (
            "220 x.example ESMTP Server (Microsoft Exchange Internet Mail Service 5.5.2653.13) ready",
            "exchange_55",
        ),
        (
            "220 x.example Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready at  Mon, 4 May",
            "iis_smtp",
        ),
        ("220 x.example Microsoft ESMTP MAIL Service ready at Mon, 4 May 2026", "exchange_2007plus"),
        ("220 x.example Microsoft ESMTP MAIL Service", "exchange_2007plus"),
        ("220 x.example ESMTP CommuniGate Pro 6.3.9", "communigate"),
        ("220 x.example ESMTP is glad to see you!", "communigate"),
        ("220 x\n214-Copyright (c) 1995-2020, Stalker Software, Inc.", "communigate"),
        ("220 x.example ESMTP Service (Lotus Domino Release 8.5.3FP6) ready at Mon", "domino"),
        ("220 x.example ESMTP Service (HCL Domino Release 12.0.2) ready", "domino"),
        ("220 x.example Lotus SMTP MTA Service Ready", "lotus_smtp_mta"),
        ("220 x.example GroupWise Internet Agent 8.0.2 Copyright 1993-2009 Novell", "groupwise"),
        ("220 x.example Novonyx SMTP ready $Revision: 1 $", "netmail"),
        ("220 x.example (IMail 8.22 12345-1) NT-ESMTP Server X1", "imail"),
        ("220 x.example Mercury/32 v4.72 ESMTP server ready.", "mercury"),
        ("220 x.example ESMTP MDaemon 17.5.0; Mon, 04 May 2026", "mdaemon"),
        ("220 x.example hMailServer ESMTP 5.6.7", "hmailserver"),
        ("220 x.example ESMTP MailEnable Service, Version: 10.30-- ready at 05/04/26", "mailenable"),
        ("220 x.example ESMTP IceWarp 12.0.3.1 x64; Mon", "icewarp"),
        ("220 x.example Kerio Connect 9.2.7 ESMTP ready", "kerio"),
        ("220 x.example SurgeSMTP (Version 7.3k-15) http://surgemail.com", "surgemail"),
        ("220 x.example ArGoSoft Mail Server Freeware, Version 1.8", "argosoft"),
        ("220 x.example [XMail 1.27 ESMTP Server] service ready", "xmail"),
        ("220 x.example MailSite ESMTP Receiver Version 8.0.4 Ready", "mailsite"),
        ("220 x.example ESMTP server (Post.Office v3.5.3 release 223) ready", "post_office"),
        ("220 x.example ESMTP server (InterMail v5.UnknownMajor 1) ready", "intermail"),
        ("220 x.example JAMES SMTP Server 2.3.2", "james"),
        ("220 x.example ESMTP Haraka/2.8.28 ready", "haraka"),
        ("220 x.example ESMTP OpenSMTPD", "opensmtpd"),
        ("220 x.example ESMTP Exim 4.96 Mon, 04 May 2026", "exim"),
        ("554 SMTP synchronization error", "exim"),
        ("220 x.example ESMTP Sendmail 8.17.1/8.17.1; Mon", "sendmail"),
        ("220 x ESMTP\n214-2.0.0 This is sendmail version 8.17.1", "sendmail"),
        ("220 x.example ESMTP Postfix (Debian/GNU)", "postfix"),
        ("220 x.example ESMTP\n214 netqmail home page: http://qmail.org/netqmail", "qmail"),
        ("220 x.example ESMTP Courier 1.0", "courier"),
        ("220 x.example ESMTP AsyncOS", "ironport"),
        (f"220 x.example ESMTP ({MD5})", "barracuda"),
        ("220-welcome\n220 x.example ESMTP Postfix", "postfix"),
        ("220 x.example ESMTP", None),
        ("250 Postfix", None),
        ("", None),
        ("220 " + "x" * 3000 + " Postfix", None),
    ],
)
def test_server_is_recognised(text: str, platform: str | None) -> None:
    """A mail server is known by its greeting or its answer to HELP, within the first 2 KiB."""
    assert platform == recognise(text)


@pytest.mark.parametrize(
    "text",
    [
        "220 " + "(Domino " * 256,
        "220 " + "Kerio Connect " * 150,
        "220 " + "Microsoft ESMTP MAIL Service Version: " * 60,
        "220 \n" * 400,
        "220 " + "Mercury v" * 200,
        "220 " + "a" * 2044,
    ],
)
def test_hostile_greeting_is_no_server(text: str) -> None:
    """A greeting made to keep a pattern busy ends in no server."""
    assert recognise(text) is None


@given(st.text(max_size=3000))
def test_any_text_is_taken(text: str) -> None:
    """Whatever a server says, the answer is a known id or none."""
    assert recognise(text) in {None, *PLATFORMS}
