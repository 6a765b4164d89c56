"""The public pages: the look-up box, an address, the policy, the problems explained.

Rendered on the server and complete without JavaScript. There are no cookies and no sessions; the one
form that changes something asks for a retest, which anybody may ask for from anywhere: a forged
request (CSRF) could do nothing that its forger could not do himself, so the form needs no token.
"""

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from rbl.addresses import parse_address
from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused
from rbl.store import dialogues, retests, stories
from rbl.store.dialogues import Progress
from rbl.terms import Address, State
from rbl.web import problems, views, wording
from rbl.web.codes import CODES
from rbl.web.fields import AskedPolicy
from rbl.web.parts import UsedParts
from rbl.web.requester import Requester, network_of

router = APIRouter(include_in_schema=False)
# What asks the database is a function, for which FastAPI takes a thread; what does not is a coroutine,
# and answered however many threads wait for the database.

# Of a page that shows a test under way, where there is no JavaScript: while it talks, and while it waits.
_REFRESH_SECONDS = 5
_REFRESH_SECONDS_WAITING = 60
_WAITING = frozenset({State.AWAITING_RETURN, State.RETEST_AWAITING, State.DEFERRED})
_STATIC_AGE_SECONDS = 86_400  # their address changes with their content

_Asked = Annotated[str, Path(max_length=100)]


@router.get("/")
async def front(request: Request, q: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """The look-up box; ``?q=`` leads to the page of the address."""
    if q is None:
        return views.page(request, "front.html.j2", {})
    try:
        return RedirectResponse(f"/a/{parse_address(_cleaned(q))}", status_code=303)
    except BadInput as fault:
        return _not_an_address(request, q, fault)


@router.get("/a/{asked}")
def address_page(request: Request, parts: UsedParts, policy: AskedPolicy, asked: _Asked) -> Response:
    """Everything about an address; an address that is not listed has a page that says so."""
    try:
        address = parse_address(_cleaned(asked))
    except BadInput as fault:
        return _not_an_address(request, asked, fault)
    if str(address) != asked:
        return RedirectResponse(_path(parts, policy.apex, address), status_code=308)
    return _address_page(request, parts, policy.apex, address)


@router.post("/a/{asked}/retest")
def ask_retest(
    request: Request, parts: UsedParts, policy: AskedPolicy, requester: Requester, asked: _Asked
) -> Response:
    """The retest button: back to the page, which then shows how far the retest is."""
    try:
        address = parse_address(_cleaned(asked))
    except BadInput as fault:
        return _not_an_address(request, asked, fault)
    try:
        with parts.store.writing() as session:
            retests.ask(session, policy, address, "public", parts.now(), network=requester)
    except (NotFound, Conflict, Refused) as fault:
        return _address_page(request, parts, policy.apex, address, fault)
    return RedirectResponse(f"{_path(parts, policy.apex, address)}#progress", status_code=303)


@router.get("/policy")
async def policy_page(request: Request, parts: UsedParts) -> Response:
    """What is listed, for how long, and how it ends, with the values that are in force."""
    context = {
        "lists": [(policy, parts.zone_files[apex]) for apex, policy in parts.policies.items()],
        "settings": parts.settings,
        "wording": wording,
    }
    return views.page(request, "policy.html.j2", context)


@router.get("/problems/{code}")
async def problem_page(request: Request, code: Annotated[str, Path(max_length=100)]) -> Response:
    """What a problem document's type leads to."""
    if code not in CODES:
        raise NotFound("there is no such problem", code="no-such-page")
    return views.page(request, "problem.html.j2", {"code": code, "known": CODES[code]})


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """The style sheet, the one script, the icon."""
    if name not in views.STATIC_FILES:
        raise NotFound("there is no such file", code="no-such-page")
    return Response(
        views.static_file(name),
        headers={
            "Content-Type": views.STATIC_FILES[name],
            "Cache-Control": f"public, max-age={_STATIC_AGE_SECONDS}",
        },
    )


@router.get("/robots.txt")
async def robots() -> Response:
    """A listing is nobody's search result: it is over in a day, and would be found for years."""
    return PlainTextResponse("User-agent: *\nDisallow: /a/\nDisallow: /v1/\n")


def _address_page(
    request: Request, parts: UsedParts, zone: str, address: Address, fault: RblError | None = None
) -> HTMLResponse:
    now = parts.now()
    with parts.store.reading() as session:
        story = stories.story(session, zone, address)
        host, run = story.host, story.current_run
        told = None if host is None or run is None else dialogues.progress_of(session, host, run)
        time = None
        if host is not None and host.state.in_dns:
            network = network_of(request)
            time = retests.time_of(
                session, parts.policies[zone], host.id, host.retest_allowed_at, network, now
            )
    zone_file = parts.zone_files[zone]
    platform = next((run.platform for run in story.runs if run.platform), None)
    context = {
        "story": story,
        "standing": wording.standing(story, zone_file),
        "is_answered": wording.test_point(zone_file, address),
        "tests_are_off": not parts.settings.probe.enabled,
        "tester": parts.settings.probe,
        "proven": wording.proven_listing(story),
        "by_hand": wording.hand_listings(story),
        "retest": wording.retest(story, time),
        "wording": wording,
        "reasons": zone_file.reasons,
        "longest_cached": max(reason.ttl_seconds for reason in zone_file.reasons.values()),
        "times": parts.policies[zone].times,
        "advice": parts.advice(platform),
        "platform": platform,
        "form_title": parts.form_title,
        "fault": fault,
        "path": _path(parts, zone, address),
        "form_path": _path(parts, zone, address, "/retest"),
        "events_path": f"/v1/addresses/{quote(str(address))}/events{_query(parts, zone)}",
        "asked": str(address),
        "live": told is not None,
        "refresh_seconds": None if told is None else _refresh_seconds(told),
        "progress_text": told and wording.progress(told.state, told.verdict, told.why),
        "progress_due": told.due_at if told and told.due_at and told.due_at > now else None,
        "progress_lines": told.lines if told else (),
        "other_lists": [apex for apex in parts.address_lists if apex != zone],
    }
    status = 200 if fault is None else problems.status_of(fault)
    return views.page(
        request, "address.html.j2", context, status=status, headers=problems.headers_of(fault)
    )


def _refresh_seconds(progress: Progress) -> int:
    return _REFRESH_SECONDS_WAITING if progress.state in _WAITING else _REFRESH_SECONDS


def _not_an_address(request: Request, asked: str, fault: BadInput) -> HTMLResponse:
    return views.page(request, "front.html.j2", {"asked": asked, "fault": fault}, status=400)


def _cleaned(asked: str) -> str:
    """Return what was typed without what people copy along: spaces, and a mail log's brackets."""
    return asked.strip().removeprefix("[").removesuffix("]").removeprefix("IPv6:")


def _path(parts: UsedParts, zone: str, address: Address, further: str = "") -> str:
    return f"/a/{quote(str(address), safe=':')}{further}{_query(parts, zone)}"


def _query(parts: UsedParts, zone: str) -> str:
    """Return what names the list in a link; nothing for the default one."""
    return "" if zone == parts.default_zone else f"?{urlencode({'zone': zone})}"
