"""``tidegate get``: API objects of a running instance or of a cluster, as ``kubectl get`` shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from tidegate.admin.client import AdminClient
from tidegate.admin.objects import ApiObject, kind_named, list_of, namespace_of, select
from tidegate.cli import options
from tidegate.cli.failures import NOT_ACCEPTED, log_only_errors, say
from tidegate.cli.output import Format, as_json, as_yaml, write
from tidegate.cli.tables import table
from tidegate.errors import SettingsError
from tidegate.instance import locate
from tidegate.model.kinds import KINDS, Kind
from tidegate.settings import ClusterChoice

HELP = """Show objects of a running instance with their status, as kubectl does; with --cluster, those of a cluster.

Kinds are plural, singular or short names, several with commas. KIND/NAME is one object.

Examples:

\b
  tidegate get gateways
  tidegate get tcproutes -A -o wide
  tidegate get gtw my-tcp-gateway -o yaml
  tidegate get tcproute/tcp-app-1
  tidegate get gateways,tcproutes,services
  tidegate get tcproutes -A --cluster
"""

DEFAULT_NAMESPACE = "default"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to show. ``namespace`` None: all."""

    kinds: tuple[Kind, ...]
    names: tuple[str, ...]
    namespace: str | None
    output: Format


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``text`` for standard output, ``missing`` for standard error: what was asked for and is not there."""

    text: str
    missing: tuple[str, ...]


def complete_kind(incomplete: str) -> list[str]:
    """The plurals that begin as typed."""
    return [kind.plural for kind in KINDS if kind.plural.startswith(incomplete.lower())]


def get(
    kinds: Annotated[
        str, typer.Argument(metavar="KIND[,...]|KIND/NAME", autocompletion=complete_kind, help="What to show.")
    ],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Only these.")] = None,
    *,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", metavar="NAMESPACE", help="The namespace to look in.")
    ] = DEFAULT_NAMESPACE,
    all_namespaces: Annotated[bool, typer.Option("-A", "--all-namespaces", help="Look in all namespaces.")] = False,
    output: options.Output = Format.TABLE,
    name: options.Name = None,
    state_dir: options.StateDirectory = None,
    admin: options.Admin = None,
    cluster: options.Cluster = False,
    kubeconfig: options.Kubeconfig = None,
    context: options.Context = None,
) -> None:
    """Print objects of a running instance or of a cluster."""
    choice = options.cluster_choice(
        cluster=cluster, kubeconfig=kubeconfig, context=context, name=name, state_dir=state_dir, admin=admin
    )
    wanted, chosen = parse_target(kinds, tuple(names or ()))
    query = Query(
        kinds=wanted,
        names=chosen,
        namespace=None if all_namespaces else namespace,
        output=output,
    )
    if choice is None:
        found = AdminClient(locate(name=name, state_dir=state_dir, admin=admin)).state().objects
    else:
        found = _in_cluster(choice, query)
    result = answer(query, found, now=dt.datetime.now(dt.UTC))
    write(result.text)
    for text in result.missing:
        say(text)
    if result.missing and query.names:
        raise typer.Exit(NOT_ACCEPTED)


def _in_cluster(choice: ClusterChoice, query: Query) -> tuple[ApiObject, ...]:
    """The objects of a cluster that a query can mean; what kinds it does not serve is said at once."""
    from tidegate.app import cluster

    log_only_errors()
    found = cluster.objects(choice, query.kinds, query.namespace)
    for kind in found.absent:
        say(f"the cluster does not serve {kind.plural} ({kind.api_version})")
    return found.objects


def parse_target(text: str, names: tuple[str, ...]) -> tuple[tuple[Kind, ...], tuple[str, ...]]:
    """Kinds and names of ``KIND,...`` with names, or of ``KIND/NAME`` words of one kind, as kubectl takes them.

    Raises SettingsError for a mixture.
    """
    if "/" not in text:
        return parse_kinds(text), names
    pairs = [word.partition("/") for word in (text, *names)]
    if not all(kind and name and "/" not in name for kind, _, name in pairs):
        raise SettingsError(f"{' '.join((text, *names))}: expected KIND NAME, or KIND/NAME")
    kinds = parse_kinds(",".join(kind for kind, _, _ in pairs))
    if len(kinds) > 1:
        raise SettingsError(f"{' '.join((text, *names))}: expected KIND/NAME of one kind only")
    return kinds, tuple(dict.fromkeys(name for _, _, name in pairs))


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """The kinds of a list with commas. Raises SettingsError, which lists what there is."""
    found = []
    for word in text.split(","):
        kind = kind_named(word)
        if kind is None:
            known = ", ".join("/".join((row.plural, *row.short_names)) for row in KINDS)
            raise SettingsError(f"there is no kind {word!r}; there is {known}")
        found.append(kind)
    return tuple(dict.fromkeys(found))


def answer(query: Query, objects: Sequence[ApiObject], *, now: dt.datetime) -> Answer:
    """What ``get`` prints about ``objects``."""
    found = {kind: _find(query, kind, objects) for kind in query.kinds}
    items = [item for rows in found.values() for item in rows]
    missing = _missing(query, found, objects)
    text = _documents(query, items) if query.output in (Format.JSON, Format.YAML) else _tables(query, found, now)
    return Answer(text=text, missing=missing)


def _documents(query: Query, items: Sequence[ApiObject]) -> str:
    """One object as it is, when one was asked for by name; else a List."""
    if query.names and not items:
        return ""
    form = as_json if query.output is Format.JSON else as_yaml
    return form(items[0] if len(query.names) == 1 and len(items) == 1 else list_of(items))


def _tables(query: Query, found: dict[Kind, list[ApiObject]], now: dt.datetime) -> str:
    wide, everywhere = query.output is Format.WIDE, query.namespace is None
    tables = [table(kind, rows, now=now, wide=wide, namespaces=everywhere) for kind, rows in found.items() if rows]
    return "\n".join(tables)


def _find(query: Query, kind: Kind, objects: Sequence[ApiObject]) -> list[ApiObject]:
    if not query.names:
        return select(objects, kind, namespace=query.namespace)
    return [item for name in query.names for item in select(objects, kind, namespace=query.namespace, name=name)]


def _missing(query: Query, found: dict[Kind, list[ApiObject]], objects: Sequence[ApiObject]) -> tuple[str, ...]:
    if query.names:
        return tuple(
            _no_such(query, kind, name, objects)
            for kind, items in found.items()
            for name in query.names
            if not any(item["metadata"]["name"] == name for item in items)
        )
    if any(found.values()) or query.output in (Format.JSON, Format.YAML):
        return ()
    kinds = ", ".join(kind.plural for kind in query.kinds)
    place = f" in namespace {query.namespace}" if query.namespace and any(kind.namespaced for kind in found) else ""
    elsewhere = sorted({namespace_of(item) for kind in query.kinds for item in select(objects, kind)})
    return (f"no {kinds} found{place}{_look_in(elsewhere)}",)


def _no_such(query: Query, kind: Kind, name: str, objects: Sequence[ApiObject]) -> str:
    elsewhere = sorted({namespace_of(item) for item in select(objects, kind, name=name)})
    place = f" in namespace {query.namespace}" if query.namespace and kind.namespaced else ""
    return f'{kind.plural} "{name}" not found{place}{_look_in(elsewhere)}'


def _look_in(namespaces: Sequence[str]) -> str:
    return f"; look in namespace {', '.join(namespaces)} with -n, or everywhere with -A" if namespaces else ""
