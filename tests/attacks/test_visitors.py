"""Fifty visitors at once on pages of addresses, half of whom lose patience: DNS notices nothing."""

import asyncio
import random
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

from dns import message as dns_message
from dns import query as dns_query

from tests.attacks.target import ANSWER_SECONDS, Target

_VISITORS = 50
_PAGES = 12  # that each of them asks for
_FEWEST_QUERIES = 50
_QNAME = "2.0.0.127.relays.example"


async def _visit(host: str, port: int, number: int) -> int:
    """Ask for pages one after the other and return how many came; the impatient go before the answer."""
    chance, came = random.Random(number), 0
    for _ in range(_PAGES):
        source = (f"127.0.1.{number + 1}", 0)  # one address has only so many connections
        reader, writer = await asyncio.open_connection(host, port, local_addr=source)
        address = f"9.{chance.randrange(256)}.{chance.randrange(256)}.1"
        writer.write(f"GET /a/{address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        if number % 2:
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:100]
            came += 1
        writer.close()
    return came


async def _all_visits(url: str) -> int:
    place = urlsplit(url)
    visits = (_visit(str(place.hostname), place.port or 80, number) for number in range(_VISITORS))
    return sum(await asyncio.gather(*visits))


def _asked(target: Target, visits: Future[int]) -> int:
    """Ask DNS, one query after the other, until the *visits* are over; return how many were answered."""
    asked = 0
    while not visits.done() or asked < _FEWEST_QUERIES:
        query = dns_message.make_query(_QNAME, "A")
        reply = dns_query.udp(query, target.dns.host, ANSWER_SECONDS, target.dns.port)  # raises in time
        assert reply.answer
        asked += 1
    return asked


def test_fifty_visitors_are_not_in_the_way_of_dns(target: Target) -> None:
    """Every query is answered within a second meanwhile, and every page that somebody waits for comes."""
    with ThreadPoolExecutor(1) as pool:
        visits = pool.submit(asyncio.run, _all_visits(target.web))
        _asked(target, visits)
        came = visits.result()

    assert _VISITORS // 2 * _PAGES == came
    target.is_well()
    target.used(memory_mib=96, disk_mib=4, log_lines=10)
