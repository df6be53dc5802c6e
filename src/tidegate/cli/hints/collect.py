"""All hints about a state."""

from __future__ import annotations

from collections.abc import Container, Iterator

from tidegate.admin.objects import ApiObject, condition, namespace_of, path_of
from tidegate.admin.view import ListenerView, State
from tidegate.cli.hints.backends import GrantTable, backend_hints, endpoint_hints
from tidegate.cli.hints.inventory import Hint, Inventory, inventory_of, listing, title
from tidegate.cli.hints.parents import class_hints, parent_conditions, parent_hints

MOST_HINTS = 50
"""More are not read, and looking for near names in a large input takes time."""


def hints_about(state: State, *, only: Container[str] | None = None) -> tuple[Hint, ...]:
    """What to say about what has no effect, or not the one that was meant; without repetitions, the first few.

    ``only``: about these objects (``Kind namespace/name``).
    """
    found: dict[Hint, None] = {}
    for hint in _hints(state):
        if only is None or hint.object in only:
            found[hint] = None
        if len(found) == MOST_HINTS:
            break
    return tuple(found)


def _hints(state: State) -> Iterator[Hint]:
    inventory = inventory_of(state)
    grants = GrantTable(state.objects)
    for gateway in inventory.of_kind("Gateway"):
        yield from class_hints(gateway, inventory)
    for route in inventory.routes():
        yield from parent_hints(route, inventory)
        yield from backend_hints(route, inventory, grants)
        yield from endpoint_hints(route, inventory, grants)
    if not state.cluster:  # An API server gives every object its age.
        yield from _order_hints(state, inventory)


def _order_hints(state: State, inventory: Inventory) -> Iterator[Hint]:
    """Listeners with several routes, where only the order of the input says which is the oldest."""
    routes = {(str(route["kind"]), path_of(route)): route for route in inventory.routes()}
    for listener in state.listeners:
        winner = routes.get((listener.route_kind or "", listener.route or ""))
        if winner is None or listener.attached_routes < 2:
            continue
        rivals = [
            path_of(route)
            for route in routes.values()
            if route is not winner and _created(route) == _created(winner) and _attaches(route, listener)
        ]
        if rivals:
            yield Hint(
                object=title(winner),
                message=f"it serves listener {listener.listener} of Gateway {listener.gateway}, and not "
                f"{listing(rivals)}, only because it comes first in the input: set metadata.creationTimestamp "
                f"to say which is older",
            )


def _created(route: ApiObject) -> object:
    return route["metadata"].get("creationTimestamp")


def _attaches(route: ApiObject, listener: ListenerView) -> bool:
    """Whether an accepted parentRef of the route can mean the listener."""
    for reference in route["spec"].get("parentRefs", []):
        gateway = f"{reference.get('namespace') or namespace_of(route)}/{reference['name']}"
        accepted = condition(parent_conditions(route, reference), "Accepted")
        if (
            gateway == listener.gateway
            and reference.get("sectionName") in (None, listener.listener)
            and reference.get("port") in (None, listener.port)
            and accepted is not None
            and accepted["status"] == "True"
        ):
            return True
    return False
