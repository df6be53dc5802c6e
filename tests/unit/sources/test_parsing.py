"""One document's text becomes plain values, or one problem with its line; hostile texts cost nothing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sources.parsing import MAX_DEPTH, Broken, Document, parse


def value(text: str) -> Any:
    """The only value of a text."""
    documents = parse(text)
    assert isinstance(documents, tuple), documents
    (document,) = documents
    return document.value


def broken(text: str) -> Broken:
    """The problem of a text."""
    problem = parse(text)
    assert isinstance(problem, Broken), problem
    return problem


def test_a_manifest_becomes_dicts_and_lists() -> None:
    """Mappings, sequences in both styles, block scalars and quotes come out as plain values."""
    text = "a: 1\nb:\n- x: 'y'\n  z: [1, \"2\", no]\n- {k: v}\nc: |\n  ---\n  text\n"
    assert value(text) == {"a": 1, "b": [{"x": "y", "z": [1, "2", False]}, {"k": "v"}], "c": "---\ntext\n"}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "~", "null", "...", "---", "  # c\n...\n# d\n"])
def test_empty_documents_are_skipped(text: str) -> None:
    """Blank, comments only and null: no document."""
    assert parse(text) == ()


def test_aliases_and_merge_keys() -> None:
    """An alias repeats its anchor; << fills in what a mapping does not say itself, nearest first."""
    text = "base: &b {x: 1, w: 2}\nother: &o {w: 3, z: 4}\nm: {<<: *b, w: 9}\np: {<<: [*o, *b]}\ns: &k key\n*k : v\n"
    got = value(text)
    assert got["m"] == {"x": 1, "w": 9}
    assert got["p"] == {"w": 3, "z": 4, "x": 1}
    assert got["key"] == "v"


def test_quoted_merge_sign_is_a_key() -> None:
    """Only a plain << merges."""
    assert value("'<<': 1\n") == {"<<": 1}


def test_keys_are_text_as_in_json() -> None:
    """Numbers and booleans as keys become their text."""
    assert value("80: a\non: b\n1.5: c\n") == {"80": "a", "true": "b", "1.5": "c"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 2, "the key 'a' stands twice"),
        ("{a: 1, a: 2}", 0, "stands twice"),
        ("yes: 1\ntrue: 2\n", 1, "stands twice"),
        ('{"a": 1,\n "a": 2}', 1, "stands twice"),
        ("a: b: c", 0, "colon stands where no key"),
        ("x: 1\n\ty: 2\n", 1, "tab"),
        ("a: [1, 2\n", 0, "not closed"),
        ("a: {b: 1\nc: 2", 1, "not valid YAML"),
        ("a: 'open\nb: 2\n\nc: 3\n", 0, "quoted text is not closed"),
        ("x: {{ .Values.x }}\n", 0, "template"),
        ("{{ .Values.x }}: y", 0, "template"),
        ("? [a]\n: b\n", 0, "plain text"),
        ("k: &a [*a]", 0, "inside of what it repeats"),
        ("a: *nobody", 0, "no anchor"),
        ("<<: 5", 0, "merges mappings"),
        ("a: !vault x", 0, "no meaning"),
        ("null: 1", 0, "key is missing"),
        ("a: 1\nb: \x01\n", 1, "control character"),
        ("a: 1\n\u2028---\nb: 1", 2, "second document"),
        ("a:\n  b: 1\n c: 2\n", 2, "indentation"),
        ("%YAML 3.0\n---\na: 1", 0, "incompatible"),
    ],
)
def test_what_cannot_be_read_has_a_line_and_plain_words(text: str, line: int, words: str) -> None:
    """Every problem names its line, counted from 0, and says what is wrong."""
    problem = broken(text)
    assert (problem.line, words in problem.message) == (line, True), problem


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", '{"a":', '[{"a":'])
def test_deep_nesting_is_refused_at_once(unit: str) -> None:
    """A hundred thousand levels overflow nothing and take no time."""
    started = time.monotonic()
    assert "levels deep" in broken(unit * 100_000).message
    assert time.monotonic() - started < 1


def test_nesting_up_to_the_limit_is_read() -> None:
    """The deepest permitted document is read, as YAML and as JSON; one level more is not."""
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert value(deepest) == json.loads(deepest)
    assert "levels deep" in broken(f"[{deepest}]").message
    in_json = f'{{"a":{"[" * (MAX_DEPTH - 1)}{"]" * (MAX_DEPTH - 1)}}}'
    assert value(in_json) == json.loads(in_json)
    assert "levels deep" in broken(f'{{"b": {in_json}}}').message


def test_alias_bombs_are_refused_at_once() -> None:
    """Nine lists of nine aliases each, nine levels high, are refused before they unfold."""
    levels = "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))
    started = time.monotonic()
    problem = broken("a: &a [x, x, x, x, x, x, x, x, x]\n" + levels)
    assert "aliases repeat" in problem.message
    assert time.monotonic() - started < 1


def test_merge_bombs_are_refused() -> None:
    """Merging counts as repeating."""
    wide = "a: &a {" + ", ".join(f"k{i}: 1" for i in range(300)) + "}\n"
    assert "aliases repeat" in broken(wide + "b:\n" + "- {<<: *a}\n" * 300).message


def test_json_keeps_to_json() -> None:
    """JSON is read as JSON: surrogate pairs, whole floats, and several objects one after the other."""
    documents = parse('{"a": "\\ud83d\\ude00"}\n {"b": 80.0, "c": 1.5}\n')
    assert isinstance(documents, tuple)
    assert [document.value for document in documents] == [{"a": "😀"}, {"b": 80, "c": 1.5}]
    assert [document.line for document in documents] == [0, 1]


def test_flow_yaml_that_looks_like_json_is_read() -> None:
    """A text that begins like JSON and is YAML is read as YAML."""
    assert value("{a: 1, b: [x]}") == {"a": 1, "b": ["x"]}
    assert value('{"a": NaN}') == {"a": "NaN"}


def test_the_document_carries_its_text() -> None:
    """Where a document starts and its text are kept for finding lines."""
    assert parse("a: 1\n") == (Document(0, "a: 1\n", {"a": 1}),)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN.filter(lambda plain: plain is not None))
def test_what_a_yaml_writer_writes_is_read_back(plain: Any) -> None:
    """Values written by a YAML library come back as they were."""
    assert value(yaml.dump(plain, default_style='"', Dumper=yaml.SafeDumper)) == plain


@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    """Any text is documents or a problem within its lines."""
    result = parse(text.replace("\r", ""))
    if isinstance(result, Broken):
        assert 0 <= result.line <= text.count("\n") + sum(text.count(c) for c in "\x85\u2028\u2029")
