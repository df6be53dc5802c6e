"""The program is found, run, and what it complains about is explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.netns import Host, needs_hosts
from support.tables import alone
from tidegate.dataplanes.nftables import nft
from tidegate.dataplanes.nftables.nft import Nft
from tidegate.errors import DataPlaneError

pytestmark = needs_hosts()


@pytest.fixture(autouse=True)
def host() -> Iterator[Host]:
    """Where the test is."""
    with alone() as present:
        yield present


def complaining(path: Path, complaint: str) -> Nft:
    """A program that refuses everything with these words."""
    path.mkdir()
    program = path / "nft"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{complaint}' >&2\nexit 1\n")
    program.chmod(0o755)
    return Nft()


def test_run_and_check(host: Host) -> None:
    """Text that is run is in force; text that is checked is not."""
    Nft().check("table inet other { }")
    assert host.ruleset() == ""
    Nft().run("table inet other { }")
    assert "table inet other" in host.ruleset()
    assert "table inet other" in Nft().read("list", "tables")


def test_all_or_nothing(host: Host) -> None:
    """When one line cannot be, none is."""
    with pytest.raises(DataPlaneError, match="this kernel does not take the rules"):
        Nft().run("table inet other { }\nadd chain inet absent one")
    assert host.ruleset() == ""
    with pytest.raises(DataPlaneError, match="this kernel does not take the rules"):
        Nft().check("add chain inet absent one")


def test_version() -> None:
    """It tells numbers."""
    assert [int(part) for part in Nft().version().split(".")] >= [1]


def test_reading_fails() -> None:
    """What was asked and the first line of the complaint."""
    with pytest.raises(DataPlaneError, match=r"nft list table inet absent: .*No such file"):
        Nft().read("list", "table", "inet", "absent")


def test_text_that_it_does_not_understand() -> None:
    """A syntax error is most likely an old version: both versions are named."""
    with pytest.raises(DataPlaneError, match=rf"{Nft().version()} does not understand the rules; {nft.KNOWN_TO_WORK}"):
        Nft().run("nonsense")


@pytest.mark.parametrize(
    ("complaint", "said"),
    [
        ("Error: Operation not permitted (you must be root)", "CAP_NET_ADMIN"),
        (
            "\n  Error: Could not process rule: No such file\n^^^",
            r"\(Error: Could not process rule: No such file\).*nft_nat",
        ),
        ("", "no reason given"),
    ],
)
def test_complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, complaint: str, said: str) -> None:
    """A missing permission says which; anything else says what the kernel must have."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    program = complaining(tmp_path / "bin", complaint)
    with pytest.raises(DataPlaneError, match=said):
        program.run("table inet other { }")
    assert program.version() == ""


def test_program_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no program is named."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    program = complaining(tmp_path / "bin", "")
    (tmp_path / "bin" / "nft").write_bytes(b"\x7fnothing")
    with pytest.raises(DataPlaneError, match="bin/nft cannot be run"):
        program.run("")


def test_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it in PATH or where systems keep it, the package is named; with PATH empty it is found there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nft.find().name == "nft"
    monkeypatch.setattr(nft, "_PLACES", ())
    with pytest.raises(DataPlaneError, match="install the package nftables"):
        Nft()
