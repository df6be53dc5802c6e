"""The manifests in examples/ are clean and do what their first lines say."""

from pathlib import Path

import pytest
import yaml

from support.backends import Backend
from support.clients import who_serves
from support.instances import Instances
from support.ports import Ports
from support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"

SERVICES: dict[str, dict[str, int]] = {
    "tcp-routing": {"my-foo-service:6000": 8080, "my-bar-service:6000": 8090},
    "by-port": {"ledger:5000": 9001, "audit:5000": 9002},
    "weights": {"app-stable:80": 9080, "app-canary:80": 9080, "app-next:80": 9080},
    "cross-namespace": {"queue.data:5672": 9672},
    "databases": {"postgres:5432": 15432, "redis:6379": 16379},
    "endpoint-slices": {},
}
"""For each example, its backends and the port of the listener that leads to each."""


def test_every_example_is_tested() -> None:
    """A new file in examples/ needs a row here."""
    assert {path.stem for path in EXAMPLES.iterdir()} == set(SERVICES)


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_example_is_clean(tidegate: Instances, name: str) -> None:
    """With its backends, check has nothing to complain about."""
    flags = [text for service in SERVICES[name] for text in ("--backend", f"{service}=127.0.0.1:9")]
    checked = await tidegate.run("check", EXAMPLES / f"{name}.yaml", "--strict", *flags)
    assert checked.status == 0, checked.text


@pytest.mark.parametrize("name", sorted(name for name, services in SERVICES.items() if services))
async def test_example_forwards(tidegate: Instances, ports: Ports, tmp_path: Path, name: str) -> None:
    """Connections to each listener reach one of its backends."""
    documents = list(yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()))
    moved = {port: ports.reserve() for port in sorted(set(SERVICES[name].values()))}
    for document in documents:
        spec = document.get("spec", {})
        for part in [*spec.get("listeners", []), *spec.get("parentRefs", [])]:
            if "port" in part:
                part["port"] = moved[part["port"]]
    path = tmp_path / "example.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    async with Backend("reached") as reached:
        flags = [text for service in SERVICES[name] for text in ("--backend", f"{service}={reached.address}")]
        instance = tidegate.start(path, *flags)
        await instance.wait_ready()
        for port in moved.values():
            await eventually(lambda port=port: who_serves(port), lambda who: who == "reached", what=f"{name} serves")
