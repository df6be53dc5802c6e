"""``tidegate manifests``: everything that installs the controller in a cluster, as YAML for ``kubectl apply``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from tidegate._version import __version__
from tidegate.cli.output import as_yaml, write
from tidegate.errors import SettingsError
from tidegate.installation.manifests import Document, documents
from tidegate.installation.options import GATEWAY_CLASS, IMAGE_REPOSITORY, SYSTEM_NAMESPACE, Options

HELP = """Print what installs the controller in a Kubernetes cluster. Nothing is applied.

The CRDs of the Gateway API (v1.6) belong to the cluster and have to be there before.

Examples:

\b
  tidegate manifests | kubectl apply --server-side -f -
  tidegate manifests --namespace edge --replicas 3 > tidegate.yaml
  tidegate manifests | kubectl delete -f -
"""

TITLE = """\
# The controller of tidegate {version} for Kubernetes, for: kubectl apply --server-side -f -
# The CRDs of the Gateway API (v1.6, either channel) belong to the cluster and have to be there before.
"""


def manifests(
    *,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", metavar="NAMESPACE", help="Where the controller lives.")
    ] = SYSTEM_NAMESPACE,
    version: Annotated[
        str, typer.Option("--version", metavar="VERSION", help="Version of the image, and of the labels.")
    ] = __version__,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help=f"The image; without it, {IMAGE_REPOSITORY}:VERSION.")
    ] = "",
    proxy_image: Annotated[
        str, typer.Option("--proxy-image", metavar="IMAGE", help="The proxies' image; without it, the controller's.")
    ] = "",
    pull_secret: Annotated[
        list[str] | None,
        typer.Option("--pull-secret", metavar="SECRET", help="Secret to pull the controller's image with."),
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", metavar="N", help="Number of controllers.")] = 2,
    gateway_class: Annotated[
        str, typer.Option("--gateway-class", metavar="NAME", help="Name of the GatewayClass.")
    ] = GATEWAY_CLASS,
    no_gateway_class: Annotated[bool, typer.Option("--no-gateway-class", help="Leave the GatewayClass out.")] = False,
) -> None:
    """Print the objects of an installation."""
    if no_gateway_class and gateway_class != GATEWAY_CLASS:
        raise SettingsError("--gateway-class and --no-gateway-class exclude each other")
    options = Options(
        namespace=namespace,
        version=version,
        image=image,
        proxy_image=proxy_image,
        pull_secrets=tuple(pull_secret or ()),
        replicas=replicas,
        gateway_class=None if no_gateway_class else gateway_class,
    )
    write(text_of(documents(options), title=TITLE.format(version=version)))


def text_of(shown: Iterable[Document], *, title: str) -> str:
    """The documents as one text, each below its comment."""
    return title + "".join(f"---\n{document_text(one)}" for one in shown)


def document_text(document: Document) -> str:
    """One document: its comment, then YAML."""
    comment = "".join(f"# {line}\n" for line in document.comment.splitlines())
    return comment + as_yaml(document.manifest)
