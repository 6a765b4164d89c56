"""Who calls: an API key as a bearer token (RFC 6750 §2.1), and the role that an operation needs."""

from datetime import datetime
from typing import Annotated

from fastapi import BackgroundTasks, Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from rbl.errors import Refused
from rbl.store import keys
from rbl.store.keys import RefusedKey
from rbl.terms import Act, Nominator, Role
from rbl.web.keywatch import KeyWatch
from rbl.web.parts import UsedParts

_BEARER = HTTPBearer(
    scheme_name="key",
    description="An API key, given out by an administrator and shown once: `Authorization: Bearer rbl_…`",
    auto_error=False,
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def watch_of(request: Request) -> KeyWatch:
    """Return what counts and logs for the application of *request*."""
    watch = request.app.state.keywatch
    assert isinstance(watch, KeyWatch)
    return watch


UsedWatch = Annotated[KeyWatch, Depends(watch_of)]


class Requires:
    """Lets through whoever has a key with *role*, or one above it."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def __call__(
        self,
        request: Request,
        parts: UsedParts,
        watch: UsedWatch,
        credentials: _Credentials,
        after: BackgroundTasks,
    ) -> Nominator:
        """Return whose key it is.

        Raises:
            Refused: no key, none of ours, or one whose role does not include this one.
        """
        if credentials is None:
            raise Refused("an API key is needed: Authorization: Bearer rbl_…", code="no-key")
        client = request.client.host if request.client else ""
        path, now = request.url.path, parts.now()
        try:
            with parts.store.reading() as session:
                caller, use = keys.authenticate(session, credentials.credentials, now)
        except RefusedKey as fault:
            watch.refused(fault.why, client=client, path=path, key_id=fault.key_id, name=fault.name)
            raise
        if watch.used(use, now):  # written once the answer is out: nobody waits for it
            after.add_task(watch.keep, parts.store)
        if not caller.role.includes(self._role):
            watch.refused("role", client=client, path=path, key_id=caller.key_id, name=caller.name)
            raise Refused(
                f"this needs the role {self._role.value}; the key {caller.name!r} has {caller.role.value}",
                code="role",
            )
        return caller


Nominating = Annotated[Nominator, Depends(Requires(Role.NOMINATOR))]
Operating = Annotated[Nominator, Depends(Requires(Role.OPERATOR))]
Administering = Annotated[Nominator, Depends(Requires(Role.ADMIN))]


def actor(caller: Nominator) -> str:
    """Return what journal and audit call *caller*."""
    return f"key {caller.key_id} ({caller.name})"


def act(caller: Nominator, why: str, at: datetime, note: str | None = None) -> Act:
    """Return what *caller* does *at* a time, with his public reason and his private note."""
    return Act(actor(caller), why, at, caller.key_id, note)
