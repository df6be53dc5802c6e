"""A table follows what is said of its keys."""

from __future__ import annotations

from tidegate.dataplanes.entries import put


def test_a_key_comes_changes_and_goes() -> None:
    """Each time that is new, and said again it is not."""
    table = {"other": 0}
    for value, expected in ((1, {"other": 0, "key": 1}), (2, {"other": 0, "key": 2}), (None, {"other": 0})):
        assert put(table, "key", value)
        assert table == expected
        assert not put(table, "key", value)
        assert table == expected


def test_an_empty_value_is_a_value() -> None:
    """Only None says that a key is gone."""
    table: dict[str, str] = {}
    assert put(table, "key", "")
    assert table == {"key": ""}
