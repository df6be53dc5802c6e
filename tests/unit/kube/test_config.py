from __future__ import annotations

from pathlib import Path

import pytest

from support.scripted_api import ScriptedApi, answered, scripted
from tidegate.errors import SettingsError
from tidegate.kube.config import connected


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a kubeconfig nor a pod around."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)


async def reached(api: ScriptedApi, *, kubeconfig: Path | None = None, context: str | None = None) -> bool:
    """Whether the client asks this server."""
    async with connected(kubeconfig=kubeconfig, context=context) as client:
        await client.get("/x")
    return bool(api.asked)


async def test_flag_names_the_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line says counts before the environment."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    async with scripted(answered({})) as api:
        assert await reached(api, kubeconfig=api.kubeconfig)


async def test_environment_may_name_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with kubectl, files that do not exist are left out."""
    async with scripted(answered({})) as api:
        monkeypatch.setenv("KUBECONFIG", f"/nowhere:{api.kubeconfig}")
        assert await reached(api)


async def test_usual_file_is_found(tmp_path: Path) -> None:
    """Without flag and variable, the file in the home directory is used."""
    async with scripted(answered({})) as api:
        (tmp_path / ".kube").mkdir()
        (tmp_path / ".kube/config").write_text(api.kubeconfig.read_text())
        assert await reached(api)


async def test_context_can_be_chosen() -> None:
    """A context that the kubeconfig has is taken, another one is a mistake."""
    async with scripted(answered({})) as api:
        assert await reached(api, kubeconfig=api.kubeconfig, context="test")
        with pytest.raises(SettingsError, match=r"^the kubeconfig .* has no context other; it has test$"):
            await reached(api, kubeconfig=api.kubeconfig, context="other")


async def test_no_cluster_anywhere() -> None:
    """The message says where was looked."""
    with pytest.raises(SettingsError, match=r"neither --kubeconfig nor KUBECONFIG is given, ~/.kube/config does not"):
        async with connected():
            raise AssertionError


async def test_kubeconfig_that_does_not_exist(tmp_path: Path) -> None:
    """A named file has to be there."""
    with pytest.raises(SettingsError, match=r"there is no kubeconfig at .*missing"):
        async with connected(kubeconfig=tmp_path / "missing"):
            raise AssertionError


@pytest.mark.parametrize("text", ["", "a: [", "[]", "kind: Config", "clusters: 3"])
async def test_file_that_is_no_kubeconfig(tmp_path: Path, text: str) -> None:
    """Whatever is in the file, the message names it and there is no traceback."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(SettingsError, match=r"the kubeconfig .*config cannot be used: "):
        async with connected(kubeconfig=tmp_path / "config"):
            raise AssertionError


async def test_context_in_a_pod_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service account has no contexts to choose from."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(SettingsError, match="the context x needs a kubeconfig"):
        async with connected(context="x"):
            raise AssertionError
