"""Single requests to an API server. The only place that meets the HTTP library's errors.

In: a method, a path and a body. Out: the answer's bytes, or its stream, or a ``KubeError``. Also owns what operators
hear of a server that does not answer at all: one line when that begins and one when it is over, however many requests
fail in between.
"""

from __future__ import annotations

import contextlib
import http
import os
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec

from tidegate.errors import KubeError
from tidegate.kube.refusals import refused
from tidegate.telemetry.logs import logger

if TYPE_CHECKING:
    from tidegate.kube.access import Access  # Loads the Kubernetes library, which only `config` asks for.

CONNECT_S: Final = 10.0
"""A connection that takes longer does not come."""

ANSWER_S: Final = 60.0
"""The longest that an answer may take, page of a list included."""

_log = logger("kubernetes")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """``action`` says in words what is asked for. ``silence`` is how long the stream of an answer may say nothing;
    None: the answer has to be complete after ``ANSWER_S``.
    """

    method: str
    path: str
    action: str
    params: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None
    content_type: str = "application/json"
    accept: str = "application/json"
    silence: float | None = None


class Transport:
    """Sends requests by way of ``access``."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._away_since: float | None = None
        self.heard_at = 0.0
        """When the server last said something other than that it refuses (monotonic); 0: never."""

    @property
    def away(self) -> bool:
        """Whether the last request got no answer; the log has said so."""
        return self._away_since is not None

    async def answer(self, request: Request) -> bytes:
        """The body of a successful answer. Raises KubeError."""
        async with self.stream(request) as response:
            with self._translated(request):
                return await response.read()

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """A successful answer, its body still to be read. Raises KubeError; within, `chunks` does."""
        response = await self._send(request)
        try:
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                raise await self._refusal(request, response)
            self.heard_at = time.monotonic()
            yield response
        finally:
            response.close()  # Ends the connection only if there is something left to read.

    async def chunks(self, request: Request, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """The body of a stream, as it arrives. Raises KubeError when it breaks off or falls silent."""
        while True:
            with self._translated(request):
                chunk = await response.content.readany()
            if not chunk:
                return
            self.heard_at = time.monotonic()
            yield chunk

    async def _send(self, request: Request) -> aiohttp.ClientResponse:
        path = f"{request.path}?{urlencode(request.params)}" if request.params else request.path
        with self._translated(request, asking=True):
            response = await self._access.send(
                request.method,
                path,
                headers={"Content-Type": request.content_type, "Accept": request.accept},
                body=request.body,
                timeout=_timeout(request),
            )
        self._answered()
        return response

    async def _refusal(self, request: Request, response: aiohttp.ClientResponse) -> KubeError:
        with self._translated(request):
            body = await response.read()
        return refused(request.action, response.status, body, retry_after=response.headers.get("Retry-After"))

    @contextlib.contextmanager
    def _translated(self, request: Request, *, asking: bool = False) -> Iterator[None]:
        """Errors of the HTTP library as ours."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            reason = _reason(error, request)
            if asking:
                self._unanswered(reason)
            text = f"cannot {request.action}: the API server at {self._access.server} {reason}"
            raise KubeError(text) from error

    def _unanswered(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            _log.warning(
                "the API server does not answer; what is known stays in force",
                server=self._access.server,
                problem=f"it {reason}",
            )

    def _answered(self) -> None:
        if self._away_since is not None:
            away = time.monotonic() - self._away_since
            self._away_since = None
            _log.info("the API server answers again", server=self._access.server, after_s=round(away, 1))


def _timeout(request: Request) -> aiohttp.ClientTimeout:
    if request.silence is None:
        return aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S)
    return aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=request.silence)


def _reason(error: Exception, request: Request) -> str:
    """What the server did, in words, to follow its name."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return f"cannot be reached: no connection within {CONNECT_S:g} s"
        case TimeoutError():
            return f"said nothing for {request.silence or ANSWER_S:g} s"
        case aiohttp.ClientConnectorCertificateError():
            return f"has a certificate that is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            return f"cannot be reached: {_cause(error.os_error)}"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "closed the connection before its answer was complete"
        case _:
            return f"cannot be spoken to: {error}"


def _cause(error: OSError) -> str:
    """The system's word for an error: asyncio puts the address into its own text, which is known already."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
