from __future__ import annotations

from typing import Any

from tidegate.model.corev1 import Namespace
from tidegate.model.decode import FieldProblem
from tidegate.model.diagnostics import Diagnostic
from tidegate.model.kinds import BY_GROUP_KIND, Resource
from tidegate.model.meta import ObjectMeta
from tidegate.names import ObjectKey
from tidegate.sources.base import Change
from tidegate.sources.kubernetes_decoding import Reading
from tidegate.sources.kubernetes_view import View

NAMESPACES, SERVICES = BY_GROUP_KIND["", "Namespace"], BY_GROUP_KIND["", "Service"]


def key(name: str) -> ObjectKey:
    return ObjectKey("", "Namespace", "", name)


def namespace(name: str, uid: str = "u", **labels: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name, uid=uid, labels=labels))


def sound(name: str, uid: str = "u", **labels: str) -> Reading:
    return Reading(key=key(name), uid=uid, resource=namespace(name, uid, **labels))


def refused(name: str, uid: str = "u") -> Reading:
    return Reading(key=key(name), uid=uid, resource=None, problems=(FieldProblem(("spec", "x"), "is wrong"),))


def changes(view: View) -> dict[str, Resource | None]:
    """What the view has to deliver, by name."""
    taken: tuple[Change, ...] = view.take_changes()
    return {change.key.name: change.resource for change in taken}


def said(view: View) -> list[str] | None:
    """What there is to say, as people read it."""
    found: tuple[Diagnostic, ...] | None = view.take_diagnostics()
    return None if found is None else [str(one) for one in found]


def test_list_delivers_everything_once() -> None:
    """All objects are changes at first; the same list again is none."""
    view = View()
    assert view.replace(NAMESPACES, [sound("a"), sound("b")]) == []
    assert changes(view) == {"a": namespace("a"), "b": namespace("b")}
    assert view.replace(NAMESPACES, [sound("b"), sound("a")]) == []
    assert changes(view) == {}


def test_new_list_delivers_what_differs() -> None:
    """After a gap, only what is new, changed or gone is delivered."""
    view = View()
    view.replace(NAMESPACES, [sound("same"), sound("changed"), sound("gone")])
    view.take_changes()
    assert view.replace(NAMESPACES, [sound("same"), sound("changed", x="y"), sound("new")]) == [key("gone")]
    assert changes(view) == {"changed": namespace("changed", x="y"), "new": namespace("new"), "gone": None}


def test_list_of_one_kind_leaves_the_others_alone() -> None:
    """What is gone is decided kind by kind."""
    view = View()
    view.replace(NAMESPACES, [sound("a")])
    view.take_changes()
    assert view.replace(SERVICES, []) == []
    assert changes(view) == {}


def test_of_several_versions_only_the_newest_is_delivered() -> None:
    """What happens between two batches counts by its end."""
    view = View()
    view.change(sound("a"))
    view.change(sound("a", x="1"))
    view.change(sound("b"))
    view.remove(key("b"))
    assert changes(view) == {"a": namespace("a", x="1"), "b": None}


def test_version_without_a_difference_is_none() -> None:
    """A write that changes nothing that we read is not delivered."""
    view = View()
    view.change(sound("a"))
    view.take_changes()
    view.change(sound("a"))
    assert changes(view) == {}


def test_refused_object_keeps_its_version_before() -> None:
    """What was in force stays so, and people are told, until a sound version comes."""
    view = View()
    view.change(sound("a"))
    assert said(view) == []
    view.take_changes()
    view.change(refused("a"))
    assert changes(view) == {}
    assert said(view) == ["cluster: spec.x: is wrong (Namespace a: its version before stays in force)"]
    assert said(view) is None
    view.change(sound("a", x="y"))
    assert changes(view) == {"a": namespace("a", x="y")}
    assert said(view) == []


def test_refused_object_without_a_version_before_is_absent() -> None:
    """It is told, with its key, and told no more when it is deleted."""
    view = View()
    view.change(refused("a"))
    assert changes(view) == {}
    found = view.take_diagnostics()
    assert found is not None
    assert [(one.object, str(one)) for one in found] == [
        (key("a"), "cluster: spec.x: is wrong (Namespace a: it is not in force)")
    ]
    view.remove(key("a"))
    assert changes(view) == {}
    assert said(view) == []


def test_refused_object_that_is_not_listed_is_gone() -> None:
    """The version that was in force goes with it."""
    view = View()
    view.replace(NAMESPACES, [sound("a")])
    view.change(refused("a"))
    view.take_changes()
    assert view.replace(NAMESPACES, []) == [key("a")]
    assert changes(view) == {"a": None}
    assert said(view) == []


def test_refused_object_does_not_inherit_from_another_one_of_its_name() -> None:
    """Deleted and made again while nobody watched: the version before was another object's."""
    view = View()
    view.replace(NAMESPACES, [sound("a", uid="old")])
    view.take_changes()
    view.replace(NAMESPACES, [refused("a", uid="new")])
    assert changes(view) == {"a": None}
    assert said(view) == ["cluster: spec.x: is wrong (Namespace a: it is not in force)"]


def test_unknown_object_that_goes_is_no_change() -> None:
    """A removal of what was never delivered is none."""
    view = View()
    view.remove(key("a"))
    assert changes(view) == {}


def test_all_there_is_to_say_is_sorted() -> None:
    """The order does not depend on the order of events."""
    view: Any = View()
    view.change(refused("b"))
    view.change(refused("a"))
    assert [text.split("Namespace ")[1][0] for text in said(view) or ()] == ["a", "b"]
