"""A field is found again by its keys."""

from __future__ import annotations

import pytest

from tidegate.sources.locating import locate

TEXT = """\
# A comment.
kind: TCPRoute
spec: &spec
  rules:
  - name: first
    backendRefs: [{name: a}, {name: b,
      port: 80}]
  -
    name: second
other: *spec
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 1),
        (("kind",), 1),
        (("spec", "rules"), 3),
        (("spec", "rules", 0), 4),
        (("spec", "rules", 0, "backendRefs", 1, "port"), 6),
        (("spec", "rules", 1, "name"), 8),
        (("other", "rules"), 9),
    ],
)
def test_a_field_is_at_the_line_of_its_key(keys: tuple[str | int, ...], line: int) -> None:
    """Lines count from 0."""
    assert locate(TEXT, keys) == line


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("absent",), 1),
        (("spec", "rules", 0, "absent"), 4),
        (("spec", "rules", 7), 3),
        (("kind", "deeper"), 1),
        (("spec", "rules", "text"), 3),
    ],
)
def test_an_absent_field_is_at_its_nearest_parent(keys: tuple[str | int, ...], line: int) -> None:
    """A required field that is missing is reported where it belongs."""
    assert locate(TEXT, keys) == line


def test_scalars_and_json_have_lines_too() -> None:
    """A scalar document is where it stands; JSON that is not YAML is at its first line."""
    assert locate("\n\ntext\n", ()) == 2
    assert locate('{"a":\n "\\ud83d\\ude00"}', ("a",)) == 0
    assert locate("", ("a",)) == 0
