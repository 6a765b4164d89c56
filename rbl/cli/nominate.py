"""``rbl nominate``: hand a spam to a list over its API, from a shell or a mail filter."""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbl.cli.context import settings_of
from rbl.errors import BadInput, Refused, Unavailable

if TYPE_CHECKING:
    import httpx2

LARGEST = 16 * 1024 * 1024  # no list takes more; the server names its own limit


def nominate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The spam with its full headers; - for standard input.")],
    *,
    address: Annotated[str | None, typer.Option(help="The relay, where you want it checked.")] = None,
    server: Annotated[str | None, typer.Option(help="The list's URL [client.server].")] = None,
    api_key: Annotated[str | None, typer.Option(help="A nominator's key [client.api_key].")] = None,
) -> None:
    """Nominate the relay that a spam came through; the message is the evidence."""
    import httpx2  # noqa: PLC0415 — see rbl.cli

    client = settings_of(context).client
    message = _read(file)
    key = api_key or client.api_key
    url = (server or client.server).rstrip("/")
    if not key:
        raise BadInput("give a nominator's key with --api-key or RBL_CLIENT__API_KEY", code="no-key")
    try:
        answer = httpx2.post(
            f"{url}/v1/nominations",
            params={"address": address} if address else None,
            content=message,
            headers={
                "Authorization": f"Bearer {key}",
                "Content-Type": "message/rfc822",
                # The same spam handed in twice by a filter that tries again is one nomination.
                "Idempotency-Key": hashlib.sha256(message + (address or "").encode()).hexdigest(),
            },
            timeout=30,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
        raise Unavailable(f"the list at {url} does not answer: {fault}") from None
    told = _told(answer)
    if not answer.is_success and "detail" in told:
        raise Refused(f"{told.get('title', 'refused')}: {told['detail']}")
    if not {"address", "id", "state"} <= told.keys():
        raise Unavailable(f"{url} does not speak this API (HTTP {answer.status_code})")
    verb = "nominated" if answer.status_code == httpx2.codes.CREATED else "nominated before"
    typer.echo(f"{told['address']} {verb}: nomination {told['id']}, now {told['state']}")


def _told(answer: "httpx2.Response") -> Mapping[str, object]:
    """Return the fields of an answer in JSON, none where it is not."""
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _read(file: Path) -> bytes:
    """Return the message in *file* or on standard input.

    Raises:
        BadInput: it cannot be read, is empty or too large.
    """
    try:
        if str(file) == "-":
            message = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with file.open("rb") as opened:
                message = opened.read(LARGEST + 1)
    except OSError as fault:
        raise BadInput(f"{file} cannot be read: {fault.strerror}", code="unreadable") from None
    if not message.strip():
        raise BadInput(f"{file} is empty: give the whole spam with its headers", code="empty")
    if len(message) > LARGEST:
        raise BadInput(f"{file} has more than {LARGEST} octets", code="too-large")
    return message
