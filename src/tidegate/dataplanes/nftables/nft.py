"""Runs the program ``nft``: for the structure of the table, which is written once and read by people.

In: text in its language. Out: nothing, or DataPlaneError with what to do about it. Whatever text is given is one
transaction: all of it is in force, or none.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tidegate.errors import DataPlaneError

KNOWN_TO_WORK = "1.0.6"
"""The oldest version that the table was tried with."""

NEEDS_NET_ADMIN = "the nftables data plane needs CAP_NET_ADMIN: run tidegate as root, or give it that capability"

_PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_TIMEOUT_SECONDS = 60.0
_VERSION = re.compile(r"v(\d+(?:\.\d+)+)")
_NOT_PERMITTED = "Operation not permitted"
_SYNTAX = "syntax error"
_PARTS = "nf_tables, nft_nat, nft_masq, nft_reject_inet, nft_numgen, nft_fib_inet, nft_ct, nf_conntrack"


class Nft:
    """The program. Raises DataPlaneError when it is not installed."""

    def __init__(self) -> None:
        self._path = find()

    def run(self, text: str) -> None:
        """Carry text out. Blocks. Raises DataPlaneError; nothing was changed then."""
        self._finish(self._start(["-f", "-"], text))

    def check(self, text: str) -> None:
        """Have the kernel look at text without carrying it out. Raises as ``run`` would."""
        self._finish(self._start(["--check", "-f", "-"], text))

    def read(self, *arguments: str) -> str:
        """What it prints. Blocks. Raises DataPlaneError."""
        result = self._start(list(arguments), "")
        if result.returncode:
            raise DataPlaneError(f"nft {' '.join(arguments)}: {_first_line(result.stderr)}")
        return result.stdout

    def version(self) -> str:
        """Its version, such as ``1.0.6``; empty when it does not tell."""
        found = _VERSION.search(self._start(["--version"], "").stdout)
        return found.group(1) if found else ""

    def _start(self, arguments: list[str], text: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._path), *arguments]
        try:
            return subprocess.run(  # noqa: S603  The program was found by its name, the text is ours.
                command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataPlaneError(f"{self._path} cannot be run: {error}") from error

    def _finish(self, result: subprocess.CompletedProcess[str]) -> None:
        if result.returncode:
            raise DataPlaneError(self._explanation(result.stderr))

    def _explanation(self, complaint: str) -> str:
        """What ``nft`` complained about, and what would help."""
        if _NOT_PERMITTED in complaint:
            return NEEDS_NET_ADMIN
        if _SYNTAX in complaint:
            return (
                f"{self._path} {self.version()} does not understand the rules; "
                f"{KNOWN_TO_WORK} is known to: install a newer nftables ({_first_line(complaint)})"
            )
        return f"this kernel does not take the rules ({_first_line(complaint)}); it needs {_PARTS}"


def find() -> Path:
    """Where the program is. Raises DataPlaneError when it is nowhere."""
    found = shutil.which("nft") or next((path for place in _PLACES if (path := shutil.which("nft", path=place))), None)
    if found is None:
        raise DataPlaneError(
            "the nftables data plane needs the program nft: install the package nftables, "
            "or choose another data plane with --dataplane"
        )
    return Path(found)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
