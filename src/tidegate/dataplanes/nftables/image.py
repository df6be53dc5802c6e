"""What the kernel has of the plan, and the steps that bring it to what it should have. Pure.

In: what the kernel was found to have, and the ``Forwarding`` of one socket after the other. Out: ``Steps``, which
touch nothing but what differs. Steps come in two parts, because a connection that is being translated at this moment
looks into several maps in turn: what it may still be led to is removed in a later transaction than what led there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from tidegate.dataplanes.nftables import bytecode, ruleset
from tidegate.dataplanes.nftables.ruleset import Choice, Content, Element, Forwarding, Place, Removable

_COUNTED = frozenset({ruleset.LANES, ruleset.OPENED, ruleset.REFUSED, ruleset.TRAFFIC})
"""Where connections are counted for as long as they last: not removed with the socket."""


class Steps(msgspec.Struct, frozen=True):
    """First, in one transaction: ``choices`` are written, ``put`` added, ``replaced`` changed, entries in ``ended``
    removed. Then, in another: ``dropped`` and the chains ``unused``.
    """

    choices: tuple[Choice, ...] = ()
    put: tuple[Element, ...] = ()
    replaced: tuple[Element, ...] = ()
    ended: tuple[Place, ...] = ()
    dropped: tuple[Place, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def first(self) -> bool:
        """Whether there is anything for the first transaction."""
        return bool(self.choices or self.put or self.replaced or self.ended)


class Difference(msgspec.Struct, frozen=True):
    """What the kernel has otherwise than it was written: by place or chain what it has, None for nothing."""

    contents: Mapping[Place, Content | None]
    choices: Mapping[str, tuple[bytes, ...] | None]


class Expected:
    """What the table should hold, at one moment; used up by comparing, which may be done in a thread."""

    def __init__(self, contents: dict[Place, Content], choices: dict[str, tuple[bytes, ...]]) -> None:
        self._contents = contents
        self._choices = choices

    def compared(self, elements: Iterable[Element], choices: Mapping[str, tuple[bytes, ...]]) -> Difference:
        """What differs from what was read."""
        contents: dict[Place, Content | None] = {}
        for element in elements:
            if self._contents.pop(element.place, None) != element.content:
                contents[element.place] = element.content
        contents.update(dict.fromkeys(self._contents))
        chains = self._choices.keys() | choices.keys()
        return Difference(
            contents, {one: choices.get(one) for one in chains if choices.get(one) != self._choices.get(one)}
        )


class Image:
    """The kernel's table, as far as it changes with the plan: of each element, no more than what is compared."""

    def __init__(self, elements: Iterable[Element] = (), choices: Mapping[str, Sequence[bytes]] | None = None) -> None:
        self._contents: dict[Place, Content] = {}
        self._sizes: Counter[str] = Counter()
        self._choices: dict[str, tuple[bytes, ...]] = {}
        self._unclaimed: set[Place] = set()
        self._unclaimed_chains: set[str] = set()
        self._touched: set[Removable] | None = None
        self.correct(elements, choices or {})

    def has(self, place: Place) -> bool:
        """Whether the kernel has an element there."""
        return place in self._contents

    def is_empty(self, name: str) -> bool:
        """Whether a set or map has no element."""
        return not self._sizes[name]

    def steps(self, before: Collection[Removable], wanted: Forwarding, *, admitted: bool) -> Steps:
        """From what a socket has (``before``) to what it should have; not ``admitted``: without its entry."""
        elements = [*wanted.elements, wanted.entry] if admitted else list(wanted.elements)
        choices = () if wanted.choice is None else (wanted.choice,)
        needed: set[Removable] = {*(one.place for one in elements), *(one.chain for one in choices)}
        gone = [one for one in dict.fromkeys((*before, wanted.entry.place)) if one not in needed]
        places = [one for one in gone if isinstance(one, Place) and one in self._contents]
        return Steps(
            choices=tuple(one for one in choices if self._is_new(one)),
            put=tuple(one for one in elements if one.place not in self._contents),
            replaced=tuple(one for one in elements if self._contents.get(one.place, one.content) != one.content),
            ended=tuple(one for one in places if one.map in ruleset.ENTRY_MAPS),
            dropped=tuple(one for one in places if one.map not in ruleset.ENTRY_MAPS and one.map not in _COUNTED),
            unused=tuple(one for one in gone if isinstance(one, str)),
        )

    def claim(self, forwarding: Forwarding) -> None:
        """Somebody wants these, whether they have changed or not."""
        if self._unclaimed:
            self._unclaimed.difference_update(one.place for one in forwarding.elements)
            self._unclaimed.discard(forwarding.entry.place)
        if forwarding.choice is not None:
            self._unclaimed_chains.discard(forwarding.choice.chain)

    def marks_behind(self, entries: Iterable[Place]) -> frozenset[int]:
        """The marks that connections get which come in by these entries: of lanes, and of choices."""
        found: set[int] = set()
        for entry in entries:
            content = self._contents.get(entry)
            if isinstance(content, bytes):
                mark = ruleset.mark_of(content)
                found |= {mark, *bytecode.lanes_of(self._choices.get(self._chain_of(mark), ()))}
        return frozenset(found)

    def leftovers(self, needed: Collection[Place] = ()) -> Steps:
        """What is in the kernel, but nobody wants: an earlier controller's. To be asked when all is claimed.

        ``needed`` entries stay with all that they lead to.
        """
        behind = self.marks_behind(needed)
        chains = {self._chain_of(mark) for mark in behind}
        places = [place for place in self._unclaimed if place.map not in _COUNTED]
        return Steps(
            ended=tuple(one for one in places if one.map in ruleset.ENTRY_MAPS and one not in needed),
            dropped=tuple(
                one for one in places if one.map not in ruleset.ENTRY_MAPS and ruleset.mark_of(one.key) not in behind
            ),
            unused=tuple(self._unclaimed_chains - chains),
        )

    def entered(self, steps: Steps) -> None:
        """The first transaction is in force."""
        for choice in steps.choices:
            self._touch(choice.chain)
            self._choices[choice.chain] = tuple(bytecode.digests(choice))
        if self._touched is not None:
            self._touched.update(element.place for element in (*steps.put, *steps.replaced))
        for element in (*steps.put, *steps.replaced):
            self._sizes[element.place.map] += element.place not in self._contents
            self._contents[element.place] = element.content
        self._remove(steps.ended)

    def swept(self, steps: Steps, kept: Collection[Removable] = ()) -> None:
        """The later transaction is in force, but for what the kernel ``kept``: places and chains that are leftovers
        now.
        """
        self._remove(place for place in steps.dropped if place not in kept)
        self._unclaimed.update(place for place in steps.dropped if place in kept)
        for chain in steps.unused:
            self._touch(chain)
            if chain in kept:
                # Its rules are perhaps gone.
                self._choices[chain] = ()
                self._unclaimed_chains.add(chain)
            else:
                self._choices.pop(chain, None)
                self._unclaimed_chains.discard(chain)

    def correct(self, elements: Iterable[Element], choices: Mapping[str, Sequence[bytes]]) -> frozenset[Removable]:
        """The kernel was read again, and has these. Returns what is otherwise than it was written; what was never
        written belongs to nobody.
        """
        expected = Expected(dict(self._contents), dict(self._choices))
        difference = expected.compared(elements, {chain: tuple(digests) for chain, digests in choices.items()})
        return self._take(difference)

    def forget(self, places: Iterable[Place]) -> None:
        """These were removed otherwise."""
        self._remove(places)

    def expected(self) -> Expected:
        """What the table should hold now. Until ``put_right`` is called, what changes is remembered."""
        self._touched = set()
        return Expected(dict(self._contents), dict(self._choices))

    def put_right(self, difference: Difference | None) -> frozenset[Removable]:
        """The table was compared with what was ``expected``, or could not be (None): as ``correct``, but for what was
        changed by ourselves meanwhile.
        """
        touched, self._touched = self._touched or set(), None
        if difference is None:
            return frozenset()
        return self._take(
            Difference(
                {place: content for place, content in difference.contents.items() if place not in touched},
                {chain: digests for chain, digests in difference.choices.items() if chain not in touched},
            )
        )

    def _take(self, difference: Difference) -> frozenset[Removable]:
        self._unclaimed.update(place for place in difference.contents if place not in self._contents)
        self._unclaimed_chains.update(chain for chain in difference.choices if chain not in self._choices)
        for place, content in difference.contents.items():
            self._touch(place)
            self._sizes[place.map] += (content is not None) - (place in self._contents)
            if content is None:
                del self._contents[place]
                self._unclaimed.discard(place)
            else:
                self._contents[place] = content
        for chain, digests in difference.choices.items():
            self._touch(chain)
            if digests is None:
                del self._choices[chain]
                self._unclaimed_chains.discard(chain)
            else:
                self._choices[chain] = digests
        return frozenset({*difference.contents, *difference.choices})

    def _touch(self, what: Removable) -> None:
        if self._touched is not None:
            self._touched.add(what)

    def _remove(self, places: Iterable[Place]) -> None:
        for place in places:
            self._touch(place)
            self._sizes[place.map] -= self._contents.pop(place, None) is not None
            self._unclaimed.discard(place)

    def _chain_of(self, mark: int) -> str:
        """The chain of the choice that a mark stands for, if it stands for one."""
        content = self._contents.get(Place(ruleset.CHOICES, ruleset.mark_bytes(mark)))
        return content[0] if isinstance(content, tuple) else ""

    def _is_new(self, choice: Choice) -> bool:
        present = self._choices.get(choice.chain)
        return present is None or present != tuple(bytecode.digests(choice))
