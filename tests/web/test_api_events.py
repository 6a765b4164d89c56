from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import httpx2
import pytest

from rbl.terms import State, Verdict
from rbl.web import wording
from rbl.web.api_events import Streams
from rbl.web.parts import Parts
from tests.web.conftest import Served
from tests.web.world import DIALOGUE, RELAY, World

PATH = f"/v1/addresses/{RELAY}/events"


def events(api: httpx2.Client, headers: dict[str, str] | None = None) -> Iterator[httpx2.ServerSentEvent]:
    """Yield what the stream tells until it ends."""
    with api.stream("GET", PATH, headers=headers or {}) as answer:
        yield from httpx2.EventSource(answer)


def data(event: httpx2.ServerSentEvent) -> dict[str, str]:
    """Return what *event* tells."""
    told = event.json()
    assert isinstance(told, dict)
    return told


def test_a_retest_is_shown_as_it_happens(api: httpx2.Client, world: World) -> None:
    """State by state and line by line, until the verdict ends the stream."""
    world.bring_to(State.RETEST_QUEUED)
    seen: list[tuple[str, str]] = []

    for event in events(api):
        told = data(event)
        seen.append((event.event, told["text"]))
        if event.event == "state" and told["state"] == "retest-queued":
            claim = world.begin()
        if event.event == "state" and told["state"] == "retesting":
            world.conclude(claim, Verdict.CLOSED)

    assert wording.state(State.RETEST_QUEUED) == seen[0][1]
    assert len(DIALOGUE) == sum(kind == "line" for kind, _ in seen)
    closed = "Closed: the server relayed none of our test messages."
    assert [("state", closed), ("end", closed)] == seen[-2:]


def test_the_tokens_of_a_test_under_way_are_masked(api: httpx2.Client, world: World) -> None:
    """Who watches cannot send a bounce for a message that is still on its way."""
    world.bring_to(State.RETEST_QUEUED)
    claim = world.begin()
    lines: list[str] = []

    for event in events(api):
        if event.event == "line":
            lines.append(data(event)["text"])
        elif event.event == "state" and data(event)["state"] == "retesting":
            world.conclude(claim, Verdict.CLOSED)

    assert "RCPT TO:<r…%relaytest.example.org@relay.example>" in lines


def test_a_reader_goes_on_where_it_was(api: httpx2.Client, world: World) -> None:
    """After a lost connection only the lines that came since are told."""
    world.bring_to(State.LISTED)

    lines = [event.id for event in events(api, {"Last-Event-ID": "1-18"}) if event.event == "line"]

    assert ["1-19", "1-20"] == lines


@pytest.mark.parametrize("last", ["", "x-y", "1", "9" * 40 + "-1", "2-5"])
def test_a_position_that_means_nothing_is_the_beginning(
    api: httpx2.Client, world: World, last: str
) -> None:
    """Whatever a reader claims to have seen, it gets a whole dialogue."""
    world.bring_to(State.LISTED)

    lines = [event.id for event in events(api, {"Last-Event-ID": last}) if event.event == "line"]

    assert len(DIALOGUE) == len(lines)


def test_hostile_lines_stay_lines(api: httpx2.Client, world: World) -> None:
    """Control characters of a server are escaped in the stream too."""
    world.nominate()
    claim = world.claim()
    world.talk(claim, (("them", "220 \x1b[2J\u2028data: forged"),))
    world.come_back(claim)
    world.conclude(claim, Verdict.OPEN)

    lines = [data(event)["text"] for event in events(api) if event.event == "line"]

    assert ["220 \\x1b[2J\\u2028data: forged"] == lines


@pytest.mark.parametrize("state", [State.CLOSED, State.DELISTED])
def test_a_test_that_is_over_ends_the_stream(api: httpx2.Client, world: World, state: State) -> None:
    """Nothing is waited for, and the second look after a day is no test under way."""
    world.bring_to(state)

    assert ["state", "end"] == [event.event for event in events(api) if event.event != "line"]


def test_an_unknown_address_ends_the_stream(api: httpx2.Client) -> None:
    """There is nothing to watch."""
    assert ["end"] == [event.event for event in events(api)]


def test_a_client_may_watch_only_so_much(api: httpx2.Client, server: Served, world: World) -> None:
    """One stream too many is refused with 429, and a place that was given back is free again."""
    server.app.state.streams = Streams(most_of_client=2)
    world.bring_to(State.RETEST_QUEUED)
    with ExitStack() as open_streams:
        for _ in range(2):
            open_streams.enter_context(api.stream("GET", PATH))
        refused = api.get(PATH)

    assert (429, "too-many-streams", "60") == (
        refused.status_code,
        refused.json()["code"],
        refused.headers["Retry-After"],
    )
    given_back = False
    while not given_back:  # the server hears of the closed connections in its own time
        with api.stream("GET", PATH) as answer:
            given_back = answer.status_code == 200


def test_all_clients_together_may_watch_only_so_much(
    serve: Callable[[Parts], Served], parts: Parts, world: World
) -> None:
    """Behind a proxy that is believed, each client has its own share of what there is in all."""
    web = parts.settings.web.model_copy(update={"trusted_proxies": (ip_network("127.0.0.0/8"),)})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"web": web})))
    served.app.state.streams = Streams(most=3, most_of_client=1)
    world.bring_to(State.RETEST_QUEUED)
    statuses = []
    with httpx2.Client(base_url=served.url) as api, ExitStack() as open_streams:
        for number in range(4):
            client = {"X-Forwarded-For": f"8.8.8.{number}"}
            answer = open_streams.enter_context(api.stream("GET", PATH, headers=client))
            statuses.append(answer.status_code)

    assert [200, 200, 200, 429] == statuses


def test_a_network_of_ipv6_is_one_client(
    serve: Callable[[Parts], Served], parts: Parts, world: World
) -> None:
    """Whoever has a /64 has no more streams for it."""
    web = parts.settings.web.model_copy(update={"trusted_proxies": (ip_network("127.0.0.0/8"),)})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"web": web})))
    served.app.state.streams = Streams(most_of_client=2)
    world.bring_to(State.RETEST_QUEUED)
    statuses = []
    with httpx2.Client(base_url=served.url) as api, ExitStack() as open_streams:
        for host in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
            client = {"X-Forwarded-For": host}
            answer = open_streams.enter_context(api.stream("GET", PATH, headers=client))
            statuses.append(answer.status_code)

    assert [200, 200, 429, 200] == statuses


def test_a_stream_without_news_ends(api: httpx2.Client, server: Served, world: World) -> None:
    """A test that waits for days does not keep a connection for days."""
    server.app.state.streams = Streams(longest_silence=timedelta(0))
    world.bring_to(State.RETEST_AWAITING)

    seen = [event.event for event in events(api)]

    assert "pause" == seen[-1]


def test_readers_go_when_the_program_stops(api: httpx2.Client, server: Served, world: World) -> None:
    """A stream does not keep the program from stopping: its reader is told to come again."""
    server.app.state.streams.end()
    world.bring_to(State.RETEST_QUEUED)

    seen = [event.event for event in events(api)]

    assert "pause" == seen[-1]


def test_a_database_that_fails_ends_a_stream_politely(
    api: httpx2.Client, world: World, parts: Parts
) -> None:
    """What goes wrong after the beginning is told as an event, without details."""
    world.bring_to(State.RETEST_QUEUED)
    seen = []

    for event in events(api):
        seen.append((event.event, data(event)["text"]))
        if event.event == "state":
            with parts.store.writing() as session:
                session.connection().exec_driver_sql("ALTER TABLE hosts RENAME TO elsewhere")

    assert ("pause", "come again in a minute") == seen[-1]
