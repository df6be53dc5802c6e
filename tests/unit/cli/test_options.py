"""Shared flags."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tidegate.cli.options import LogFormat, cluster_choice, instance_names, parse_log_format
from tidegate.errors import SettingsError
from tidegate.settings import ClusterChoice


def test_names_are_completed_from_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any instance there is nothing to complete, and no directory is made."""
    with tempfile.TemporaryDirectory(prefix="tg", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        assert instance_names() == []


def test_a_log_format_is_read_or_refused() -> None:
    """The message has the form of those about other flags."""
    assert parse_log_format("json") is LogFormat.JSON
    with pytest.raises(SettingsError, match=r"^--log-format foo: expected console or json$"):
        parse_log_format("foo")


def test_any_flag_of_a_cluster_chooses_one() -> None:
    """--kubeconfig and --context say the same as --cluster, and more."""
    chosen = cluster_choice(cluster=False, kubeconfig=None, context=None)
    assert chosen is None
    assert cluster_choice(cluster=True, kubeconfig=None, context=None) == ClusterChoice()
    path = Path("config")
    assert cluster_choice(cluster=False, kubeconfig=path, context="x") == ClusterChoice(kubeconfig=path, context="x")


def test_flags_of_an_instance_do_not_go_with_a_cluster() -> None:
    """The message names the flag that is out of place; without a cluster it is in its place."""
    with pytest.raises(SettingsError, match=r"^--state-dir is for what runs on this machine"):
        cluster_choice(cluster=True, kubeconfig=None, context=None, name=None, state_dir=Path("x"))
    assert cluster_choice(cluster=False, kubeconfig=None, context=None, state_dir=Path("x")) is None
