"""The objects of a Gateway's data plane, as reviewed text.

Each case is ``fleet/<name>.in.yaml``: what differs from a plain Gateway with one listener (of
``support.infrastructures``), and under ``kinds`` which objects to show, all if absent. Run with
``TIDEGATE_REGENERATE=1`` to write the outputs anew, and review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.infrastructures import CONTAINER, CONTROLLER, CREDENTIALS, IMAGE, infrastructure
from tidegate.fleet.objects import manifests

CASES = sorted(Path(__file__).with_name("fleet").glob("*.in.yaml"))


def generated(differences: dict[str, Any]) -> str:
    """The manifests of a case, one document each."""
    shown = differences.pop("kinds", None)
    made = manifests(infrastructure(**differences), CONTAINER, CREDENTIALS, image=IMAGE, controller=CONTROLLER)
    bodies = [one.body for one in made if shown is None or one.kind.name in shown]
    return yaml.dump_all(bodies, Dumper=Plain, sort_keys=False, width=120)


class Plain(yaml.SafeDumper):
    """Writes values that occur twice as they are, twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether no alias may stand for a value: always."""
        return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".in.yaml"))
def test_objects_are_as_reviewed(case: Path) -> None:
    """An infrastructure in, objects out: exactly what was reviewed."""
    text = generated(yaml.safe_load(case.read_text(encoding="utf-8")) or {})
    expected = case.with_name(case.name.replace(".in.yaml", ".out.yaml"))
    if os.environ.get("TIDEGATE_REGENERATE") == "1":
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_output_has_its_input() -> None:
    """No output is left over from a case that is gone."""
    outputs = Path(__file__).with_name("fleet").glob("*.out.yaml")
    assert {path.name.replace(".out.", ".in.") for path in outputs} == {path.name for path in CASES}
