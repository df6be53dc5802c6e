"""A Gateway is told what is wrong once, and when it is over."""

from __future__ import annotations

from support.infrastructures import gateway_key
from tidegate.fleet.kinds import CONFIG_MAP, SERVICE
from tidegate.fleet.troubles import SAME_WORDS_S, Troubles
from tidegate.names import ObjectKey
from tidegate.plan.infrastructure import Trouble, TroubleReason

GATEWAY = gateway_key()
SERVICE_KEY, MAP_KEY = SERVICE.key("shop", "x"), CONFIG_MAP.key("shop", "x")


class Told:
    """Everything that is told, in order."""

    def __init__(self) -> None:
        self.messages: list[str | None] = []
        self._troubles = Troubles(self._take)
        self.keep = self._troubles.keep

    def put(
        self, key: ObjectKey, message: str | None, reason: TroubleReason = TroubleReason.OTHER, *, now: float = 0.0
    ) -> None:
        """Something is wrong with one of the Gateway's objects, or not any more."""
        trouble = Trouble(reason=reason, message=message) if message is not None else None
        self._troubles.put(GATEWAY, key, trouble, now)

    def _take(self, gateway: ObjectKey, trouble: Trouble | None) -> None:
        assert gateway == GATEWAY
        self.messages.append(trouble.message if trouble is not None else None)


def test_trouble_is_told_once() -> None:
    """The same trouble again is no news; its end is, and so is another one."""
    told = Told()
    told.put(SERVICE_KEY, None)
    told.put(SERVICE_KEY, "broken")
    told.put(SERVICE_KEY, "broken")
    told.put(SERVICE_KEY, "no quota", TroubleReason.NO_RESOURCES)
    told.put(SERVICE_KEY, None)
    told.put(SERVICE_KEY, None)
    assert told.messages == ["broken", "no quota", None]


def test_words_that_are_others_at_every_try_are_told_now_and_then() -> None:
    """They go into a status: it is not written at every try."""
    told = Told()
    for number in range(10):
        told.put(SERVICE_KEY, f"try {number}", now=number * SAME_WORDS_S / 5)
    assert told.messages == ["try 0", "try 5"]


def test_one_trouble_is_told_at_a_time() -> None:
    """Of several, the first object's is told; when it is over, the next one's."""
    told = Told()
    told.put(SERVICE_KEY, "service")
    told.put(MAP_KEY, "map")
    told.put(MAP_KEY, None)
    told.put(SERVICE_KEY, None)
    assert told.messages == ["service", "map", "service", None]


def test_what_nobody_works_on_is_no_trouble() -> None:
    """An object that needs nothing any more troubles nobody."""
    told = Told()
    told.put(SERVICE_KEY, "service")
    told.keep(GATEWAY, {SERVICE_KEY})
    assert told.messages == ["service"]
    told.keep(GATEWAY, {MAP_KEY})
    told.keep(GATEWAY, ())
    assert told.messages == ["service", None]
