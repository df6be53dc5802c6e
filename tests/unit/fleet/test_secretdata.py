"""Bytes go through a Secret unchanged."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.fleet.secretdata import decoded, encoded


@given(st.dictionaries(st.text(), st.binary()))
def test_what_is_encoded_is_decoded(data: dict[str, bytes]) -> None:
    """Any bytes come back as they went in."""
    assert decoded({"data": encoded(data)}) == data


def test_secret_without_data_holds_nothing() -> None:
    """The API leaves an empty field out, or gives null."""
    assert decoded({}) == decoded({"data": None}) == {}


def test_what_is_no_base64_is_empty() -> None:
    """An API server gives no such thing; should one do so, it is nothing that can be used."""
    assert decoded({"data": {"tls.key": "%%%"}}) == {"tls.key": b""}
