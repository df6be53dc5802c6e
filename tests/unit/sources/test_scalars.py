"""Plain scalars mean what kubectl reads in them."""

from __future__ import annotations

import math

import pytest

from tidegate.sources.scalars import TagError, narrow, resolve_plain, resolve_tagged


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("web", "web"),
        ("", None),
        ("~", None),
        ("Null", None),
        ("yes", True),
        ("On", True),
        ("y", True),
        ("OFF", False),
        ("n", False),
        ("truE", "truE"),
        ("8080", 8080),
        ("-5", -5),
        ("+7", 7),
        ("0", 0),
        ("0777", 511),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b101", -5),
        ("1_000", 1000),
        ("08", 8),
        ("1e3", 1000),
        ("80.0", 80),
        ("1.5", 1.5),
        (".5", 0.5),
        (".inf", math.inf),
        ("1e999", "1e999"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("=", "="),
        ("10.0.0.1", "10.0.0.1"),
        ("-", "-"),
        ("+", "+"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_text_is_resolved_as_kubectl_does(text: str, value: object) -> None:
    """Words and numbers of YAML 1.1 are read as Go reads them; times, sexagesimals and = stay text."""
    resolved = resolve_plain(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [
        ("8080", "tag:yaml.org,2002:str", "8080"),
        ("x", "!", "x"),
        ("3", "tag:yaml.org,2002:int", 3),
        ("no", "tag:yaml.org,2002:bool", False),
        ("", "tag:yaml.org,2002:null", None),
        ("1.5", "tag:yaml.org,2002:float", 1.5),
        ("aGk=", "tag:yaml.org,2002:binary", "hi"),
    ],
)
def test_a_tag_decides(text: str, tag: str, value: object) -> None:
    """A scalar with a tag is of the tag's type."""
    assert resolve_tagged(text, tag) == value


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("x", "tag:yaml.org,2002:int"),
        ("yes", "tag:yaml.org,2002:int"),
        ("x", "!vault"),
        ("%%%", "tag:yaml.org,2002:binary"),
        ("/w==", "tag:yaml.org,2002:binary"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(text: str, tag: str) -> None:
    """A value that is not of its tag's type, and a tag without meaning, are errors."""
    with pytest.raises(TagError):
        resolve_tagged(text, tag)


def test_whole_floats_become_integers() -> None:
    """A number without a fraction is an int unless it is too large for JSON to write so."""
    assert type(narrow(80.0)) is int
    assert narrow(80.5) == 80.5
    assert type(narrow(1e22)) is float
    assert narrow(math.inf) == math.inf
