"""The import contracts of pyproject.toml can fail: each is shown a planted violation and must name it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "Layers": [
        ("tidegate.core.planted", "tidegate.controller"),
        ("tidegate.core.planted", "tidegate.telemetry"),
        ("tidegate.sources.planted", "tidegate.admin"),
        ("tidegate.installation.planted", "tidegate.sources"),
        ("tidegate.admin.planted", "tidegate.cli"),
        ("tidegate.names", "tidegate.errors"),
    ],
    "Data planes read plans, not Gateway API": [
        ("tidegate.dataplanes.planted", "tidegate.model"),
        ("tidegate.dataplanes.planted", "tidegate.core"),
    ],
    "The plan knows no Gateway API": [("tidegate.plan.planted", "tidegate.model")],
    "The controller knows only the seams of sources and data planes": [
        ("tidegate.controller.planted", "tidegate.dataplanes.envoy"),
        ("tidegate.controller.planted", "tidegate.sources.planted"),
    ],
    "gRPC is spoken by Envoy's servers and between replicas": [
        ("tidegate.dataplanes.envoy.planted", "grpc"),
        ("tidegate.core.planted", "grpc"),
    ],
    "Envoy's vocabulary stays with the Envoy data plane": [
        ("tidegate.dataplanes.planted", "envoy"),
        ("tidegate.core.planted", "google"),
    ],
    "Kubernetes is spoken in one package": [
        ("tidegate.sources.planted", "kubernetes"),
        ("tidegate.core.planted", "kubernetes"),
    ],
    "Certificates are made in one module": [("tidegate.dataplanes.envoy.planted", "cryptography")],
    "YAML is read by sources and written by the command line": [("tidegate.core.planted", "yaml")],
    "HTTP is spoken by the admin API, Envoy's admin client and the Kubernetes client": [
        ("tidegate.dataplanes.envoy.planted", "aiohttp"),
        ("tidegate.kube.planted", "aiohttp"),
    ],
    "Only the command line speaks to terminals": [("tidegate.admin.planted", "rich")],
    "The decision and the protocols are pure": [
        ("tidegate.names", "os"),
        ("tidegate.model.planted", "random"),
        ("tidegate.plan.planted", "time"),
        ("tidegate.core.planted", "asyncio"),
        ("tidegate.core.planted", "logging"),
        ("tidegate.dataplanes.envoy.ads", "threading"),
        ("tidegate.dataplanes.envoy.naming", "uuid"),
        ("tidegate.dataplanes.envoy.podbootstrap", "os"),
        ("tidegate.dataplanes.envoy.roster", "time"),
        ("tidegate.dataplanes.envoy.translate", "select"),
        ("tidegate.installation.planted", "pathlib"),
        ("tidegate.reporting.merge", "secrets"),
        ("tidegate.fleet.objects", "random"),
        ("tidegate.fleet.steps", "asyncio"),
        ("tidegate.fleet.trust", "time"),
        ("tidegate.reporting.happenings", "logging"),
        ("tidegate.reporting.journal", "asyncio"),
        ("tidegate.reporting.ledger", "time"),
        ("tidegate.reporting.pacing", "random"),
        ("tidegate.reporting.patching", "time"),
    ],
}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree / "src"), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources and the configuration, to plant violations in."""
    copy = tmp_path_factory.mktemp("contracts")
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def plant(tree: Path, module: str, imported: str) -> None:
    path = (tree / "src" / Path(*module.split("."))).with_suffix(".py")
    with path.open("a") as file:
        file.write(f"\nimport {imported}\n")


@pytest.fixture(scope="module")
def report(tree: Path) -> str:
    """What the linter says of a tree that breaks every contract."""
    for violations in PLANTED.values():
        for module, imported in violations:
            plant(tree, module, imported)
    result = lint_imports(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_contract_names_each_planted_violation(report: str, contract: str) -> None:
    """A violation fails the contract it breaks, and the report says which module imports what."""
    section = report.partition(f"\n{contract}\n---")[2].partition("---\n")[2].partition("\n---")[0]
    for module, imported in PLANTED[contract]:
        assert f"{module} -> {imported} " in section


def test_every_contract_is_shown_a_violation(report: str) -> None:
    """A contract that no planted violation tries would be a promise nobody has seen kept."""
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", report, flags=re.MULTILINE))
    assert verdicts == dict.fromkeys(PLANTED, "BROKEN")


def test_new_package_has_to_be_placed(tree: Path) -> None:
    """A package that stands in no layer fails the check."""
    stray = tree / "src/tidegate/stray"
    stray.mkdir()
    (stray / "__init__.py").touch()
    result = lint_imports(tree)
    assert result.returncode == 1
    assert "tidegate.stray" in result.stdout
