"""What a test message says, in many ways: each says plainly what it is, and none is in all messages.

A filter that knows one message of ours must not know all. What stays the same is what a reader needs: the
tested address, the links, whom to ask. Words in braces are filled in by ``message``.
"""

# The name before the address in From; empty: none.
NAMES = (
    "Open relay test",
    "Relay test",
    "Mail relay check",
    "Relay tester",
    "Open relay check",
    "Mail server test",
    "Tester of mail relays",
    "",
)
SUBJECTS = (
    "open relay test {run}-{test}",
    "Relay test of {literal}",
    "Does {literal} relay mail for strangers?",
    "Mail relay check {run}/{test}",
    "Test {test}: is this server an open relay?",
    "Relay check, form {test} of run {run}",
    "[{run}] test of a mail server, {test}",
    "Testing {literal} for open relaying",
    "Automatic relay test no. {run}, {test}",
)
# Fields that bear the code of the header, those that tell the envelope, and how eager we are for answers.
CODE_FIELDS = (
    "X-Relay-Test",
    "X-Open-Relay-Test",
    "X-Relay-Check",
    "X-Test-Id",
    "X-Mail-Test",
    "Comments",
    "Keywords",
)
CODE_VALUES = (
    "{code}",
    "relay test {code}",
    "test={test}; run={run}; code={code}",
    "{code} ({test})",
    "run {run}, form {test}, {code}",
)
ENVELOPE_FIELDS = (
    ("X-Envelope-Sender", "X-Envelope-Recipient"),
    ("X-Test-Mail-From", "X-Test-Rcpt-To"),
    ("X-Mail-From", "X-Rcpt-To"),
)
PRECEDENCES = ("bulk", "junk", "")
CHARSETS = ("us-ascii", "utf-8", "")  # empty: without MIME, which is the same (RFC 2045 §5.2)

# The facts, one a line (name, what it is) or in a sentence.
FACT_NAMES = {
    "literal": ("Tested server", "Server under test", "Host", "Address tested"),
    "form": ("Test", "Form", "This form", "What is tried"),
    "tester": ("Tested by", "Tester", "Sent by", "From the host"),
    "why": ("Reason", "Why", "Because", "Occasion"),
}
EXPLANATIONS = (
    (
        "The message is addressed to the tester itself. If it arrives, the server passes on mail from "
        "anybody to anybody, and spammers can use it."
    ),
    (
        "Its recipient is ourselves, and nobody else gets it. Where it reaches us, the server takes mail"
        " from strangers and sends it to strangers: an open relay."
    ),
    (
        "We wrote it to ourselves by way of this server. Should we receive it, then the server forwards "
        "what anyone sends to anyone, which is what senders of spam look for."
    ),
    (
        "Sender and recipient are both ours. A server that delivers this relays for all the world, and "
        "sooner or later will be used to send spam."
    ),
    (
        "Only if this comes back to us do we call the server an open relay, one that hands on mail "
        "between people it does not know."
    ),
)
REASSURANCES = (
    (
        "If you read this because it was returned to your postmaster, your server took it and could not "
        "deliver it: nothing is wrong with your mail, and the sender address at your own domain was part"
        " of the test. Each such form is tried once in a test."
    ),
    (
        "Should you find this in the postmaster's mailbox, the server accepted the message and then had "
        "nobody to return it to. No mail of yours is concerned. Some forms use a sender in your domain, "
        "once each."
    ),
    (
        "Did it come to you as undeliverable? Then your server accepted it first and refused it later. "
        "Your own mail is not affected; the forged local sender is one of the forms, and is used a "
        "single time."
    ),
    (
        "You may see it as a bounce at your own server: it had been taken, and could not be sent on. "
        "There is no fault in your mail. A sender within your domain is part of some of these forms."
    ),
)
# Each with the link on a line of its own below it, or behind it.
LOOK_UPS = (
    "What is known of the server, the SMTP dialogue, how to close a relay, and a button to test again:",
    "Results, everything that was said, advice for closing it, and another test:",
    "See what we know about it, read the dialogue, find out how to close it, or test again here:",
    "The page of this address has the dialogue, help, and a retest:",
)
OPT_OUTS = (
    "Not to be tested any more:",
    "To be left alone in future:",
    "If you want no such tests:",
    "How to have it never tested again:",
    "Our rules, and how to opt out:",
)
CONTACTS = (
    "A person reads mail to:",
    "Questions and complaints reach a person at:",
    "Ask us:",
    "Somebody answers at:",
    "Whom to write to:",
)
