"""Which mail server a host runs, by what it says of itself: for advice only, never for the verdict.

A table, first match wins. Greetings can be faked, and what a server says is hostile: only 2 KiB of
it are looked at, and no pattern nests one repetition in another. Advice is in ``advice``.
"""

import re

MAX_TEXT = 2048

# On greeting, EHLO and HELP replies, codes and all, one line each. The order matters: the special
# before the general ("Microsoft ESMTP MAIL Service" is three generations of servers).
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (platform, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for platform, pattern in (
        (
            "exchange_online",
            r"^220[ -]\S+\.protection\.outlook\.com Microsoft ESMTP MAIL Service ready at ",
        ),
        ("exchange_55", r"^220[ -].*Microsoft Exchange Internet Mail (?:Service|Connector) [\d.]"),
        ("iis_smtp", r"^220[ -].*Microsoft ESMTP MAIL Service, Version: [\d.]"),
        (
            "exchange_2007plus",
            r"^220[ -].*Microsoft ESMTP MAIL Service(?: Version: [\w.]{1,40})?(?: ready at |\r?$)",
        ),
        (
            "communigate",
            (
                r"^220[ -].*CommuniGate Pro|^220[ -]\S+ (?:ESMTP )?is glad to see you!"
                r"|^214-Copyright \(c\) 1995-\d{4}, Stalker Software"
            ),
        ),
        (
            "domino",
            (
                r"^220[ -].*\((?:IBM |HCL |Lotus )?Domino (?:Release |Build |Versione )?[\w. ()-]{0,60}\)"
                r"|^220[ -].*Lotus Domino"
            ),
        ),
        ("lotus_smtp_mta", r"^220[ -].*Lotus SMTP MTA Service Ready"),
        ("groupwise", r"^220[ -].*GroupWise Internet Agent [\w.]"),
        ("netmail", r"^220[ -].*Novonyx SMTP ready"),
        ("imail", r"^220[ -].*\(IMail [^)\n]"),
        ("mercury", r"^220[ -].*Mercury(?:/32)? v?[\w.]{1,40} E?SMTP server ready"),
        ("mdaemon", r"^220[ -].*E?SMTP MDaemon [\w.]{1,40};"),
        ("hmailserver", r"^220[ -].*hMailServer"),
        ("mailenable", r"^220[ -].*Mail ?Enable (?:SMTP )?Service, Version: [\w.-]"),
        ("icewarp", r"^220[ -].*(?:IceWarp|Merak) [\w.]"),
        ("kerio", r"^220[ -].*Kerio (?:MailServer|Connect) [\w. ]{1,40} ESMTP ready"),
        ("surgemail", r"^220[ -].*SurgeSMTP \(Version [\w.-]{1,40}\)"),
        ("argosoft", r"^220[ -].*ArGoSoft Mail Server"),
        ("xmail", r"^220[ -].*\[XMail [\w.]"),
        ("mailsite", r"^220[ -].*MailSite ESMTP Receiver Version [\w.]"),
        ("post_office", r"^220[ -].*\(post\.office v[\w.]"),
        ("intermail", r"^220[ -].*\(InterMail v\S"),
        ("james", r"^220[ -].*JAMES SMTP Server"),
        ("haraka", r"^220[ -].*Haraka[/ ]\d"),
        ("opensmtpd", r"^220[ -]\S+ ESMTP OpenSMTPD"),
        (
            "exim",
            (
                r"^220[ -].*ESMTP Exim|^501 Syntactically invalid (?:EHLO|HELO) argument"
                r"|^554 SMTP synchronization error"
            ),
        ),
        ("sendmail", r"^220[ -].*Sendmail|^214-2\.0\.0 This is sendmail"),
        ("postfix", r"^220[ -].*Postfix|^502 5\.5\.2 Error: command not recognized"),
        ("qmail", r"^214[ -](?:net)?qmail home page: "),
        ("courier", r"^220[ -].*Courier|^502 ESMTP command error"),
        ("ironport", r"^220[ -].*AsyncOS"),
        ("barracuda", r"^220[ -]\S+ ESMTP \([0-9a-f]{32}\)"),
    )
)

PLATFORMS: tuple[str, ...] = tuple(platform for platform, _ in _PATTERNS)
"""The ids that ``recognise`` can return."""


def recognise(text: str) -> str | None:
    """Return the id of the mail server that says *text* in greeting, EHLO and HELP, or None."""
    start = text[:MAX_TEXT]
    return next((platform for platform, pattern in _PATTERNS if pattern.search(start)), None)
