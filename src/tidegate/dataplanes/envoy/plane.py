"""The data plane that forwards with Envoy: ties plan, resources, processes and outcomes together.

In: changes of the plan. Out: outcomes and counters. One event loop owns everything here; what decides is in
pure modules (``catalog``, ``ads``, ``settlement``), what acts is in others (``generations``, ``server``,
``portwatch``). This module only passes values between them::

    apply ──▶ catalog ──changed names──▶ session (ads) ──responses──▶ Envoy
                │                            │
             portwatch ──holders──▶ settlement ◀──confirmations──┘
                                         └──outcomes──▶ reports
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from envoy.service.discovery.v3 import discovery_pb2

from tidegate.dataplanes.envoy import binary, bootstrap, generations
from tidegate.dataplanes.envoy.ads import AdsStream
from tidegate.dataplanes.envoy.catalog import Catalog, Changed
from tidegate.dataplanes.envoy.hostaddresses import host_addresses, wildcard_address
from tidegate.dataplanes.envoy.options import EnvoyOptions
from tidegate.dataplanes.envoy.portwatch import PortWatch
from tidegate.dataplanes.envoy.reports import ReportStream
from tidegate.dataplanes.envoy.settlement import Settlement
from tidegate.dataplanes.envoy.supervisor import Supervisor
from tidegate.dataplanes.envoy.translate import TranslateOptions
