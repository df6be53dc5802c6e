"""From a Deployment's pod template to what its container runs, by the rules of the kubelet. Pure.

Only what a data plane's pods use is known; anything else fails the test instead of being left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from support.cluster_container import ContainerSpec, Mount

ENTRY_POINT = ("tidegate",)
IMAGE_USER = 65532

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A volume: the content of a ConfigMap or Secret by ``name``, or an empty directory (``kind`` emptyDir)."""

    kind: str
    name: str = ""
    mode: int = 0o644


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """When a pod is ready: a request to this port and path succeeds."""

    path: str
    port: int
    failures: int


class PodSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A pod template as the kubelet reads it."""

    container: Mapping[str, Any]
    sources: Mapping[str, Source]
    probe: Probe | None
    host_network: bool
    sysctls: Mapping[str, str]
    file_group: int
    grace_seconds: int
    pre_stop: tuple[str, ...]
    security: Mapping[str, Any]


def read(template: Mapping[str, Any]) -> PodSpec:
    """What a template says."""
    spec = template["spec"]
    (container,) = spec["containers"]
    assert not spec.get("initContainers"), "init containers are not played"
    pod_security, own_security = spec.get("securityContext", {}), container.get("securityContext", {})
    security = {**pod_security, **own_security}
    assert security.get("capabilities") == {"drop": ["ALL"]}, f"not played: {security.get('capabilities')}"
    return PodSpec(
        container=container,
        sources={volume["name"]: _source(volume) for volume in spec.get("volumes", ())},
        probe=_probe(container),
        host_network=spec.get("hostNetwork", False),
        sysctls={entry["name"]: entry["value"] for entry in pod_security.get("sysctls", ())},
        file_group=pod_security.get("fsGroup", 0),
        grace_seconds=spec.get("terminationGracePeriodSeconds", 30),
        pre_stop=_pre_stop(container),
        security=security,
    )


def container_spec(
    pod: PodSpec, facts: Mapping[str, str], volumes: Mapping[str, Path], files: tuple[Mount, ...] = ()
) -> ContainerSpec:
    """What to run, given the downward API's facts and where each volume is; ``files`` are mounted first."""
    environment = _environment(pod.container, facts)
    command = (*pod.container.get("command", ENTRY_POINT), *pod.container.get("args", ()))
    group = pod.security.get("runAsGroup", IMAGE_USER)
    mounts = tuple(
        Mount(source=volumes[one["name"]], path=Path(one["mountPath"]), read_only=one.get("readOnly", False))
        for one in pod.container.get("volumeMounts", ())
    )
    return ContainerSpec(
        command=tuple(expanded(word, environment) for word in command),
        environment=environment,
        mounts=(*files, *mounts),
        user=pod.security.get("runAsUser", IMAGE_USER),
        group=group,
        groups=tuple(sorted({pod.file_group} - {0})),
        read_only_root=pod.security.get("readOnlyRootFilesystem", False),
    )


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced by a variable that the container has; other names stay, and ``$$`` is a ``$``."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def _environment(container: Mapping[str, Any], facts: Mapping[str, str]) -> dict[str, str]:
    environment: dict[str, str] = {}
    for entry in container.get("env", ()):
        if "valueFrom" in entry:
            environment[entry["name"]] = facts[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        else:
            environment[entry["name"]] = expanded(entry.get("value", ""), environment)
    return environment


def _source(volume: Mapping[str, Any]) -> Source:
    if "configMap" in volume:
        source = volume["configMap"]
        return Source(kind="ConfigMap", name=source["name"], mode=source.get("defaultMode", 0o644))
    if "secret" in volume:
        source = volume["secret"]
        return Source(kind="Secret", name=source["secretName"], mode=source.get("defaultMode", 0o644))
    assert "emptyDir" in volume, f"not played: volume {volume}"
    return Source(kind="emptyDir")


def _probe(container: Mapping[str, Any]) -> Probe | None:
    probe = container.get("readinessProbe")
    if probe is None:
        return None
    request = probe["httpGet"]
    named = {port["name"]: port["containerPort"] for port in container.get("ports", ()) if "name" in port}
    return Probe(
        path=request.get("path", "/"),
        port=named.get(request["port"], request["port"]),
        failures=probe.get("failureThreshold", 3),
    )


def _pre_stop(container: Mapping[str, Any]) -> tuple[str, ...]:
    hook = container.get("lifecycle", {}).get("preStop")
    return tuple(hook["exec"]["command"]) if hook else ()
