"""What an installation can choose, with the defaults of ``tidegate manifests`` and of the Helm chart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tidegate._version import __version__
from tidegate.errors import SettingsError
from tidegate.model.validation.formats import is_dns_label, is_dns_subdomain

NAME = "tidegate-controller"
"""The name of every object of the controller, cluster-wide ones included: one installation per cluster."""

SYSTEM_NAMESPACE = "tidegate-system"
IMAGE_REPOSITORY = "ghcr.io/tidegate/tidegate"
GATEWAY_CLASS = "tidegate"

XDS_PORT = 18000
"""Where proxies, and other replicas, reach the controller by mutual TLS."""

ADMIN_PORT = 8080
"""Where probes and metrics are answered, in plain HTTP."""

USER_ID = 65532
"""The user and group that the image is made for; it owns nothing in there."""

RESOURCES: Mapping[str, Any] = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
"""Room for thousands of routes. No limit of CPU: a throttled controller is late, not smaller."""

NODE_SELECTOR: Mapping[str, str] = {"kubernetes.io/os": "linux"}

_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """``image`` and ``proxy_image`` empty: the image of ``version``, and the controller's.

    ``gateway_class`` None leaves the class out. ``pull_secrets`` are names of Secrets in the controller's namespace.
    ``resources``, ``node_selector``, ``tolerations`` and ``affinity`` are those of the controller's Pods.
    """

    namespace: str = SYSTEM_NAMESPACE
    version: str = __version__
    image: str = ""
    proxy_image: str = ""
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    replicas: int = 2
    gateway_class: str | None = GATEWAY_CLASS
    resources: Mapping[str, Any] = msgspec.field(default_factory=lambda: RESOURCES)
    node_selector: Mapping[str, str] = msgspec.field(default_factory=lambda: NODE_SELECTOR)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    affinity: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """Raise SettingsError for what no cluster would accept."""
        if not is_dns_label(self.namespace):
            raise SettingsError(f"--namespace {self.namespace}: expected at most 63 of a-z, 0-9 and '-'")
        if not _LABEL_VALUE.fullmatch(self.version):
            raise SettingsError(f"--version {self.version}: expected a version such as {__version__}")
        for flag, image in (("--image", self.image), ("--proxy-image", self.proxy_image)):
            if image and not _IMAGE.fullmatch(image):
                raise SettingsError(f"{flag} {image}: expected an image such as {IMAGE_REPOSITORY}:{__version__}")
        if self.replicas < 1:
            raise SettingsError(f"--replicas {self.replicas}: expected at least 1")
        if self.gateway_class is not None and not is_dns_subdomain(self.gateway_class):
            raise SettingsError(f"--gateway-class {self.gateway_class}: expected a name such as {GATEWAY_CLASS}")

    @property
    def controller_image(self) -> str:
        """The image of the controller."""
        return self.image or f"{IMAGE_REPOSITORY}:{self.version}"

    @property
    def data_plane_image(self) -> str:
        """The image of proxies whose parameters name none."""
        return self.proxy_image or self.controller_image
