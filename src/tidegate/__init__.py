"""tidegate: layer 4 Kubernetes Gateway API on an embedded Envoy or the Linux kernel.

``load``, ``resolve`` and ``run`` are the Python API; see ``tidegate.api``. They are imported when first
used, so that a part of the package can be used without all of it.
"""

from __future__ import annotations

from tidegate._version import __version__

# What typing defines, without loading it: the command begins with this module, and a Ctrl-C here would be a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from tidegate.api import (
        DataPlaneError,
        InstanceError,
        Loaded,
        Resolution,
        RunSettings,
        SettingsError,
        SourceError,
        TidegateError,
        load,
        resolve,
        run,
    )

__all__ = [
    "DataPlaneError",
    "InstanceError",
    "Loaded",
    "Resolution",
    "RunSettings",
    "SettingsError",
    "SourceError",
    "TidegateError",
    "__version__",
    "load",
    "resolve",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("tidegate.api"), name)
