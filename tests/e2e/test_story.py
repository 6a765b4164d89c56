"""From the spam to the delisting, between real mail servers: what the program exists for.

Every step is done and seen from outside: over SMTP, HTTP and DNS, and in the mail servers' own logs.
"""

import html
import re

import pytest

from tests.e2e import blocklist, world
from tests.e2e.blocklist import Blocklist
from tests.e2e.hosts import Host
from tests.e2e.letters import hand_over, letter
from tests.e2e.postfix import ACCEPTS_THEN_BOUNCES, OPEN_RELAY, Postfix, mailboxes
from tests.e2e.servers import eventually
from tests.e2e.visitor import DnsAnswer, Visitor

CUSTOMER = f"{world.CUSTOMER}@{world.ISP_DOMAIN}"
SPAMMER = "offers@spammer.example"
USER = f"{world.RELAY_USER}@{world.RELAY_DOMAIN}"
RELAY = world.ADDRESSES["relay"][0]
QNAME = f"{'.'.join(reversed(RELAY.split('.')))}.{world.ZONE}"
PAGE = f"{blocklist.URL}/a/{RELAY}"
TXT = f"Open relay, see {PAGE}"
REFUSAL = f"554 5.7.1 Service unavailable; Client host [{RELAY}] blocked using {world.ZONE}; {TXT}"
NOT_LISTED = DnsAnswer("NXDOMAIN", ())
BOUNCED = f"event=returned kind=bounced peer={RELAY} tested={RELAY} run=1 test=T01\n"
SECONDS_FOR_DAYS = {"RBL_LISTS__FIRST_WAIT": "0.5", "RBL_LISTS__RETURN_WINDOW": "3"}

# The relay's admin lets in his own network and no other.
NARROWED = {**mailboxes(world.RELAY_DOMAIN, [world.RELAY_USER]), "mynetworks": "127.0.0.0/8 192.0.2.64/28"}
GREYLISTING = {
    **OPEN_RELAY,
    "smtpd_recipient_restrictions": "check_client_access static:{450 4.2.0 Greylisted}",
}


def one_line(text: str) -> str:
    """Return *text* with each run of spaces and line ends as one space."""
    return " ".join(text.split())


def spam_received(source: Host, server: str, isp: Postfix) -> bytes:
    """Return the spam as it is in the customer's mailbox after *source* gave it to *server*."""
    sent = hand_over(source, server, SPAMMER, CUSTOMER)
    (spam,) = isp.await_letters(world.CUSTOMER)
    assert (sent.command, sent.code) == ("DATA", 250)
    return spam


def await_unlisted(rbl: Blocklist, visitor: Visitor, state: str) -> None:
    """Return when the relay is in *state*; fail if it is listed at any time before."""
    serial = rbl.serial()
    answers: set[DnsAnswer] = set()

    def there() -> bool:
        answers.add(visitor.ask(QNAME, "A", rbl.host.address))
        return bool(rbl.story(RELAY)["state"] == state)

    eventually(there, lambda: f"never {state}:\n{rbl.log()}")
    told = rbl.story(RELAY)
    assert answers == {NOT_LISTED}
    assert (told["listed"], told["offences"], told["proof"]) == (False, 0, None)
    assert rbl.serial() == serial  # nothing was journalled


@pytest.mark.root
def test_story(hosts: dict[str, Host], isp: Postfix, relay: Postfix, database_url: str) -> None:
    """Spam through an open relay gets it listed; its mail is refused until a retest finds it closed."""
    postmaster, admin = Visitor(hosts["isp"]), Visitor(hosts["relay"])
    letter_of_user = letter(USER, CUSTOMER, {"Subject": "Minutes", "Message-ID": "<minutes@relay.example>"})

    def user_sends() -> None:
        sent = hand_over(hosts["relay"], RELAY, USER, CUSTOMER, letter_of_user)
        assert (sent.command, sent.code) == ("DATA", 250)

    with blocklist.serving(hosts["blocklist"], database_url) as rbl:
        serials = [rbl.serial()]

        # A spam comes through the relay, and the postmaster hands it in.
        nomination = rbl.nominate(postmaster, spam_received(hosts["spammer"], RELAY, isp))
        assert (nomination["address"], nomination["helo"]) == (RELAY, "mail.relay.example")

        # The test goes through the relay and comes back: it is listed, and the ISP's resolver says so.
        rbl.await_state(RELAY, "listed")
        eventually(
            lambda: postmaster.ask(QNAME, "TXT").rdata == (f'"{TXT}"',),
            lambda: f"{postmaster.ask(QNAME, 'TXT')}:\n{rbl.log()}",
        )
        assert postmaster.ask(QNAME, "A") == DnsAnswer("NOERROR", ("127.0.0.2",))
        serials.append(rbl.serial())

        # The ISP refuses the next spam at the door, and tells why; so do the relay's own log and bounces.
        hand_over(hosts["spammer"], RELAY, SPAMMER, CUSTOMER)
        eventually(lambda: f"said: {REFUSAL}" in one_line(relay.log()), relay.log)
        eventually(
            lambda: f"reject: RCPT from mail.relay.example[{RELAY}]: {REFUSAL}" in isp.log(), isp.log
        )
        user_sends()
        (bounce,) = relay.await_letters(world.RELAY_USER)
        assert REFUSAL in one_line(bounce.decode())

        # The page that the bounce names tells all: the dialogue, the spam, but not who received it.
        (url,) = set(re.findall(rb"http://[^\s/]+/a/[0-9.]+", bounce))
        answer = admin.get(url.decode())
        page = html.unescape(answer.text)
        proof = rbl.story(RELAY)["proof"]
        assert answer.status_code == 200
        assert f"<title>{RELAY} is listed" in page
        for line in (
            "EHLO mx.blocklist.example",
            f"MAIL FROM:{proof['envelope']['mail_from']}",
            f"RCPT TO:{proof['envelope']['rcpt_to']}",
            "250 2.1.5 Ok",
            "Buy made-up things.",
        ):
            assert line in page
        assert CUSTOMER not in page

        # The admin closes it and presses the button: it is delisted, and looked at again in a day.
        relay.reconfigure(NARROWED)
        admin.press_button(url.decode(), answer.text)
        rbl.await_state(RELAY, "delisted")
        eventually(lambda: postmaster.ask(QNAME, "A") == NOT_LISTED, lambda: f"still listed:\n{rbl.log()}")
        serials.append(rbl.serial())
        assert f"<title>{RELAY} is not listed" in admin.get(PAGE).text
        assert serials == sorted(set(serials))

        # The letter that was refused is taken.
        user_sends()
        _, delivered = isp.await_letters(world.CUSTOMER, 2)
        assert b"Message-ID: <minutes@relay.example>" in delivered
        eventually(lambda: rbl.metric("rbl_probe_runs_unfinished") == 1, rbl.log)
        assert rbl.metric("rbl_probe_runs_due") == 0


@pytest.mark.root
def test_accepting_proves_nothing(hosts: dict[str, Host], isp: Postfix, sqlite_url: str) -> None:
    """A server that takes all test messages and bounces them is never listed, and in the end is closed."""
    postmaster = Visitor(hosts["isp"])
    with (
        Postfix(hosts["relay"], "mail.relay.example", ACCEPTS_THEN_BOUNCES) as taker,
        blocklist.serving(hosts["blocklist"], sqlite_url, SECONDS_FOR_DAYS) as rbl,
    ):
        rbl.nominate(postmaster, spam_received(hosts["relay"], isp.host.address, isp))
        await_unlisted(rbl, postmaster, "closed")
        eventually(lambda: BOUNCED in rbl.log(), rbl.log)
        taken = re.findall(r"event=probed .* messages=([0-9]+)", rbl.log())

        assert sum(map(int, taken)) == 31  # every form, and the longer ones of those that it took
        assert "relay=bouncer" in taker.log()
        assert "kind=relayed" not in rbl.log()
        assert [run["verdict"] for run in rbl.story(RELAY)["runs"]] == ["closed"]


@pytest.mark.root
def test_closed_in_time(hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str) -> None:
    """A relay that its admin closed between the spam and the test is found closed, and never listed."""
    postmaster = Visitor(hosts["isp"])
    with blocklist.serving(hosts["blocklist"], sqlite_url) as rbl:
        spam = spam_received(hosts["spammer"], RELAY, isp)
        relay.reconfigure(NARROWED)
        rbl.nominate(postmaster, spam)
        await_unlisted(rbl, postmaster, "closed")

        assert "event=returned" not in rbl.log()


@pytest.mark.root
def test_greylisting_delays_the_verdict(
    hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str
) -> None:
    """A relay that says "later" is neither listed nor closed for it, and is tested again later."""
    postmaster = Visitor(hosts["isp"])
    with blocklist.serving(
        hosts["blocklist"], sqlite_url, {"RBL_LISTS__RETRIES": ",".join("1" * 30)}
    ) as rbl:
        spam = spam_received(hosts["spammer"], RELAY, isp)
        relay.reconfigure(GREYLISTING)
        rbl.nominate(postmaster, spam)
        await_unlisted(rbl, postmaster, "deferred")
        (run,) = rbl.story(RELAY)["runs"]
        relay.reconfigure(OPEN_RELAY)
        rbl.await_state(RELAY, "listed")

        assert (run["verdict"], run["finished_at"]) == ("deferred", None)
        assert len(rbl.story(RELAY)["runs"]) == 1


@pytest.mark.root
def test_still_open(hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str) -> None:
    """A relay that was not closed stays in DNS through its retest, and the next has its turn later."""
    postmaster, admin = Visitor(hosts["isp"]), Visitor(hosts["relay"])
    with blocklist.serving(hosts["blocklist"], sqlite_url) as rbl:
        rbl.nominate(postmaster, spam_received(hosts["spammer"], RELAY, isp))
        rbl.await_state(RELAY, "listed")
        serial = rbl.serial()
        page = admin.get(PAGE).text
        admin.press_button(PAGE, page)
        eventually(lambda: rbl.story(RELAY)["runs"][0]["verdict"] == "open", rbl.log)
        offered = admin.get(PAGE).text
        admin.press_button(PAGE, offered)
        queued, tested, _ = rbl.story(RELAY)["runs"]

        assert (tested["purpose"], tested["verdict"]) == ("retest", "open")
        assert (queued["verdict"], rbl.story(RELAY)["state"]) == (None, "retest-queued")
        assert "You need not come back for it" in one_line(offered)
        assert queued["due_at"] <= rbl.story(RELAY)["retest_allowed_at"]
        assert rbl.serial() == serial  # DNS never changed


@pytest.mark.root
def test_another_host_delivers(
    hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str
) -> None:
    """Where the test comes back from a smart host, neither is listed: a person looks at the chain."""
    postmaster, smart_host = Visitor(hosts["isp"]), hosts["smarthost"]
    with (
        Postfix(smart_host, "out.provider.example", {"mynetworks": f"{RELAY}/32"}),
        blocklist.serving(hosts["blocklist"], sqlite_url) as rbl,
    ):
        spam = spam_received(hosts["spammer"], RELAY, isp)
        relay.reconfigure({**OPEN_RELAY, "relayhost": f"[{smart_host.address}]"})
        rbl.nominate(postmaster, spam)
        await_unlisted(rbl, postmaster, "review")

        assert f"event=returned kind=multihop peer={smart_host.address} tested={RELAY}" in rbl.log()
        assert rbl.story(smart_host.address)["state"] is None


@pytest.mark.root
def test_stripped_header_hides_no_relay(
    hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str
) -> None:
    """A relay that takes all X- fields and the Message-ID out of what it relays is listed all the same."""
    postmaster = Visitor(hosts["isp"])
    with blocklist.serving(hosts["blocklist"], sqlite_url, SECONDS_FOR_DAYS) as rbl:
        spam = spam_received(hosts["spammer"], RELAY, isp)
        relay.reconfigure({**OPEN_RELAY, "header_checks": "regexp:{{/^(X-.*|Message-ID):/ IGNORE}}"})
        rbl.nominate(postmaster, spam)
        rbl.await_state(RELAY, "listed")

        assert f"event=returned kind=relayed peer={RELAY} tested={RELAY}" in rbl.log()
