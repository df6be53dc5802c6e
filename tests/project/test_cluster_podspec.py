"""What a pod template says, read by the rules of the kubelet."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cluster_podspec import container_spec, expanded, read
from support.manifests import Manifest

FACTS = {"metadata.name": "edge-1", "metadata.namespace": "infra", "status.podIP": "198.18.0.1"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("--id=$(POD_NAME)", "--id=edge-1"),
        ("$(POD_NAME)/$(POD_NAME)", "edge-1/edge-1"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(POD_NAME)", "$(POD_NAME)"),
        ("$POD_NAME", "$POD_NAME"),
    ],
)
def test_references_to_variables_are_expanded(text: str, result: str) -> None:
    """Names of the container's variables are replaced, unknown ones stay, and a doubled sign escapes."""
    assert expanded(text, {"POD_NAME": "edge-1"}) == result


def template(**container: object) -> Manifest:
    """A template with a container that drops all rights."""
    security = {"capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    return {
        "metadata": {"labels": {"app": "edge"}},
        "spec": {
            "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
            "containers": [{"name": "proxy", "securityContext": security, **container}],
            "volumes": [
                {"name": "run", "emptyDir": {}},
                {"name": "keys", "secret": {"secretName": "edge", "defaultMode": 0o440}},
            ],
        },
    }


def test_container_gets_its_arguments_environment_and_mounts() -> None:
    """The image's entry point comes before the arguments; the downward API gives the pod's name and address."""
    pod = read(
        template(
            args=["proxy", "--node=$(POD_NAME)@$(POD_IP)"],
            env=[
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            ],
            volumeMounts=[{"name": "keys", "mountPath": "/etc/keys", "readOnly": True}],
        )
    )
    spec = container_spec(pod, FACTS, {"keys": Path("/volumes/keys")})
    assert spec.command == ("tidegate", "proxy", "--node=edge-1@198.18.0.1")
    assert spec.environment == {"POD_NAME": "edge-1", "POD_IP": "198.18.0.1"}
    (mount,) = spec.mounts
    assert (mount.source, mount.path, mount.read_only) == (Path("/volumes/keys"), Path("/etc/keys"), True)
    assert (spec.user, spec.group, spec.groups, spec.read_only_root) == (65532, 65532, (65532,), True)
    assert pod.sources["keys"].mode == 0o440


def test_probe_may_name_its_port() -> None:
    """A port of the container by its name is that port."""
    pod = read(
        template(
            ports=[{"name": "status", "containerPort": 8081}],
            readinessProbe={"httpGet": {"path": "/ready", "port": "status"}, "failureThreshold": 2},
        )
    )
    assert pod.probe is not None
    assert (pod.probe.port, pod.probe.path, pod.probe.failures) == (8081, "/ready", 2)


def test_what_is_not_played_fails_the_test() -> None:
    """A template that asks for more than is played is no silent success."""
    entitled = template()
    entitled["spec"]["containers"][0]["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    with pytest.raises(AssertionError, match="not played"):
        read(entitled)
