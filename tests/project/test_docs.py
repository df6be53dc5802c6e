"""The documents for users stay true where a program can tell: metric names, links, names of modules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate.telemetry.metrics import Figures, Metrics

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def test_every_metric_is_documented() -> None:
    """Each metric that /metrics declares is in docs/metrics.md by the name under which it is found."""
    text = b"".join(Metrics(version="0", data_plane="envoy").render(Figures())).decode()
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE tidegate_")}
    documented = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert {name for name in declared if not name.endswith("_created") and f"`{name}`" not in documented} == set()


def test_no_metric_is_documented_that_is_gone() -> None:
    """Each metric in docs/metrics.md's table is one that /metrics declares."""
    metrics = Metrics(version="0", data_plane="envoy")
    metrics.leads(leads=True)
    declared = set(re.findall(r"^# TYPE (tidegate_\w+)", b"".join(metrics.render(Figures())).decode(), re.MULTILINE))
    documented = re.findall(
        r"^\| `(tidegate_\w+)`", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(documented) - declared == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project names one that exists."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "docs/decisions/0001-incremental-graph.md"])
def test_modules_that_are_named_exist(page: str) -> None:
    """A module that a page names by its path is there: in the project, the package, or the data planes."""
    named = set(re.findall(r"`([a-z_/]+/[a-z_]+\.py)`", (ROOT / page).read_text(encoding="utf-8")))
    places = (ROOT, ROOT / "src/tidegate", ROOT / "src/tidegate/dataplanes")
    assert {name for name in named if not any((place / name).exists() for place in places)} == set()
