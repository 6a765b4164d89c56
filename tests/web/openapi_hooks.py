"""What schemathesis is told of this API: its own formats, raw messages, and what being well-formed means.

Loaded by SCHEMATHESIS_HOOKS; see test_openapi.
"""

from base64 import b64encode
from ipaddress import ip_network
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, Response

# What says that a request is not well-formed. Everything else of a 4xx is about what it asks for.
_OF_THE_FORM = frozenset(
    {
        "bad-address",
        "bad-idempotency-key",
        "bad-json",
        "bad-name",
        "bad-network",
        "bad-request",
        "invalid",
        "unsupported-media-type",
    }
)

_NETWORKS = st.one_of(
    st.ip_addresses().map(str),
    st.builds(
        lambda address, bits: str(ip_network((address, min(bits, address.max_prefixlen)), strict=False)),
        st.ip_addresses(),
        st.integers(0, 128),
    ),
)
_LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
_NAMES = st.lists(_LABELS, min_size=1, max_size=4).map(".".join)
_OWNER_NAMES = st.one_of(_NAMES, _NAMES.map("*.{}".format))

schemathesis.openapi.format("network", _NETWORKS)
schemathesis.openapi.format("owner-name", _OWNER_NAMES)
schemathesis.openapi.format("network-or-owner-name", st.one_of(_NETWORKS, _OWNER_NAMES))
schemathesis.openapi.format("base64", st.binary().map(lambda octets: b64encode(octets).decode()))
schemathesis.openapi.format("printable", st.from_regex(r"[!-~]([ -~]{0,98}[!-~])?", fullmatch=True))


@schemathesis.check
def well_formed_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """What validates by the schema is not refused for its form."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in {400, 415, 422}:
        told = response.json()
        assert told["code"] not in _OF_THE_FORM, f"well-formed, and refused for its form: {told['detail']}"


# A raw message goes out as it is, like any other file.
schemathesis.serializer.alias("message/rfc822", "application/octet-stream")
