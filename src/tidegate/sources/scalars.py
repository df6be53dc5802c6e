"""What a plain YAML scalar means: the rules by which ``kubectl`` reads manifests.

In: the text of a scalar, unquoted, and its tag. Out: None, bool, int, float or str. The rules are
those of ``sigs.k8s.io/yaml`` (YAML 1.1 in Go's reading): ``yes``, ``no``, ``on``, ``off``, ``y`` and
``n`` are booleans, ``0777`` is octal, ``1_000`` a number, while timestamps, sexagesimals (``12:30:45``)
and ``=`` stay text. A number without a fraction is an int, as it would be after Go's detour by JSON.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

Scalar = str | int | float | bool | None

_TAG_PREFIX: Final = "tag:yaml.org,2002:"
_MAX_NUMBER_LENGTH: Final = 128
_MAX_INTEGRAL_FLOAT: Final = 1e21


def _spellings(*words: str, mean: Scalar) -> dict[str, Scalar]:
    return {form: mean for word in words for form in (word, word.capitalize(), word.upper())}


_WORDS: Final[dict[str, Scalar]] = {
    **_spellings("y", "yes", "true", "on", mean=True),
    **_spellings("n", "no", "false", "off", mean=False),
    **_spellings("", "~", "null", mean=None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FIRST_OF_SPECIAL: Final = frozenset("yYnNtTfFoO~+-.0123456789")
_FIRST_OF_NUMBER: Final = frozenset("+-.0123456789")
_DECIMAL: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_INTEGER: Final = re.compile(r"([-+]?)0(?:[xX]([0-9a-fA-F]+)|[bB]([01]+)|[oO]?([0-7]+))\Z")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")


class TagError(ValueError):
    """A scalar that its own tag does not fit, or a tag that manifests do not have. Text for people."""


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar without a tag."""
    if not text:
        return None
    first = text[0]
    if first not in _FIRST_OF_SPECIAL:
        return text
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if first in _FIRST_OF_NUMBER else text


def resolve_tagged(text: str, tag: str) -> Scalar:
    """The value of a scalar with an explicit tag. Raises TagError."""
    short = tag.removeprefix(_TAG_PREFIX)
    if tag == "!" or short in {"str", "timestamp"}:
        return text
    if short == "binary":
        return _from_base64(text)
    value = resolve_plain(text)
    fits = {
        "null": value is None,
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
    }
    if short not in fits:
        raise TagError(f"the tag {tag} has no meaning in a manifest")
    if not fits[short]:
        raise TagError(f"{text!r} is not a value of the type !!{short}")
    return value


def narrow(number: float) -> int | float:
    """A float without a fraction as an int, as JSON writes it; else the float itself."""
    return int(number) if abs(number) < _MAX_INTEGRAL_FLOAT and number.is_integer() else number


def _number(text: str) -> Scalar:
    plain = text.replace("_", "")
    if len(plain) > _MAX_NUMBER_LENGTH:
        return text
    if _DECIMAL.match(plain):
        return int(plain)
    if match := _INTEGER.match(plain):
        sign, hexadecimal, binary, octal = match.groups()
        digits, base = (hexadecimal, 16) if hexadecimal else (binary, 2) if binary else (octal, 8)
        return int(sign + digits, base)
    if _FLOAT.match(plain):
        number = float(plain)
        return narrow(number) if abs(number) != float("inf") else text
    return text


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise TagError("a !!binary value is not base64 of UTF-8 text") from error
