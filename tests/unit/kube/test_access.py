"""Credentials that change while we run; that a certificate may change too is seen in tests/cluster_api."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from support.scripted_api import ScriptedApi, kubeconfig, refusal, serving
from tidegate.errors import KubeError, SettingsError
from tidegate.kube.access import Access, Kubeconfig, from_kubeconfig, from_pod

TIMEOUT = aiohttp.ClientTimeout(total=10)


class Plugin:
    """A command that gives a new token at every run, and fails when it is told to."""

    def __init__(self, directory: Path, **status: str) -> None:
        self._runs = directory / "runs"
        self._fails = directory / "fails"
        script = directory / "plugin"
        given = json.dumps(
            {
                "apiVersion": "client.authentication.k8s.io/v1",
                "kind": "ExecCredential",
                "status": {"token": "TOKEN"} | status,
            }
        )
        script.write_text(
            "#!/bin/sh\n"
            f"test ! -e {self._fails} || {{ echo 'no network' >&2; exit 1; }}\n"
            f"echo run >> {self._runs}\n"
            f"number=$(($(wc -l < {self._runs})))\n"
            f"echo '{given}' | sed s/TOKEN/token-$number/\n"
        )
        script.chmod(0o700)
        self.user: dict[str, Any] = {
            "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "args": []}
        }

    @property
    def runs(self) -> int:
        """How often it has given a token."""
        return len(self._runs.read_text().splitlines()) if self._runs.exists() else 0

    def fail(self) -> None:
        """From now on it fails."""
        self._fails.touch()


@contextlib.asynccontextmanager
async def accessed(user: dict[str, Any], *accepted: str) -> AsyncIterator[tuple[Access, ScriptedApi]]:
    """A way to a server that accepts these values of the header Authorization."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") in accepted:
            return web.json_response({})
        return web.json_response(refusal(401, "Unauthorized"), status=401)

    async with serving(handle) as api:
        api.write_kubeconfig(user)
        access = await from_kubeconfig(str(api.kubeconfig), context=None, impersonate=None)
        try:
            yield access, api
        finally:
            await access.close()


async def status(access: Access) -> int:
    """The status of an answer."""
    response = await access.send("GET", "/x", headers={}, body=None, timeout=TIMEOUT)
    response.release()
    return response.status


def said(api: ScriptedApi) -> list[str | None]:
    """Who we said we were, in each request."""
    return [asked.headers.get("Authorization") for asked in api.asked]


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t"}, "Bearer t"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({}, None),
    ],
)
async def test_header_says_who_we_are(user: dict[str, Any], header: str | None) -> None:
    """A token or a password of the kubeconfig is in the header of every request."""
    async with accessed(user, header or "") as (access, api):
        await status(access)
        assert said(api) == [header]
        assert api.asked[0].headers["User-Agent"].startswith("tidegate/")


async def test_user_to_impersonate_is_named() -> None:
    """The header that asks the server to let us act as somebody else goes with every request."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response({})

    async with serving(handle) as api:
        access = await from_kubeconfig(str(api.kubeconfig), context=None, impersonate="system:serviceaccount:a:b")
        await status(access)
        await access.close()
        assert api.asked[0].headers["Impersonate-User"] == "system:serviceaccount:a:b"


async def test_refused_credentials_of_a_plugin_are_renewed_at_once(tmp_path: Path) -> None:
    """A 401 runs the plugin again, and the request is repeated with what it gives."""
    plugin = Plugin(tmp_path)
    async with accessed(plugin.user, "Bearer token-2") as (access, api):
        assert await status(access) == 200
        assert said(api) == ["Bearer token-1", "Bearer token-2"]
        assert plugin.runs == 2


async def test_server_that_refuses_everything_does_not_run_the_plugin_all_the_time(tmp_path: Path) -> None:
    """Soon after a renewal that did not help, a 401 stays a 401."""
    plugin = Plugin(tmp_path)
    async with accessed(plugin.user) as (access, api):
        assert [await status(access) for _ in range(3)] == [401, 401, 401]
        assert plugin.runs == 2
        assert len(api.asked) == 4


async def test_refused_token_of_a_file_is_read_again(tmp_path: Path) -> None:
    """A token file that somebody else keeps fresh is read anew when the token of before is refused."""
    token = tmp_path / "token"
    token.write_text("old")
    async with accessed({"tokenFile": str(token)}, "Bearer new") as (access, api):
        token.write_text("new")
        assert await status(access) == 200
        assert said(api) == ["Bearer old", "Bearer new"]


async def test_plugin_that_fails_later_leaves_the_credentials_of_before(tmp_path: Path) -> None:
    """Its failure is no end: the server's answer says what is wrong."""
    plugin = Plugin(tmp_path)
    async with accessed(plugin.user) as (access, _):
        plugin.fail()
        assert await status(access) == 401


async def test_plugin_that_fails_at_start_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    """Without credentials nothing could be asked, so it is said at once."""
    plugin = Plugin(tmp_path)
    plugin.fail()
    with pytest.raises(SettingsError, match="names a command that gives credentials, and it failed"):
        async with accessed(plugin.user):
            raise AssertionError


@pytest.mark.parametrize(("expires_in", "runs"), [(dt.timedelta(days=1), 1), (dt.timedelta(seconds=1), 2), (None, 1)])
async def test_plugin_runs_again_when_its_credentials_expire(
    tmp_path: Path, expires_in: dt.timedelta | None, runs: int
) -> None:
    """Credentials with a time are renewed before it; those without last until they are refused."""
    times = {} if expires_in is None else {"expirationTimestamp": f"{dt.datetime.now(dt.UTC) + expires_in:%FT%TZ}"}
    plugin = Plugin(tmp_path, **times)
    reading, configuration = Kubeconfig(kubeconfig("http://server", plugin.user)), Configuration()
    await reading.load_and_set(configuration)
    await reading.renew(configuration, refused=False)
    assert plugin.runs == runs
    assert configuration.api_key["BearerToken"] == f"Bearer token-{runs}"


def test_pod_without_a_service_account_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that has no token mounted reads what is missing."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(SettingsError, match=r"the service account of this pod cannot be used: .*token file"):
        from_pod(impersonate=None, account=tmp_path)


async def test_credentials_that_cannot_be_read_are_an_error_of_the_request(tmp_path: Path) -> None:
    """A token file that goes away later is told as an error like every other."""
    token = tmp_path / "token"
    token.write_text("old")
    async with accessed({"tokenFile": str(token)}) as (access, _):
        token.unlink()
        with pytest.raises(KubeError, match=r"the credentials for http://127.* cannot be renewed: .*token"):
            await status(access)
