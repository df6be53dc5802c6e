"""``tidegate check``: what ``run``, or the controller of a cluster, would do with some input, without any socket."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from tidegate.cli import options
from tidegate.cli.failures import log_only_errors
from tidegate.cli.findings import findings_of
from tidegate.cli.hints.collect import hints_about
from tidegate.cli.impact import narrowed, new_findings
from tidegate.cli.output import as_json, as_yaml, write
from tidegate.cli.verdict import EXIT_STATUS, Verdict, text_of, verdict
from tidegate.names import CONTROLLER_NAME
from tidegate.settings import CheckSettings, ClusterChoice

HELP = """Say what run would do with the input: conditions, problems with file and line, and hints.

Ends with 0 when all is well, 1 when something is not accepted or not resolved, 2 when input cannot be
read.

With --cluster: what the controller there would do if the input were applied, and what of the cluster would
become worse by that. Nothing is written.

Examples:

\b
  tidegate check gateway.yaml --backend my-service:6000=127.0.0.1:7001
  tidegate check manifests/ --strict -o json
  tidegate check route.yaml --cluster
"""


class CheckFormat(enum.Enum):
    """``-o`` of ``check``."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def check(
    paths: options.Paths,
    *,
    backend: options.Backends = None,
    dns: options.Dns = False,
    output: Annotated[CheckFormat, typer.Option("-o", "--output", help="Format of the output.")] = CheckFormat.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count like errors.")] = False,
    dataplane: options.DataPlane = "envoy",
    controller_name: options.ControllerName = CONTROLLER_NAME,
    cluster: options.Cluster = False,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
) -> None:
    """Decide about the input and print the verdict."""
    choice = options.cluster_choice(cluster=cluster, kubeconfig=kubeconfig, context=context, backend=backend, dns=dns)
    settings = CheckSettings(
        paths=tuple(paths),
        backends=tuple(backend or ()),
        dns=dns,
        data_plane=dataplane,
        controller_name=controller_name,
    )
    found = decide(settings, strict=strict) if choice is None else decide_in(choice, settings, strict=strict)
    write({CheckFormat.TEXT: text_of, CheckFormat.JSON: as_json, CheckFormat.YAML: as_yaml}[output](found))
    raise typer.Exit(EXIT_STATUS[found.result])


def decide(settings: CheckSettings, *, strict: bool) -> Verdict:
    """Decide about the input. Raises SettingsError and SourceError."""
    from tidegate.app import standalone

    result = standalone.check(settings)
    said = (*result.diagnostics, *findings_of(result.state, result.origin))
    return verdict(result.state, said, hints_about(result.state), readable=result.readable, strict=strict)


def decide_in(choice: ClusterChoice, settings: CheckSettings, *, strict: bool) -> Verdict:
    """Decide about the input on top of a cluster. Raises SettingsError, SourceError and KubeError."""
    from tidegate.app import cluster

    log_only_errors()
    found = cluster.check(choice, settings)
    result = found.result
    said = (*result.diagnostics, *new_findings(result.state, found.before, found.named, result.origin))
    about = found.named | {one.object for one in said if one.object is not None}
    hints = hints_about(result.state, only={str(key) for key in about})
    return verdict(narrowed(result.state, about), said, hints, readable=result.readable, strict=strict)
