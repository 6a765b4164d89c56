"""What a client may: access lists, keys, budgets and cookies, as they show in answers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import IPv4Address, ip_address, ip_network

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from rbl.config import Access, Dns, RateLimit
from rbl.customerkey import digest_of
from rbl.responder import cookies
from rbl.responder.answer import Reply, answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.client import client_at
from rbl.responder.codes import Outcome, Transport
from rbl.responder.rules import Rules, rules_of
from rbl.terms import Listed
from rbl.zone.access import ALLOW, AccessList, Action, Keys, Rule
from rbl.zone.index import compile_index
from rbl.zone.zonefile import Kind, ZoneFile
from tests.responder.lists import LISTED, LISTED_NAMES, NOW, SERIAL, make_zone
from tests.responder.presentation import make_query, show

SECOND = 1_000_000_000
SECRET = "0123456789abcdef0123456789abcdef"
UNLIMITED = RateLimit(responses_per_second=0)
KEY = "abcdefghijklmnopqrstuvwx23"
REVOKED = "zzzzzzzzzzzzzzzzzzzzzzzz77"
SAYS = Rule(Action.LISTED, IPv4Address("127.255.255.254"), "{address} may not, see {url}", 60)
DENIED = (
    "REFUSED qr",
    "opt version=0 udp=1232 EDE 18 (Prohibited): this client may not ask here",
)
SOA = "SOA ns1.example.org. host\\.master.example.org. 2024010101 900 600 604800 300"


def serve(
    *rules: tuple[str, Rule],
    default: Rule = ALLOW,
    keys: Keys = Keys.UNUSED,
) -> Catalogue:
    """Return bl.test, names.test, deep.er.bl.test and new.test (no index), all with these rules."""
    access = AccessList(default, tuple((ip_network(network), rule) for network, rule in rules))

    def zone(apex: str, kind: Kind = Kind.ADDRESSES) -> ZoneFile:
        return replace(make_zone(apex, kind), access=access, keys=keys)

    addresses, names, deep = zone("bl.test"), zone("names.test", Kind.NAMES), zone("deep.er.bl.test")
    catalogue = Catalogue([addresses, names, deep, zone("new.test")])
    key = Listed(digest_of(KEY.encode()), "", None, exempt=False, key=True)
    catalogue.serve(compile_index(addresses, SERIAL, [*LISTED, key]))
    catalogue.serve(compile_index(names, SERIAL, [*LISTED_NAMES, key]))
    catalogue.serve(compile_index(deep, SERIAL, []))
    return catalogue


@dataclass
class Asking:
    """A client at an address, and what it asks."""

    catalogue: Catalogue
    rules: Rules
    host: str = "192.0.2.53"
    now: int = NOW

    def reply(self, question: str, *, cookie: bytes | None = None) -> Reply:
        """Return the reply to *question*, asked with a COOKIE option of this value."""
        packet, transport = make_query(question)
        if cookie is not None:
            message = dns.message.from_wire(packet)
            option = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)
            message.use_edns(0, options=[option])
            packet = message.to_wire()
        return self.send(packet, transport)

    def send(self, packet: bytes, transport: Transport = Transport.UDP) -> Reply:
        """Return the reply to *packet*."""
        return answer(packet, client_at(self.host, transport), self.catalogue, self.rules, self.now)

    def lines(self, question: str) -> tuple[str, ...]:
        """Return the answer as a golden block has it; nothing where none comes."""
        packet = self.reply(question).packet
        return () if packet is None else show(packet)


def with_access(**settings: object) -> Rules:
    """Return the rules with this global access list and no limit."""
    return rules_of(Dns(access=Access.model_validate(settings), rate_limit=UNLIMITED))


def with_limit(**settings: object) -> Rules:
    """Return the rules with two answers a second, and a secret that is known."""
    values = {"responses_per_second": 2, "window": timedelta(seconds=1)} | settings
    return rules_of(Dns(rate_limit=RateLimit.model_validate(values), cookie_secrets=(SECRET,)))


OPEN = with_access()
HERE = "192.0.2.53/32"


# --- access lists ---------------------------------------------------------------------------------

QUESTIONS = [
    "bl.test. IN SOA edns",
    "bl.test. IN NS edns",
    "9.113.0.203.bl.test. IN A edns",
    "2.0.0.127.bl.test. IN A edns",
    "spam.example.com.names.test. IN TXT edns",
    "new.test. IN SOA edns",
    "bl.test. IN AXFR edns tcp",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_zone_refuses(question: str) -> None:
    """A client that the zone refuses is told REFUSED and why, whatever he asks, the SOA too."""
    assert DENIED == Asking(serve((HERE, Rule(Action.REFUSE))), OPEN).lines(question)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_zone_ignores(question: str) -> None:
    """A client that the zone ignores is not answered."""
    reply = Asking(serve((HERE, Rule(Action.IGNORE))), OPEN).reply(question)

    assert Reply(None, "", Outcome.IGNORED) == reply


@pytest.mark.parametrize(
    "question", [*QUESTIONS, "www.example.com. IN A edns", "version.bind. CH TXT edns"]
)
def test_the_settings_refuse_and_ignore(question: str) -> None:
    """The global list is asked before the zone is, and for what is no zone of ours too."""
    refused = Asking(serve(), with_access(refuse=[HERE])).lines(question)
    ignored = Asking(serve(), with_access(ignore=[HERE])).reply(question)

    assert (DENIED, Reply(None, "", Outcome.IGNORED)) == (refused, ignored)


@pytest.mark.parametrize(
    ("question", "line", "why"),
    [
        ("bl.test. IN SOA", f"answer bl.test. 3600 IN {SOA}", "the apex is answered"),
        ("bl.test. IN A", "answer bl.test. 1800 IN A 192.0.2.80", "all of it"),
        ("9.113.0.203.bl.test. IN A", "NXDOMAIN qr aa", "a listed address"),
        ("113.0.203.bl.test. IN A", "NXDOMAIN qr aa", "nothing is below it either (RFC 8020)"),
        ("2.0.0.127.bl.test. IN A", "NXDOMAIN qr aa", "no test point: who looks sees that the list is off"),
        ("spam.example.com.names.test. IN A", "NXDOMAIN qr aa", "a listed name"),
        ("test.names.test. IN A", "NXDOMAIN qr aa", "the test point of names"),
        ("er.bl.test. IN A", "NOERROR qr aa", "a zone is below it"),
        ("9.113.0.203.new.test. IN A", "SERVFAIL qr", "not ready comes first"),
    ],
)
@pytest.mark.parametrize("everywhere", ["zone", "settings"])
def test_an_empty_list(everywhere: str, question: str, line: str, why: str) -> None:
    """For a client with an empty list the apex is answered as ever, and nothing below it is listed."""
    if everywhere == "zone":
        asking = Asking(serve((HERE, Rule(Action.EMPTY))), OPEN)
    else:
        asking = Asking(serve(), with_access(empty=[HERE]))

    assert line in asking.lines(question), why


def test_the_negative_answers_of_an_empty_list_are_whole() -> None:
    """They carry the SOA with the negative TTL, as those of any list (RFC 2308)."""
    asking = Asking(serve(default=Rule(Action.EMPTY)), OPEN)

    assert ("NXDOMAIN qr aa", f"authority bl.test. 300 IN {SOA}") == asking.lines(
        "9.113.0.203.bl.test. IN A"
    )


@pytest.mark.parametrize(
    ("question", "line", "why"),
    [
        ("bl.test. IN NS", "answer bl.test. 86400 IN NS ns1.example.org.", "the apex is answered"),
        (
            "8.113.0.203.bl.test. IN A",
            "answer 8.113.0.203.bl.test. 60 IN A 127.255.255.254",
            "not listed otherwise",
        ),
        (
            "9.113.0.203.bl.test. IN TXT",
            (
                "answer 9.113.0.203.bl.test. 60 IN TXT"
                ' "192.0.2.53 may not, see https://example.org/lookup/192.0.2.53"'
            ),
            "the text speaks of the client",
        ),
        ("9.113.0.203.bl.test. IN MX", "NOERROR qr aa", "no data of another type"),
        ("113.0.203.bl.test. IN A", "NOERROR qr aa", "what is above an address exists (RFC 8020)"),
        ("www.bl.test. IN A", "NXDOMAIN qr aa", "no address"),
        (
            f"{'0.' * 32}bl.test. IN A",
            f"answer {'0.' * 32}bl.test. 60 IN A 127.255.255.254",
            "an IPv6 address",
        ),
        (
            "ham.example.names.test. IN A",
            "answer ham.example.names.test. 60 IN A 127.255.255.254",
            "any name",
        ),
    ],
)
def test_everything_is_listed(question: str, line: str, why: str) -> None:
    """For a client whose rule says so every address has the value that the zone file writes out."""
    assert line in Asking(serve((HERE, SAYS)), OPEN).lines(question), why


@pytest.mark.parametrize(
    ("settings", "rule", "rcode", "why"),
    [
        ({}, Rule(Action.ALLOW), "NOERROR", "both allow"),
        ({}, Rule(Action.REFUSE), "REFUSED", "the zone refuses whom the settings allow"),
        ({"allow": [HERE]}, Rule(Action.REFUSE), "REFUSED", "also whom they name"),
        ({"refuse": [HERE]}, Rule(Action.ALLOW), "REFUSED", "the settings go first"),
        ({"empty": [HERE]}, Rule(Action.REFUSE), "NXDOMAIN", "and with any word but allow they end it"),
        ({"default": "refuse", "allow": [HERE]}, SAYS, "NOERROR", "an address that is let in"),
    ],
)
def test_the_settings_are_asked_before_the_zone(
    settings: dict[str, object], rule: Rule, rcode: str, why: str
) -> None:
    """The zone's rule counts where the settings allow, and only there."""
    lines = Asking(serve((HERE, rule)), with_access(**settings)).lines("9.113.0.203.bl.test. IN A")

    assert rcode == lines[0].split()[0], why


def test_the_most_specific_network_decides() -> None:
    """Nobody but one address of a refused network is answered (C48 of rbldnsd's own tests)."""
    catalogue = serve(("0.0.0.0/0", Rule(Action.REFUSE)), ("127.0.0.1/32", Rule(Action.ALLOW)))
    hosts = {"127.0.0.1": "NOERROR", "127.0.0.2": "REFUSED", "2001:db8::1": "NOERROR"}

    assert hosts == {
        host: Asking(catalogue, OPEN, host).lines("9.113.0.203.bl.test. IN A")[0].split()[0]
        for host in hosts
    }


def test_an_unanswered_client_is_told_of_his_packet_first() -> None:
    """What is no query is FORMERR or BADVERS for everybody: the order of the checks."""
    asking = Asking(serve(), with_access(ignore=[HERE]))

    assert ["FORMERR qr", "BADVERS qr"] == [
        show(packet)[0]
        for packet in (asking.send(bytes(12)).packet, asking.reply("bl.test. IN SOA version=1").packet)
        if packet is not None
    ]


# --- keys -----------------------------------------------------------------------------------------

NEEDED = ("REFUSED qr", "opt version=0 udp=1232 EDE 18 (Prohibited): a key is needed to ask here")
UNKNOWN = ("REFUSED qr", "opt version=0 udp=1232 EDE 18 (Prohibited): this key is unknown or was revoked")


@pytest.mark.parametrize(
    ("question", "line", "why"),
    [
        (
            f"9.113.0.203.{KEY}.bl.test. IN A",
            f"answer 9.113.0.203.{KEY}.bl.test. 900 IN A 127.0.0.2",
            "a listed address",
        ),
        (
            f"9.113.0.203.{KEY}.bl.test. IN TXT",
            (
                f"answer 9.113.0.203.{KEY}.bl.test. 900 IN TXT"
                ' "203.0.113.9 relays, see https://example.org/lookup/203.0.113.9"'
            ),
            "the text is the same",
        ),
        (
            f"9.113.0.203.{KEY.upper()}.bl.test. IN A",
            f"answer 9.113.0.203.{KEY.upper()}.bl.test. 900 IN A 127.0.0.2",
            "case means nothing (RFC 4343)",
        ),
        (f"2.0.0.127.{KEY}.bl.test. IN MX", f"authority bl.test. 300 IN {SOA}", "the SOA is of the apex"),
        (f"8.113.0.203.{KEY}.bl.test. IN A", "NXDOMAIN qr aa", "not listed"),
        (f"113.0.203.{KEY}.bl.test. IN A", "NOERROR qr aa", "something below it is (RFC 8020)"),
        (f"{KEY}.bl.test. IN NS", "NOERROR qr aa", "the key's own name exists (RFC 9156)"),
        (
            f"spam.example.com.{KEY}.names.test. IN A",
            f"answer spam.example.com.{KEY}.names.test. 900 IN A 127.0.0.2",
            "a list of names",
        ),
        (f"9.113.0.203.{KEY}.new.test. IN A", "SERVFAIL qr", "without a list no key is known"),
    ],
)
@pytest.mark.parametrize("keys", [Keys.REQUIRED, Keys.ACCEPTED])
def test_a_key_is_no_part_of_the_address(keys: Keys, question: str, line: str, why: str) -> None:
    """With a valid key before the apex the answer is that of the name without it."""
    assert line in Asking(serve(keys=keys), OPEN).lines(question), why


@pytest.mark.parametrize(
    ("question", "required", "accepted", "why"),
    [
        (f"9.113.0.203.{REVOKED}.bl.test. IN A edns", UNKNOWN, UNKNOWN, "a key that is none"),
        (f"{REVOKED}.bl.test. IN NS edns", UNKNOWN, UNKNOWN, "its own name"),
        ("9.113.0.203.bl.test. IN MX edns", NEEDED, "NOERROR qr aa", "no key"),
        ("113.0.203.bl.test. IN A edns", NEEDED, "NOERROR qr aa", "above an address"),
        (f"{KEY}.9.113.0.203.bl.test. IN A edns", NEEDED, "NXDOMAIN qr aa", "a key in another place"),
        (f"9.113.0.203.{KEY[:-1]}.bl.test. IN A edns", NEEDED, "NXDOMAIN qr aa", "a label of 25"),
        (f"9.113.0.203.{KEY[:-1]}1.bl.test. IN A edns", NEEDED, "NXDOMAIN qr aa", "no base32"),
        ("bl.test. IN A edns", "NOERROR qr aa", "NOERROR qr aa", "the apex needs no key"),
    ],
)
def test_without_a_valid_key(
    question: str, required: str | tuple[str, ...], accepted: str | tuple[str, ...], why: str
) -> None:
    """An unknown key is refused, and so is none where one is required; the apex is for everybody."""
    for keys, expected in ((Keys.REQUIRED, required), (Keys.ACCEPTED, accepted)):
        lines = Asking(serve(keys=keys), OPEN).lines(question)

        assert expected == (lines if isinstance(expected, tuple) else lines[0]), why


def test_a_list_without_keys_has_no_such_names() -> None:
    """Where the zone file has no keys, a key is a label like any other."""
    asking = Asking(serve(), OPEN)

    assert "NXDOMAIN qr aa" == asking.lines(f"9.113.0.203.{KEY}.bl.test. IN A")[0]


@pytest.mark.parametrize(
    ("rule", "settings", "rcode", "why"),
    [
        (Rule(Action.REFUSE), {}, "NOERROR", "a customer may ask from where others may not"),
        (Rule(Action.EMPTY), {}, "NOERROR", "and the list is not empty for him"),
        (Rule(Action.ALLOW), {"refuse": [HERE]}, "REFUSED", "the settings are the operator's last word"),
        (Rule(Action.ALLOW), {"empty": [HERE]}, "NXDOMAIN", "whatever it is"),
    ],
)
def test_a_key_allows_what_the_zone_does_not(
    rule: Rule, settings: dict[str, object], rcode: str, why: str
) -> None:
    """A valid key stands above the zone's access list, and below that of the settings."""
    asking = Asking(serve((HERE, rule), keys=Keys.ACCEPTED), with_access(**settings))

    assert rcode == asking.lines(f"9.113.0.203.{KEY}.bl.test. IN A")[0].split()[0], why


@pytest.mark.parametrize(
    ("label", "key"), [(KEY, digest_of(KEY.encode())), (REVOKED, "")], ids=["valid", "unknown"]
)
def test_queries_are_counted_by_valid_key(label: str, key: str) -> None:
    """A reply names the digest of the key that was asked with; an unknown one fills no table."""
    asking = Asking(serve(keys=Keys.REQUIRED), OPEN)

    assert [key] * 3 == [
        asking.reply(f"{name}{label}.bl.test. IN A").key for name in ("9.113.0.203.", "8.113.0.203.", "")
    ]


# --- budgets and cookies ---------------------------------------------------------------------------

NEGATIVE = "8.113.0.203.bl.test. IN A"
LISTED_NAME = "9.113.0.203.bl.test. IN A"
CLIENT_COOKIE = b"8 octets"


def good_cookie(host: str = "192.0.2.53", now: int = NOW) -> bytes:
    """Return a cookie of *host* as the server would make it."""
    return cookies.make(CLIENT_COOKIE, ip_address(host), now // SECOND, bytes.fromhex(SECRET))


def outcomes(ask: Callable[[], Reply], count: int = 6) -> Counter[str]:
    """Return how often each outcome came."""
    return Counter(ask().outcome.value for _ in range(count))


def test_over_the_limit_a_client_is_dropped_or_told_to_use_tcp() -> None:
    """Two answers, then every second one is a header with TC, and the others are not sent."""
    asking = Asking(serve(), with_limit())

    assert {"nxdomain": 2, "limited": 2, "slipped": 2} == outcomes(lambda: asking.reply(NEGATIVE))


@pytest.mark.parametrize(
    ("question", "line"), [(LISTED_NAME, "NOERROR qr aa tc"), (NEGATIVE, "NXDOMAIN qr aa tc")]
)
def test_a_slip_is_a_truncated_answer(question: str, line: str) -> None:
    """A slipped answer has the question and TC, and no record (RFC 2181 §9)."""
    asking = Asking(serve(), with_limit(slip=1))
    asking.reply(question)
    asking.reply(question)

    assert (line,) == asking.lines(question)
    assert (line, "opt version=0 udp=1232") == asking.lines(f"{question} edns")


def test_tcp_is_not_limited() -> None:
    """Who asks over TCP has shown that the address is his."""
    asking = Asking(serve(), with_limit())

    assert {"nxdomain": 6} == outcomes(lambda: asking.reply(f"{NEGATIVE} tcp"))


def test_a_valid_cookie_is_not_limited() -> None:
    """So has who sends back a cookie."""
    asking = Asking(serve(), with_limit())

    assert {"nxdomain": 6} == outcomes(lambda: asking.reply(NEGATIVE, cookie=good_cookie()))


@pytest.mark.parametrize(
    ("cookie", "why"),
    [
        (CLIENT_COOKIE, "he had none"),
        (good_cookie("192.0.2.54"), "it is somebody else's"),
        (good_cookie(now=NOW - 7200 * SECOND), "it is too old"),
    ],
)
def test_whoever_sends_a_cookie_slips_to_a_good_one(cookie: bytes, why: str) -> None:
    """Over the limit a client with cookies gets BADCOOKIE, and with the cookie in it is answered."""
    asking = Asking(serve(), with_limit(slip=1))
    asking.reply(LISTED_NAME, cookie=cookie)
    asking.reply(LISTED_NAME, cookie=cookie)
    slipped = asking.reply(LISTED_NAME, cookie=cookie)
    assert slipped.packet is not None
    told = dns.message.from_wire(slipped.packet)
    option = told.options[0]
    assert isinstance(option, dns.edns.CookieOption)
    again = asking.reply(LISTED_NAME, cookie=option.client + option.server)

    assert (Outcome.SLIPPED, dns.rcode.BADCOOKIE, 0) == (
        slipped.outcome,
        told.rcode(),
        told.flags & dns.flags.TC,
    ), why
    assert Outcome.LISTED is again.outcome, why


def test_an_error_slips_as_it_is() -> None:
    """REFUSED and FORMERR are not bettered by TCP: they are sent as they are, now and then."""
    asking = Asking(serve(), with_limit())
    refused = outcomes(lambda: asking.reply("www.example.com. IN A"))
    malformed = outcomes(lambda: asking.send(bytes(12)))

    assert ({"refused": 4, "limited": 2}, {"declined": 3, "limited": 3}) == (refused, malformed)


def test_without_a_rate_nothing_is_limited() -> None:
    """A rate of 0 turns the limit off."""
    asking = Asking(serve(), with_limit(responses_per_second=0))

    assert {"nxdomain": 100} == outcomes(lambda: asking.reply(NEGATIVE), 100)


def test_a_customer_over_the_limit_is_counted() -> None:
    """What a customer asked counts for his key, answered or not."""
    asking = Asking(serve(keys=Keys.REQUIRED), with_limit())
    replies = [asking.reply(f"8.113.0.203.{KEY}.bl.test. IN A") for _ in range(4)]

    assert {(reply.key, reply.zone) for reply in replies} == {(digest_of(KEY.encode()), "bl.test")}


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (LISTED_NAME, "listed"),
        (NEGATIVE, "not listed"),
        ("www.example.com. IN A", "refused: beside the extended error"),
        (f"{LISTED_NAME} tcp", "over TCP"),
    ],
)
def test_a_cookie_is_answered_with_a_cookie(question: str, why: str) -> None:
    """Each answer to a query with a client cookie has that cookie and one of the server's."""
    rules = with_limit()
    reply = Asking(serve(), rules).reply(question, cookie=CLIENT_COOKIE)
    assert reply.packet is not None
    options = dns.message.from_wire(reply.packet).options

    assert good_cookie() == b"".join(
        option.client + option.server for option in options if isinstance(option, dns.edns.CookieOption)
    ), why


def test_without_secrets_a_server_makes_its_own() -> None:
    """Two servers without a secret in the settings have two, and each knows its own."""
    one, other = rules_of(Dns()), rules_of(Dns())
    cookie = cookies.make(CLIENT_COOKIE, ip_address("192.0.2.53"), NOW // SECOND, one.cookie_secrets[0])
    told = Asking(serve(), one).reply(LISTED_NAME, cookie=cookie).packet
    assert told is not None

    assert 16 == len(one.cookie_secrets[0])
    assert one.cookie_secrets != other.cookie_secrets
    assert cookie in told


@pytest.mark.parametrize(
    ("cookie", "rcode", "why"),
    [
        (CLIENT_COOKIE, "NOERROR", "the first one"),
        (good_cookie(), "NOERROR", "still good"),
        (good_cookie("192.0.2.54"), "BADCOOKIE", "good no more"),
    ],
)
def test_a_query_for_a_cookie_alone(cookie: bytes, rcode: str, why: str) -> None:
    """A query without a question gets a cookie and no more (RFC 7873 §5.4)."""
    query = dns.message.Message(id=4711)
    query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
    reply = Asking(serve(), with_limit()).send(query.to_wire())
    assert reply.packet is not None
    told = dns.message.from_wire(reply.packet)

    assert (4711, rcode, [], Outcome.COOKIE) == (
        told.id,
        dns.rcode.to_text(told.rcode()),
        told.question,
        reply.outcome,
    ), why
    assert good_cookie() in reply.packet, why
