"""What `make test-cluster` and CI do first: build the API server once for the versions that are pinned."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support.waiting import eventually

ROOT = Path(__file__).parents[2]

GO = """\
#!/bin/sh
echo "$*" >>"$LOG"
case "$*" in
"list -m -f {{.Dir}} sigs.k8s.io/gateway-api") echo "$MODULE" ;;
"list -m -f {{.Version}} k8s.io/kubernetes") echo v1.99.7 ;;
build*)
    while [ -e "$HOLD" ]; do sleep 0.01; done
    while [ "$1" != -o ]; do shift; done
    echo built >"$2"
    ;;
esac
"""

TOOLS = "basename cat cksum cp cut dirname flock mkdir mktemp mv rm sed sh sleep tr uname"
"""What the script may find on its PATH besides Go: the machine's own Go must not come into it."""


class Checkout:
    """A checkout with what scripts/cluster-assets reads, and a Go that writes down what it is told."""

    def __init__(self, home: Path) -> None:
        self.pins = home / "checkout/tests/cluster"
        self.log = home / "go.log"
        self.hold = home / "hold"
        self._home = home
        self._script = home / "checkout/scripts/cluster-assets"
        shutil.copytree(ROOT / "tests/cluster", self.pins)
        self._script.parent.mkdir()
        shutil.copy(ROOT / "scripts/cluster-assets", self._script)
        self.go = home / "bin/go"
        self.go.parent.mkdir()
        self.go.write_text(GO)
        self.go.chmod(0o755)
        for tool in filter(shutil.which, TOOLS.split()):
            (self.go.parent / tool).symlink_to(str(shutil.which(tool)))
        for channel in ("standard", "experimental"):
            crds = home / "module/config/crd" / channel
            crds.mkdir(parents=True)
            (crds / "gateway.networking.k8s.io_gateways.yaml").write_text(channel)
            (crds / "kustomization.yaml").write_text("")

    def start(self) -> subprocess.Popen[str]:
        """Run the script."""
        environment = {
            "PATH": str(self.go.parent),
            "XDG_CACHE_HOME": str(self._home / "cache"),
            "LOG": str(self.log),
            "MODULE": str(self._home / "module"),
            "HOLD": str(self.hold),
        }
        pipe = subprocess.PIPE
        return subprocess.Popen([self._script], env=environment, stdout=pipe, stderr=pipe, text=True)

    def assets(self) -> Path:
        """The directory that the script prints."""
        output, errors = ended(run := self.start())
        assert run.returncode == 0, errors
        return Path(output.strip())

    def builds(self) -> list[str]:
        """Which packages were built, and how, since the last call."""
        calls = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [call for call in calls if call.startswith("build")]

    async def building(self) -> None:
        """Returns once Go builds something."""

        async def called() -> bool:
            return self.log.exists() and "build" in self.log.read_text()

        await eventually(called, what="go build is called")


def ended(run: subprocess.Popen[str]) -> tuple[str, str]:
    """What a run of the script printed."""
    return run.communicate(timeout=30)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of this test's own."""
    return Checkout(tmp_path)


def test_everything_is_built_once(checkout: Checkout) -> None:
    """The directory has programs and CRDs of both channels, and the next call builds nothing."""
    assets = checkout.assets()
    files = {str(path.relative_to(assets)) for path in assets.rglob("*") if path.is_file()} - {"lock"}
    assert files == {
        "complete",
        "etcd",
        "kube-apiserver",
        "crds/standard/gateway.networking.k8s.io_gateways.yaml",
        "crds/experimental/gateway.networking.k8s.io_gateways.yaml",
    }
    etcd, server = checkout.builds()
    assert etcd.endswith(" go.etcd.io/etcd/server/v3")
    assert server.endswith(" k8s.io/kubernetes/cmd/kube-apiserver")
    assert "gitVersion=v1.99.7 " in server
    assert "gitMinor=99 " in server
    assert checkout.assets() == assets
    assert checkout.builds() == []


def test_other_versions_are_built_beside(checkout: Checkout) -> None:
    """A changed pin leads to another directory; what was built before stays for who still has the old pins."""
    before = checkout.assets()
    with (checkout.pins / "go.mod").open("a") as file:
        file.write("// another version\n")
    after = checkout.assets()
    assert after != before
    assert (before / "complete").exists()
    assert len(checkout.builds()) == 4


async def test_interrupted_build_leaves_nothing_that_looks_finished(checkout: Checkout) -> None:
    """After a build that was ended half way, the next one makes everything, and no rest of the first stays."""
    checkout.hold.touch()
    first = checkout.start()
    await checkout.building()
    first.send_signal(signal.SIGKILL)
    checkout.hold.unlink()
    ended(first)
    checkout.builds()
    assets = checkout.assets()
    assert len(checkout.builds()) == 2
    assert not list(assets.glob("unfinished.*"))


@pytest.mark.skipif(shutil.which("flock") is None, reason="needs flock (util-linux), as on Linux")
async def test_two_at_once_build_once(checkout: Checkout) -> None:
    """Who comes second waits for the first, and finds everything there."""
    checkout.hold.touch()
    runs = [checkout.start(), checkout.start()]
    await checkout.building()
    checkout.hold.unlink()
    answers = {ended(run)[0] for run in runs}
    assert [run.returncode for run in runs] == [0, 0]
    assert len(answers) == 1
    assert len(checkout.builds()) == 2


def test_missing_go_is_said(checkout: Checkout) -> None:
    """Where there is no Go, the message says what it is needed for, and which."""
    checkout.go.unlink()
    _, errors = ended(run := checkout.start())
    assert run.returncode == 1
    assert "no go command here" in errors
    assert "Install Go 1.26" in errors
