"""Writing results to standard output: YAML and JSON as ``kubectl`` prints them, and plain text.

Messages about failures go to standard error instead (``cli.failures``).
"""

from __future__ import annotations

import enum
import sys
from typing import Any

import msgspec

_TEXT = "tag:yaml.org,2002:str"


class Format(enum.Enum):
    """``-o`` of commands that show objects."""

    TABLE = "table"
    WIDE = "wide"
    YAML = "yaml"
    JSON = "json"


def write(text: str) -> None:
    """Write text to standard output at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def as_json(value: Any) -> str:
    """Indented JSON with a line end."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def as_yaml(value: Any) -> str:
    """YAML in block style, keys in the order they have."""
    import yaml

    plain = msgspec.to_builtins(value)
    return yaml.dump(plain, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=120)


def _dumper() -> Any:
    """PyYAML's fast dumper without anchors, which no API server prints.

    Text that a reader of manifests would take for something else (``True``, ``y``, ``1e3``) is quoted.
    """
    import yaml

    from tidegate.sources.scalars import resolve_plain

    base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[misc, valid-type]
        def ignore_aliases(self, _: object) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        plain = resolve_plain(value) == value and dumper.resolve(yaml.ScalarNode, value, (True, False)) == _TEXT
        return dumper.represent_scalar(_TEXT, value, style=None if plain else '"')

    Dumper.add_representer(str, text)
    return Dumper
