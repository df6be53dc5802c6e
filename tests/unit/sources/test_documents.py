"""Files are taken apart into documents, and lists into objects."""

from __future__ import annotations

import codecs

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sources.documents import Item, decode, first_lines, items, split
from tidegate.sources.parsing import Broken, parse


def test_utf8_with_and_without_a_mark_and_all_line_ends() -> None:
    """The byte order mark goes, and every line end becomes a line feed."""
    assert decode(codecs.BOM_UTF8 + "ä: 1\r\nb: 2\rc: 3\n".encode()) == "ä: 1\nb: 2\nc: 3\n"


def test_bytes_that_are_not_utf8_are_named() -> None:
    """The line, the byte and its offset are told."""
    assert decode(b"a: 1\nb: \xff\n") == Broken(1, "the file is not UTF-8: byte 0xff at offset 8")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_recognised(encoding: str) -> None:
    """A file of the wrong encoding is told so."""
    bom = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else codecs.BOM_UTF16_BE
    problem = decode(bom + "a: 1".encode(encoding))
    assert isinstance(problem, Broken)
    assert "UTF-16" in problem.message


@pytest.mark.parametrize(
    ("text", "chunks", "lines"),
    [
        ("", [""], [0]),
        ("a: 1\n", ["a: 1"], [0]),
        ("a: 1\n\n", ["a: 1\n"], [0]),
        ("a: 1\n---\nb: 2\n", ["a: 1", "\nb: 2"], [0, 1]),
        ("---\na: 1\n---\n---\nb: 2\n", ["\na: 1", "", "\nb: 2"], [0, 2, 3]),
        ("--- # first\na: 1\n---\tx", [" # first\na: 1", "\tx"], [0, 2]),
        ("a: |\n  x\n  ---\n  z\n", ["a: |\n  x\n  ---\n  z"], [0]),
        ("a: 1\n---x: 2\n----\n---", ["a: 1\n---x: 2\n----", ""], [0, 3]),
        ("a: 1\n...\n---\nb: 2\n", ["a: 1\n...", "\nb: 2"], [0, 2]),
        ("a: 1\n...\nb: 2\n...\n", ["a: 1\n...", "b: 2\n..."], [0, 2]),
        ("%YAML 1.1\n---\na: 1\n", ["%YAML 1.1\n---\na: 1"], [0]),
        ("# c\n%YAML 1.1\n---\na: 1\n", ["# c\n%YAML 1.1\n---\na: 1"], [0]),
        (
            "a: 1\n...\n%YAML 1.1\n# c\n---\nb: 1\n---\nc: 1",
            ["a: 1\n...", "%YAML 1.1\n# c\n---\nb: 1", "\nc: 1"],
            [0, 2, 6],
        ),
        ("a: 1\n...\n%YAML 1.1", ["a: 1\n...", "%YAML 1.1"], [0, 2]),
        ("a: 1...\n....\n", ["a: 1...\n...."], [0]),
    ],
)
def test_documents_are_split_at_their_lines(text: str, chunks: list[str], lines: list[int]) -> None:
    """Only whole markers at the start of a line separate; directives go with the document below them."""
    assert split(text) == chunks
    assert first_lines(chunks) == lines


def test_no_chunks_have_no_lines() -> None:
    """Nothing starts nowhere."""
    assert first_lines([]) == []


PIECES = st.lists(
    st.sampled_from(
        ["a: 1\n", "---\n", "--- # x\n", "...\n", "# c\n", "b: |\n  ---\n  ...\n", "---x: 1\n", "\n", "c: '---'\n"]
    ),
    max_size=10,
)


@given(PIECES)
def test_splitting_agrees_with_a_whole_parser(pieces: list[str]) -> None:
    """Where a parser reads a whole stream, the chunks give the same documents, one by one."""
    text = "".join(pieces)
    try:
        whole = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError:
        return
    parsed = [parse(chunk + "\n") for chunk in split(text)]
    problems = [one.message for one in parsed if isinstance(one, Broken)]
    if problems:
        assert all("twice" in problem for problem in problems)
        return
    assert [document.value for one in parsed if isinstance(one, tuple) for document in one] == whole


def test_lists_are_taken_apart_in_order() -> None:
    """Lists, typed lists and lists inside of lists yield their objects with the keys that lead there."""
    inner = {"kind": "TCPRouteList", "items": [{"kind": "B"}, {"kind": "C"}]}
    document = {"kind": "List", "items": [{"kind": "A"}, inner, 5]}
    assert list(items(document)) == [
        Item(("items", 0), {"kind": "A"}),
        Item(("items", 1, "items", 0), {"kind": "B"}),
        Item(("items", 1, "items", 1), {"kind": "C"}),
        Item(("items", 2), 5),
    ]


def test_what_is_no_list_stays_whole() -> None:
    """An object, a list without usable items and a bare value are themselves; an empty list is nothing."""
    odd = {"kind": "List", "items": "x"}
    assert list(items(odd)) == [Item((), odd)]
    assert list(items({"kind": "AllowList"})) == [Item((), {"kind": "AllowList"})]
    assert list(items("text")) == [Item((), "text")]
    assert list(items({"kind": "List", "items": None})) == []
