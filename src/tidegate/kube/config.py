"""Which cluster is meant, and a client for it.

In: what the command line says of a kubeconfig, the environment and the usual places. Out: a connected `KubeClient`,
or a ``SettingsError`` that says where was looked. Nothing is asked of the server yet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tidegate.errors import ExtraMissingError, SettingsError
from tidegate.kube.client import KubeClient
from tidegate.kube.transport import Transport

if TYPE_CHECKING:
    from tidegate.kube.access import Access

USUAL_KUBECONFIG: Final = Path("~/.kube/config")


@contextlib.asynccontextmanager
async def connected(
    *, kubeconfig: Path | None = None, context: str | None = None, impersonate: str | None = None
) -> AsyncGenerator[KubeClient, None]:
    """A client for the cluster of ``kubeconfig``, else of ``$KUBECONFIG``, of the usual file, or of the pod we run in.

    ``context`` is one of the kubeconfig's, None its current one. ``impersonate`` is the user to act as. Raises
    SettingsError.
    """
    access = await _access(kubeconfig, context, impersonate)
    try:
        yield KubeClient(Transport(access))
    finally:
        await access.close()


async def _access(kubeconfig: Path | None, context: str | None, impersonate: str | None) -> Access:
    try:
        # Slow to load and big in memory: only who speaks to a cluster pays for it.
        from tidegate.kube.access import from_kubeconfig, from_pod
    except ImportError as error:
        raise ExtraMissingError from error
    paths = _kubeconfig_paths(kubeconfig)
    if paths is not None:
        return await from_kubeconfig(paths, context=context, impersonate=impersonate)
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        raise SettingsError(
            f"no cluster to speak to: neither --kubeconfig nor KUBECONFIG is given, {USUAL_KUBECONFIG} does not exist, "
            "and this is no pod with a service account"
        )
    if context is not None:
        raise SettingsError(f"the context {context} needs a kubeconfig: a pod's service account has none")
    return from_pod(impersonate=impersonate)


def _kubeconfig_paths(given: Path | None) -> str | None:
    """One or more paths, as ``$KUBECONFIG`` has them; None when there is no kubeconfig."""
    paths = str(given) if given is not None else os.environ.get("KUBECONFIG", "")
    if not paths:
        usual = USUAL_KUBECONFIG.expanduser()
        return str(usual) if usual.exists() else None
    if not any(Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path):
        raise SettingsError(f"there is no kubeconfig at {paths}")
    return paths
