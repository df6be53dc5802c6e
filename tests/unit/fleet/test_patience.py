"""What fails is tried ever more rarely, until it is another thing that is wanted."""

from support.infrastructures import gateway_key
from tidegate.fleet.patience import Patience
from tidegate.kube.backoff import LONGEST_S

KEY = gateway_key()


def test_nothing_waits_at_first() -> None:
    """What has not failed may be tried at any time."""
    assert Patience().ready_at(KEY, "a") == 0.0


def test_waits_grow_longer() -> None:
    """Each failure costs a longer wait, up to a limit."""
    patience, now, waits = Patience(), 100.0, []
    for _ in range(12):
        patience.wait(KEY, "a", now)
        waits.append(patience.ready_at(KEY, "a") - now)
        now = patience.ready_at(KEY, "a")
    assert waits[0] < 0.5 < waits[4] < waits[11] <= LONGEST_S


def test_server_may_ask_for_longer() -> None:
    """A time that the API server asks for is waited."""
    patience = Patience()
    patience.wait(KEY, "a", 100.0, at_least=30.0)
    assert patience.ready_at(KEY, "a") >= 130.0


def test_other_wish_does_not_wait() -> None:
    """Whoever wants something else of the object is not held up, and starts with a short wait."""
    patience = Patience()
    for _ in range(6):
        patience.wait(KEY, "a", 100.0)
    assert patience.ready_at(KEY, "b") == 0.0
    patience.wait(KEY, "b", 100.0)
    assert patience.ready_at(KEY, "b") < 100.5


def test_success_ends_the_wait() -> None:
    """After a success everything begins anew."""
    patience = Patience()
    patience.wait(KEY, "a", 100.0)
    patience.forget(KEY)
    patience.forget(KEY)
    assert patience.ready_at(KEY, "a") == 0.0
