"""Of which Gateways a new leader must not say yet that nothing serves them."""

from __future__ import annotations

from support.generated import proxies
from support.manifests import gateway, gateway_class, listener
from support.resources import World, gateway_key, socket_key
from tidegate.app.handover import RECONNECT_GRACE_S, Handover
from tidegate.plan.outcome import Failed, FailureReason, Live, Pending

GW = gateway_key("gw")
SCOPE = "default/gw"
KEY = socket_key(80, scope=SCOPE)
LEASE = 15.0


class Leader:
    """A new leader at a time, to which a Gateway with one listener is known; ``known`` are the scopes it hears of."""

    def __init__(self, *addresses: str) -> None:
        self.now = 1000.0
        self.known: set[str] = set()
        self.world = World(gateway_class(), gateway("gw", [listener("tcp", 80)]), cluster=True)
        self.world.apply(proxies("gw-tidegate", *addresses))
        self.handover = Handover(
            self.world.decision, lease=LEASE, covers=self.known.__contains__, clock=lambda: self.now
        )
        self.handover.begin()

    @property
    def doubts(self) -> bool:
        """Whether it doubts that the Gateway is not served."""
        return self.handover.doubted(GW)


def test_in_doubt_until_its_proxies_are_known_and_have_settled() -> None:
    """What they say then is true, be it good or bad."""
    leader = Leader("10.0.0.1")
    revision = leader.world.socket(80, scope=SCOPE).revision
    leader.world.report({KEY: Live(revision=revision)})
    assert leader.doubts, "one proxy serves it, and the others are not known"
    leader.known.add(SCOPE)
    assert not leader.doubts
    leader.world.report({KEY: Pending(revision=revision)})
    assert leader.doubts
    leader.world.report({KEY: Failed(revision=revision, reason=FailureReason.INVALID, message="no")})
    assert not leader.doubts


def test_without_proxies_that_get_traffic_there_is_no_doubt() -> None:
    """The cluster says so, not a replica."""
    assert not Leader().doubts


def test_doubts_end_when_proxies_have_been_sent_away_and_had_time_to_come() -> None:
    """An isolated replica does so three leases after the last answer, of which one is over when another leads."""
    leader = Leader("10.0.0.1")
    leader.now += 2 * LEASE + RECONNECT_GRACE_S - 0.1
    assert leader.doubts
    leader.now += 0.1
    assert not leader.doubts
    leader.handover.begin()
    assert leader.doubts, "it led for a second time"


def test_what_is_no_gateway_is_not_in_doubt() -> None:
    """Such as one that is gone."""
    leader = Leader("10.0.0.1")
    assert not leader.handover.doubted(gateway_key("other"))
