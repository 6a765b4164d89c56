"""What a probe run says of a host."""

from functools import partial
from ipaddress import ip_address

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from rbl import lifecycle
from rbl.lifecycle import Event, RunFacts
from rbl.probe.dialogue import Contact, Offered
from rbl.probe.refusals import names_us
from rbl.probe.verdict import Returned, settled, verdict
from rbl.terms import EnvelopeResult, Verdict
from tests.store.steps import NOW

R = EnvelopeResult
HOST = ip_address("203.0.113.9")
NEIGHBOUR = ip_address("203.0.113.77")
STRANGER = ip_address("198.51.100.7")
PROBER = ("tester.example.net", "192.0.2.25")

RELAYING_DENIED = "554 5.7.1 <r1@td.example>: Relay access denied"
BLOCKED = "554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.example"

REFUSED = Offered("T01", R.REFUSED, RELAYING_DENIED)
NO_DATA = Offered("T03", R.REFUSED_DATA, "554 no")
LOG_IN = Offered("T08", R.AUTH_REQUIRED, "530 5.7.0 Authentication required")
BLOCKS_US = Offered("T09", R.REFUSED, BLOCKED)
LATER = Offered("T04", R.DEFERRED, "450 4.2.0 Greylisted")
SILENT = Offered("T15", R.TIMEOUT)
SILENT_AFTER = Offered("T15", R.TIMEOUT, taken=True, awaited=True)
DROPPED = Offered("T16", R.DROPPED)
ACCEPTED = Offered("T13", R.ACCEPTED)
QUEUED = Offered("T21", R.QUEUED, "250 queued", taken=True, awaited=True)
LOST = Offered("T22", R.QUEUED, "250 queued", taken=True)
UNHEARD = Offered("T22", R.QUEUED, "250 queued", taken=True, unheard=True)
BOUNCED = Offered("T17", R.BOUNCED, "250 queued", taken=True)
FALSE_BOUNCE = Offered("T18", R.BOUNCED, "450 later")
UNTRIED = Offered("T24", None)
NOT_APPLICABLE = Offered("T25", R.NOT_RUN)
OUR_MESSAGE = Returned(R.RELAYED, HOST)
FROM_POOL = Returned(R.RELAYED, NEIGHBOUR)
FROM_STRANGER = Returned(R.RELAYED, STRANGER)
A_BOUNCE = Returned(R.BOUNCED, HOST)
SOMETHING = Returned(R.UNCLEAR, HOST)
UNCLEAR_FORM = Offered("T09", R.UNCLEAR, taken=True)
OK = Contact.GREETED


@pytest.mark.parametrize(
    ("tested", "returned", "contact", "expected", "why"),
    [
        # proof
        ([QUEUED], [OUR_MESSAGE], OK, Verdict.OPEN, "it came back from the host"),
        ([QUEUED], [FROM_POOL], OK, Verdict.OPEN, "from its own pool of addresses"),
        ([QUEUED], [FROM_STRANGER], OK, Verdict.MULTIHOP, "another host delivered it"),
        ([QUEUED], [Returned(R.MULTIHOP, STRANGER)], OK, Verdict.MULTIHOP, "the collector said so"),
        ([QUEUED], [FROM_STRANGER, OUR_MESSAGE], OK, Verdict.OPEN, "one form directly is enough"),
        ([REFUSED, BOUNCED], [A_BOUNCE, OUR_MESSAGE], OK, Verdict.OPEN, "one relayed beats all refused"),
        ([LOST], [OUR_MESSAGE], None, Verdict.OPEN, "a late arrival"),
        ([], [OUR_MESSAGE], Contact.UNREACHABLE, Verdict.OPEN, "whatever the host does since"),
        (
            [Offered("T01", R.RELAYED)],
            [],
            OK,
            Verdict.DEFERRED,
            "a result without its message proves nothing",
        ),
        ([Offered("T01", R.MULTIHOP)], [], OK, Verdict.DEFERRED, "nor this"),
        ([ACCEPTED], [], OK, Verdict.DEFERRED, "an accepted recipient proves nothing"),
        # something came, and nobody can tell what
        ([UNCLEAR_FORM, REFUSED], [SOMETHING], OK, Verdict.UNCLEAR, "never closed for it"),
        ([REFUSED, REFUSED], [SOMETHING], OK, Verdict.UNCLEAR, "nor if it is refused by now"),
        ([UNCLEAR_FORM, UNTRIED], [SOMETHING], OK, Verdict.UNPROVEN, "another form may say more"),
        ([UNCLEAR_FORM, QUEUED], [SOMETHING], OK, Verdict.UNPROVEN, "another may come back"),
        ([UNCLEAR_FORM, QUEUED], [SOMETHING, OUR_MESSAGE], OK, Verdict.OPEN, "proof is proof"),
        # closed
        ([REFUSED, NO_DATA, LOG_IN], [], OK, Verdict.CLOSED, "every form refused"),
        ([LOG_IN], [], OK, Verdict.CLOSED, "only for users who sign in"),
        ([REFUSED, NOT_APPLICABLE], [], OK, Verdict.CLOSED, "what does not apply does not count"),
        ([REFUSED, BOUNCED], [A_BOUNCE], None, Verdict.CLOSED, "all messages taken came back as bounces"),
        ([BOUNCED, BOUNCED], [A_BOUNCE], None, Verdict.CLOSED, "accepts first, bounces later"),
        ([REFUSED, LOST], [], None, Verdict.CLOSED, "the window is over and nothing came"),
        (
            [REFUSED, BLOCKS_US],
            [],
            OK,
            Verdict.TESTER_BLOCKED,
            "whatever else it says, one refusal names us",
        ),
        ([REFUSED], [], Contact.BLOCKED, Verdict.CLOSED, "blocked after every form had been refused"),
        # waiting
        ([QUEUED], [], OK, Verdict.UNPROVEN, "it may still come"),
        ([QUEUED, REFUSED, BOUNCED], [A_BOUNCE], OK, Verdict.UNPROVEN, "one of several may still come"),
        ([QUEUED, SILENT], [], OK, Verdict.UNPROVEN, "waiting first, trying again later"),
        ([QUEUED, UNTRIED], [], Contact.BLOCKED, Verdict.UNPROVEN, "blocked after it took a message"),
        (
            [QUEUED, UNTRIED],
            [],
            Contact.OUR_FAULT,
            Verdict.UNPROVEN,
            "our fault does not lose what was sent",
        ),
        ([BOUNCED, UNTRIED], [A_BOUNCE], OK, Verdict.UNPROVEN, "bounced meanwhile, more forms to try"),
        ([LOST, UNTRIED], [], None, Verdict.UNPROVEN, "lost, more forms to try"),
        # mixtures are undecided
        ([REFUSED] * 20 + [SILENT], [], OK, Verdict.DEFERRED, "the silent one may be the one that relays"),
        ([REFUSED, DROPPED], [], OK, Verdict.DEFERRED, "so may the dropped one"),
        ([REFUSED, LATER], [], OK, Verdict.DEFERRED, "so may the deferred one"),
        ([REFUSED, UNTRIED], [], OK, Verdict.DEFERRED, "so may the untried one"),
        (
            [REFUSED, FALSE_BOUNCE],
            [A_BOUNCE],
            OK,
            Verdict.DEFERRED,
            "a bounce of what was never taken is a lie",
        ),
        ([LOST, LATER], [], None, Verdict.DEFERRED, "the window of one is over, another was deferred"),
        ([REFUSED, ACCEPTED], [], OK, Verdict.DEFERRED, "accepted, and no message sent"),
        ([REFUSED, UNHEARD], [], None, Verdict.DEFERRED, "nobody listened when it was sent"),
        ([UNHEARD, QUEUED], [], None, Verdict.UNPROVEN, "another may still come"),
        ([UNHEARD], [OUR_MESSAGE], None, Verdict.OPEN, "it came all the same"),
        ([SILENT, SILENT], [], OK, Verdict.DEFERRED, "greeted, then silence: not unreachable"),
        ([SILENT_AFTER], [], OK, Verdict.DEFERRED, "silence after the message"),
        ([DROPPED, DROPPED], [], OK, Verdict.DEFERRED, "nothing refused, nothing taken"),
        ([LATER, LATER], [], OK, Verdict.DEFERRED, "greylisting"),
        ([NOT_APPLICABLE], [], OK, Verdict.DEFERRED, "nothing applied: nothing is known"),
        ([], [], OK, Verdict.DEFERRED, "greeted, and no form tried"),
        ([], [], None, Verdict.DEFERRED, "no session at all"),
        # how the session began
        ([], [], Contact.UNREACHABLE, Verdict.UNREACHABLE, "no connection"),
        ([UNTRIED], [], Contact.SILENT, Verdict.UNREACHABLE, "no greeting in time"),
        ([REFUSED, UNTRIED], [], Contact.UNREACHABLE, Verdict.DEFERRED, "it did answer in this run"),
        ([], [], Contact.BLOCKED, Verdict.TESTER_BLOCKED, "a greeting that refuses us"),
        ([REFUSED, UNTRIED], [], Contact.BLOCKED, Verdict.TESTER_BLOCKED, "shut out in the middle"),
        ([REFUSED, SILENT], [], Contact.BLOCKED, Verdict.DEFERRED, "shut out, only a repetition was left"),
        ([BLOCKS_US, BLOCKS_US], [], OK, Verdict.TESTER_BLOCKED, "every refusal names us"),
        ([BLOCKS_US, UNTRIED], [], OK, Verdict.DEFERRED, "not every one yet"),
        ([], [], Contact.DEFERRED, Verdict.DEFERRED, "not now"),
        ([], [], Contact.BROKEN, Verdict.DEFERRED, "no SMTP"),
        ([], [], Contact.OUR_FAULT, Verdict.ERROR, "our fault"),
        ([REFUSED, SILENT], [], Contact.OUR_FAULT, Verdict.ERROR, "our fault in the middle"),
    ],
)
def test_verdict(
    tested: list[Offered], returned: list[Returned], contact: Contact | None, expected: Verdict, why: str
) -> None:
    """Only a returned message proves, only refusal of everything closes, all else is undecided."""
    assert expected == verdict(HOST, tested, returned, contact, PROBER), why


OFFERED = st.builds(
    Offered,
    test=st.just("T01"),
    result=st.one_of(st.none(), st.sampled_from(EnvelopeResult)),
    reply=st.sampled_from(["", BLOCKED, RELAYING_DENIED]),
    taken=st.booleans(),
    awaited=st.booleans(),
)
CONTACT = st.one_of(st.none(), st.sampled_from(Contact))


@given(tested=st.lists(OFFERED), contact=CONTACT)
def test_no_answer_of_a_server_proves(tested: list[Offered], contact: Contact | None) -> None:
    """Whatever a server answered, without a returned message it is neither open nor multihop."""
    found = verdict(HOST, tested, [A_BOUNCE], contact, PROBER)

    assert found not in {Verdict.OPEN, Verdict.MULTIHOP}


@given(
    tested=st.lists(OFFERED), doubtful=st.sampled_from([LATER, SILENT, DROPPED, UNTRIED, ACCEPTED, UNHEARD])
)
def test_one_doubtful_form_keeps_it_from_closed(tested: list[Offered], doubtful: Offered) -> None:
    """However many forms were refused, one that was not judged keeps the host from being closed."""
    assert verdict(HOST, [*tested, doubtful], [], OK, PROBER) is not Verdict.CLOSED


@pytest.mark.parametrize(
    ("tested", "relayed_last", "expected", "why"),
    [
        ([REFUSED, LOG_IN, LATER], None, Verdict.CLOSED, "a sender that it never takes"),
        ([REFUSED, LOG_IN, LATER], "T04", Verdict.DEFERRED, "it may be what relays"),
        ([LATER, LOG_IN], None, Verdict.DEFERRED, "the plain form was not refused"),
        ([REFUSED, *[LATER] * 4], None, Verdict.DEFERRED, "so many are greylisting"),
        ([REFUSED, LATER, SILENT], None, Verdict.DEFERRED, "one had no answer at all"),
        ([BLOCKS_US, REFUSED, LATER], None, Verdict.TESTER_BLOCKED, "it is us whom it refuses"),
    ],
)
def test_what_is_put_off_at_every_try(
    tested: list[Offered], relayed_last: str | None, expected: Verdict, why: str
) -> None:
    """At the last try a few forms that were put off each time are refused, and no more than that."""
    assert verdict(HOST, settled(tested, relayed_last), [], OK, PROBER) is expected, why
    assert verdict(HOST, tested, [], OK, PROBER) in {Verdict.DEFERRED, Verdict.TESTER_BLOCKED}


TAKES_NOBODY = "550 5.7.1 Access denied"


@pytest.mark.parametrize(
    ("senders", "answered", "reply", "expected", "why"),
    [
        (("<s1@sd>", "<>"), "MAIL", TAKES_NOBODY, Verdict.TESTER_BLOCKED, "no sender at all, nor bounces"),
        (("<s1@sd>", "<s2@td>"), "MAIL", TAKES_NOBODY, Verdict.CLOSED, "only senders it cannot look up"),
        (("<s1@sd>", "<>"), "RCPT", TAKES_NOBODY, Verdict.CLOSED, "it was the recipient that was refused"),
        (("<s1@sd>", "<>"), "MAIL", "550 5.7.1 log in first", Verdict.CLOSED, "nobody who is no user"),
    ],
)
def test_a_host_that_takes_no_sender_refuses_the_tester(
    senders: tuple[str, ...], answered: str, reply: str, expected: Verdict, why: str
) -> None:
    """Every MAIL refused, that of bounces too, is no answer about relaying."""
    tested = [
        Offered(f"T0{number}", R.REFUSED, reply, mail_from=sender, answered=answered)
        for number, sender in enumerate(senders, start=1)
    ]

    assert expected == verdict(HOST, tested, [], OK, PROBER), why


def test_it_is_enough_that_one_vantage_is_refused() -> None:
    """What is said to one only: no sender is taken there, or its control is refused."""
    at_a = [Offered("T03", R.REFUSED, RELAYING_DENIED, vantage="a", mail_from="<>", answered="RCPT")]
    at_b = [Offered("T03", R.REFUSED, TAKES_NOBODY, vantage="b", mail_from="<>", answered="MAIL")]
    denied = Offered("C01", R.REFUSED, "550 no", vantage="b")
    fine = Offered("C01", R.ACCEPTED, "250 Ok", vantage="a")

    assert Verdict.CLOSED is verdict(HOST, [*at_a, fine], [], OK, PROBER)
    assert Verdict.TESTER_BLOCKED is verdict(HOST, [*at_a, *at_b], [], OK, PROBER)
    assert Verdict.TESTER_BLOCKED is verdict(HOST, [*at_a, fine, at_a[0], denied], [], OK, PROBER)


def test_a_host_that_answers_the_second_vantage_only() -> None:
    """It was out of reach for the first all day, and is not for the second."""
    at_b = [Offered("T01", R.REFUSED, RELAYING_DENIED, vantage="b")]

    assert Verdict.TESTER_BLOCKED is verdict(HOST, at_b, [], OK, PROBER, "a")
    assert Verdict.UNREACHABLE is verdict(
        HOST, [Offered("T01", None, vantage="b")], [], Contact.UNREACHABLE, PROBER, "a"
    )


# What decides comes often, so that most runs are near their end, and all that may happen comes.
REPLY = st.sampled_from([*[RELAYING_DENIED] * 4, "", BLOCKED, TAKES_NOBODY, "550 5.1.1 User unknown"])
RESULT = st.sampled_from([*[R.REFUSED] * 12, *[R.QUEUED] * 6, R.BOUNCED, *EnvelopeResult, None])
MOSTLY = st.sampled_from([True] * 9 + [False])
SELDOM = st.sampled_from([False] * 19 + [True])
RETURNED = st.sampled_from([A_BOUNCE, A_BOUNCE, A_BOUNCE, OUR_MESSAGE, FROM_STRANGER])


def answers(vantage: str) -> st.SearchStrategy[list[Offered]]:
    """Return what a host does to two forms and to the control from *vantage*."""
    form = partial(
        st.builds,
        Offered,
        result=RESULT,
        reply=REPLY,
        taken=MOSTLY,
        awaited=SELDOM,
        unheard=SELDOM,
        vantage=st.just(vantage),
        mail_from=st.sampled_from(["<s1@sd>", "<>"]),
        answered=st.sampled_from([None, "MAIL", "RCPT", "RCPT"]),
    )
    control = st.builds(
        Offered,
        st.just("C01"),
        st.sampled_from([*[R.ACCEPTED] * 4, R.REFUSED, R.DEFERRED, None]),
        REPLY,
        vantage=st.just(vantage),
    )
    return st.tuples(form(test=st.just("T01")), form(test=st.just("T15")), control).map(list)


REFUSES = {R.REFUSED, R.REFUSED_DATA, R.AUTH_REQUIRED}
TAKES = {R.ACCEPTED, R.QUEUED, R.BOUNCED, R.RELAYED, R.MULTIHOP}


def disagree(here: list[Offered], there: list[Offered]) -> bool:
    """Whether some form was refused from one vantage, and taken from the other."""
    pairs = [(a, b) for a in here for b in there if a.test == b.test]
    return any(
        (a.result in REFUSES and b.result in TAKES) or (a.result in TAKES and b.result in REFUSES)
        for a, b in pairs
    )


@settings(max_examples=500)
@given(
    here=answers("a"),
    there=answers("b"),
    returned=st.lists(RETURNED, max_size=1),
    contact=CONTACT,
    confirms=st.sampled_from([None, "a"]),
    retries=st.integers(min_value=0, max_value=5),
    more=st.booleans(),
)
def test_no_run_whose_vantages_disagree_ends_in_closed(
    here: list[Offered],
    there: list[Offered],
    returned: list[Returned],
    contact: Contact | None,
    confirms: str | None,
    retries: int,
    more: bool,  # noqa: FBT001
) -> None:
    """Whatever a host answers, in whatever words, and whatever comes back or does not."""
    found = verdict(HOST, [*here, *there], returned, contact, PROBER, confirms)
    facts = RunFacts(
        listed=True,
        retries_done=retries,
        waited_until=None,
        more_envelopes=more,
        unreachable_since=NOW - 2 * lifecycle.DAY,
    )
    outcome = lifecycle.after_step(found, facts, lifecycle.Policy(), NOW)
    event(f"{found}, {'they disagree' if disagree(here, there) else 'they do not'}")

    if disagree(here, there):
        assert Event.CLOSE is not outcome.event
    if found is Verdict.CLOSED:
        assert not any(names_us(one.reply, PROBER) for one in (*here, *there) if one.result in REFUSES)
