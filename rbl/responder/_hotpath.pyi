# _hotpath.pyx says what each does.

from collections.abc import Callable, Sequence
from typing import TypeAlias, final

from rbl.responder import access, catalogue, ratelimit
from rbl.responder.hotfiles import Contents
from rbl.responder.wire import RRset
from rbl.terms import Address
from rbl.zone.answers import AnswerSet

OUTCOMES: tuple[str, ...]
MOST_KEYS: int

_PackAddresses: TypeAlias = Callable[[tuple[Address, ...], int], RRset | None]

@final
class AccessTable:
    def __new__(
        cls,
        table: access.AccessTable,
        answer_sets: list[AnswerSet | None],
        url: str,
        pack_addresses: _PackAddresses,
    ) -> AccessTable: ...

@final
class NameIndex:
    def named(self, hashes: set[int]) -> dict[int, bytes]: ...

@final
class KnownKeys:
    numbers: dict[bytes, int]
    def __new__(cls, numbers: dict[bytes, int], seed: int) -> KnownKeys: ...

@final
class ServedZone:
    source: catalogue.ServedZone
    names: NameIndex
    known: KnownKeys
    def __new__(
        cls,
        source: catalogue.ServedZone,
        apex: bytes,
        number: int,
        of_names: bool,
        access: AccessTable,
        known: KnownKeys,
    ) -> ServedZone: ...
    def serve(self, before: ServedZone | None, pack_addresses: _PackAddresses, seed: int) -> None: ...

@final
class FileNames:
    def __new__(cls, most: int, seed: int) -> FileNames: ...
    def add(self, key: bytes, exact: int, wildcard: int, flags: int) -> None: ...

@final
class FileZone:
    def __new__(cls, apex: bytes, number: int) -> FileZone: ...
    def serve(self, contents: Contents) -> None: ...

@final
class ClientRules:
    def __new__(
        cls,
        largest_octets: int,
        nsid: bytes,
        foreign: bytes,
        denied: bytes,
        keyless: bytes,
        access: AccessTable | None,
        secrets: bytes,
    ) -> ClientRules: ...
    def limit(self, limiter: ratelimit.RateLimiter, exempt: AccessTable, slots: int, seed: int) -> None: ...

@final
class Generation:
    zones: list[ServedZone | FileZone]
    def __new__(
        cls,
        rules: ClientRules,
        zones: Sequence[ServedZone | FileZone],
        of_files: bool = ...,
        is_open: bool = ...,
    ) -> Generation: ...
    def answer(
        self, packet: bytes, address: bytes, now: int
    ) -> tuple[bytes | None, int, int, int] | None: ...

@final
class Exchange:
    workers: list[Worker]
    def __new__(cls, generation: Generation) -> Exchange: ...
    def publish(self, generation: Generation) -> Generation: ...

def read_handed(message: bytes) -> tuple[int, bytes, bytes]: ...

@final
class Worker:
    zone_count: int
    send_failures: int
    unplaced_hits: int
    overruns: int
    def __new__(
        cls,
        exchange: Exchange,
        number: int,
        descriptor: int,
        any_address: bool,
        zone_count: int,
        queue: int,
    ) -> Worker: ...
    def reply(self, message: bytes, answer: bytes) -> bool: ...
    def run(self) -> None: ...
    def stop(self) -> None: ...
    def counts(self) -> list[int]: ...
    def key_counts(self, keys: int) -> list[int]: ...
    def octets(self) -> list[int]: ...
    def take_hits(self) -> list[tuple[int, int, int, int, int]]: ...
