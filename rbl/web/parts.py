"""What the web is given by whoever puts the program together: data, and callables of other parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from rbl.config import Settings
from rbl.errors import BadInput, NotFound
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.terms import Evidence, Nominator
from rbl.zone.zonefile import Kind, ZoneFile


class Advice(Protocol):
    """How to close the relay of one kind of mail server, step by step."""

    @property
    def title(self) -> str:
        """The mail server's name for people."""

    @property
    def steps(self) -> Sequence[str]:
        """What to do, in order."""


class Standing(Protocol):
    """What DNS answers from, for one list."""

    @property
    def serial(self) -> int | None:
        """The serial of the answers; None: there is no list yet."""

    @property
    def newest(self) -> int | None:
        """The last serial read from the journal."""

    @property
    def lag_seconds(self) -> float:
        """How long ago the journal was last read with success."""

    @property
    def held(self) -> str | None:
        """Why what is newer is held back; None: nothing is."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the web needs. *policies* has at least one list; the first of addresses is the default.

    *read_evidence* says what a message proves to its nominator and raises BadInput; *published* is a
    spam as everybody may see it, told the names of its nominator's MX; *advice* is for a platform's id,
    or None for an unknown one; *form_title* says in words what is special about a test's envelope;
    *ready* names the parts of this process and whether each is ready, *faults* why those that are not;
    *lists* what its DNS answers from, by apex.
    """

    store: Store
    settings: Settings
    policies: Mapping[str, ZonePolicy]
    zone_files: Mapping[str, ZoneFile]
    read_evidence: Callable[[bytes, Nominator, datetime], Evidence]
    published: Callable[[bytes, frozenset[str]], str]
    advice: Callable[[str | None], Advice | None]
    form_title: Callable[[str], str]
    ready: Callable[[], Mapping[str, bool]]
    lists: Callable[[], Mapping[str, Standing]]
    now: Callable[[], datetime]
    registry: CollectorRegistry
    faults: Callable[[], Mapping[str, str]] = dict

    @property
    def address_lists(self) -> Sequence[str]:
        """The apexes of the lists that addresses can be in, in order."""
        return [apex for apex in self.policies if self.zone_files[apex].kind is Kind.ADDRESSES]

    @property
    def default_zone(self) -> str:
        """The apex of the list that is meant where none is named."""
        return next(iter(self.address_lists), next(iter(self.policies)))

    def policy(self, zone: str | None) -> ZonePolicy:
        """Return the policy of the list of addresses *zone*, or of the default one.

        Raises:
            NotFound: there is no such list.
            BadInput: it is a list of names: nobody is nominated to it, tested for it or looked up in it.
        """
        policy = self.policy_of_any(zone)
        if self.zone_files[policy.apex].kind is not Kind.ADDRESSES:
            raise BadInput(f"{policy.apex} is a list of names: no address can be in it", code="wrong-kind")
        return policy

    def policy_of_any(self, zone: str | None) -> ZonePolicy:
        """Return the policy of the list *zone*, of whichever kind, or of the default one.

        Raises:
            NotFound: there is no such list.
        """
        apex = (zone or self.default_zone).rstrip(".").lower()
        if apex not in self.policies:
            raise NotFound(f"there is no list {apex[:255]!a}", code="no-such-zone")
        return self.policies[apex]


def parts_of(request: Request) -> Parts:
    """Return the parts that the application of *request* was made with."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)
    return parts


async def _used(request: Request) -> Parts:
    """Return the same to FastAPI, which would take a thread for what is no coroutine."""
    return parts_of(request)


UsedParts = Annotated[Parts, Depends(_used)]
