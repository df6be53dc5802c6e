"""Rules over several fields of routes, as the CRDs' CEL rules have them, for both channels.

Source: Gateway API v1.6, ``config/crd/{standard,experimental}/gateway.networking.k8s.io_tcproutes.yaml``.
UDPRoute and TLSRoute share them. "Same parent" compares as written: a namespace that is left out and one
that spells out the route's own are different parents here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tidegate.model.routes import BackendRef, ParentReference, RouteRule, RouteSpec
from tidegate.model.validation.problems import FieldProblem, quoted
from tidegate.model.validation.rules import Items, RuleSet, unique
from tidegate.names import CORE_GROUP

Parts = Callable[[ParentReference], tuple[object, ...]]


def service_has_port(ref: BackendRef) -> Iterator[FieldProblem]:
    """A reference to a Service says which port."""
    if ref.port is None and ref.kind == "Service" and ref.group == CORE_GROUP:
        yield FieldProblem(("port",), "is required for a Service")


def _same_parent(ref: ParentReference) -> tuple[str, str, str | None, str]:
    return ref.group, ref.kind, ref.namespace, ref.name


def _section(ref: ParentReference) -> tuple[object, ...]:
    return (ref.section_name,)


def _section_and_port(ref: ParentReference) -> tuple[object, ...]:
    return ref.section_name, ref.port


_FIELDS = ("sectionName", "port")


def _parent_refs_agree(refs: Items, parts: Parts) -> Iterator[FieldProblem]:
    """Of the refs to one parent, either all or none have each part."""
    first: dict[object, tuple[int, tuple[object, ...]]] = {}
    for index, ref in refs:
        found = parts(ref)
        earlier, other = first.setdefault(_same_parent(ref), (index, found))
        for name, here, there in zip(_FIELDS, found, other, strict=False):
            if (here is None) == (there is None):
                continue
            without, having = (index, earlier) if here is None else (earlier, index)
            yield FieldProblem(
                (without, name),
                f"is required, because parentRefs[{having}] refers to the same {ref.kind} "
                f"{quoted(ref.name)} and has one",
            )


def _parent_refs_distinct(refs: Items, parts: Parts, fields: str, remark: str) -> Iterator[FieldProblem]:
    """No two refs to one parent have the same parts."""

    def message(ref: ParentReference, earlier: int) -> FieldProblem:
        return FieldProblem(
            (),
            f"must differ from parentRefs[{earlier}], which refers to the same {ref.kind} {quoted(ref.name)}: "
            f"tell them apart by {fields}{remark}",
        )

    yield from unique(refs, lambda ref: (_same_parent(ref), parts(ref)), message)


def parent_refs_standard(refs: Items) -> Iterator[FieldProblem]:
    """Standard channel: ``sectionName`` alone tells refs to one parent apart."""
    if len(refs) > 1:
        yield from _parent_refs_agree(refs, _section)
        yield from _parent_refs_distinct(refs, _section, "sectionName", " (port alone is not enough in v1)")


def parent_refs_experimental(refs: Items) -> Iterator[FieldProblem]:
    """Experimental channel: ``sectionName`` and ``port`` together tell refs to one parent apart."""
    if len(refs) > 1:
        yield from _parent_refs_agree(refs, _section_and_port)
        yield from _parent_refs_distinct(refs, _section_and_port, "sectionName or port", "")


def one_rule(rules: Items) -> Iterator[FieldProblem]:
    """Standard channel: a route has exactly one rule (the schema sees to it that there is one)."""
    if rules and rules[-1][0] > 0:
        yield FieldProblem(
            (),
            f"must have exactly 1 entry in v1, found {rules[-1][0] + 1}: "
            "put all backendRefs in one rule, or write a route for each",
        )


def rule_names_unique(rules: Items) -> Iterator[FieldProblem]:
    """Experimental channel: rules that have a name have different ones."""

    def message(rule: RouteRule, earlier: int) -> FieldProblem:
        return FieldProblem(("name",), f"must be unique: rules[{earlier}] is named {quoted(rule.name or '')} too")

    yield from unique(rules, lambda rule: rule.name, message)


_ROUTE_RULES = RuleSet(structs={BackendRef: (service_has_port,)})

STANDARD_ROUTE_RULES = _ROUTE_RULES | RuleSet(
    lists={(RouteSpec, "parent_refs"): (parent_refs_standard,), (RouteSpec, "rules"): (one_rule,)}
)

EXPERIMENTAL_ROUTE_RULES = _ROUTE_RULES | RuleSet(
    lists={(RouteSpec, "parent_refs"): (parent_refs_experimental,), (RouteSpec, "rules"): (rule_names_unique,)}
)
