"""The objects that hints look at, indexed, and the shape of a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from tidegate.admin.objects import ApiObject, group_of, name_of, namespace_of, path_of
from tidegate.admin.view import State
from tidegate.model.corev1 import SERVICE_NAME_LABEL
from tidegate.names import CORE_GROUP, DISCOVERY_GROUP, GATEWAY_GROUP

_GROUPS = {
    "Gateway": GATEWAY_GROUP,
    "GatewayClass": GATEWAY_GROUP,
    "Service": CORE_GROUP,
    "Namespace": CORE_GROUP,
    "EndpointSlice": DISCOVERY_GROUP,
}


class Hint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Advice about an object (``Kind namespace/name``). ``paste`` is YAML that would do it, if any."""

    object: str
    message: str
    paste: str = ""

    @property
    def text(self) -> str:
        """The hint as lines, what to paste indented below."""
        return "\n    ".join((f"hint: {self.object}: {self.message}", *self.paste.splitlines()))


class Inventory:
    """All objects of a state, found by kind, namespace and name.

    ``rejected`` are the objects (``Kind namespace/name``) whose newest version is invalid, ``unresolved`` those that a
    flag gives a host name which does not resolve. ``in_cluster``: advice about flags of an instance helps nobody.
    """

    def __init__(
        self,
        objects: Iterable[ApiObject],
        rejected: Iterable[str] = (),
        *,
        unresolved: Iterable[str] = (),
        in_cluster: bool = False,
    ) -> None:
        self.in_cluster = in_cluster
        self._rejected = frozenset(rejected)
        self._unresolved = frozenset(unresolved)
        self._objects: dict[tuple[str, str], dict[tuple[str, str], ApiObject]] = {}
        for item in objects:
            of_kind = self._objects.setdefault((group_of(item), str(item["kind"])), {})
            of_kind[namespace_of(item), name_of(item)] = item
        self._sliced = frozenset(map(_service_of, self.of_kind("EndpointSlice")))

    def find(self, kind: str, namespace: str, name: str) -> ApiObject | None:
        """The object; namespace ``""`` for cluster-scoped kinds."""
        return self._of(kind).get((namespace, name))

    def is_rejected(self, kind: str, namespace: str, name: str) -> bool:
        """Whether the input has such an object, but an invalid one."""
        return f"{kind} {namespace}/{name}" in self._rejected

    def is_unresolved(self, kind: str, namespace: str, name: str) -> bool:
        """Whether a host name that a flag gives for such an object does not resolve."""
        return f"{kind} {namespace}/{name}" in self._unresolved

    def of_kind(self, kind: str) -> list[ApiObject]:
        """All objects of a kind, in input order."""
        return list(self._of(kind).values())

    def names(self, kind: str, namespace: str) -> list[str]:
        """The names of a kind in a namespace, sorted."""
        return sorted(name for (place, name) in self._of(kind) if place == namespace)

    def namespaces_with(self, kind: str, name: str) -> list[str]:
        """The namespaces that have an object of that name, sorted."""
        return sorted(place for (place, found) in self._of(kind) if found == name)

    def has_slice(self, namespace: str, service: str) -> bool:
        """Whether any EndpointSlice belongs to a Service."""
        return (namespace, service) in self._sliced

    def _of(self, kind: str) -> dict[tuple[str, str], ApiObject]:
        return self._objects.get((_GROUPS[kind], kind), {})

    def routes(self) -> Iterator[ApiObject]:
        """The objects that attach to Gateways, of any kind, in input order."""
        for (group, kind), items in self._objects.items():
            if group == GATEWAY_GROUP and kind.endswith("Route"):
                yield from items.values()


def _service_of(item: ApiObject) -> tuple[str, str]:
    return namespace_of(item), str(item["metadata"].get("labels", {}).get(SERVICE_NAME_LABEL, ""))


def inventory_of(state: State) -> Inventory:
    """The objects of a state, and what is wrong with them."""
    rejected = (item.object for item in state.problems if item.severity == "error")
    # A warning about an object that is at no line of a file is about what a flag says of it.
    unresolved = (item.object for item in state.problems if item.severity == "warning" and not item.line)
    return Inventory(state.objects, rejected, unresolved=unresolved, in_cluster=state.cluster)


def title(item: ApiObject) -> str:
    """``Kind namespace/name``."""
    return f"{item['kind']} {path_of(item)}"


def nearest(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that ``name`` probably is a typing error of."""
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, candidates: Sequence[str]) -> str:
    """``did you mean x?``, or which ones there are, or nothing."""
    guess = nearest(name, candidates)
    if guess is not None:
        return f"did you mean {guess}?"
    return f"there is {listing(candidates)}" if candidates else ""


def listing(words: Sequence[object], limit: int = 6) -> str:
    """``a, b and c``; a long list is cut."""
    shown = [str(word) for word in words[:limit]]
    if len(words) > limit:
        return f"{', '.join(shown)} and {len(words) - limit} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
