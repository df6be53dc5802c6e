"""Asks one Envoy's admin interface, HTTP over a Unix domain socket.

In: the socket's path. Out: response bodies as they came. What to ask and what an answer means is left
to the callers. Envoy answers on its main thread, so a slow question delays configuration as long.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tidegate.errors import DataPlaneError


class AdminClient:
    """An HTTP client for one admin socket. Connects with the first request; ``close`` ends it.

    Every request raises DataPlaneError when Envoy does not answer in time or answers with an error.
    """

    def __init__(self, socket: Path, *, timeout: float = 10.0) -> None:
        self.socket = socket
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def get(self, path: str) -> bytes:
        """The body of ``GET path``; ``path`` starts with a slash and is already escaped."""
        return await self._request("GET", path)

    async def post(self, path: str) -> bytes:
        """The body of ``POST path``; for the requests that change something in Envoy."""
        return await self._request("POST", path)

    async def close(self) -> None:
        """Close the connections. The client can be used again afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(self, method: str, path: str) -> bytes:
        if self._session is None:
            # Envoy's admin socket is removed and made anew by a restart, so no connection is kept for long.
            connector = aiohttp.UnixConnector(str(self.socket), force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        url = f"http://envoy{path}"
        try:
            async with self._session.request(method, url) as response:
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DataPlaneError(
                f"Envoy does not answer {method} {path.partition('?')[0]}: {self._words(error)}"
            ) from error
        if status != 200:
            text = body[:200].decode(errors="replace").strip()
            raise DataPlaneError(f"Envoy answered {method} {path} with status {status}: {text}")
        return body

    def _words(self, error: Exception) -> str:
        """What went wrong, without the words of the library."""
        if isinstance(error, TimeoutError):
            return f"nothing came within {self._timeout.total:g} s"
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        return (cause.strerror if isinstance(cause, OSError) else None) or str(cause) or type(cause).__name__
