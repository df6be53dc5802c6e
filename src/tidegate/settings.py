"""What a command was asked to do: the flags of ``run``, ``check`` and ``controller`` as checked, immutable values.

Comes in: text from the command line or from a caller of the Python API. Goes out: values that the
composition root hands to each part. What a part alone can judge stays text here and is read there
(``backends``: the backends source; ``paths``: the file source).
"""

from __future__ import annotations

import enum
import math
import re
from pathlib import Path

import msgspec

from tidegate.admin.address import AdminAddress
from tidegate.errors import SettingsError
from tidegate.names import CONTROLLER_NAME

DEFAULT_NAME = "default"
DEFAULT_DRAIN_TIME = 10.0
DATA_PLANES = ("envoy", "nftables")

_MAX_PORT = 65535
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})")
_CONTROLLER_NAME = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
)


class OnExit(enum.Enum):
    """What happens to the traffic when ``run`` ends: connections get time to end, or all goes on."""

    DRAIN = "drain"
    KEEP = "keep"


class AccessLogFormat(enum.Enum):
    """How a connection is written down; ``OFF``: not at all."""

    OFF = "off"
    TEXT = "text"
    JSON = "json"


class AccessLog(msgspec.Struct, frozen=True):
    """``path`` None writes to standard output, or to the live view that has it."""

    format: AccessLogFormat = AccessLogFormat.OFF
    path: Path | None = None


class SourceAddress(enum.Enum):
    """Whose address backends see: this host's, or the client's."""

    MASQUERADE = "masquerade"
    PRESERVE = "preserve"


class KernelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What only the nftables data plane knows.

    ``allow_route_localnet`` lets 127.0.0.1 be crossed between this host and others; ``allow_shadow`` serves a port
    although a local process or another instance has it already.
    """

    source_address: SourceAddress = SourceAddress.MASQUERADE
    allow_route_localnet: bool = False
    allow_shadow: bool = False


class InputSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``run`` and ``check`` share.

    ``paths`` are files, directories or ``-``; ``backends`` the texts of ``--backend``; ``dns`` resolves
    Services that have no endpoints by their own names. ``data_plane`` is one of ``DATA_PLANES``.
    """

    paths: tuple[str, ...]
    backends: tuple[str, ...] = ()
    dns: bool = False
    data_plane: str = "envoy"
    controller_name: str = CONTROLLER_NAME

    def __post_init__(self) -> None:
        """Raise SettingsError for what can be seen without looking at the system."""
        if not self.paths:
            raise SettingsError("no input: name at least one file or directory, or - for standard input")
        if self.data_plane not in DATA_PLANES:
            raise SettingsError(f"--dataplane {self.data_plane}: this build has {', '.join(DATA_PLANES)}")
        check_controller_name(self.controller_name)


class ClusterChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster a command asks. None: the usual kubeconfig, and its current context."""

    kubeconfig: Path | None = None
    context: str | None = None


class CheckSettings(InputSettings, frozen=True, kw_only=True):
    """What ``check`` decides about."""


class RunSettings(InputSettings, frozen=True, kw_only=True):
    """What ``run`` does.

    ``name`` names the instance. ``state_dir`` None: the default directory of that name. ``admin`` None:
    a Unix domain socket in the state directory. ``drain_time`` is in seconds. ``watch`` follows changes
    of the input. ``envoy`` is the program to use instead of the one that came with the installation. ``kernel`` is
    for the nftables data plane.
    """

    name: str = DEFAULT_NAME
    state_dir: Path | None = None
    admin: AdminAddress | None = None
    on_exit: OnExit = OnExit.DRAIN
    drain_time: float = DEFAULT_DRAIN_TIME
    watch: bool = True
    access_log: AccessLog = AccessLog()
    envoy: Path | None = None
    kernel: KernelSettings = KernelSettings()

    def __post_init__(self) -> None:
        """Raise SettingsError for what can be seen without looking at the system."""
        InputSettings.__post_init__(self)
        check_name(self.name)
        self._check_plane()
        if not math.isfinite(self.drain_time) or self.drain_time < 0:
            raise SettingsError(f"--drain-time {self.drain_time}: expected a time of 0 or more")

    def _check_plane(self) -> None:
        """Flags of one data plane mean nothing to another."""
        if self.data_plane == "nftables":
            if self.access_log.format is not AccessLogFormat.OFF:
                raise SettingsError(
                    "--access-log: the nftables data plane sees no connection end, so it has no such log"
                )
            if self.envoy is not None:
                raise SettingsError("--envoy: the nftables data plane runs no Envoy")
        elif self.kernel != KernelSettings():
            raise SettingsError(
                "--source-address, --allow-route-localnet and --allow-shadow belong to --dataplane nftables"
            )


class LeaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How replicas agree on who writes. Times in seconds.

    A leader that cannot renew for ``renew_deadline`` stops writing; another replica takes over once the lease was
    not renewed for ``duration``, which the API keeps in whole seconds. ``retry`` is how often either tries.
    """

    name: str = "tidegate-controller"
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        """Raise SettingsError for times with which two replicas could write at once."""
        if self.duration != int(self.duration):
            raise SettingsError(f"lease times: the duration {self.duration:g} s has to be a whole number of seconds")
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise SettingsError(
                f"lease times: retry {self.retry:g} s, renew deadline {self.renew_deadline:g} s and duration "
                f"{self.duration:g} s have to be above 0 and each longer than the one before"
            )


class ControllerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``controller`` does.

    ``kubeconfig`` and ``context`` None: what ``kubectl`` would use, or the Pod's service account. ``namespace`` holds
    the Lease and the certificate authority. ``replica`` names this process among the replicas, ``address`` is where
    the others reach it. Proxies dial ``control_plane`` (``host:port``), and run ``image``. ``xds_address`` is what it
    listens on for both. ``admin`` serves health and metrics.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str
    replica: str
    address: str
    image: str
    control_plane: str
    xds_address: str
    admin: AdminAddress
    controller_name: str = CONTROLLER_NAME
    lease: LeaseSettings = LeaseSettings()

    def __post_init__(self) -> None:
        """Raise SettingsError for what can be seen without looking at the system."""
        check_controller_name(self.controller_name)
        for flag, text in (("--control-plane", self.control_plane), ("--xds", self.xds_address)):
            check_host_port(text, flag)


def check_controller_name(name: str) -> str:
    """The name of a controller, if it can be one (GatewayClass ``controllerName``).

    Raises SettingsError otherwise.
    """
    if len(name) > 253 or not _CONTROLLER_NAME.fullmatch(name):
        raise SettingsError(f"--controller-name {name}: expected a domain and a path, such as {CONTROLLER_NAME}")
    return name


def check_host_port(text: str, flag: str) -> str:
    """``host:port`` with IPv6 addresses in brackets, if it is that. ``flag`` is for the message.

    Raises SettingsError otherwise.
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare) != (host != bare) or not port.isdecimal() or int(port) > _MAX_PORT:
        raise SettingsError(f"{flag} {text}: expected HOST:PORT, with an IPv6 address in brackets")
    return text


def check_name(name: str) -> str:
    """The name of an instance, if it can be one: it names a directory.

    Raises SettingsError otherwise.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"--name {name}: expected at most 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
        )
    return name


def parse_duration(text: str, flag: str) -> float:
    """Seconds of ``10s``, ``1m30s``, ``500ms`` or a plain number of seconds. ``flag`` is for the message.

    Raises SettingsError when the text has another form.
    """
    seconds, position = 0.0, 0
    while match := _DURATION_PART.match(text, position):
        number, unit = match.groups()
        if not unit and match.group() != text:
            break
        seconds += float(number) * _UNITS[unit]
        position = match.end()
    if not text or position != len(text):
        raise SettingsError(f"{flag} {text}: expected a time such as 10s, 1m30s, 500ms, or a number of seconds")
    return seconds


def parse_access_log(text: str) -> AccessLog:
    """Read ``off``, ``text``, ``json``, or one of the last two with ``=PATH``.

    Raises SettingsError when the text has another form.
    """
    name, separator, path = text.partition("=")
    known = {item.value: item for item in AccessLogFormat}
    if name not in known or (separator and not path) or (path and name == "off"):
        raise SettingsError(f"--access-log {text}: expected off, text, json, text=PATH or json=PATH")
    return AccessLog(known[name], Path(path).expanduser().absolute() if path else None)
