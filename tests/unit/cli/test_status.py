"""What `status` prints."""

from __future__ import annotations

import datetime as dt
import json

from support.manifests import backend, parent, tcproute
from support.states import STARTED, listener_view, state
from tidegate.cli.output import Format
from tidegate.cli.status import status_text

NOW = STARTED + dt.timedelta(minutes=3, seconds=10)


def test_people_see_the_instance_its_listeners_and_what_is_wrong() -> None:
    """A headline, the table, and a sentence per problem."""
    shown = state(listener_view(), listener_view("bar", state="Failed", message="port 8080 is taken"))
    lines = status_text(shown, Format.TABLE, now=NOW).splitlines()
    assert lines[0] == "instance default: ready, up 3m10s, process 42, data plane envoy, tidegate 1.2.3"
    assert lines[2].startswith("LISTENER")
    assert lines[-1] == "! listener my-gateway/bar: port 8080 is taken"


def test_an_instance_without_listeners_says_so() -> None:
    """An empty table would leave people guessing."""
    assert "No listeners: the input has no Gateway of ours." in status_text(state(), Format.TABLE, now=NOW)


def test_hints_come_with_it() -> None:
    """A live instance gives the same hints as check."""
    route = tcproute("r", [parent("g")], [backend("svc")], namespace="default")
    text = status_text(state(objects=(route,)), Format.TABLE, now=NOW)
    assert "hint: TCPRoute default/r: there is no Gateway g in namespace default" in text


def test_programs_get_the_whole_state() -> None:
    """JSON is the state of the API."""
    assert json.loads(status_text(state(listener_view()), Format.JSON, now=NOW))["listeners"][0]["port"] == 8080
    assert "dataPlane: envoy" in status_text(state(), Format.YAML, now=NOW)


def test_cluster_is_summed_up_instead_of_an_instance() -> None:
    """How many Gateways and listeners, and their states; no counters."""
    failed = listener_view("bar", state="Failed", gateway="edge/other")
    lines = status_text(state(listener_view(), failed, cluster=True), Format.TABLE, now=NOW).splitlines()
    assert lines[0] == "cluster: 2 Gateways, 2 listeners (1 Failed, 1 Live)"
    assert "ACTIVE" not in lines[2]
    one = status_text(state(listener_view(), cluster=True), Format.TABLE, now=NOW)
    assert one.startswith("cluster: 1 Gateway, 1 listener (1 Live)\n")
    assert "the cluster has no Gateway of ours" in status_text(state(cluster=True), Format.TABLE, now=NOW)
