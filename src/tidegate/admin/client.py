"""The client of the admin API, for the command line. Blocking, and quick to import.

Comes in: the address of an instance. Goes out: its state; every failure is an InstanceError whose text
says what to do. Which address an instance has is the business of ``tidegate.instance``.
"""

from __future__ import annotations

import http.client
import socket
from http import HTTPStatus

import msgspec

from tidegate.admin.address import AdminAddress, TcpAddress, UnixAddress
from tidegate.admin.view import State
from tidegate.errors import InstanceError

ANSWER_SECONDS = 10.0
"""How long an instance may take to answer."""


class AdminClient:
    """Asks one instance; each call is a connection of its own."""

    def __init__(self, address: AdminAddress) -> None:
        self._address = address

    def state(self) -> State:
        """The whole state. Raises InstanceError when the instance does not answer, or not as expected."""
        try:
            return msgspec.json.decode(self.get("/api/v1/state"), type=State)
        except msgspec.MsgspecError as error:
            raise InstanceError(
                f"what answers at {self._address} is not an instance of this version of tidegate ({error})"
            ) from error

    def get(self, path: str) -> bytes:
        """The body at ``path``. Raises InstanceError when there is no answer, or one other than 200."""
        connection = self._connection()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise InstanceError(
                f"no instance answers at {self._address}: start one with 'tidegate run PATH'"
            ) from error
        except TimeoutError as error:
            raise InstanceError(f"the instance at {self._address} did not answer in {ANSWER_SECONDS:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise InstanceError(f"the instance at {self._address} did not answer: {error}") from error
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise InstanceError(f"the instance at {self._address} answered {path} with {response.status}")
        return body

    def _connection(self) -> http.client.HTTPConnection:
        match self._address:
            case UnixAddress(path):
                return _UnixConnection(path)
            case TcpAddress(host, port):
                return http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix domain socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a TCP address."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(self._path)
