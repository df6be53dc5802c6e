"""Sysctls that tidegate may change, and what they were before, so that they can be put back.

In: a file to remember in, and values to set. Out: the same values, until ``restore``. The file outlives the controller,
so that whoever starts next can put back what a killed one changed. Blocks.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tidegate.errors import DataPlaneError

ROUTE_LOCALNET = "net.ipv4.conf.all.route_localnet"

_SYS = Path("/proc/sys")


class Sysctls:
    """The sysctls that were changed, remembered in a file of our own directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set(self, name: str, value: str) -> None:
        """Change a sysctl, and remember what it was, unless it was changed before. Raises DataPlaneError."""
        before = self._remembered()
        try:
            present = _file(name).read_text().strip()
            if present == value:
                return
            if name not in before:
                draft = self._path.with_name(self._path.name + ".new")
                draft.write_bytes(msgspec.json.encode({**before, name: present}))
                draft.replace(self._path)
            _file(name).write_text(value)
        except OSError as error:
            raise DataPlaneError(f"sysctl {name}={value} cannot be set: {error.strerror}") from error

    def restore(self) -> None:
        """Put back what was changed, and forget it. Raises DataPlaneError."""
        for name, value in self._remembered().items():
            try:
                _file(name).write_text(value)
            except OSError as error:
                raise DataPlaneError(f"sysctl {name}={value} cannot be put back: {error.strerror}") from error
        self._path.unlink(missing_ok=True)

    def _remembered(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise DataPlaneError(f"{self._path} does not tell which sysctls were changed: {error}") from error


def _file(name: str) -> Path:
    return _SYS / name.replace(".", "/")
