"""The Helm chart installs what ``tidegate manifests`` prints: by its own templates, and as Helm renders them.

The tests that need Helm take the program that ``HELM`` names (``scripts/helm`` builds one), or the one on the path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate import __version__
from tidegate.installation.manifests import documents
from tidegate.installation.options import Options

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/tidegate"
KEPT = {"helm.sh/resource-policy": "keep"}

Objects = dict[tuple[str, str], Any]

CHOICES: dict[str, tuple[Options, dict[str, Any]]] = {
    "defaults": (Options(), {}),
    "another image": (
        Options(image="example/tidegate:2@sha256:abc", pull_policy="Always", pull_secrets=("a", "b")),
        {
            "image": {"repository": "example/tidegate", "tag": "2@sha256:abc", "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
        },
    ),
    "another image for proxies": (Options(proxy_image="example/proxy:3"), {"proxyImage": "example/proxy:3"}),
    "placement": (
        Options(
            replicas=5,
            node_selector={"pool": "edge", "zone": "1"},
            tolerations=({"key": "edge", "operator": "Exists"},),
            affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            resources={"requests": {"cpu": 2}},
        ),
        {
            "replicas": 5,
            "nodeSelector": {"kubernetes.io/os": None, "pool": "edge", "zone": "1"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "resources": {"requests": {"cpu": 2, "memory": None}, "limits": None},
        },
    ),
    "nothing that can be left out": (
        Options(gateway_class=None, resources={}, node_selector={}),
        {"gatewayClass": {"create": False}, "resources": None, "nodeSelector": None},
    ),
    "another class": (Options(gateway_class="123"), {"gatewayClass": {"name": "123"}}),
}
"""The same wish in both languages."""


def expected(options: Options) -> Objects:
    """What the chart is to install: all but the Namespace, the CRD with Helm's order to keep it."""
    found = {}
    for document in documents(options):
        item = json.loads(json.dumps(document.manifest))
        if item["kind"] == "CustomResourceDefinition":
            item["metadata"]["annotations"] = KEPT
        if item["kind"] != "Namespace":
            found[item["kind"], item["metadata"]["name"]] = item
    return found


def keyed(text: str) -> Objects:
    """The objects of YAML documents."""
    items = [item for item in yaml.safe_load_all(text) if item]
    found = {(item["kind"], item["metadata"]["name"]): item for item in items}
    assert len(found) == len(items)
    return found


def merged(values: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The chart's values with others on top, as Helm does it: maps together, null takes away."""
    found = dict(values)
    for name, value in chosen.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict) and isinstance(found.get(name), dict):
            found[name] = merged(found[name], value)
        else:
            found[name] = value
    return found


class Rendering:
    """The few things of Helm's templates that this chart uses, without Helm."""

    def __init__(self, chosen: Mapping[str, Any], *, namespace: str) -> None:
        self._namespace = namespace
        self._values = merged(yaml.safe_load((CHART / "values.yaml").read_text()), chosen)

    def text(self, template: str) -> str:
        """The text of a template."""
        template = re.sub(r"\{\{- /\*.*?\*/ -\}\}\n", "", template)
        template = re.sub(
            r" *\{\{- with (\S+) \}\}\n( *\w+:)\n *\{\{- toYaml \. \| nindent \d+ \}\}\n *\{\{- end \}\}\n",
            lambda found: f"{found[2]} {json.dumps(value)}\n" if (value := self._value(found[1])) else "",
            template,
        )
        condition = re.fullmatch(r"\{\{- if (\S+) \}\}\n(.*)\{\{- end \}\}\n", template, re.DOTALL)
        if condition:
            template = condition[2] if self._value(condition[1]) else ""
        template = re.sub(r"\{\{ (.+?) \| quote \}\}", lambda found: json.dumps(str(self._value(found[1]))), template)
        return re.sub(r"\{\{ (.+?) \}\}", lambda found: str(self._value(found[1])), template)

    def _value(self, expression: str) -> Any:
        image = self._values["image"]
        controller = f"{image['repository']}:{image['tag'] or __version__}"
        named = {
            ".Release.Namespace": self._namespace,
            ".Chart.AppVersion": __version__,
            'include "tidegate.image" .': controller,
            'include "tidegate.proxyImage" .': self._values["proxyImage"] or controller,
        }
        if expression in named:
            return named[expression]
        value: Any = self._values
        for name in expression.removeprefix(".Values.").split("."):
            value = value.get(name, {})
        return value


@pytest.fixture(scope="session")
def helm() -> str:
    """The program, or the reason to skip."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if not found:
        pytest.skip("there is no helm on the path, and HELM names none: HELM=$(scripts/helm) builds one with Go")
    return found


def run_helm(helm: str, *arguments: str, values: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run Helm with values on standard input."""
    return subprocess.run(
        [helm, *arguments, "--values", "-"],
        input=yaml.safe_dump(dict(values)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_chart_is_what_the_script_writes(tmp_path: Path) -> None:
    """Whoever changes the installation runs scripts/chart, and nobody edits what it wrote."""
    subprocess.run([sys.executable, ROOT / "scripts/chart", tmp_path], check=True, timeout=60)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.yaml")}
    there = {path.relative_to(CHART) for path in (*CHART.glob("templates/*.yaml"), CHART / "Chart.yaml")}
    assert written == there
    stale = [str(name) for name in written if (tmp_path / name).read_text() != (CHART / name).read_text()]
    assert not stale, "run scripts/chart (or make fix)"


@pytest.mark.parametrize("choice", CHOICES)
def test_templates_say_what_the_command_prints(choice: str) -> None:
    """The same wish gives the same objects, as far as Python can tell."""
    options, chosen = CHOICES[choice]
    rendering = Rendering(chosen, namespace=options.namespace)
    texts = [rendering.text(path.read_text()) for path in sorted(CHART.glob("templates/*.yaml"))]
    assert keyed("---\n".join(texts)) == expected(options)


@pytest.mark.parametrize("choice", CHOICES)
def test_helm_renders_what_the_command_prints(helm: str, choice: str) -> None:
    """The same wish gives the same objects, as Helm sees it."""
    options, chosen = CHOICES[choice]
    result = run_helm(helm, "template", "any-name", str(CHART), "-n", options.namespace, values=chosen)
    assert result.returncode == 0, result.stderr
    assert keyed(result.stdout) == expected(options)


def test_helm_installs_without_the_definition(helm: str) -> None:
    """Who keeps CRDs elsewhere leaves it out, and nothing else."""
    result = run_helm(helm, "template", "x", str(CHART), "-n", "tidegate-system", values={"crds": {"install": False}})
    assert expected(Options()).keys() - keyed(result.stdout).keys() == {
        ("CustomResourceDefinition", "gatewayparameters.tidegate.dev")
    }


def test_helm_finds_no_fault(helm: str) -> None:
    """Helm lint has nothing to say that counts."""
    result = run_helm(helm, "lint", "--strict", str(CHART), values={})
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "mistake", [{"replica": 3}, {"replicas": 0}, {"image": {"pullPolicy": "Sometimes"}}, {"gatewayClass": "x"}]
)
def test_helm_refuses_a_value_that_does_not_exist(helm: str, mistake: dict[str, Any]) -> None:
    """A typing error is an error, not a default."""
    result = run_helm(helm, "template", "x", str(CHART), values=mistake)
    assert result.returncode != 0
    assert "schema" in result.stderr


def test_every_value_is_in_the_schema() -> None:
    """What can be chosen and what may be chosen are the same, at every depth that the schema closes."""

    def names(schema: Mapping[str, Any]) -> Any:
        if schema.get("additionalProperties") is not False:
            return None
        return {name: names(field) for name, field in schema["properties"].items() if name != "global"}

    def same(schema: Any, value: Any) -> bool:
        return schema is None or (
            isinstance(value, dict)
            and schema.keys() == value.keys()
            and all(same(schema[name], value[name]) for name in schema)
        )

    schema = names(json.loads((CHART / "values.schema.json").read_text()))
    assert same(schema, yaml.safe_load((CHART / "values.yaml").read_text()))
