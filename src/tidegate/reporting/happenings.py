"""What an operator wants to hear about when a status changes.

In: a status that was written, before and after. Out: happenings, in a few words of the API itself. Pure. Because they
come from what was written, a restart and a change of leader are none.

That a route or a listener is accepted is no happening: it is the rule, and a thousand routes would be a thousand of
them. That it is accepted again is one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from tidegate.core.reasons import ConditionType, Reason
from tidegate.reporting.base import Subject, Written

DATA_PLANE_LOST = "DataPlaneLost"
"""The reason of the happening that nothing serves a Gateway any more."""


class Tone(enum.StrEnum):
    """The types of events that Kubernetes has."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` is one word for machines, ``note`` a text for people, ``action`` what was done in consequence."""

    subject: Subject
    tone: Tone
    reason: str
    note: str
    action: str


def happenings(written: Written, controller: str) -> tuple[Happening, ...]:
    """What happened to an object; ``controller`` is our controller name."""
    before, after = written.before, written.after
    match written.subject.key.kind:
        case "GatewayClass":
            told = _class(_conditions(before), _conditions(after))
        case "Gateway":
            told = _gateway(before, after)
        case _:
            told = _route(_entries(before, controller), _entries(after, controller))
    return tuple(
        Happening(subject=written.subject, tone=tone, reason=reason, note=note, action="UpdateStatus")
        for tone, reason, note in _gathered(told)
    )


_Raw = Mapping[str, Any]
_Conditions = Mapping[str, _Raw]


class _Telling(msgspec.Struct, frozen=True):
    """A happening to a part of an object, or to the object itself."""

    tone: Tone
    reason: str
    message: str
    part: str


def _gathered(told: Iterable[_Telling]) -> Iterator[tuple[Tone, str, str]]:
    """One happening for all parts that have the same reason; those that have the same message are named together."""
    groups: dict[tuple[Tone, str], dict[str, dict[str, None]]] = {}
    for one in told:
        groups.setdefault((one.tone, one.reason), {}).setdefault(one.message, {})[one.part] = None
    for (tone, reason), messages in groups.items():
        notes = (f"{', '.join(parts)}: {text}" if any(parts) else text for text, parts in messages.items())
        yield tone, reason, "; ".join(notes)


def _class(old: _Conditions, new: _Conditions) -> Iterator[_Telling]:
    accepted = _Change.of(old, new, ConditionType.ACCEPTED)
    yield from accepted.failure()
    yield from accepted.success()
    supported = _Change.of(old, new, ConditionType.SUPPORTED_VERSION)
    yield from supported.failure()
    yield from supported.recovery()


def _gateway(before: _Raw, after: _Raw) -> Iterator[_Telling]:
    old, new = _conditions(before), _conditions(after)
    accepted = _Change.of(old, new, ConditionType.ACCEPTED)
    yield from accepted.failure()
    yield from accepted.success()
    programmed = _Change.of(old, new, ConditionType.PROGRAMMED)
    yield from [*programmed.loss()] or programmed.settled().failure()
    yield from programmed.settled().success()
    entries = {entry["name"]: _conditions(entry) for entry in before.get("listeners") or ()}
    for entry in after.get("listeners") or ():
        yield from _listener(f"listener {entry['name']}", entries.get(entry["name"], {}), _conditions(entry))


def _listener(part: str, old: _Conditions, new: _Conditions) -> Iterator[_Telling]:
    """What is wrong with a listener. One that is not accepted is not programmed either, which goes without saying."""
    changes = [_Change.of(old, new, kind, part) for kind in (ConditionType.ACCEPTED, ConditionType.RESOLVED_REFS)]
    before, now = (side if _fine(side.get(ConditionType.ACCEPTED)) else {} for side in (old, new))
    changes.append(_Change.of(before, now, ConditionType.PROGRAMMED, part).settled())
    for change in changes:
        yield from change.failure()
        yield from change.recovery()


def _route(old: Mapping[str, _Conditions], new: Mapping[str, _Conditions]) -> Iterator[_Telling]:
    """Whether it is accepted is told of each parent; whether its references resolve is the same for all."""
    for parent, conditions in new.items():
        before = old.get(parent, {})
        for change in (
            _Change.of(before, conditions, ConditionType.ACCEPTED, parent),
            _Change.of(before, conditions, ConditionType.RESOLVED_REFS),
            _Change.of(before, conditions, ConditionType.PARTIALLY_INVALID),
        ):
            yield from change.failure()
            yield from change.recovery()


class _Change(msgspec.Struct, frozen=True):
    """One condition before and after; None: it is not there, or says nothing yet."""

    kind: ConditionType
    old: _Raw | None
    new: _Raw | None
    part: str

    @classmethod
    def of(cls, old: _Conditions, new: _Conditions, kind: ConditionType, part: str = "") -> _Change:
        """The change of a condition of an object, or of a part of it."""
        return cls(kind, old.get(kind), new.get(kind), part)

    def settled(self) -> _Change:
        """The same without what is only a matter of time, or a consequence of what another condition says."""

        def said(condition: _Raw | None) -> _Raw | None:
            unsaid = condition is None or condition["reason"] in (Reason.PENDING, Reason.INVALID)
            return None if unsaid else condition

        return _Change(self.kind, said(self.old), said(self.new), self.part)

    def failure(self) -> Iterator[_Telling]:
        """It does not hold as it should, and that is news."""
        if self.new is not None and _wrong(self.new) and not _same(self.old, self.new):
            yield _Telling(Tone.WARNING, self.new["reason"], self.new["message"], self.part)

    def success(self) -> Iterator[_Telling]:
        """It holds, and did not before."""
        if self.new is not None and _fine(self.new) and not _fine(self.old):
            yield _Telling(Tone.NORMAL, self.kind.value, self.new["message"], self.part)

    def recovery(self) -> Iterator[_Telling]:
        """It holds again."""
        if self.old is not None and _wrong(self.old):
            yield from self.success()

    def loss(self) -> Iterator[_Telling]:
        """It held, and is False now."""
        if self.new is not None and self.new["status"] == "False" and _fine(self.old):
            yield _Telling(Tone.WARNING, DATA_PLANE_LOST, self.new["message"], self.part)


def _fine(condition: _Raw | None) -> bool:
    """Whether a condition holds without reservation: then its reason is its type."""
    return condition is not None and condition["status"] == "True" and condition["reason"] == condition["type"]


def _wrong(condition: _Raw) -> bool:
    """Whether a condition does not hold, or with a reservation; what is unknown is neither fine nor wrong."""
    return condition["status"] != "Unknown" and not _fine(condition)


def _same(old: _Raw | None, new: _Raw) -> bool:
    return old is not None and all(old.get(field) == new[field] for field in ("status", "reason", "message"))


def _conditions(holder: _Raw) -> dict[str, _Raw]:
    return {condition["type"]: condition for condition in holder.get("conditions") or ()}


def _entries(status: _Raw, controller: str) -> dict[str, _Conditions]:
    """Our entries in ``status.parents``, by the names of their parents."""
    ours = (entry for entry in status.get("parents") or () if entry.get("controllerName") == controller)
    return {_parent(entry["parentRef"]): _conditions(entry) for entry in ours}


def _parent(reference: _Raw) -> str:
    names = (str(reference[field]) for field in ("namespace", "name", "sectionName", "port") if field in reference)
    return f"parent {'/'.join(names)}"
