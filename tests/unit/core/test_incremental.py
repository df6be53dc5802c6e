"""The graph: what is computed again, in which order, and what happens when a unit raises."""

from __future__ import annotations

import weakref

import pytest

from tidegate.core.incremental import Graph, Index, Table, Unit, View

NUMBERS: Table[str, int] = Table("numbers")
FLAGS: Table[str, bool] = Table("flags")


class Counting:
    """A graph of two tables, a grouping by parity, a double of each number, and a sum of the doubles by parity.

    ``computed`` lists what was computed since the last look.
    """

    def __init__(self) -> None:
        self.computed: list[str] = []
        self.parity: Index[str, str] = Index(
            "parity", NUMBERS, lambda key, value: [("odd" if value % 2 else "even", key)]
        )
        self.double: Unit[str, int] = Unit("double", NUMBERS, self._double)
        self.total: Unit[str, int] = Unit("total", self.parity, self._total)
        self.graph = Graph((NUMBERS, FLAGS, self.parity, self.double, self.total), 10)

    def _double(self, view: View, key: str) -> int | None:
        self.computed.append(f"double {key}")
        value = view.get(NUMBERS, key)
        assert value is not None
        if value == 13:
            raise ValueError("unlucky")
        return None if view.get(FLAGS, key) else value * 2

    def _total(self, view: View, key: str) -> int:
        self.computed.append(f"total {key}")
        factor: int = view.config
        return factor * sum(view.get(self.double, name) or 0 for name in view.entries(self.parity, key))

    def put(self, **numbers: int | None) -> list[str]:
        """Set numbers, update, and return what was computed, in order."""
        for key, value in numbers.items():
            self.graph.put(NUMBERS, key, value)
        self.computed.clear()
        self.graph.update()
        return list(self.computed)


@pytest.fixture
def counting() -> Counting:
    """A graph with two odd numbers and an even one."""
    made = Counting()
    made.put(a=1, b=2, c=3)
    return made


def test_values_follow_inputs(counting: Counting) -> None:
    """Units and indexes have the values that the inputs lead to, with the configuration at hand."""
    graph = counting.graph
    assert (graph.get(counting.total, "odd"), graph.get(counting.total, "even")) == (80, 40)
    assert list(graph.entries(counting.parity, "odd")) == ["a", "c"]
    assert dict(graph.items(counting.double)) == {"a": 2, "b": 4, "c": 6}
    assert graph.get(counting.double, "nobody") is None
    assert list(graph.entries(counting.parity, "neither")) == []


def test_only_dependants_are_computed(counting: Counting) -> None:
    """A change costs what depends on it, and nothing else."""
    assert counting.put(a=5) == ["double a", "total odd"]


def test_an_equal_value_costs_nothing(counting: Counting) -> None:
    """Setting what is there already computes nothing."""
    assert counting.put(a=1, b=2) == []


def test_an_unchanged_result_stops_there(counting: Counting) -> None:
    """Dependants of a unit that got the same value again are left alone."""
    counting.graph.put(FLAGS, "b", True)
    counting.graph.update()
    assert counting.put(b=4) == ["double b"]
    assert counting.graph.get(counting.double, "b") is None


def test_a_read_of_something_absent_is_a_dependency(counting: Counting) -> None:
    """What a unit looked for and did not find makes it run again when it appears."""
    counting.graph.put(FLAGS, "a", True)
    counting.computed.clear()
    counting.graph.update()
    assert counting.computed == ["double a", "total odd"]


def test_dependencies_of_the_past_are_forgotten(counting: Counting) -> None:
    """A key that moved to another group no longer disturbs the first."""
    assert sorted(counting.put(a=4)) == ["double a", "total even", "total odd"]
    assert counting.put(a=6) == ["double a", "total even"]


def test_removal_withdraws_everything(counting: Counting) -> None:
    """Without inputs there is no value, no entry and no bookkeeping left."""
    counting.put(a=None, b=None, c=None)
    graph = counting.graph
    assert [list(graph.items(node)) for node in (counting.double, counting.total)] == [[], []]
    assert all(not state.cells and not state.repeats for state in graph._states.values())


def test_a_graph_that_ends_leaves_nothing_behind() -> None:
    """Its cells refer to each other, and no collection looks at them."""
    inputs: Table[str, set[int]] = Table("inputs")
    copies: Unit[str, set[int]] = Unit("copies", inputs, lambda view, key: view.get(inputs, key))
    value = {1}
    kept = weakref.ref(value)
    graph = Graph((inputs, copies), None)
    graph.put(inputs, "a", value)
    graph.update()
    del value, graph
    assert kept() is None


def test_update_names_the_changed_keys(counting: Counting) -> None:
    """An update says per node which keys have another value."""
    counting.graph.put(NUMBERS, "d", 7)
    counting.graph.put(NUMBERS, "b", None)
    update = counting.graph.update()
    assert update.keys(NUMBERS) == update.keys(counting.double) == {"b", "d"}
    assert update.keys(counting.total) == {"odd", "even"}
    assert update.keys(FLAGS) == set()


def test_a_unit_that_raises_keeps_its_value(counting: Counting) -> None:
    """An error is handed out as a fault, the last value stays, others go on, and a new input heals it."""
    counting.graph.put(NUMBERS, "a", 13)
    counting.graph.put(NUMBERS, "b", 8)
    update = counting.graph.update()
    assert [(fault.unit, fault.key, str(fault.error)) for fault in update.faults] == [("double", "a", "unlucky")]
    assert (counting.graph.get(counting.double, "a"), counting.graph.get(counting.double, "b")) == (2, 16)
    counting.put(a=3)
    assert counting.graph.get(counting.double, "a") == 6


def test_a_value_that_an_index_cannot_take_has_no_entries() -> None:
    """The error is handed out as a fault, other entries are there, and a new input heals it."""
    tens: Index[int, int] = Index("tens", NUMBERS, lambda _, value: [(100 // value, value)])
    graph = Graph((NUMBERS, tens), None)
    for key, value in (("a", 0), ("b", 10)):
        graph.put(NUMBERS, key, value)
    (fault,) = graph.update().faults
    assert (fault.unit, fault.key) == ("tens", "a")
    assert list(graph.entries(tens, 10)) == [10]
    graph.put(NUMBERS, "a", 20)
    update = graph.update()
    assert not update.faults
    assert update.keys(tens) == {5}


def test_a_unit_may_read_only_what_stands_before_it() -> None:
    """Reading a later node, or itself, is a fault: its value would be of the last round."""
    late: Unit[str, int] = Unit("late", NUMBERS, lambda view, key: view.get(NUMBERS, key))
    early: Unit[str, int] = Unit("early", NUMBERS, lambda view, key: view.get(late, key))
    graph = Graph((NUMBERS, early, late), None)
    graph.put(NUMBERS, "a", 1)
    (fault,) = graph.update().faults
    assert "late, which is not before it" in str(fault.error)


def test_entries_that_several_sources_yield_stand_once() -> None:
    """An entry stays from the first source that yields it to the last; those between change nothing."""
    groups: Index[str, int] = Index("groups", NUMBERS, lambda _, value: [("all", value)])
    graph = Graph((NUMBERS, groups), None)
    graph.put(NUMBERS, "a", 1)
    assert graph.update().keys(groups) == {"all"}
    graph.put(NUMBERS, "b", 1)
    assert graph.update().keys(groups) == set()
    graph.put(NUMBERS, "a", None)
    assert graph.update().keys(groups) == set()
    assert list(graph.entries(groups, "all")) == [1]
    graph.put(NUMBERS, "b", None)
    assert graph.update().keys(groups) == {"all"}
    assert list(graph.entries(groups, "all")) == []
