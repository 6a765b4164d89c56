"""Somebody at a made-up host who looks names up, reads web pages and presses their buttons."""

from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import httpx2

from tests.e2e import world
from tests.e2e.hosts import Host

_TIMEOUT_SECONDS = 30
_RESOLVER = world.ADDRESSES["resolver"][0]


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What a resolver or a server said: the RCODE's name, and the answer's RDATA as text."""

    rcode: str
    rdata: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person or a program at *host*, with the resolver that every host has."""

    host: Host

    def ask(self, qname: str, rtype: str, server: str = _RESOLVER) -> DnsAnswer:
        """Return what *server* answers, over TCP where UDP has no room for it."""
        query = dns.message.make_query(qname, rtype)
        reply, _ = self.host.call(
            lambda: dns.query.udp_with_fallback(query, server, timeout=_TIMEOUT_SECONDS)
        )
        return DnsAnswer(
            dns.rcode.to_text(reply.rcode()),
            tuple(rdata.to_text() for rrset in reply.answer for rdata in rrset),
        )

    def get(self, url: str) -> httpx2.Response:
        """Return the page at *url*."""
        return self._request("GET", url)

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Return what *url* answers to a POST of *content*."""
        return self._request("POST", url, content, headers)

    def press_button(self, url: str, page: str) -> httpx2.Response:
        """Send the one form that *page*, which came from *url*, sends by POST, as a browser without
        scripts does; return the page that it leads to.
        """
        found = _Forms()
        found.feed(page)
        (action,) = found.actions
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.post(urljoin(url, action), b"", form)
        assert answer.status_code == 303, f"{answer.status_code}: {answer.text}"
        return self.get(urljoin(url, answer.headers["location"]))

    def _request(
        self, method: str, url: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        name = urlsplit(url).hostname or ""
        (address,) = self.ask(name, "A").rdata
        # The name was resolved on the host; httpx2 would ask the machine's resolver.
        at = url.replace(name, address, 1)

        def request() -> httpx2.Response:
            with httpx2.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as client:
                return client.request(
                    method, at, content=content, headers={**(headers or {}), "Host": name}
                )

        return self.host.call(request)


class _Forms(HTMLParser):
    """Collects where the forms of a page are sent by POST."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form."""
        attributes = dict(attrs)
        if tag == "form" and (attributes.get("method") or "get").lower() == "post":
            self.actions.append(attributes.get("action") or "")
