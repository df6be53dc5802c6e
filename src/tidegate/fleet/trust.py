"""Which authorities are trusted, which one issues, and what is due when. Pure: times are passed in.

An authority is succeeded before it ends, in steps that only the clock decides, so that every replica comes to the
same answer from the same Secret and nobody has to agree with anybody::

    old  |------------ issues ------------|-- trusted --|
    new                         | trusted |------------ issues ---------- ...
                             born      adopted       old one retired

* *Born* when two thirds of its predecessor's life are over. From now on it is in every bundle.
* *Adopted* a day later (``Lifetimes.adoption``): the leader has written the bundle to all proxies' Secrets at once,
  and kubelets have brought it to the Pods within minutes. Now it issues, and every certificate is issued anew.
* The old one is *retired* when everything it issued has expired, even what a leader that was away could not replace.

Why these lifetimes. Both keys of a connection are in Secrets that the API server gives to whoever may read them, so
short lives protect little; what they cost is how long the controller may be away before its proxies cannot come back
to it. A proxy's certificate lives 30 days and is renewed after 20: an outage of ten days is survived, and traffic goes
on even then. A replica's own lives a day: it is made in memory, and costs nothing. An authority lives a year, so that
its succession happens often enough to be known to work. To replace it at once, delete its Secret.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair, PrivateKey

_CERTIFICATE_SUFFIX: Final = ".crt"
_KEY_SUFFIX: Final = ".key"
_NAME_LENGTH: Final = 16


class Lifetimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long certificates live, and how long an authority is only trusted before it issues."""

    authority: dt.timedelta = dt.timedelta(days=365)
    adoption: dt.timedelta = dt.timedelta(days=1)
    proxy: dt.timedelta = dt.timedelta(days=30)
    controller: dt.timedelta = dt.timedelta(days=1)


LIFETIMES: Final = Lifetimes()
"""Those of the product."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate authority, from when to when. ``name`` is made of its fingerprint."""

    name: str
    pair: KeyPair
    born: dt.datetime
    expires: dt.datetime


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about the authorities: one is missing or to be succeeded, and some have had their time."""

    succession: bool
    retired: tuple[Issuer, ...] = ()

    def __bool__(self) -> bool:
        return self.succession or bool(self.retired)


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """All authorities that are trusted, the oldest first."""

    issuers: tuple[Issuer, ...] = ()
    lifetimes: Lifetimes = LIFETIMES

    @property
    def bundle(self) -> bytes:
        """The certificates of all authorities, for whoever verifies a peer."""
        return b"".join(issuer.pair.certificate for issuer in self.issuers)

    def issuer(self, now: dt.datetime) -> Issuer | None:
        """The authority that issues at ``now``: the newest that is adopted, else the oldest; None when all ended."""
        living = [one for one in self.issuers if now < one.expires]
        adopted = [one for one in living if one.born + self.lifetimes.adoption <= now]
        return (adopted[-1] if adopted else living[0]) if living else None

    def due(self, now: dt.datetime) -> Due:
        """What is to be done at ``now``."""
        newest = self.issuers[-1] if self.issuers else None
        return Due(
            succession=newest is None or renewal(newest.born, newest.expires) <= now,
            retired=tuple(one for one in self.issuers if self._retirement(one) <= now),
        )

    def next_due(self, now: dt.datetime) -> dt.datetime:
        """When ``due`` or ``issuer`` may next have another answer than at ``now``; ``now`` when something is due."""
        if not self.issuers or self.due(now):
            return now
        newest = self.issuers[-1]
        adoptions = [one.born + self.lifetimes.adoption for one in self.issuers]
        times = [renewal(newest.born, newest.expires), *map(self._retirement, self.issuers), *adoptions]
        return min(time for time in times if time > now)

    def after(self, due: Due, successor: KeyPair | None) -> Trust:
        """The same, once what is due is done; ``successor`` is a new authority where one is due."""
        kept = [one for one in self.issuers if one not in due.retired]
        born = _issuer(successor) if successor is not None else None
        return msgspec.structs.replace(self, issuers=_ordered([*kept, *([born] if born is not None else [])]))

    def _retirement(self, issuer: Issuer) -> dt.datetime:
        """When nothing that it issued can be in use: at its end, or a proxy's lifetime after it last issued."""
        later = [one for one in self.issuers if one.born > issuer.born]
        if not later:
            return issuer.expires
        return min(issuer.expires, later[0].born + self.lifetimes.adoption + self.lifetimes.proxy)


def renewal(born: dt.datetime, expires: dt.datetime) -> dt.datetime:
    """When a certificate is to be replaced: after two thirds of its life."""
    return born + (expires - born) * 2 / 3


def from_secret(data: Mapping[str, bytes], lifetimes: Lifetimes) -> Trust:
    """The authorities in a Secret's data. What is no sound pair of certificate and key is passed over."""
    pairs = (
        KeyPair(
            certificate=content, key=PrivateKey(data.get(name.removesuffix(_CERTIFICATE_SUFFIX) + _KEY_SUFFIX, b""))
        )
        for name, content in data.items()
        if name.endswith(_CERTIFICATE_SUFFIX)
    )
    return Trust(issuers=_ordered(filter(None, map(_issuer, pairs))), lifetimes=lifetimes)


def to_secret(trust: Trust) -> dict[str, bytes]:
    """A Secret's data: of each authority the certificate and the key."""
    certificates = {one.name + _CERTIFICATE_SUFFIX: one.pair.certificate for one in trust.issuers}
    return certificates | {one.name + _KEY_SUFFIX: one.pair.key.pem for one in trust.issuers}


def _issuer(pair: KeyPair) -> Issuer | None:
    facts = pki.facts(pair.certificate)
    if facts is None or not pki.is_sound(pair):
        return None
    name = facts.fingerprint[:_NAME_LENGTH]
    return Issuer(name=name, pair=pair, born=facts.issued_at, expires=facts.expires_at)


def _ordered(issuers: Iterable[Issuer]) -> tuple[Issuer, ...]:
    return tuple(sorted(issuers, key=lambda one: (one.born, one.name)))
