from tidegate.kube.backoff import FIRST_S, LONGEST_S, Backoff


def test_delays_double_up_to_a_limit() -> None:
    """Each delay is at most twice the one before it could be, at least half of that, and never above the limit."""
    backoff, now = Backoff(), 0.0
    for tries in range(12):
        longest = min(FIRST_S * 2**tries, LONGEST_S)
        delay = backoff.next(now)
        assert longest / 2 <= delay <= longest
        now += delay


def test_starts_small_again_after_a_quiet_time() -> None:
    """A failure long after the last one is a new story."""
    backoff, now = Backoff(), 0.0
    for _ in range(10):
        now += backoff.next(now)
    assert backoff.next(now + 100) <= FIRST_S


def test_what_the_other_side_asks_for_is_the_least() -> None:
    """A server's wish is heeded even when it is longer than any delay of ours."""
    backoff = Backoff()
    assert backoff.next(0.0, at_least=42.0) == 42.0
    assert backoff.next(42.0, at_least=0.001) > 0.05
