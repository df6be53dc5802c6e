"""What was seen of a host, and what is to be said about it: the values between looking and judging."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from tidegate.dataplanes.diagnosis.foreignrules import Gate, Grip


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Plane(enum.Enum):
    """A data plane that a finding is about."""

    ENVOY = "envoy"
    NFTABLES = "nftables"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``found`` is what was seen, ``why`` why it matters, ``advice`` what to do; the latter two are empty
    where all is well.
    """

    level: Level
    plane: Plane
    about: str
    found: str
    why: str = ""
    advice: str = ""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener that is to be served. ``holder`` is the local process that listens on its port, empty without one."""

    name: str
    port: int
    holder: str = ""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """The sysctls of a network interface as they take effect."""

    name: str
    rp_filter: int
    route_localnet: bool


class Conntrack(msgspec.Struct, frozen=True, kw_only=True):
    """Connection tracking: how many entries there are and may be, and whether it is liberal about TCP windows."""

    count: int
    limit: int
    liberal: bool


class KernelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the kernel plane depends on.

    ``nft`` is the program's version and ``nft_trouble`` why it cannot be used. ``refusal`` is why the kernel does not
    take our rules; None when it does, or when that could not be tried. ``tables`` are those of ours: an instance
    runs or drains by each that is ``held``, and one of them keeps others from 127.0.0.0/8 when ``guarded``. ``gates``
    and ``grips`` are None when the rules of others cannot be read; ``legacy`` are tables of the old iptables, whose
    rules ``nft`` does not show. ``conntrack`` is None while the kernel does not track connections. ``doors``
    are the addresses and ports that each table of ours takes, where there are several.
    """

    linux: bool
    net_admin: bool
    nft: str = ""
    nft_trouble: str = ""
    refusal: str | None = None
    forwards_ipv4: bool
    forwards_ipv6: bool
    interfaces: tuple[Interface, ...] = ()
    tables: tuple[str, ...] = ()
    held: frozenset[str] = frozenset()
    guarded: bool = False
    conntrack: Conntrack | None = None
    gates: tuple[Gate, ...] | None = None
    grips: tuple[Grip, ...] | None = None
    legacy: tuple[str, ...] = ()
    doors: Mapping[str, frozenset[tuple[str, int]]] = {}


class EnvoyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the Envoy plane depends on. ``program`` is its version, ``trouble`` why there is none. ``lowest_port`` is
    the lowest that may be opened without privileges; ``privileged`` says that this process has them.
    """

    program: str = ""
    trouble: str = ""
    open_files: int
    workers: int
    lowest_port: int
    privileged: bool
