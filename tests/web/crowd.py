"""A list that is large enough for a scan to show: rows by the ten thousand, made inside the database.

Each host has one nomination, one test with an envelope, a line of dialogue and a receipt, and ten
acts in the audit between some of them. None is due, so that no worker takes it.
"""

from datetime import timedelta

from sqlalchemy import text

from rbl.store.columns import UtcDateTime
from rbl.store.engine import Store
from tests.web.world import START, ZONE

HOSTS = 5_000
LISTINGS = 20_000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
_ADDRESS = "'20.' || (i / 65536) || '.' || (i / 256 % 256) || '.' || (i % 256)"
# Table, columns, and their values for number i; :then is a time past, :later one to come.
_ROWS = (
    (
        "hosts",
        HOSTS,
        ("id, zone, address, state, offences, failed_retests, periodic_due_at, created_at, changed_at,"
        " review"),
        (f"i, :zone, {_ADDRESS}, CASE i % 10 WHEN 0 THEN 'queued' WHEN 1 THEN 'delisted' ELSE 'listed' END,"
        " 1, 0, CASE WHEN i % 10 > 1 THEN :later END, :then, :then, CASE i % 1000 WHEN 2 THEN 'look' END"),
    ),
    (
        "listings",
        LISTINGS,
        "zone, subject, reason, origin, host_id, actor, why, listed_at, expires_at, ended_at, ended_why",
        (f":zone, {_ADDRESS} || '/32', 'open-relay', CASE WHEN i <= {HOSTS} THEN 'probe' ELSE 'import' END,"
        f" CASE WHEN i <= {HOSTS} THEN i END, 'shell', 'imported', :then,"
        " CASE WHEN i % 10 > 1 THEN :later END, CASE WHEN i % 10 < 2 THEN :then END, 'over'"),
    ),
    (
        "listing_hits",
        LISTINGS,
        "zone, subject, hits, first_hit_at, last_hit_at",
        f":zone, {_ADDRESS} || '/32', i % 997, :then, :then",
    ),
    (
        "journal",
        LISTINGS,
        "zone, serial, change, subject, reason, actor, why, at",
        f":zone, i, 'listed', {_ADDRESS} || '/32', 'open-relay', 'shell', 'imported', :then",
    ),
    (
        "audit",
        LISTINGS,
        "at, actor, action, subject, became, why",
        ":then, 'tester', 'claim', :zone || ' 20.0.' || (i / 256 % 20) || '.' || (i % 256), 'x', 'why'",
    ),
    (
        "api_keys",
        1,
        "id, name, role, trust, digest, mx_names, internal_networks, created_at",
        "1000000, 'crowd', 'nominator', 'normal', :digest, '[]', '[]', :then",
    ),
    (
        "evidence",
        HOSTS,
        "id, sha256, format, octets, message, published, created_at",
        "i, 'spam ' || i, 'message/rfc822', 1, :digest, 'Subject: buy', :then",
    ),
    (
        "nominations",
        HOSTS,
        "id, host_id, evidence_id, key_id, fingerprint, request_sha256, received_at, helo, hop, created_at",
        "i, i, i, 1000000, 'spam ' || i, 'request', :then, 'helo', 'hop', :then",
    ),
    (
        "probe_runs",
        HOSTS,
        "id, host_id, neighbourhood, purpose, asked_by, verdict, due_at, created_at, finished_at",
        ("i, i, '20.0.' || (i / 256 % 256) || '.0/24', 'nomination', 'crowd', 'open', :later, :then,"
        " CASE WHEN i % 100 > 0 THEN :then END"),
    ),
    (
        "probe_envelopes",
        HOSTS,
        "id, run_id, test_id, token, sender_token, mail_from, rcpt_to, result",
        "i, i, 'T01', 'rcrowd' || i, 'scrowd' || i, '<>', '<>', 'refused'",
    ),
    ("transcript", HOSTS, "run_id, seq, at, side, text", "i, 1, :then, 'us', 'QUIT'"),
    (
        "receipts",
        HOSTS,
        "envelope_id, peer, helo, mail_from, rcpt_to, message, received_at",
        f"i, {_ADDRESS}, 'helo', '', '', :digest, :then",
    ),
)  # fmt: skip
TABLES = frozenset(table for table, count, *_ in _ROWS if count > 1)


def fill(store: Store) -> None:
    """Put the crowd into the list ZONE of *store*, beside the row of the list itself."""
    with store.writing() as session:
        connection = session.connection()
        written = UtcDateTime().dialect_impl(connection.dialect).bind_processor(connection.dialect)
        times = {"then": START - timedelta(days=9), "later": START + timedelta(days=9)}
        if written is not None:  # SQLite keeps times as text
            times = {name: written(at) for name, at in times.items()}
        for table, count, columns, values in _ROWS:
            numbers = _NUMBERS.format(count=count)
            statement = f"INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM n"
            if not store.is_sqlite:
                statement = statement.replace(":then", "CAST(:then AS timestamptz)").replace(
                    ":later", "CAST(:later AS timestamptz)"
                )
            given = {"zone": ZONE, "digest": b"crowd", **times}
            named = {name: value for name, value in given.items() if f":{name}" in statement}
            session.execute(text(statement), named)
        if not store.is_sqlite:
            for table, _, columns, _ in _ROWS:
                if columns.startswith("id"):
                    session.execute(
                        text(
                            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'),"
                            f" (SELECT max(id) FROM {table}))"
                        )
                    )
            session.execute(text("ANALYZE"))
