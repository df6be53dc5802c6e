"""The composition root of a controller in a cluster: puts every part together.

Every replica watches, decides and serves its proxies; the one that holds the Lease also writes: statuses, Events, the
data planes' objects, the certificate authority. Comes in: settings. Goes out: a running replica::

    API server ──KubernetesSource──▶ reconciler ──plan──▶ EnvoyFleet ◀──mTLS── proxies, other replicas
                                       │     └─infrastructure─▶ Fleet ──▶ API server      (leader)
                                       └─statuses─▶ KubernetesStatusWriter ──▶ API server (leader)
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Mapping

from tidegate._version import __version__
from tidegate.admin.server import Providers, serve
from tidegate.app.announcing import announce
from tidegate.controller.reconciler import Reconciler
from tidegate.core.config import CoreConfig
from tidegate.core.decision import Decision, DecisionChange
from tidegate.dataplanes.envoy.features import FEATURES
from tidegate.errors import TidegateError
from tidegate.settings import ControllerSettings
from tidegate.telemetry.logs import logger
from tidegate.telemetry.metrics import Metrics
