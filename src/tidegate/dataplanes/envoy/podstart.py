"""Turns the process of a Pod's container into Envoy, so that Envoy gets the container's signals.

In: the bootstrap of the Gateway, and what only the Pod can know: its name, its addresses, whether it has IPv6. Out: a
bootstrap of the Pod's own in the run directory, and the Envoy that reads it, in place of this process.
"""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from tidegate.dataplanes.envoy import binary, bootstrap
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.proxynode import ProxyNode, as_json
from tidegate.dataplanes.envoy.translate import REFUSE_SOCKET
from tidegate.errors import DataPlaneError

BOOTSTRAP_FILE = "envoy.json"
"""The Pod's own bootstrap, in its run directory."""


def localised(text: bytes, node: ProxyNode) -> bytes:
    """The bootstrap of a Gateway, made that of one proxy of it. Raises DataPlaneError when it is none."""
    try:
        document: Any = msgspec.json.decode(text)
        document["node"] |= as_json(node)
        for listener in document["static_resources"]["listeners"]:
            address = listener["address"].get("socket_address", {})
            if address.get("address") == "::" != node.surroundings.wildcard:
                address["address"] = node.surroundings.wildcard
                del address["ipv4_compat"]
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError) as error:
        raise DataPlaneError(f"this is no bootstrap of a proxy: {error!r}") from error
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def prepare(source: Path, directory: Path, node: ProxyNode) -> Path:
    """Write the Pod's own bootstrap, and make room for Envoy's sockets. Raises DataPlaneError."""
    target = directory / BOOTSTRAP_FILE
    try:
        text = source.read_bytes()
    except OSError as error:
        raise DataPlaneError(f"cannot read the bootstrap {source}: {error.strerror}") from error
    content = localised(text, node)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What an Envoy left that was killed; the directory lives as long as the Pod, not as its container.
        for name in (bootstrap.ADMIN_SOCKET, REFUSE_SOCKET):
            (directory / name).unlink(missing_ok=True)
        target.write_bytes(content)
    except OSError as error:
        raise DataPlaneError(f"cannot use the run directory {directory}: {error.strerror}") from error
    return target


def become(bootstrap_file: Path, options: EnvoyOptions) -> NoReturn:
    """Become the packaged Envoy, in the bootstrap's directory. Raises DataPlaneError when there is none."""
    program = binary.locate(None)
    _restore_process()
    try:
        os.chdir(bootstrap_file.parent)
        os.execv(program, [str(program), "-c", bootstrap_file.name, *options.arguments()])  # noqa: S606
    except OSError as error:
        raise DataPlaneError(f"cannot start {program}: {error.strerror}") from error


def _restore_process() -> None:
    """Undo what Python does to its process, and allow as many open files as the system permits."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
