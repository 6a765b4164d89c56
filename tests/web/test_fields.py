from ipaddress import ip_address, ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from rbl.errors import BadInput
from rbl.terms import Address, Network
from rbl.web.fields import AddressField, Body, ListingText, NetworkField, Why

ADDRESS: TypeAdapter[Address] = TypeAdapter(AddressField)
NETWORK: TypeAdapter[Network] = TypeAdapter(NetworkField)


@pytest.mark.parametrize("value", [False, True, 0, 134744072, 1.5, None, [], b"8.8.8.8"])
@pytest.mark.parametrize("adapter", [ADDRESS, NETWORK], ids=["address", "network"])
def test_only_text_is_an_address(adapter: TypeAdapter[object], value: object) -> None:
    """False is not 0.0.0.0, and no number is an address."""
    with pytest.raises(ValidationError, match="written as text"):
        adapter.validate_python(value)


def test_text_is_read_strictly() -> None:
    """As everywhere in the program, with its own errors."""
    assert ip_address("8.8.8.8") == ADDRESS.validate_python("::ffff:8.8.8.8")
    assert ip_network("8.8.8.0/24") == NETWORK.validate_python("8.8.8.0/24")
    with pytest.raises(BadInput):
        ADDRESS.validate_python("8.8.8.08")


def test_addresses_are_told_as_text() -> None:
    """In their canonical form; one that is read already stays as it is."""
    assert '"2620:fe::9"' == ADDRESS.dump_json(ADDRESS.validate_python(ip_address("2620:FE::9"))).decode()
    assert '"8.8.8.0/24"' == NETWORK.dump_json(NETWORK.validate_python(ip_network("8.8.8.0/24"))).decode()


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\x00b", "\x7f", "x" * 501])
def test_a_reason_is_one_line(text: str) -> None:
    """It stands in the audit and on a page."""
    with pytest.raises(ValidationError):
        TypeAdapter(Why).validate_python(text)


@pytest.mark.parametrize("text", ["", "ä", "a\tb", "x" * 256])
def test_a_listing_text_fits_a_txt_record(text: str) -> None:
    """RFC 1035 §3.3: one character-string of printable ASCII."""
    with pytest.raises(ValidationError):
        TypeAdapter(ListingText).validate_python(text)


def test_a_body_takes_known_fields_only() -> None:
    """A misspelt field is a fault, not a default."""
    with pytest.raises(ValidationError):
        Body.model_validate({"nevr_list": True})
