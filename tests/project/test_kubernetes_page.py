"""``docs/kubernetes.md`` tells the permissions, flags and parameters that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.cli.main import app
from tidegate.dataplanes.envoy.pod import STATUS_PORT
from tidegate.installation.crd import definition
from tidegate.installation.options import ADMIN_PORT, XDS_PORT
from tidegate.kube.rules import CLUSTER_RULES, NAMESPACE_RULES, Rule

PAGE = (Path(__file__).parents[2] / "docs/kubernetes.md").read_text(encoding="utf-8")


def rows(after: str) -> list[dict[str, str]]:
    """The first table below a text, each row by its headings."""
    lines = PAGE.partition(after)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line[1:-1].split("|")])
    headings, _, *found = table
    return [dict(zip(headings, row, strict=True)) for row in found]


def listed(text: str) -> tuple[str, ...]:
    """The parts of a list with commas."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


@pytest.mark.parametrize(("role", "rules"), [("ClusterRole", CLUSTER_RULES), ("Role", NAMESPACE_RULES)])
def test_permissions_are_those_of_the_role(role: str, rules: tuple[Rule, ...]) -> None:
    """Each rule has a row, in the same order, and each row has a reason."""
    found = rows(f"<!-- {role} -->")
    assert [
        (
            listed(row["API group"].replace("`", "").replace("core", "")),
            listed(row["resources"]),
            listed(row["verbs"]),
            listed(row.get("names", "")),
        )
        for row in found
    ] == [(tuple(filter(None, rule.groups)), rule.resources, rule.verbs, rule.names) for rule in rules]
    assert all(row["why"] for row in found)


def test_flags_of_manifests_are_told() -> None:
    """Every flag of the command is on the page, and no other."""
    told = set(re.findall(r"`(--[a-z-]+)", " ".join(map(str, rows("rollout status")))))
    output = CliRunner().invoke(app, ["manifests", "--help"], env={"COLUMNS": "200"}).output
    assert told == set(re.findall(r"(?<=\s)(--[a-z-]+)", output.partition("Options:")[2])) - {"--help"}


def leaves(schema: dict[str, Any], path: str = "") -> set[str]:
    """The fields that a person sets: those of objects of ours, down to where a Pod's own begin."""
    found = set()
    for name, field in schema["properties"].items():
        here = f"{path}{name}"
        found |= leaves(field, f"{here}.") if here in ("service", "pod") else {here}
    return found


def test_parameters_are_told() -> None:
    """Every field of GatewayParameters is in the table, and no other; the example is one that the schema knows."""
    (version,) = definition()["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert {row["field of `spec`"].strip("`") for row in rows("accessLog: json")} == leaves(spec)
    example = yaml.safe_load(PAGE.partition("```yaml\n")[2].partition("```")[0])
    assert example["kind"] == definition()["spec"]["names"]["kind"]
    assert example["spec"].keys() <= spec["properties"].keys()


def test_ports_are_told() -> None:
    """The ports of controller and proxies are in the table of ports."""
    told = [(row["to"], row["port"]) for row in rows("## Ports")]
    assert {port for to, port in told if to == "controller"} == {f"{XDS_PORT}/TCP", f"{ADMIN_PORT}/TCP"}
    assert ("proxies", f"{STATUS_PORT}/TCP") in told
