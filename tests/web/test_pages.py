import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from ipaddress import ip_network

import httpx2
import pytest

from rbl.store import exemptions, hits, listings, switches
from rbl.store.listings import NewListing
from rbl.terms import Act, Origin, State, Verdict
from rbl.web import wording
from rbl.web.parts import Parts
from tests.web.conftest import Served
from tests.web.world import RELAY, SECOND_ZONE, START, ZONE, World

PAGE = f"/a/{RELAY}"
OPERATOR = Act("key 5 (secret operator)", "a good reason", START)


def text_of(page: httpx2.Response) -> str:
    """Return what a reader sees, in one line."""
    collected: list[str] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            collected.append(data)

    Reader().feed(page.text)
    return re.sub(r"\s+", " ", " ".join(collected))


@pytest.mark.parametrize("state", State)
def test_an_address_has_a_page_in_each_state(browser: httpx2.Client, world: World, state: State) -> None:
    """Whatever happened to a host, its page says so in the words of its state."""
    world.bring_to(state)

    page = browser.get(PAGE)

    assert 200 == page.status_code
    expected = "has been listed since" if state.in_dns else wording.state(state)
    assert expected in text_of(page)


@pytest.mark.parametrize("state", State)
def test_no_page_names_anybody(browser: httpx2.Client, world: World, state: State) -> None:
    """Nominators, operators and machines are not named, whatever the state."""
    world.bring_to(state)

    page = browser.get(PAGE)

    assert "secret" not in page.text


@pytest.mark.parametrize("state", [State.TESTING, State.RETESTING, State.QUEUED, State.RETEST_QUEUED])
def test_a_test_under_way_refreshes_without_a_script(
    browser: httpx2.Client, world: World, state: State
) -> None:
    """Without JavaScript the page loads itself again while a test talks or is queued."""
    world.bring_to(state)

    page = browser.get(PAGE)

    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text


def test_a_page_that_waits_for_days_refreshes_slowly(browser: httpx2.Client, world: World) -> None:
    """A message may take days to come back, so the page is loaded again once a minute."""
    world.bring_to(State.RETEST_AWAITING)

    page = browser.get(PAGE)

    assert 'content="60"' in page.text
    assert "Next step:" in text_of(page)


@pytest.mark.parametrize("state", [State.LISTED, State.CLOSED, State.DELISTED])
def test_a_page_at_rest_stays_as_it_is(browser: httpx2.Client, world: World, state: State) -> None:
    """Where no test is under way nothing refreshes, and no script is loaded."""
    world.bring_to(state)

    page = browser.get(PAGE)

    assert ("http-equiv" in page.text, "<script" in page.text) == (False, False)


def test_a_listed_page_shows_the_envelope_that_relayed(browser: httpx2.Client, world: World) -> None:
    """The listed admin sees the exact form that got through, in octets and in words."""
    world.bring_to(State.LISTED)

    seen = text_of(browser.get(PAGE))

    assert "relaytest.example.org@relay.example>" in seen
    assert "In words: percent sign, at the host's name." in seen


def test_a_listed_page_marks_what_relayed_in_the_dialogue(browser: httpx2.Client, world: World) -> None:
    """In the dialogue our commands of the relaying transaction are marked, the refused ones not."""
    world.bring_to(State.LISTED)

    page = browser.get(PAGE).text
    marked = re.findall(r'class="us marked">.*?class="said">([A-Z]+)', page)

    assert ["MAIL", "RCPT", "DATA", "MAIL", "RCPT", "DATA"] == marked


def test_a_listed_page_gives_the_advice_for_its_server(browser: httpx2.Client, world: World) -> None:
    """The steps are those for the mail server that greeted us."""
    world.bring_to(State.LISTED)

    seen = text_of(browser.get(PAGE))

    assert "It looks like Sendmail: Remove FEATURE(promiscuous_relay)." in seen.replace(" :", ":")


def test_hostile_text_is_harmless(browser: httpx2.Client, world: World) -> None:
    """Markup, control characters and marks that turn text round are shown, not obeyed."""
    world.nominate(published="<script>alert(1)</script>\x1b[2J\u202egpj.exe")
    claim = world.claim()
    world.talk(claim, (("them", "220 <img src=x onerror=alert(2)>\x9b"), ("us", "QUIT")))
    world.come_back(claim)
    world.conclude(claim, Verdict.OPEN)

    page = browser.get(PAGE).text

    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J\\u202egpj.exe" in page
    assert "220 &lt;img src=x onerror=alert(2)&gt;\\x9b" in page
    assert not set("\x1b\x9b\u202e") & set(page)


def test_a_long_spam_is_cut(browser: httpx2.Client, world: World) -> None:
    """A spam of megabytes does not make the page slow on a phone."""
    world.nominate(published="x" * 1_000_000)
    world.test(Verdict.OPEN)

    page = browser.get(PAGE)

    assert len(page.text) < 60_000
    assert "[…]" in page.text


def test_more_than_three_spams_are_named_only(browser: httpx2.Client, world: World) -> None:
    """The newest three are shown, the others by their date."""
    for _ in range(5):
        world.nominate()
    world.test(Verdict.OPEN)

    page = browser.get(PAGE).text

    assert 3 == page.count('<pre class="spam">')


def test_spam_is_not_shown_before_anything_is_proven(browser: httpx2.Client, world: World) -> None:
    """What somebody handed in about a host that never was listed is not published."""
    world.nominate(published="a calumny")

    page = browser.get(PAGE)

    assert "a calumny" not in page.text
    assert "It is shown once a test confirms" in text_of(page)


def test_the_button_starts_a_retest(browser: httpx2.Client, world: World) -> None:
    """The form leads back to the page, which shows the retest."""
    world.bring_to(State.LISTED)

    pressed = browser.post(f"{PAGE}/retest")
    seen = text_of(browser.get(pressed.headers["Location"]))

    assert (303, f"{PAGE}#progress") == (pressed.status_code, pressed.headers["Location"])
    assert wording.state(State.RETEST_QUEUED) in seen


def test_pressing_twice_is_one_retest(browser: httpx2.Client, world: World) -> None:
    """Whoever presses again sees the retest that is under way."""
    world.bring_to(State.RETEST_QUEUED)

    pressed = browser.post(f"{PAGE}/retest")

    assert 303 == pressed.status_code


def test_a_retest_after_a_failed_one_tells_when_it_begins(browser: httpx2.Client, world: World) -> None:
    """The page has a button still, and says when the next turn is; once pressed that is when it begins."""
    world.bring_to(State.RETEST_QUEUED)
    world.test(Verdict.OPEN)

    before = text_of(browser.get(PAGE))
    pressed = browser.post(f"{PAGE}/retest")
    after = text_of(browser.get(PAGE))

    assert 303 == pressed.status_code
    assert "Test this server again at its next turn" in before
    assert "the next begins on 24 November 2026, 03:05 UTC (in 5 minutes). You need not come back" in before
    assert "Next step: 24 November 2026, 03:05 UTC" in after
    assert "Test this server again" not in after


def test_the_button_is_the_same_after_the_interval(browser: httpx2.Client, world: World) -> None:
    """Once everybody's turn has come the retest begins at once."""
    world.bring_to(State.RETEST_QUEUED)
    world.test(Verdict.OPEN)
    world.clock.pass_by(timedelta(minutes=40))

    assert "Test this server again now" in browser.get(PAGE).text


def test_the_policy_page_names_the_retests_and_connections(browser: httpx2.Client) -> None:
    """With the values in force: the interval, the early ones, and the most connections of a day."""
    seen = text_of(browser.get("/policy"))

    for words in (
        "A retest begins at once, or 40 minutes after the last one began",
        "has the next one 5 minutes after the last, up to 2 times within 1 day, and 6 times for all",
        "no more than 43 of them within 1 day, even where strangers ask all day",
        "our tester connects to one server at most 250 times within 1 day",
    ):
        assert words in seen, words


def test_the_policy_page_says_from_where_tests_come_and_what_two_addresses_decide(
    browser: httpx2.Client,
) -> None:
    """What is published of the tester, what a robot decides, and what waits for a person."""
    seen = text_of(browser.get("/policy"))

    for words in (
        "Tests come from tester.example.org , from 192.0.2.10 , and may come from addresses",
        "Before a retest ends a listing, what decides is offered once more from another address of ours",
        "or one of our addresses and not another, stays listed until a person has looked",
        "listed again within 30 days of a delisting, and only one address of ours could ask",
        "With a second address the list could tell most of these by itself",
    ):
        assert words in seen, words


def test_a_tester_without_a_name_is_told_by_its_addresses(
    parts: Parts, serve: Callable[[Parts], Served]
) -> None:
    """A web process of its own need not know by what name the workers greet."""
    probe = parts.settings.probe.model_copy(update={"enabled": False, "ehlo_name": None})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"probe": probe})))

    seen = text_of(httpx2.get(f"{served.url}/policy"))

    assert "Tests come from 192.0.2.10 , and may come from addresses" in seen


def test_who_blocks_the_tester_is_told_what_to_do(browser: httpx2.Client, world: World) -> None:
    """Not delisted for it: the page says why, what to take out, and that a retest follows."""
    world.list_it()
    before = text_of(browser.get(PAGE))
    world.ask_retest()
    world.test(Verdict.TESTER_BLOCKED)
    seen = text_of(browser.get(PAGE))

    assert "A person must look at it first" not in before
    for words in (
        "A person must look at it first",
        "the host refuses our tester: a person must decide",
        "A closed server needs no rule against us",
        "what is there for tester.example.org ( 192.0.2.10 );",
        "Tests also come from addresses that are not named here",
        "Test this server again",
    ):
        assert words in seen, words


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (None, 404),
        (State.CLOSED, 409),
    ],
    ids=["never nominated", "not listed"],
)
def test_what_is_not_listed_cannot_be_retested(
    browser: httpx2.Client, world: World, state: State | None, status: int
) -> None:
    """The page says why no retest was started."""
    if state:
        world.bring_to(state)

    pressed = browser.post(f"{PAGE}/retest")

    assert status == pressed.status_code
    assert "The retest was not started." in text_of(pressed)


def test_paused_tests_are_told_of(browser: httpx2.Client, world: World) -> None:
    """Where an operator stopped all tests, whoever waits for one knows it."""
    world.bring_to(State.LISTED)
    with world.store.writing() as session:
        switches.turn(session, switches.PROBING, OPERATOR, on=False)

    assert "yours will wait its turn" in browser.get(PAGE).text
    browser.post(f"{PAGE}/retest")
    assert "this one goes on when they are resumed" in text_of(browser.get(PAGE))


@pytest.mark.parametrize(
    "state", [State.NOMINATED, State.QUEUED, State.LISTED, State.RETEST_QUEUED, State.CLOSED]
)
def test_tests_that_are_not_set_up_are_told_of(
    serve: Callable[[Parts], Served], parts: Parts, world: World, state: State
) -> None:
    """Where tests are off, whoever waits for one is told so, once, and the API says it too."""
    world.bring_to(state)
    probe = parts.settings.probe.model_copy(update={"enabled": False})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"probe": probe})))

    seen = text_of(httpx2.get(f"{served.url}{PAGE}"))

    assert 1 == seen.count("Tests are off here: this list has not set them up")
    assert "paused at the moment" not in seen
    assert httpx2.get(f"{served.url}/v1/addresses/{RELAY}").json()["testing_paused"] is True


@pytest.mark.parametrize(
    ("asked", "listed", "words"),
    [
        ("127.0.0.2", True, "Every list of this kind answers for it at any time"),
        ("127.0.0.4", True, "Every list of this kind answers for it at any time"),
        ("::FFFF:7F00:2", True, "Every list of this kind answers for it at any time"),
        ("127.0.0.1", False, "It is never listed, so that whoever asks the list can see"),
        ("::FFFF:7F00:1", False, "It is never listed, so that whoever asks the list can see"),
    ],
)
def test_a_test_point_is_told_as_such(
    browser: httpx2.Client,
    asked: str,
    listed: bool,  # noqa: FBT001 — a table's column
    words: str,
) -> None:
    """The addresses of RFC 5782 §5 are no mail servers, and their page says what they are for."""
    page = browser.get(f"/a/{asked}", follow_redirects=True)
    story = browser.get(f"/v1/addresses/{asked}").json()

    assert "is a test point" in page.text
    assert words in text_of(page)
    assert "Nobody has reported spam through it" not in text_of(page)
    assert ("a test point", listed) == (story["standing"], story["listed"])


def test_what_is_no_test_point_of_the_list(browser: httpx2.Client) -> None:
    """A value that no reason has is an address like any other."""
    assert "This address is not listed" in text_of(browser.get("/a/127.0.0.3"))


def test_a_listing_by_hand_tells_its_reason(browser: httpx2.Client, world: World) -> None:
    """No test decides about it: the page gives reason, text, end and whom to write to."""
    new = NewListing(
        ZONE, ip_network("8.8.8.0/28"), "pool", "all relays", START + timedelta(days=2), Origin.OPERATOR
    )
    with world.store.writing() as session:
        listings.start(session, new, OPERATOR)

    seen = text_of(browser.get("/a/8.8.8.3"))

    for expected in ("listed by hand", "8.8.8.0/28", "Address pool", "all relays", "a good reason"):
        assert expected in seen
    assert "26 November 2026, 03:00 UTC by itself" in seen
    assert "Test this server again" not in seen
    assert "secret" not in seen


def test_how_often_it_was_asked_about(browser: httpx2.Client, world: World) -> None:
    """A listed page says in one sentence how often DNS answered, since when, and when last."""
    world.bring_to(State.LISTED)
    unasked = text_of(browser.get(PAGE))
    with world.store.writing() as session:
        hits.add(session, {(ZONE, f"{RELAY}/32"): 1}, START)
    once = text_of(browser.get(PAGE))
    with world.store.writing() as session:
        hits.add(session, {(ZONE, f"{RELAY}/32"): 1203}, START + timedelta(days=1))
    often = text_of(browser.get(PAGE))

    assert "asked about it" not in unasked
    assert "Mail servers asked about it once, on 24 November 2026, 03:00 UTC ." in once
    assert (
        "Mail servers asked about it 1,204 times since 24 November 2026, 03:00 UTC ,"
        " last on 25 November 2026, 03:00 UTC ." in often
    )


def test_how_often_a_network_was_asked_about(browser: httpx2.Client, world: World) -> None:
    """Of a network that was listed by hand the hits are those of all its addresses."""
    new = NewListing(ZONE, ip_network("8.8.8.0/28"), "pool")
    with world.store.writing() as session:
        listings.start(session, new, OPERATOR)
        hits.add(session, {(ZONE, "8.8.8.0/28"): 7}, START)

    assert "Asked about 7 times since 24 November 2026" in text_of(browser.get("/a/8.8.8.3"))


def test_a_listing_by_hand_that_ended_is_remembered(browser: httpx2.Client, world: World) -> None:
    """The history has it, with why it ended."""
    network = ip_network(RELAY)
    with world.store.writing() as session:
        listings.start(session, NewListing(ZONE, network, "pool"), OPERATOR)
    with world.store.writing() as session:
        listings.end(session, ZONE, network, "pool", OPERATOR)

    seen = text_of(browser.get(PAGE))

    assert "It was, until" in seen
    assert "Listed from 24 November 2026, 03:00 UTC to" in seen


def test_an_exempt_address_says_so(browser: httpx2.Client, world: World) -> None:
    """An exemption wins over whatever else is known."""
    world.bring_to(State.LISTED)
    with world.store.writing() as session:
        exemptions.add(session, ip_network("9.9.9.0/24"), never_list=True, never_test=True, act=OPERATOR)

    seen = text_of(browser.get(PAGE))

    assert "This address is exempt" in seen
    assert "9.9.9.0/24: never listed, never tested" in seen


def test_an_opt_out_explains_why_no_test_can_help(browser: httpx2.Client, world: World) -> None:
    """A listed host whose owner forbade tests stays listed, and the page says what to do."""
    world.bring_to(State.LISTED)
    with world.store.writing() as session:
        exemptions.add(session, ip_network(RELAY), never_list=False, never_test=True, act=OPERATOR)

    assert "so no test can end the listing" in text_of(browser.get(PAGE))


def test_an_unknown_address_is_not_listed(browser: httpx2.Client) -> None:
    """An address without a story has a page all the same."""
    page = browser.get("/a/1.1.1.1")

    assert 200 == page.status_code
    assert "This address is not listed in relays.example.org" in text_of(page)


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("9.9.9.9", "/a/9.9.9.9"),
        (" 9.9.9.9\t", "/a/9.9.9.9"),
        ("[9.9.9.9]", "/a/9.9.9.9"),
        ("[IPv6:2620:FE::0009]", "/a/2620:fe::9"),
        ("::ffff:9.9.9.9", "/a/9.9.9.9"),
    ],
    ids=["plain", "copied with spaces", "from a mail log", "IPv6 from a mail log", "mapped"],
)
def test_the_look_up_box_leads_to_the_page(browser: httpx2.Client, asked: str, leads_to: str) -> None:
    """However the address was written, there is one page for it."""
    answer = browser.get("/", params={"q": asked})

    assert (303, leads_to) == (answer.status_code, answer.headers["Location"])


def test_an_address_written_otherwise_leads_to_its_page(browser: httpx2.Client) -> None:
    """The canonical form is the page's address, for IPv6 too."""
    answer = browser.get("/a/2620:FE:0::9")

    assert (308, "/a/2620:fe::9") == (answer.status_code, answer.headers["Location"])
    assert 200 == browser.get("/a/2620:fe::9").status_code


@pytest.mark.parametrize("path", ["/?q=1.2.3", "/a/1.2.3", "/a/<script>", "/?q="])
def test_what_is_no_address_is_told_in_friendly_words(browser: httpx2.Client, path: str) -> None:
    """A slip of the pen gets the box again, with what was wrong."""
    answer = browser.get(path)

    assert 400 == answer.status_code
    assert "That is not an address we can look up." in text_of(answer)
    assert "<script" not in answer.text


def test_a_retest_of_no_address_is_refused(browser: httpx2.Client) -> None:
    """The form's path is checked like every other."""
    assert 400 == browser.post("/a/localhost/retest").status_code


def test_another_list_has_its_own_pages(browser: httpx2.Client, world: World) -> None:
    """An address may be listed in one list and not in another."""
    world.bring_to(State.LISTED)

    here, there = browser.get(PAGE), browser.get(PAGE, params={"zone": SECOND_ZONE})

    assert f'href="{PAGE}?zone={SECOND_ZONE}"' in here.text
    assert f"not listed in {SECOND_ZONE}" in text_of(there)
    assert (
        f"/a/9.9.9.9?zone={SECOND_ZONE}"
        == browser.get("/a/::ffff:9.9.9.9", params={"zone": SECOND_ZONE}).headers["Location"]
    )


def test_the_front_page_has_the_box(browser: httpx2.Client) -> None:
    """One field, one button, and what this is."""
    page = browser.get("/")

    assert 200 == page.status_code
    assert '<input id="q" name="q"' in page.text


def test_the_policy_shows_the_values_in_force(browser: httpx2.Client) -> None:
    """Criteria, times and contact are those of the settings (RFC 6471 §2.1)."""
    seen = text_of(browser.get("/policy"))

    for expected in ("at most 7 days old", "90 days", "127.0.0.2", "IPv4 /16", "postmaster@example.org"):
        assert expected in seen


def test_each_problem_has_its_page(browser: httpx2.Client) -> None:
    """The type of a problem document leads to an explanation."""
    seen = text_of(browser.get("/problems/too-old"))

    assert "The evidence is too old" in seen


@pytest.mark.parametrize("path", ["/problems/nonsense", "/static/../app.py", "/static/app.py", "/nowhere"])
def test_what_is_not_there_is_a_page_for_browsers(browser: httpx2.Client, path: str) -> None:
    """A person gets a page, with the same status as a program."""
    answer = browser.get(path)

    assert 404 == answer.status_code


@pytest.mark.parametrize("name", ["style.css", "progress.js", "icon.svg"])
def test_static_files_are_served_and_kept(browser: httpx2.Client, name: str) -> None:
    """They may be cached, since their address changes with their content."""
    answer = browser.get(f"/static/{name}")

    assert (200, "public, max-age=86400") == (answer.status_code, answer.headers["Cache-Control"])


def test_listings_are_no_search_results(browser: httpx2.Client) -> None:
    """Robots are asked to leave the addresses alone."""
    assert "Disallow: /a/" in browser.get("/robots.txt").text


def test_pages_need_nothing_from_elsewhere(browser: httpx2.Client, world: World) -> None:
    """No inline script or style, no file of another server: the strictest policy holds."""
    world.bring_to(State.RETESTING)

    page = browser.get(PAGE)

    fetched = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', page.text)
    assert all(each.startswith("/static/") for each in fetched)
    assert not re.search(r"<style|style=|<script>|\son\w+=", page.text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "set-cookie" not in page.headers


def test_without_advice_the_page_gives_the_rule(
    serve: Callable[[Parts], Served], parts: Parts, world: World
) -> None:
    """Where nothing is known of a mail server, the page has the rule that closes any."""
    world.bring_to(State.LISTED)
    served = serve(replace(parts, advice=lambda _: None))

    seen = text_of(httpx2.get(f"{served.url}{PAGE}"))

    assert "only from your own networks and from users who sign in" in seen
