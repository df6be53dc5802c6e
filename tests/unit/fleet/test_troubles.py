"""A Gateway is told what is wrong once, and when it is over."""

from support.infrastructures import gateway_key
from tidegate.fleet.kinds import CONFIG_MAP, SERVICE
from tidegate.fleet.troubles import Troubles
from tidegate.names import ObjectKey

GATEWAY = gateway_key()
SERVICE_KEY, MAP_KEY = SERVICE.key("shop", "x"), CONFIG_MAP.key("shop", "x")


class Told:
    """Everything that is told, in order."""

    def __init__(self) -> None:
        self.messages: list[str | None] = []
        self.troubles = Troubles(self._take)

    def _take(self, gateway: ObjectKey, message: str | None) -> None:
        assert gateway == GATEWAY
        self.messages.append(message)


def test_trouble_is_told_once() -> None:
    """The same trouble again is no news; its end is."""
    told = Told()
    for message in (None, "broken", "broken", "broken otherwise", None, None):
        told.troubles.put(GATEWAY, SERVICE_KEY, message)
    assert told.messages == ["broken", "broken otherwise", None]


def test_one_trouble_is_told_at_a_time() -> None:
    """Of several, the first object's is told; when it is over, the next one's."""
    told = Told()
    told.troubles.put(GATEWAY, SERVICE_KEY, "service")
    told.troubles.put(GATEWAY, MAP_KEY, "map")
    told.troubles.put(GATEWAY, MAP_KEY, None)
    told.troubles.put(GATEWAY, SERVICE_KEY, None)
    assert told.messages == ["service", "map", "service", None]


def test_what_nobody_works_on_is_no_trouble() -> None:
    """An object that needs nothing any more troubles nobody."""
    told = Told()
    told.troubles.put(GATEWAY, SERVICE_KEY, "service")
    told.troubles.keep(GATEWAY, {SERVICE_KEY})
    assert told.messages == ["service"]
    told.troubles.keep(GATEWAY, {MAP_KEY})
    told.troubles.keep(GATEWAY, ())
    assert told.messages == ["service", None]
