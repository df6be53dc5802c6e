"""What is written in every object's status, what should be, and when to write it.

In: what the source and our own writes show of each object, the statuses in force, what became of each attempt, and
the time. Out: one object after the other whose turn it is, and what to write there. Pure; the requests are made by
others.

An attempt is made when what is observed differs from what is in force, and not before it can be told which of the
two is older: see ``PATIENCE_S``.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tidegate.model.kinds import BY_GROUP_KIND, Kind
from tidegate.model.observed import Observed
from tidegate.model.status import Status
from tidegate.names import ObjectKey
from tidegate.reporting.base import Subject, Written
from tidegate.reporting.pacing import Allowance, backoff
from tidegate.reporting.patching import Patch, Raw, change, generation_of, patched, takes_back
from tidegate.reporting.turns import Turns

PATIENCE_S = 2.0
"""How long a status in force is not written to an object that has become another one, in seconds: a new generation,
or a new object of the old name. Usually the decision about what was just observed follows within milliseconds, and
within the patience of the board of statuses at the latest. Afterwards what is in force is true of the new one too,
or the new one was refused.
"""

REST_S = 0.15
"""An object whose status has not changed for so long, in seconds, seems to have come to rest."""

DEAR_S = 0.05
"""A write that takes longer, in seconds, is dear: the API server is busy with it. One of a Gateway with 64 listeners
takes it more than a tenth of a second (the CRD's rules compare every listener with every other). The next one of such
an object waits until the status has come to rest, but not longer than a second.
"""

LONGEST_UNREST_S = 1.0

DOUBT_S = 1.0
"""What is doubted, and would take back what stands there, is looked at again after so long, in seconds."""

_FAST = 1
"""The level of compression: more gains little here."""

_RANKS = {"GatewayClass": 0, "Gateway": 1}
_LAST_RANK = 2


class Seen(msgspec.Struct, frozen=True):
    """What was last seen of an object. There are thousands, so the status is kept as compressed JSON."""

    version: str
    uid: str
    resource_version: str
    generation: int
    status: bytes

    @classmethod
    def of(cls, observed: Observed) -> Seen:
        """The same, with the status in its compact form."""
        status = zlib.compress(msgspec.json.encode(observed.status, order="deterministic"), _FAST)
        return cls(observed.version, observed.uid, observed.resource_version, observed.generation, status)

    def no_news_after(self, before: Seen) -> bool:
        """Whether a watch says with this what is known, or an earlier state."""
        return self.older_than(before) or self.same_as(before)

    def raw(self) -> Raw:
        """The status as it was seen."""
        raw: Raw = msgspec.json.decode(zlib.decompress(self.status))
        return raw

    def same_as(self, other: Seen) -> bool:
        """Whether this is the same version of the same object, read in the same version of its kind."""
        return (self.version, self.uid, self.resource_version) == (other.version, other.uid, other.resource_version)

    def older_than(self, other: Seen) -> bool:
        """Whether this is an earlier version of the same object. Resource versions are numbers that grow (KEP-5504);
        of a server whose are none, every version counts as newer.
        """
        mine, others = self.resource_version, other.resource_version
        comparable = self.uid == other.uid and mine.isdecimal() and others.isdecimal()
        return comparable and int(mine) < int(others)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about an object now. ``body`` is a JSON merge patch of the status, which applies only to the version
    that was seen; None: what is in force is there already.

    ``begun`` is when. ``homeless`` are entries of ours for which there is no room in there, when that is news.
    """

    key: ObjectKey
    kind: Kind
    seen: Seen
    status: Status | None
    before: Raw
    begun: float
    body: dict[str, Any] | None
    homeless: tuple[Raw, ...] = ()

    @property
    def subject(self) -> Subject:
        """The object, for whoever speaks of it."""
        return Subject(self.key, self.seen.version, self.seen.uid)


class _Account(msgspec.Struct, kw_only=True):
    """All about one object. ``withdrawn``: it was said that no status is in force. ``in_place``: what is in force was
    there once. ``dear``: its last write was. ``unwritten_since``: when the first status came that no attempt has taken
    yet. ``kept_as``: how the server keeps it when it does not keep it as it was written (an old CRD prunes
    fields that it does not know).
    """

    kind: Kind
    seen: Seen | None = None
    uid: str = ""
    status: Status | None = None
    withdrawn: bool = False
    held_until: float = 0.0
    in_place: bool = False
    kept_as: bytes = b""
    refused: bool = False
    homeless: int = 0
    conflicts: int = 0
    failures: int = 0
    retry_at: float = 0.0
    rests_at: float = 0.0
    dear: bool = False
    unwritten_since: float | None = None
    writes: Allowance
    rests: Allowance
    repairs: Allowance

    @property
    def orphaned(self) -> bool:
        """Whether nobody said what its status should be."""
        return self.status is None and not self.withdrawn

    @property
    def due(self) -> float:
        """From when on it may be written."""
        allowed = min(self.writes.ready_at, max(self.rests_at, self.rests.ready_at))
        if self.dear and self.unwritten_since is not None:
            allowed = max(allowed, min(self.rests_at, self.unwritten_since + LONGEST_UNREST_S))
        return max(self.held_until, self.retry_at, allowed)

    def wrote(self, now: float) -> None:
        """It was written."""
        (self.writes if self.writes.ready_at <= now else self.rests).use(now)


def _opened(key: ObjectKey) -> _Account:
    """An object's account. A lone change is written at once, and ten of them as fast as they come; a thousand routes
    that attach one after the other change their Gateway's status as often, but one write in a second says it as well.
    When it seems to have come to rest, the last one need not wait for that second. Somebody who keeps removing what
    we write meets us five times, and then twice a minute.
    """
    return _Account(
        kind=BY_GROUP_KIND[key.group, key.kind],
        writes=Allowance(burst=10, refill=1.0, gap=0.1),
        rests=Allowance(burst=3, refill=5.0, gap=0.1),
        repairs=Allowance(burst=5, refill=30.0, gap=1.0),
    )


class Ledger:
    """The accounts of all objects that have a status.

    ``doubted`` says of which objects too little is known for now to take back that they are Programmed.
    """

    def __init__(self, controller: str, *, doubted: Callable[[ObjectKey], bool] = lambda _: False) -> None:
        self._controller = controller
        self._doubted = doubted
        self._accounts: dict[ObjectKey, _Account] = {}
        self._turns: Turns[ObjectKey] | None = None
        self._complete = False

    def observe(self, key: ObjectKey, observed: Observed | None, now: float) -> None:
        """Take what the source shows. What our own writes have shown already, or something newer, is no news.

        A list is true whatever was known: after a restore of the cluster's data, versions are older and come again.
        """
        if observed is None:
            self._gone(key)
            return
        account = self._account(key)
        before, seen = account.seen, Seen.of(observed)
        known = seen == before if observed.listed else before is not None and seen.no_news_after(before)
        if known:
            return
        if self._see(account, seen, now):
            self._schedule(key, account, now)

    def publish(self, statuses: Mapping[ObjectKey, Status | None], now: float) -> None:
        """Take statuses that are in force from now on; None: withdrawn."""
        for key, status in statuses.items():
            account = self._account(key)
            account.status = status
            account.withdrawn = status is None
            account.rests_at = now + REST_S
            if account.unwritten_since is None:
                account.unwritten_since = now
            if status is None or account.seen is None or generation_of(status) >= account.seen.generation:
                account.held_until = 0.0
            account.in_place = account.refused = False
            account.kept_as = b""
            self._schedule(key, account, now)
            self._close_if_empty(key, account)

    def complete(self, now: float) -> None:
        """Everything that is in force has been published: what else there is of ours is left over."""
        self._complete = True
        for key, account in self._accounts.items():
            if account.orphaned:
                self._schedule(key, account, now)

    def begin(self, now: float) -> None:
        """Start to give turns, from what is known: every object has one, as if nothing had been tried."""
        self._turns = Turns()
        for key, account in self._accounts.items():
            account.refused = False
            account.failures = account.conflicts = 0
            account.retry_at = 0.0
            self._schedule(key, account, now)

    def end(self) -> None:
        """Give no turns any more; what is observed and published is still taken in."""
        self._turns = None

    @property
    def next_due(self) -> float | None:
        """When the next object has its turn; None: nothing is to be done."""
        return self._turns.next_due if self._turns is not None else None

    @property
    def busy(self) -> int:
        """How many objects are being worked on."""
        return self._turns.busy if self._turns is not None else 0

    def take(self, now: float) -> ObjectKey | None:
        """The object whose turn it is; nobody else gets it before ``release``."""
        return self._turns.take(now) if self._turns is not None else None

    def release(self, key: ObjectKey) -> None:
        """An object is no longer worked on."""
        if self._turns is not None:
            self._turns.done(key)

    def attempt(self, key: ObjectKey, now: float, clock: dt.datetime) -> Attempt | None:
        """What to do about an object that was taken; None: nothing, it is gone or has to wait after all."""
        account = self._accounts.get(key)
        if account is None or account.seen is None:
            return None
        account.unwritten_since = None
        before = account.seen.raw()
        patch = self._patched(key, before, account.status, clock)
        body = None
        if patch.status is None or account.seen.status == account.kept_as:
            account.in_place = True
            account.failures = account.conflicts = 0
        elif takes_back(before, patch.status) and self._doubted(key):
            self._put(key, account, now + DOUBT_S)
            return None
        elif account.in_place and account.repairs.ready_at > now:
            self._put(key, account, account.repairs.ready_at)
            return None
        else:
            if account.in_place:
                account.repairs.use(now)
            metadata = {"resourceVersion": account.seen.resource_version}
            body = {"metadata": metadata, "status": change(before, patch.status)}
        news = patch.homeless if len(patch.homeless) != account.homeless else ()
        account.homeless = len(patch.homeless)
        return Attempt(
            key=key, kind=account.kind, seen=account.seen, status=account.status, before=before, begun=now,
            body=body, homeless=news,
        )  # fmt: skip

    def written(self, attempt: Attempt, observed: Observed, now: float, clock: dt.datetime) -> Written:
        """The attempt succeeded; ``observed`` is what it led to."""
        account, seen = self._accounts.get(attempt.key), Seen.of(observed)
        if account is not None and account.seen is not None and account.seen.uid == seen.uid:
            account.wrote(now)
            account.dear = now - attempt.begun > DEAR_S
            account.failures = account.conflicts = 0
            if not seen.older_than(account.seen):
                account.seen = seen
            if account.status is attempt.status:
                account.in_place = True
                patch = self._patched(attempt.key, observed.status, attempt.status, clock)
                account.kept_as = b"" if patch.status is None else seen.status
            if self._turns is not None and attempt.key in self._turns:
                # What came meanwhile was given its turn before this write counted.
                self._schedule(attempt.key, account, now)
        return Written(subject=attempt.subject, before=attempt.before, after=observed.status)

    def conflicted(self, key: ObjectKey, fresh: Observed, now: float, *, jitter: float) -> None:
        """Somebody else was faster; ``fresh`` is what there is now."""
        account = self._accounts.get(key)
        if account is None or account.seen is None:
            return
        self._see(account, Seen.of(fresh), now)
        account.conflicts += 1
        if account.conflicts > 1:
            account.retry_at = now + backoff(account.conflicts - 1, first=0.05, longest=5.0, jitter=jitter)
        self._schedule(key, account, now)

    def failed(self, key: ObjectKey, now: float, *, jitter: float) -> int:
        """The server cannot do it for this object; how often that was so in a row."""
        account = self._accounts.get(key)
        if account is None:
            return 0
        account.failures += 1
        account.retry_at = now + backoff(account.failures, first=1.0, longest=60.0, jitter=jitter)
        self._schedule(key, account, now)
        return account.failures

    def refused(self, key: ObjectKey) -> None:
        """The server will never take what was written: wait for another status, or another object."""
        account = self._accounts.get(key)
        if account is not None:
            account.refused = True

    def again(self, key: ObjectKey, now: float) -> None:
        """Nobody answered: the object keeps its turn."""
        account = self._accounts.get(key)
        if account is not None:
            self._schedule(key, account, now)

    def lost(self, key: ObjectKey) -> None:
        """There is no such object: the source will say so, or show what has come instead."""
        self._gone(key)

    def _account(self, key: ObjectKey) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _opened(key)
        return account

    def _see(self, account: _Account, seen: Seen, now: float) -> bool:
        """Note what there is; whether anything in it needs to be looked at."""
        before, account.seen = account.seen, seen
        reborn = seen.uid != account.uid
        account.uid = seen.uid
        if reborn or account.orphaned or (before is not None and seen.generation != before.generation):
            account.held_until = now + PATIENCE_S
            account.refused = False
            account.in_place = account.in_place and not reborn
            return True
        return before is None or seen.status != before.status

    def _gone(self, key: ObjectKey) -> None:
        if self._turns is not None:
            self._turns.drop(key)
        account = self._accounts.get(key)
        if account is not None:
            account.seen = None
            self._close_if_empty(key, account)

    def _close_if_empty(self, key: ObjectKey, account: _Account) -> None:
        if account.seen is None and account.status is None:
            del self._accounts[key]

    def _schedule(self, key: ObjectKey, account: _Account, now: float) -> None:
        known = account.status is not None or account.withdrawn or self._complete
        if account.seen is not None and known and not account.refused:
            self._put(key, account, max(now, account.due))

    def _put(self, key: ObjectKey, account: _Account, due: float) -> None:
        if self._turns is not None:
            self._turns.put(key, _RANKS.get(account.kind.kind, _LAST_RANK), due)

    def _patched(self, key: ObjectKey, old: Raw, status: Status | None, clock: dt.datetime) -> Patch:
        return patched(old, status, controller=self._controller, namespace=key.namespace, now=clock)
