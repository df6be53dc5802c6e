"""Which claim to an object counts, over files that come, change, break and go."""

from __future__ import annotations

from support.input_files import BROKEN, file_of, route, route_key
from tidegate.model.diagnostics import Diagnostic, Severity
from tidegate.model.routes import TCPRoute
from tidegate.names import ObjectKey
from tidegate.sources.chunks import Chunk, read_chunk
from tidegate.sources.inventory import Inventory


class Counting:
    """Reads chunks and counts them."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self, file: str, text: str) -> Chunk:
        self.read += 1
        return read_chunk(file, text)


def port_in_force(inventory: Inventory, key: ObjectKey) -> int | None:
    """The backend port of the version that counts."""
    claim = inventory.claim(key)
    if claim is None or claim.last.resource is None:
        return None
    assert isinstance(claim.last.resource, TCPRoute)
    return claim.last.resource.spec.rules[0].backend_refs[0].port


def line_of(inventory: Inventory, key: ObjectKey) -> str:
    """Where the version that counts stands."""
    claim = inventory.claim(key)
    assert claim is not None
    return str(claim.last.location())


def errors(inventory: Inventory) -> list[Diagnostic]:
    return [one for one in inventory.diagnostics() if one.severity is Severity.ERROR]


def test_an_edit_reads_only_what_is_new() -> None:
    """In a file of many documents, a change, an insertion, a removal and a swap read only new texts."""
    counting = Counting()
    inventory = Inventory(counting)
    documents = [route(f"r{i}") for i in range(300)]
    inventory.load("f", file_of(documents))
    assert (counting.read, len(inventory.take_touched())) == (300, 300)

    documents[100] = route("r100", port=1)
    inventory.load("f", file_of(documents))
    assert (counting.read, inventory.take_touched()) == (301, [route_key("r100")])

    documents.insert(50, route("new"))
    inventory.load("f", file_of(documents))
    assert (counting.read, inventory.take_touched()) == (302, [route_key("new")])

    del documents[200]
    inventory.load("f", file_of(documents))
    assert (counting.read, inventory.take_touched()) == (302, [route_key("r199")])
    assert inventory.claim(route_key("r199")) is None

    documents[3], documents[9] = documents[9], documents[3]
    inventory.load("f", file_of(documents))
    assert counting.read == 302
    for name in ("r0", "r3", "r9", "new", "r250"):
        line = file_of(documents).split("\n").index(f"  name: {name}") - 2
        assert line_of(inventory, route_key(name)) == f"f:{line}"


def test_a_syntax_error_keeps_the_whole_file_and_names_its_line() -> None:
    """No document of a file that became unreadable counts; the message stands at the line; repair ends it."""
    inventory = Inventory()
    inventory.load("f", file_of([route("a"), route("b")]))
    inventory.take_touched()
    inventory.load("f", file_of([route("a", port=1), "# c\n" + BROKEN, route("c")]))
    assert inventory.take_touched() == []
    assert port_in_force(inventory, route_key("a")) == 6000
    assert not inventory.sound
    (error,) = errors(inventory)
    assert str(error.location) == "f:15"
    assert "stay as they were" in error.message

    inventory.load("f", file_of([route("a", port=1), route("c")]))
    assert inventory.take_touched() == [route_key("b"), route_key("a"), route_key("c")]
    assert inventory.sound
    assert inventory.diagnostics() == []


def test_a_syntax_error_hurts_no_other_file() -> None:
    """Other files go on."""
    inventory = Inventory()
    inventory.load("a", route("a"))
    inventory.load("b", BROKEN)
    inventory.load("a", route("a", port=1))
    assert port_in_force(inventory, route_key("a")) == 1


def test_at_first_sight_the_sound_documents_of_a_file_count() -> None:
    """A file that was never whole gives what it can."""
    inventory = Inventory()
    inventory.load("f", file_of([route("a"), BROKEN, route("b")]))
    assert port_in_force(inventory, route_key("a")) == port_in_force(inventory, route_key("b")) == 6000
    assert [str(error.location) for error in errors(inventory)] == ["f:14"]
    assert not inventory.sound


def test_several_syntax_errors_are_all_told() -> None:
    """Each broken document has its message."""
    inventory = Inventory()
    inventory.load("f", file_of([BROKEN, "a: 1\na: 2\n"]))
    assert [str(error.location) for error in errors(inventory)] == ["f:1", "f:4"]


def test_an_unreadable_file_keeps_its_objects() -> None:
    """A file that cannot be read now says so and keeps what it had; when it is gone, so are they."""
    inventory = Inventory()
    inventory.load("f", route("a"))
    inventory.fail("f", "cannot be read: permission denied")
    assert port_in_force(inventory, route_key("a")) == 6000
    assert [str(error) for error in errors(inventory)] == [
        "f: cannot be read: permission denied; until it is repaired, the objects of this file stay as they were"
    ]
    inventory.remove("f")
    assert inventory.claim(route_key("a")) is None
    assert inventory.sound
    inventory.remove("f")


def test_the_last_of_several_claims_counts() -> None:
    """By path, then by place in the file; the others are warned; when the last goes, the one before counts."""
    inventory = Inventory()
    inventory.load("b", file_of([route("x", port=3), route("x", port=4)]))
    inventory.load("a", file_of([route("x", port=1)]))
    assert port_in_force(inventory, route_key("x")) == 4
    warnings = inventory.diagnostics()
    assert [(str(one.location), one.severity) for one in warnings] == [
        ("a:1", Severity.WARNING),
        ("b:1", Severity.WARNING),
    ]
    assert "b:14" in warnings[0].message
    inventory.load("b", route("x", port=3))
    assert port_in_force(inventory, route_key("x")) == 3
    inventory.remove("b")
    assert port_in_force(inventory, route_key("x")) == 1
    assert inventory.diagnostics() == []


def test_equal_documents_are_two_claims() -> None:
    """The same text twice is a duplicate too, and one of them may go."""
    inventory = Inventory()
    inventory.load("f", file_of([route("x"), route("x")]))
    assert len(inventory.diagnostics()) == 1
    inventory.load("f", route("x"))
    assert inventory.diagnostics() == []
    assert port_in_force(inventory, route_key("x")) == 6000


def test_a_refused_claim_knows_the_last_sound_one() -> None:
    """When the last claim is refused, the last sound one is told as well."""
    inventory = Inventory()
    inventory.load("f", file_of([route("x", port=1), route("x", port=99999)]))
    claim = inventory.claim(route_key("x"))
    assert claim is not None
    assert claim.last.resource is None
    assert claim.sound is not None
    inventory.load("f", route("x", port=99999))
    claim = inventory.claim(route_key("x"))
    assert claim is not None
    assert claim.sound is None


def test_nothing_is_deleted_while_an_object_has_no_name() -> None:
    """A document that lost its name may be any object that left the file, so none of those is deleted."""
    inventory = Inventory()
    inventory.load("f", file_of([route("a"), route("b")]))
    inventory.load("f", file_of([route("''"), route("b", port=1)]))
    assert port_in_force(inventory, route_key("a")) == 6000
    assert line_of(inventory, route_key("a")) == "f"
    assert port_in_force(inventory, route_key("b")) == 1
    inventory.load("f", file_of([route("''"), route("b", port=2)]))
    assert port_in_force(inventory, route_key("a")) == 6000
    inventory.load("f", file_of([route("a", port=5), route("b", port=2)]))
    assert port_in_force(inventory, route_key("a")) == 5
    inventory.load("f", file_of([route("''"), route("b", port=2)]))
    inventory.load("f", file_of([route("b", port=2)]))
    assert inventory.claim(route_key("a")) is None
    inventory.load("f", file_of([route("''")]))
    inventory.remove("f")
    assert inventory.claim(route_key("b")) is None


def test_unknown_kinds_and_notes_are_said_once() -> None:
    """One note per kind that is not read and per deprecated version, with the first place and a count."""
    inventory = Inventory()
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
    old = route("old").replace("/v1\n", "/v1alpha2\n")
    inventory.load("a", file_of([pod, old, pod]))
    inventory.load("b", file_of([pod, old.replace("old", "old2")]))
    notes = inventory.diagnostics()
    assert [(note.severity, str(note.location)) for note in notes] == [
        (Severity.NOTE, "a:5"),
        (Severity.NOTE, "a:1"),
    ]
    assert "here and in 1 other object" in notes[0].message
    assert "here and in 2 other objects" in notes[1].message


def test_a_kind_that_was_perhaps_meant_is_a_warning() -> None:
    """A kind that looks like a slip is more than a note."""
    inventory = Inventory()
    inventory.load("a", "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoutes\nmetadata: {name: x}\n")
    (warning,) = inventory.diagnostics()
    assert warning.severity is Severity.WARNING
    assert "did you mean TCPRoute?" in warning.message


def test_a_shorter_beginning_is_recognised() -> None:
    """A text that is what the file says, cut off somewhere, may be a rewrite in progress; any other is not."""
    inventory = Inventory()
    whole = file_of([route("a"), route("b"), route("c")])
    inventory.load("f", whole)
    for cut in (0, 5, len(route("a")), len(route("a")) + 3, len(whole) - 2):
        assert inventory.shrinks_to("f", whole[:cut]), cut
    assert not inventory.shrinks_to("f", whole)
    assert not inventory.shrinks_to("f", whole + "---\nx: 1\n")
    assert not inventory.shrinks_to("f", route("b"))
    assert not inventory.shrinks_to("unknown", "")


def test_ten_thousand_documents_load_quickly_and_an_edit_costs_one() -> None:
    """A file of 10,000 documents is read, and then one edit reads one document."""
    counting = Counting()
    inventory = Inventory(counting)
    documents = [route(f"r{i}") for i in range(10_000)]
    inventory.load("f", file_of(documents))
    assert len(inventory.take_touched()) == 10_000
    documents[5_000] = route("r5000", port=1)
    inventory.load("f", file_of(documents))
    assert counting.read == 10_001
    assert inventory.take_touched() == [route_key("r5000")]
