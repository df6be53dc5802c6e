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
from tidegate.dataplanes.nftables.ruleset import Choice, Element, Forwarding, Place

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


class Image:
    """The kernel's table, as far as it changes with the plan."""

    def __init__(self, elements: Iterable[Element] = (), choices: Mapping[str, Sequence[bytes]] | None = None) -> None:
        self._elements: dict[Place, Element] = {}
        self._sizes: Counter[str] = Counter()
        self._choices: dict[str, tuple[bytes, ...]] = {}
        self.correct(elements, choices or {})
        self._unclaimed = set(self._elements)
        self._unclaimed_chains = set(self._choices)

    def has(self, place: Place) -> bool:
        """Whether the kernel has an element there."""
        return place in self._elements

    def is_empty(self, name: str) -> bool:
        """Whether a set or map has no element."""
        return not self._sizes[name]

    def steps(self, before: Forwarding, wanted: Forwarding, *, admitted: bool) -> Steps:
        """From what a socket has (``before``) to what it should have; not ``admitted``: without its entry."""
        elements = [*wanted.elements, wanted.entry] if admitted else list(wanted.elements)
        put = [one for one in elements if one.place not in self._elements]
        replaced = [one for one in elements if one.place in self._elements and self._differs(one)]
        entries = {before.entry.place, wanted.entry.place} - ({wanted.entry.place} if admitted else set())
        present = {one.place for one in elements}
        gone = [one.place for one in before.elements if one.place not in present and one.place.map not in _COUNTED]
        chain = wanted.choice.chain if wanted.choice is not None else ""
        return Steps(
            choices=(wanted.choice,) if wanted.choice is not None and self._is_new(wanted.choice) else (),
            put=tuple(put),
            replaced=tuple(replaced),
            ended=tuple(place for place in entries if place in self._elements),
            dropped=tuple(place for place in gone if place in self._elements),
            unused=(before.choice.chain,) if before.choice is not None and before.choice.chain != chain else (),
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
            if entry in self._elements:
                mark = ruleset.mark_of(self._elements[entry].data)
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
            self._choices[choice.chain] = tuple(bytecode.digests(choice))
        for element in (*steps.put, *steps.replaced):
            self._sizes[element.place.map] += element.place not in self._elements
            self._elements[element.place] = element
        self._remove(steps.ended)

    def swept(self, steps: Steps, kept: Collection[Place | str] = ()) -> None:
        """The later transaction is in force, but for what the kernel ``kept``: places and chains that are leftovers
        now.
        """
        self._remove(place for place in steps.dropped if place not in kept)
        self._unclaimed.update(place for place in steps.dropped if place in kept)
        for chain in steps.unused:
            if chain in kept:
                # Its rules are perhaps gone.
                self._choices[chain] = ()
                self._unclaimed_chains.add(chain)
            else:
                self._choices.pop(chain, None)
                self._unclaimed_chains.discard(chain)

    def correct(self, elements: Iterable[Element], choices: Mapping[str, Sequence[bytes]]) -> None:
        """The kernel was read again, and has these."""
        self._elements = {element.place: element for element in elements}
        self._sizes = Counter(place.map for place in self._elements)
        self._choices = {chain: tuple(digests) for chain, digests in choices.items()}

    def forget(self, places: Iterable[Place]) -> None:
        """These were removed otherwise."""
        self._remove(places)

    def _remove(self, places: Iterable[Place]) -> None:
        for place in places:
            self._sizes[place.map] -= self._elements.pop(place, None) is not None
            self._unclaimed.discard(place)

    def _chain_of(self, mark: int) -> str:
        """The chain of the choice that a mark stands for, if it stands for one."""
        choice = self._elements.get(Place(ruleset.CHOICES, ruleset.mark_bytes(mark)))
        return choice.chain if choice is not None else ""

    def _differs(self, element: Element) -> bool:
        present = self._elements[element.place]
        return (present.data, present.chain, present.identity) != (element.data, element.chain, element.identity)

    def _is_new(self, choice: Choice) -> bool:
        present = self._choices.get(choice.chain)
        return present is None or present != tuple(bytecode.digests(choice))
