"""The command manifests."""

from __future__ import annotations

from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from tidegate.cli.controller import controller
from tidegate.cli.main import app
from tidegate.cli.manifests import document_text
from tidegate.errors import SettingsError
from tidegate.installation.manifests import Document


def printed(*flags: str) -> list[dict[str, Any]]:
    """The objects that the command prints."""
    result = CliRunner().invoke(app, ["manifests", *flags])
    assert result.exit_code == 0, result.output
    return list(yaml.safe_load_all(result.output))


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    (found,) = (item for item in objects if item["kind"] == kind)
    return found


def test_flags_reach_the_objects() -> None:
    """Namespace, image, replicas and class are as said."""
    objects = printed(
        *("--namespace", "edge", "--replicas", "3", "--gateway-class", "tcp", "--version", "9.9.9"),
        *("--proxy-image", "example/proxy:1", "--pull-secret", "a", "--pull-secret", "b"),
    )
    deployment = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert (deployment["metadata"]["namespace"], deployment["spec"]["replicas"]) == ("edge", 3)
    assert pod["containers"][0]["image"].endswith(":9.9.9")
    assert "--proxy-image=example/proxy:1" in pod["containers"][0]["args"]
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert of_kind(objects, "GatewayClass")["metadata"]["name"] == "tcp"


def test_class_can_be_left_out() -> None:
    """--no-gateway-class, for whoever keeps classes elsewhere; a name beside it is a contradiction."""
    assert "GatewayClass" not in {item["kind"] for item in printed("--no-gateway-class")}
    with pytest.raises(SettingsError, match="exclude each other"):
        app(["manifests", "--no-gateway-class", "--gateway-class", "x"], standalone_mode=False)


def test_controller_takes_what_its_pods_say() -> None:
    """Each argument of the container is a flag of the command that it runs."""
    (container,) = of_kind(printed(), "Deployment")["spec"]["template"]["spec"]["containers"]
    name, *arguments = container["args"]
    command = typer.Typer()
    command.command(name)(controller)
    flags = {flag for parameter in typer.main.get_command(command).params for flag in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments} <= flags


def test_every_document_is_below_its_comment() -> None:
    """Each line of a comment is a comment in YAML too."""
    text = document_text(Document(comment="One.\nTwo.", manifest={"kind": "X"}))
    assert text == "# One.\n# Two.\nkind: X\n"
