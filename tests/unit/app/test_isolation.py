"""When a replica takes itself for isolated, and when it sends its proxies away."""

from __future__ import annotations

from tidegate.app.isolation import Contact

LEASE = 10.0


def watch(contact: Contact, start: float, seconds: float, *, heard_at: float) -> tuple[list[float], list[float]]:
    """Looks twice a second; when the replica was isolated, and when it was time to send proxies away."""
    isolated, due = [], []
    for step in range(int(2 * seconds) + 1):
        now = start + step / 2
        if contact.look(now, heard_at):
            due.append(now - start)
        if contact.isolated:
            isolated.append(now - start)
    return isolated, due


def test_two_leases_of_silence_isolate_and_a_third_sends_proxies_away() -> None:
    """And again those that came meanwhile, as long as the silence lasts, but more and more rarely."""
    contact = Contact(LEASE)
    isolated, due = watch(contact, 100.0, 1000.0, heard_at=99.0)
    assert isolated[0] == 2 * LEASE
    assert due == [LEASE * leases for leases in (3, 7, 15, 31, 63, 95)]


def test_a_sign_of_life_ends_it_and_begins_the_count_anew() -> None:
    """The next loss of contact sends proxies away again."""
    contact = Contact(LEASE)
    assert watch(contact, 100.0, 25.0, heard_at=99.0)[0]
    contact.look(126.0, 125.9)
    assert not contact.isolated
    assert watch(contact, 126.0, 40.0, heard_at=125.9) == ([20.0 + step / 2 for step in range(41)], [30.0])


def test_time_in_which_it_stood_still_itself_does_not_count() -> None:
    """A process that was stopped for minutes hears the server before it judges it."""
    contact = Contact(LEASE)
    contact.look(100.0, 99.0)
    contact.look(500.0, 99.0)
    assert not contact.isolated
    assert contact.look(501.0, 99.0) is False
