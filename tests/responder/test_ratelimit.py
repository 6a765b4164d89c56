"""Response-rate limiting: budgets against a plain token bucket, slips, and whom it leaves alone."""

from collections import Counter
from datetime import timedelta
from fractions import Fraction
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.config import RateLimit
from rbl.responder.codes import Outcome
from rbl.responder.ratelimit import Class, Decision, RateLimiter, admit, class_of

SECOND = 1_000_000_000
NOW = 1_714_564_800 * SECOND
CLIENT = ip_address("192.0.2.53")


def limiter(**settings: object) -> RateLimiter:
    """Return a limiter of ten answers a second with bursts of one second, unless told otherwise."""
    values = {"responses_per_second": 10, "window": timedelta(seconds=1), "exempt": ()} | settings
    return RateLimiter(RateLimit.model_validate(values))


def decide(limits: RateLimiter, count: int, now: int = NOW, client: str = "192.0.2.53") -> list[Decision]:
    """Return what became of *count* negative answers at one moment."""
    return [limits.decide(ip_address(client), Class.NXDOMAIN, now) for _ in range(count)]


@given(
    st.integers(1, 1000).map(lambda rate: SECOND // rate),
    st.integers(0, 50),
    st.lists(st.integers(0, 2 * SECOND), max_size=60),
)
def test_a_budget_is_a_token_bucket(interval: int, extra: int, pauses: list[int]) -> None:
    """The cell rate algorithm admits exactly what a bucket of *extra* + 1 tokens does."""
    tolerance = extra * interval
    tat, tokens, now = 0, Fraction(extra + 1), NOW
    for pause in pauses:
        now += pause
        tokens = min(tokens + Fraction(pause, interval), Fraction(extra + 1))
        admitted = admit(tat, now, interval, tolerance)

        assert (tokens >= 1) == (admitted is not None)
        if admitted is not None:
            tat, tokens = admitted, tokens - 1


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, SECOND), st.integers(0, 10 * SECOND))
def test_no_budget_is_closed_for_longer_than_an_interval(
    tat: int, now: int, interval: int, tolerance: int
) -> None:
    """Whatever stands in the array: now or one interval later there is an answer."""
    later = now + interval

    assert (
        admit(tat, now, interval, tolerance) is not None
        or admit(tat, later, interval, tolerance) is not None
    )


def test_a_clock_that_is_set_back_closes_nothing() -> None:
    """A time of before the clock was set is forgotten."""
    limits = limiter()
    decide(limits, 20)

    assert Decision.SEND is decide(limits, 1, NOW - 3600 * SECOND)[0]


@pytest.mark.parametrize(
    ("slip", "decisions", "why"),
    [
        (0, [Decision.DROP] * 4, "none slips"),
        (1, [Decision.SLIP] * 4, "all slip"),
        (2, [Decision.DROP, Decision.SLIP] * 2, "every second one"),
        (3, [Decision.DROP, Decision.DROP, Decision.SLIP, Decision.DROP], "every third one"),
    ],
)
def test_over_the_limit_every_nth_answer_slips(slip: int, decisions: list[Decision], why: str) -> None:
    """A burst is sent; of the answers over it every slip-th is cut, and the others are dropped."""
    assert [Decision.SEND] * 10 + decisions == decide(limiter(slip=slip), 14), why


def test_a_budget_fills_again() -> None:
    """A tenth of a second later there is one answer more, and after a pause a whole burst."""
    limits = limiter(slip=0)
    decide(limits, 11)

    assert [Decision.SEND, Decision.DROP] == decide(limits, 2, NOW + SECOND // 10)
    assert [Decision.SEND] * 10 + [Decision.DROP] == decide(limits, 11, NOW + 60 * SECOND)


@pytest.mark.parametrize(
    ("one", "other", "decision", "why"),
    [
        ("192.0.2.1", "192.0.2.254", Decision.DROP, "one /24"),
        ("192.0.2.1", "192.0.3.1", Decision.SEND, "two of them"),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::2", Decision.DROP, "one /56"),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", Decision.SEND, "two of them"),
        ("0.0.2.1", "::2:0:0:0:0", Decision.SEND, "an IPv4 and an IPv6 network of one number"),
    ],
)
def test_a_network_shares_a_budget(one: str, other: str, decision: Decision, why: str) -> None:
    """What one client of a network was sent, the others are not."""
    limits = limiter(slip=0)
    decide(limits, 10, client=one)

    assert decision is decide(limits, 1, client=other)[0], why


def test_the_networks_have_the_size_of_the_settings() -> None:
    """With prefixes of 32 and 128 each address has a budget of its own."""
    limits = limiter(slip=0, ipv4_prefix=32, ipv6_prefix=128)
    for client in ("192.0.2.1", "2001:db8::1"):
        decide(limits, 11, client=client)

    assert [Decision.SEND] * 2 == [
        decide(limits, 1, client=other)[0] for other in ("192.0.2.2", "2001:db8::2")
    ]


def test_each_class_has_a_budget() -> None:
    """Who has had too many negative answers still gets a positive one."""
    limits = limiter(slip=0)
    decide(limits, 11)

    assert [Decision.SEND, Decision.SEND, Decision.DROP, Decision.SEND] == [
        limits.decide(CLIENT, each, NOW) for each in Class
    ]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.APEX, Class.POSITIVE),
        (Outcome.LISTED, Class.POSITIVE),
        (Outcome.NODATA, Class.NODATA),
        (Outcome.NXDOMAIN, Class.NXDOMAIN),
        (Outcome.REFUSED, Class.ERROR),
        (Outcome.DENIED, Class.ERROR),
        (Outcome.DECLINED, Class.ERROR),
    ],
)
def test_the_class_of_an_outcome(outcome: Outcome, expected: Class) -> None:
    """Answers that look alike share a budget."""
    assert expected is class_of(outcome)


def test_exempt_networks_have_no_limit() -> None:
    """A network that is exempt is always answered, and its neighbour is not."""
    limits = limiter(slip=0, exempt=("192.0.2.53/32", "2001:db8::/32"))

    assert {Decision.SEND} == {*decide(limits, 50), *decide(limits, 50, client="2001:db8::1")}
    assert Decision.DROP in decide(limits, 50, client="192.0.2.54")


@pytest.mark.parametrize(
    ("rate", "seconds", "burst", "why"),
    [(1, 0.0, 1, "a window without time has one answer"), (1_000_000, 0.001, 1000, "the highest rate")],
)
def test_the_ends_of_the_settings(rate: int, seconds: float, burst: int, why: str) -> None:
    """Every setting that is taken makes a limit that answers and that limits."""
    limits = limiter(responses_per_second=rate, window=timedelta(seconds=seconds), slip=0)

    assert [*[Decision.SEND] * burst, Decision.DROP] == decide(limits, burst + 1), why


def test_an_attack_from_everywhere_takes_no_memory() -> None:
    """Ten thousand networks leave the arrays as large as they were, and each gets its answers."""
    limits = limiter(slip=0)
    before = (len(limits.tats), len(limits.over))
    decisions = Counter(
        limits.decide(ip_address(number << 8), Class.ERROR, NOW) for number in range(10_000)
    )

    assert (before, {Decision.SEND: 10_000}) == ((len(limits.tats), len(limits.over)), decisions)
