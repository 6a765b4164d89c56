"""Who calls: an API key as a bearer token (RFC 6750 §2.1), and the role that an operation needs."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from rbl.errors import Refused
from rbl.store import keys
from rbl.terms import Nominator, Role
from rbl.web.parts import UsedParts

_BEARER = HTTPBearer(
    scheme_name="key",
    description="An API key, given out by an administrator and shown once: `Authorization: Bearer rbl_…`",
    auto_error=False,
)
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


class Requires:
    """Lets through whoever has a key with *role*, or one above it."""

    def __init__(self, role: Role) -> None:
        self._role = role

    def __call__(self, parts: UsedParts, credentials: _Credentials) -> Nominator:
        """Return whose key it is.

        Raises:
            Refused: no key, none of ours, or one whose role does not include this one.
        """
        if credentials is None:
            raise Refused("an API key is needed: Authorization: Bearer rbl_…", code="no-key")
        with parts.store.reading() as session:
            caller = keys.authenticate(session, credentials.credentials)
        if not caller.role.includes(self._role):
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
