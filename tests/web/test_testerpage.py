"""The page that a tester's name leads to: what it says, and what it never loads."""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest

from rbl.config import Settings
from rbl.lifecycle import Policy
from rbl.web import testerpage
from rbl.web.parts import Parts
from tests.web.conftest import Served

NAME = "tester.example.org"
TIMES = Policy(retest_interval=timedelta(minutes=30), early_retests=4)


def settings(**probe: object) -> Settings:
    """Return the settings of a tester of both families."""
    return Settings.model_validate(
        {
            "web": {"public_url": "https://relays.example.org"},
            "collector": {"domain": "relaytest.example.org"},
            "probe": {
                "ehlo_name": NAME,
                "contact": "people@example.org",
                "source_address": "203.0.113.11",
                "second_source_address": "2001:db8::11",
                "page_listen": ["127.0.0.1:0"],
                "messages_per_step": 3,
                "connections_per_day": 99,
                **probe,
            },
        }
    )


@pytest.fixture
def page(serve: Callable[..., Served], parts: Parts) -> Served:
    """The page, served as the worker does."""
    return serve(parts, testerpage.create_app(settings(), "relays.example", TIMES))


def in_words(html: str) -> str:
    """Return what a browser shows."""
    body = html.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split()).replace(" ,", ",").replace(" .", ".")


def test_what_it_says(page: Served) -> None:
    """What the lines were, why, what is sent, how often, from where, and whom to ask: as is in force."""
    answer = httpx2.get(f"{page.url}/")
    told = in_words(answer.text)

    assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    for words in (
        f"{NAME} tested your mail server",
        "a relay test of relays.example",
        "Somebody handed us spam that came through your server",
        "Recipients at our own relaytest.example.org",
        "at most 3 at a time. Nothing to others",
        "no port but 25",
        "every 30 minutes, 53 times a day. In all 99 connections a day.",
        f"203.0.113.11, 2001:db8::11, as {NAME}.",
        "Look its address up at https://relays.example.org",
        "Write to people@example.org",
    ):
        assert words in told
    for link in ("https://relays.example.org/", "https://relays.example.org/policy"):
        assert f'href="{link}"' in answer.text
    assert 'href="mailto:people@example.org"' in answer.text


def test_it_loads_nothing(page: Served) -> None:
    """One answer of a few kilobytes, without scripts, whose one style the policy names by its digest."""
    answer = httpx2.get(f"{page.url}/")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]

    assert len(answer.content) < 4096
    assert None is re.search(
        r"<script|<link|<img|<iframe|<form| src=| on\w+=| style=|url\(|@import", answer.text
    )
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    assert ("nosniff", "DENY", "no-referrer") == tuple(
        answer.headers[name] for name in ("x-content-type-options", "x-frame-options", "referrer-policy")
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("HEAD", "/", 200, ""),
        ("GET", "/?utm=1", 200, None),
        ("GET", "/robots.txt", 200, "User-agent: *\nAllow: /\n"),
        ("GET", "/favicon.ico", 404, "there is one page here: /\n"),
        ("GET", "/../../etc/passwd", 404, "there is one page here: /\n"),
        ("POST", "/", 405, "GET and HEAD are allowed\n"),
        ("DELETE", "/robots.txt", 405, "GET and HEAD are allowed\n"),
    ],
)
def test_everything_else(page: Served, method: str, path: str, status: int, text: str | None) -> None:
    """There is one page, which is only read; each answer keeps its reader from harm."""
    answer = httpx2.request(method, f"{page.url}{path}")

    assert status == answer.status_code
    assert text is None or text == answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_an_operator_writes_is_text(serve: Callable[..., Served], parts: Parts) -> None:
    """A contact with marks of HTML in it is shown, and is none."""
    app = testerpage.create_app(settings(contact="</dd><script>x</script>"), "relays.example", TIMES)
    answer = httpx2.get(f"{serve(parts, app).url}/")

    assert "<script" not in answer.text
    assert "&lt;/dd&gt;&lt;script&gt;" in answer.text
