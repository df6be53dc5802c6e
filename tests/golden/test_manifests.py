"""What ``tidegate manifests`` prints, as reviewed text.

Run with ``TIDEGATE_REGENERATE=1`` to write it anew, and review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli.main import app

FOLDER = Path(__file__).with_name("manifests")

CASES = {
    "default": ["--version", "1.2.3"],
    "every-flag": [
        *("--version", "1.2.3", "--namespace", "edge", "--replicas", "1", "--gateway-class", "tcp"),
        *("--image", "example/tidegate:1", "--proxy-image", "example/proxy:1", "--pull-secret", "registry"),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_installation_is_as_reviewed(case: str) -> None:
    """Flags in, everything to apply out: exactly what was reviewed."""
    result = CliRunner().invoke(app, ["manifests", *CASES[case]])
    assert result.exit_code == 0, result.output
    expected = FOLDER / f"{case}.yaml"
    if os.environ.get("TIDEGATE_REGENERATE") == "1":
        expected.write_text(result.output, encoding="utf-8")
    assert result.output == expected.read_text(encoding="utf-8")


def test_every_output_has_its_case() -> None:
    """No output is left over from a case that is gone."""
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(CASES)
