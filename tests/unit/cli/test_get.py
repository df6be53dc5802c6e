"""What `get` prints, and what it says when there is nothing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checking import checked
from support.manifests import backend, gateway, listener, parent, service, tcproute
from tidegate.cli.get import Answer, Query, answer, complete_kind, parse_kinds, parse_target
from tidegate.cli.output import Format
from tidegate.errors import SettingsError

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)


@pytest.fixture
def objects(tmp_path: Path) -> tuple[dict[str, Any], ...]:
    """Two Gateways in two namespaces, and a route."""
    return checked(
        tmp_path,
        gateway("g", [listener("foo", 8080)]),
        gateway("h", [listener("foo", 8081)], namespace="edge"),
        tcproute("r", [parent("g")], [backend("svc")]),
        service("svc"),
    ).state.objects


def asked(
    objects: Any, kinds: str, *names: str, namespace: str | None = "default", output: Format = Format.TABLE
) -> Answer:
    return answer(Query(kinds=parse_kinds(kinds), names=names, namespace=namespace, output=output), objects, now=NOW)


def test_a_namespace_is_shown_and_others_with_all(objects: Any) -> None:
    """One namespace by default, all with -A, which names them."""
    assert [line.split()[0] for line in asked(objects, "gateways").text.splitlines()] == ["NAME", "g"]
    everywhere = asked(objects, "gateways", namespace=None).text.splitlines()
    assert [line.split()[:2] for line in everywhere] == [["NAMESPACE", "NAME"], ["default", "g"], ["edge", "h"]]


def test_several_kinds_are_several_tables(objects: Any) -> None:
    """Kinds with objects get a table each; one that is named twice is shown once."""
    text = asked(objects, "gtw,gateways,tcproutes,gc").text
    assert len(text.split("\n\n")) == 2


def test_one_object_is_printed_as_it_is(objects: Any) -> None:
    """By name, YAML and JSON are the object; without, a List."""
    found = yaml.safe_load(asked(objects, "gateway", "g", output=Format.YAML).text)
    assert (found["kind"], found["status"]["listeners"][0]["attachedRoutes"]) == ("Gateway", 1)
    listed = json.loads(asked(objects, "gateway", output=Format.JSON).text)
    assert (listed["kind"], len(listed["items"])) == ("List", 1)


def test_nothing_found_says_where_to_look(objects: Any) -> None:
    """The message knows the other namespaces."""
    result = asked(objects, "gateways", namespace="prod")
    assert result.text == ""
    assert result.missing == (
        "no gateways found in namespace prod; look in namespace default, edge with -n, or everywhere with -A",
    )
    assert asked(objects, "referencegrants").missing == ("no referencegrants found in namespace default",)


def test_a_missing_name_is_told_and_the_others_are_shown(objects: Any) -> None:
    """What is there is printed, what is not is named with the place where it is."""
    result = asked(objects, "gateways", "g", "h", "zz")
    assert len(result.text.splitlines()) == 2
    assert result.missing == (
        'gateways "h" not found in namespace default; look in namespace edge with -n, or everywhere with -A',
        'gateways "zz" not found in namespace default',
    )
    assert asked(objects, "gateways", "zz", output=Format.YAML).text == ""


def test_an_empty_list_is_still_a_list(objects: Any) -> None:
    """Programs always get a document when they ask for all."""
    result = asked(objects, "referencegrants", output=Format.JSON)
    assert json.loads(result.text)["items"] == []
    assert result.missing == ()


def test_an_unknown_kind_lists_all() -> None:
    """The message shows every kind with its short names."""
    with pytest.raises(SettingsError, match=r"there is no kind 'pods'; there is gatewayclasses/gc, gateways/gtw"):
        parse_kinds("gateways,pods")


def test_kinds_are_completed() -> None:
    """The shell completes plurals."""
    assert complete_kind("GateW") == ["gatewayclasses", "gateways", "gatewayparameters"]


def test_kind_and_name_can_be_one_word() -> None:
    """``gtw/g`` is ``gtw g``, and several words of one kind are several names."""
    assert parse_target("gtw/g", ()) == parse_target("gateways", ("g",))
    assert parse_target("gtw/g", ("gateway/h",)) == parse_target("gateways", ("g", "h"))


@pytest.mark.parametrize("words", [("gtw/",), ("/g",), ("gtw/g/h",), ("gtw/g", "h"), ("gtw/g", "tcproute/r")])
def test_other_forms_with_a_slash_are_refused(words: tuple[str, ...]) -> None:
    """Half a word, a mixture of both forms, or several kinds."""
    with pytest.raises(SettingsError, match="expected KIND"):
        parse_target(words[0], words[1:])
