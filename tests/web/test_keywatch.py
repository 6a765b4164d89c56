"""Refused keys and readings of whole spam: counted and logged, without a secret; and the last use."""

import time
from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.store import audit, keys
from rbl.store.engine import Store
from rbl.store.keys import KeyView, Use
from rbl.store.patience import Patience
from rbl.terms import Act, Nominator, Role, Trust
from rbl.web.keywatch import KeyWatch
from tests.web.world import START, Clock, World

Header = dict[str, str]


def refuse(watch: KeyWatch) -> None:
    """Refuse a key."""
    watch.refused("unknown", client="192.0.2.1", path="/v1/keys", key_id=None, name=None)


def count(api: httpx2.Client, line: str) -> float:
    """Return the value of a metric."""
    values = [
        row.removeprefix(line) for row in api.get("/metrics").text.splitlines() if row.startswith(line)
    ]
    return float(values[0]) if values else 0


def first_key(store: Store) -> KeyView:
    """Return the first key there is."""
    with store.reading() as session:
        return keys.all_keys(session)[0]


def test_a_refused_key_is_counted_and_logged(
    api: httpx2.Client, operator: Header, store: Store, clock: Clock
) -> None:
    """By the reason, with the key's number where it is one of ours, and never with the key."""
    secret = operator["Authorization"].removeprefix("Bearer ")
    with capture_logs() as logs:
        api.get("/v1/audit", headers={"Authorization": "Bearer rbl_unknown"})
        api.get("/v1/keys", headers=operator)
        with store.writing() as session:
            keys.rotate(session, 1, Act("x", "x", clock()), overlap=timedelta(hours=1))
        clock.pass_by(timedelta(hours=1))
        api.get("/v1/audit", headers=operator)
        with store.writing() as session:
            keys.make(session, keys.NewKey("b", Role.ADMIN), Act("x", "x", clock()))
            keys.revoke(session, 1, Act("x", "x", clock()))
        api.get("/v1/audit", headers=operator)

    refused = [log for log in logs if log["event"] == "key_refused"]
    assert [("unknown", None), ("role", 1), ("replaced", 1), ("revoked", 1)] == [
        (log["why"], log["key_id"]) for log in refused
    ]
    assert {"127.0.0.1"} == {log["client"] for log in refused}
    assert secret not in str(logs)
    assert "rbl_unknown" not in str(logs)
    assert [1.0, 1.0, 1.0, 1.0] == [
        count(api, f'rbl_api_keys_refused_total{{why="{why}"}} ')
        for why in ("unknown", "role", "replaced", "revoked")
    ]


def test_whoever_tries_keys_fills_no_log() -> None:
    """A few lines a minute, and the next minute's first says how many there were besides."""
    seconds = [0.0]
    registry = CollectorRegistry()
    watch = KeyWatch(registry, clock_seconds=lambda: seconds[0])
    with capture_logs() as logs:
        for _ in range(1000):
            refuse(watch)
        seconds[0] = 60.0
        refuse(watch)

    assert (31, 970) == (len(logs), logs[-1]["unlogged"])
    assert 1001.0 == registry.get_sample_value("rbl_api_keys_refused_total", {"why": "unknown"})


def test_the_last_use_is_shown(api: httpx2.Client, admin: Header, store: Store, clock: Clock) -> None:
    """A minute old at most."""
    seen = [first_key(store).used_at]
    for seconds, is_written in ((0, True), (59, False), (1, True)):
        clock.pass_by(timedelta(seconds=seconds))
        assert api.get("/v1/keys", headers=admin).is_success
        while is_written and seen[-1] == first_key(store).used_at:  # it follows the answer
            time.sleep(0.01)
        seen.append(first_key(store).used_at)

    assert [None, START, START, START + timedelta(minutes=1)] == seen


def test_a_database_that_is_away_gets_the_use_later(store: Store, admin: Header) -> None:
    """Who uses a key notices nothing of it, and the next use brings both."""
    del admin
    watch = KeyWatch(CollectorRegistry())
    closed = Store(str(store.writer.url), patience=Patience(lock=timedelta(0)))
    use = Use(1, previous=False)

    assert watch.used(use, START)
    with store.writing() as session:
        session.connection()  # from here on nobody else can write
        watch.keep(closed)
    assert first_key(store).used_at is None
    assert watch.used(use, START + timedelta(seconds=1))
    watch.keep(closed)
    closed.close()

    assert START + timedelta(seconds=1) == first_key(store).used_at
    assert not watch.used(use, START + timedelta(seconds=60))


def test_every_reading_of_a_whole_spam_is_known(
    api: httpx2.Client, operator: Header, world: World, store: Store
) -> None:
    """In the audit, the log and the metrics, and not in the public history."""
    number = world.nominate()
    with capture_logs() as logs:
        answer = api.get(f"/v1/nominations/{number}/message", headers=operator)
    with store.reading() as session:
        (deed,) = audit.deeds(session, subject=f"nomination {number}")

    assert (200, b"spam 1") == (answer.status_code, answer.content)
    assert ("read-evidence", "key 1 (the operator)", 1) == (deed.action, deed.actor, deed.key_id)
    assert [("evidence_read", 1)] == [(log["event"], log["key_id"]) for log in logs]
    assert 1.0 == count(api, "rbl_evidence_read_total ")
    assert "read-evidence" not in api.get("/v1/addresses/9.9.9.9").text


@pytest.mark.parametrize(
    "path", ["/v1/keys", "/v1/customers", "/v1/audit", "/v1/nominations/1/message", "/v1/keys/77"]
)
def test_what_a_key_opens_stays_in_no_cache(
    api: httpx2.Client, key: Callable[..., Header], world: World, path: str
) -> None:
    """Neither the answer nor the refusal; what everybody may see may be asked for again."""
    world.nominate()
    answer = api.get(path, headers=key(Role.ADMIN))

    assert ("no-store", "no-cache") == (
        answer.headers["Cache-Control"],
        api.get("/v1/addresses/9.9.9.9").headers["Cache-Control"],
    )


def test_nobody_is_named_twice() -> None:
    """Who reads is named by the key's number as well."""
    caller = Nominator(3, "night shift", Role.OPERATOR, Trust.NORMAL, frozenset(), ())
    with capture_logs() as logs:
        KeyWatch(CollectorRegistry()).evidence_read(17, caller)

    assert [(17, 3, "night shift")] == [(log["id"], log["key_id"], log["name"]) for log in logs]
