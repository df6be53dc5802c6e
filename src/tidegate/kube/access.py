"""The way to one API server, and who we are there. Credentials are renewed as they expire.

In: a kubeconfig, or a pod's service account, read by the library. Out: responses to requests that carry valid
credentials, with the HTTP library's own errors, which `transport` translates. Which of the two it is, is `config`.

Three things that the library leaves to its users are done here: running an exec plugin again when its credentials
expire or are refused, reading token and certificate files again, and noticing dead connections by TCP keepalive.
"""

from __future__ import annotations

import asyncio
import http
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger

from tidegate._version import __version__
from tidegate.errors import KubeError, SettingsError

RENEWAL_S: Final = 60.0
"""Credentials are looked at again after so long."""

REFUSED_RENEWAL_S: Final = 5.0
"""At most so often are credentials renewed because the server refused them."""

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds who it is."""

_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 15),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)
"""A server whose host died is noticed after half a minute. Options that a system lacks are left out."""


class Kubeconfig(KubeConfigLoader):
    """The library's reading of a kubeconfig, which can be asked again for the credentials of now."""

    def __init__(self, config_dict: Any, *, active_context: str | None = None) -> None:
        # No base path: each entry remembers the file that it stands in, and relative paths start there.
        super().__init__(config_dict, active_context=active_context, config_base_path=None)  # type: ignore[no-untyped-call]
        self._plugin_ran = False

    @property
    def lacks_credentials(self) -> bool:
        """Whether a plugin is to give credentials and gave none; the library has logged why."""
        return self._uses_plugin and not self._plugin_ran

    async def renew(self, configuration: Configuration, *, refused: bool) -> None:
        """Brings the credentials up to date. ``refused``: the server took the present ones for invalid."""
        if refused and self._uses_plugin:
            self.__dict__.pop("exec_plugin_expiry", None)
            self._plugin_ran = False
        await self._load_authentication()  # type: ignore[no-untyped-call]
        self._set_config(configuration)  # type: ignore[no-untyped-call]

    async def load_from_exec_plugin(self) -> Any:
        """Runs the plugin, but not again before its credentials expire; those without a time last."""
        if self._plugin_ran and not hasattr(self, "exec_plugin_expiry"):
            return True
        done = await super().load_from_exec_plugin()  # type: ignore[no-untyped-call]
        self._plugin_ran = self._plugin_ran or bool(done)
        return done

    @property
    def _uses_plugin(self) -> bool:
        return self._user is not None and "exec" in self._user


class Access:
    """One API server. ``kubeconfig`` None: the configuration renews itself, as that of a pod does.

    ``impersonate`` is the user to act as, if the server allows it.
    """

    def __init__(
        self, configuration: Configuration, kubeconfig: Kubeconfig | None = None, *, impersonate: str | None = None
    ) -> None:
        self._configuration = configuration
        self._kubeconfig = kubeconfig
        self._constant = {"User-Agent": f"tidegate/{__version__}"}
        if impersonate:
            self._constant["Impersonate-User"] = impersonate
        self._pool = _Pool(configuration)
        self._certificate = _certificate(configuration)
        self._renewed_at = time.monotonic()
        self._refused_at: float | None = None
        self._lock = asyncio.Lock()

    @property
    def server(self) -> str:
        """The address of the API server, without a slash at the end."""
        return self._configuration.host.rstrip("/")

    async def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: Any, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Sends a request; once more when the server takes our credentials for invalid and there are others now.

        Raises KubeError for credentials, and what the HTTP library raises. The response is to be released.
        """
        await self._renew_in_time()
        token, pool = await self._token(), self._pool
        response = await self._request(method, path, headers, body, timeout, token)
        if response.status == http.HTTPStatus.UNAUTHORIZED and self._kubeconfig is not None:
            await self._renew_refused()
            renewed = await self._token()
            if (renewed, self._pool) != (token, pool):
                response.release()
                response = await self._request(method, path, headers, body, timeout, renewed)
        return response

    async def close(self) -> None:
        """Ends all connections."""
        await self._pool.close()

    async def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any,
        timeout: aiohttp.ClientTimeout,
        token: str | None,
    ) -> aiohttp.ClientResponse:
        complete = {**self._constant, **headers}
        if token is not None:
            complete["Authorization"] = token
        answer = await self._pool.request(  # type: ignore[no-untyped-call]
            method, self.server + path, headers=complete, body=body, _request_timeout=timeout
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _token(self) -> str | None:
        """The value of the header that says who we are; None: a certificate does, or nothing."""
        try:
            settings = await self._configuration.auth_settings()
        except (ConfigException, OSError) as error:
            raise KubeError(f"the credentials for {self.server} cannot be read: {error}") from error
        bearer = settings.get("BearerToken")
        return None if bearer is None else bearer["value"]

    async def _renew_in_time(self) -> None:
        """Asks the kubeconfig again when the last time is a while ago."""
        async with self._lock:
            if self._kubeconfig is not None and time.monotonic() - self._renewed_at > RENEWAL_S:
                await self._renew(self._kubeconfig, refused=False)

    async def _renew_refused(self) -> None:
        """Asks the kubeconfig for others, unless somebody just did."""
        async with self._lock:
            now = time.monotonic()
            recently = self._refused_at is not None and now - self._refused_at < REFUSED_RENEWAL_S
            if self._kubeconfig is not None and not recently:
                self._refused_at = now
                await self._renew(self._kubeconfig, refused=True)

    async def _renew(self, kubeconfig: Kubeconfig, *, refused: bool) -> None:
        self._renewed_at = time.monotonic()
        try:
            await kubeconfig.renew(self._configuration, refused=refused)
            await self._replace_certificate()
        except (ConfigException, OSError, ValueError, aiohttp.ClientError) as error:
            raise KubeError(f"the credentials for {self.server} cannot be renewed: {error}") from error

    async def _replace_certificate(self) -> None:
        """Connections stay who they were when they were made: with a new certificate, new ones are needed."""
        certificate = _certificate(self._configuration)
        if certificate == self._certificate:
            return
        old, self._pool = self._pool, _Pool(self._configuration)
        self._certificate = certificate
        await old.close()


async def from_kubeconfig(paths: str, *, context: str | None, impersonate: str | None) -> Access:
    """The way that kubeconfig files name; ``paths`` may be several, as in ``$KUBECONFIG``. Raises SettingsError."""
    configuration = Configuration()
    try:
        merged = KubeConfigMerger(paths).config  # type: ignore[no-untyped-call]
        _require_context(merged, context, paths)
        kubeconfig = Kubeconfig(merged, active_context=context)
        await kubeconfig.load_and_set(configuration)  # type: ignore[no-untyped-call]
        access = Access(configuration, kubeconfig, impersonate=impersonate)
    except SettingsError:
        raise
    except Exception as error:  # The library lets out whatever a malformed file leads to.
        raise SettingsError(f"the kubeconfig {paths} cannot be used: {error}") from error
    if kubeconfig.lacks_credentials:
        raise SettingsError(f"the kubeconfig {paths} names a command that gives credentials, and it failed")
    return access


def _require_context(merged: Any, context: str | None, paths: str) -> None:
    """Raises SettingsError for a context that there is not; the library would not say which ones there are."""
    known = [one["name"] for one in merged["contexts"]]
    if context is not None and context not in known:
        raise SettingsError(f"the kubeconfig {paths} has no context {context}; it has {', '.join(known) or 'none'}")


def from_pod(*, impersonate: str | None, account: Path = SERVICE_ACCOUNT) -> Access:
    """The way that a pod has to its own cluster; ``account`` is where its service account is mounted.

    Raises SettingsError.
    """
    configuration = Configuration()
    loader = InClusterConfigLoader(str(account / "token"), str(account / "ca.crt"))  # type: ignore[no-untyped-call]
    try:
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        return Access(configuration, impersonate=impersonate)
    except (ConfigException, OSError) as error:
        raise SettingsError(f"the service account of this pod cannot be used: {error}") from error


class _Pool(RESTClientObject):
    """The library's connections, with keepalive."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=_kept_alive)


def _kept_alive(address: Any) -> socket.socket:
    family, kind, protocol, *_ = address
    connection = socket.socket(family, kind, protocol)
    for level, name, value in _KEEPALIVE:
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(level, option, value)
    return connection


def _certificate(configuration: Configuration) -> tuple[Any, ...]:
    """What tells one client certificate from the next: its file, and when that was written."""
    path = configuration.cert_file
    return (path, os.stat(path).st_mtime_ns) if path else (None,)  # noqa: PTH116 - one look, no path object needed
