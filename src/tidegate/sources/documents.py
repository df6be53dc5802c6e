"""A file's bytes to documents, pure: decoding, splitting, and lists taken apart.

In: bytes of a file. Out: chunks, the text between ``---`` lines; and for a parsed document the objects
in it. A chunk's text is its identity: who keeps what a text gave parses only texts that are new, so an
edit in a file of thousands of documents costs one document. Parsing one chunk is `parsing`.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tidegate.sources.parsing import Broken

_SEPARATOR_END: Final = frozenset(" \t\n")
_DOCUMENT_END: Final = re.compile(r"^\.\.\.(?:[ \t][^\n]*)?(?:\n|\Z)", re.MULTILINE)
_DIRECTIVES: Final = re.compile(r"(?=[^%]*^%)(?:[ \t]*(?:#.*)?(?:\n|\Z)|%.*(?:\n|\Z))*\Z", re.MULTILINE)

Keys = tuple[str | int, ...]


class Item(msgspec.Struct, frozen=True):
    """One object inside of a document: ``keys`` lead to it (empty: the document itself)."""

    keys: Keys
    value: Any


def decode(data: bytes) -> str | Broken:
    """The text of a file: UTF-8 with or without a byte order mark, every line end a line feed."""
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        return Broken(data.count(b"\n", 0, error.start), _not_utf8(data, error))
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "the file is UTF-16; save it as UTF-8"
    return f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"


def split(text: str) -> list[str]:
    """The chunks of a file, in order; each holds at most one YAML document.

    A document starts at a line that begins with ``---`` and ends at one that begins with ``...``
    (YAML 1.1 section 9.2: neither can be content, not even of a block scalar). A chunk is without its
    own ``---`` and without the line break that ends its last line: `parse` wants that back.
    """
    chunks = _pieces(text.removesuffix("\n"))
    if chunks[0].startswith(("%", "...")) or "\n%" in chunks[0] or "\n..." in text:
        chunks = _with_directives(chunks)
    return chunks


def first_lines(chunks: list[str]) -> list[int]:
    """The line, counted from 0, on which each of a file's chunks starts."""
    lengths = (chunk.count("\n") + 1 for chunk in chunks[:-1])
    return list(itertools.accumulate(lengths, initial=0)) if chunks else []


def _pieces(text: str) -> list[str]:
    """The text cut at every ``---`` line."""
    pieces = ("\n" + text).split("\n---")
    if any(piece and piece[0] not in _SEPARATOR_END for piece in pieces[1:]):
        pieces = _rejoin(pieces)
    if pieces[0]:
        pieces[0] = pieces[0][1:]
    elif len(pieces) > 1:
        del pieces[0]
    return pieces


def _rejoin(pieces: list[str]) -> list[str]:
    """The pieces, where lines such as ``---x`` separate nothing."""
    whole = [[pieces[0]]]
    for piece in pieces[1:]:
        if piece and piece[0] not in _SEPARATOR_END:
            whole[-1].append(piece)
        else:
            whole.append([piece])
    return ["\n---".join(parts) for parts in whole]


def _with_directives(pieces: list[str]) -> list[str]:
    """The pieces cut after every ``...`` line, and ``%`` directives joined to the document below."""
    chunks: list[str] = []
    directives: str | None = None
    for piece in pieces:
        text = piece if directives is None else f"{directives}\n---{piece}"
        directives = None
        ended = 0
        for match in _DOCUMENT_END.finditer(text):
            chunks.append(text[ended : match.end()].removesuffix("\n"))
            ended = match.end()
        rest = text[ended:]
        if _DIRECTIVES.match(rest):
            directives = rest
        elif rest or not ended:
            chunks.append(rest)
    return chunks if directives is None else [*chunks, directives]


def items(document: Any) -> Iterator[Item]:
    """The objects of a document: itself, or for ``kind: List`` what it lists, lists in lists included."""
    stack = [Item((), document)]
    while stack:
        item = stack.pop()
        value = item.value
        if isinstance(value, dict) and str(value.get("kind", "")).endswith("List") and "items" in value:
            listed = value["items"] or []
            if isinstance(listed, list):
                stack.extend(Item((*item.keys, "items", i), listed[i]) for i in range(len(listed) - 1, -1, -1))
                continue
        yield item
