"""Foreign listeners are found, named, and never confused with our own, on real sockets."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tidegate.dataplanes import ports
from tidegate.dataplanes.ports import Holder, foreign_listeners

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's socket table")

CHILD = """
import socket, sys
family, address, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
listener = socket.socket(family, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if family == socket.AF_INET6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[4]))
listener.bind((address, port))
listener.listen(1)
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def listening_child(address: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[int, int]]:
    """A process that listens with SO_REUSEPORT; yields its pid and the port. ``only ::`` takes IPv6 alone."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    v6_only = int(address.startswith("only "))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(int(family)), address.removeprefix("only "), str(port), str(v6_only)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            yield child.pid, int(child.stdout.readline())
        finally:
            child.stdin.close()


@contextmanager
def own_listener(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A socket of this process that listens with SO_REUSEPORT; yields its port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((address, port))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_nothing_asked() -> None:
    """No sockets, no answer."""
    assert foreign_listeners([], [os.getpid()]) == {}


def test_free_port() -> None:
    """A port on which nobody listens has no holder."""
    with own_listener() as port:
        pass
    assert foreign_listeners([("127.0.0.1", port), ("*", port)], []) == {}


def test_foreign_listener_is_named() -> None:
    """A foreign listener is reported with its process name and pid."""
    with listening_child() as (pid, port):
        holders = foreign_listeners([("127.0.0.1", port)], [os.getpid()])
        assert holders == {
            ("127.0.0.1", port): Holder(description=f"{psutil.Process(pid).name()} (pid {pid})", pid=pid)
        }


@linux_only
def test_intruder_beside_our_own_socket() -> None:
    """A process that shares our port by SO_REUSEPORT is found although we hold the port."""
    with own_listener() as port:
        assert foreign_listeners([("127.0.0.1", port)], [os.getpid()]) == {}
        with listening_child(port=port) as (pid, _):
            holders = foreign_listeners([("127.0.0.1", port)], [os.getpid()])
            assert holders["127.0.0.1", port].pid == pid


@linux_only
def test_descriptors_are_read_only_for_sockets_not_known_to_be_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection is a descriptor: a look that finds nothing new reads none. A stranger is found all the same."""
    read: list[int] = []
    inodes = ports._socket_inodes

    def noted(pid: int) -> Iterator[int]:
        read.append(pid)
        return inodes(pid)

    monkeypatch.setattr(ports, "_socket_inodes", noted)
    owned: ports.Owned = {}
    with own_listener() as port:
        sockets, own = [("127.0.0.1", port)], [os.getpid()]
        assert foreign_listeners(sockets, own, owned) == {}
        assert read == own
        assert foreign_listeners(sockets, own, owned) == {}
        assert read == own
        with own_listener() as another:
            assert foreign_listeners([*sockets, ("127.0.0.1", another)], own, owned) == {}
        assert read == own * 2
        with listening_child(port=port) as (pid, _):
            assert foreign_listeners(sockets, own, owned)["127.0.0.1", port].pid == pid
        # What is no longer ours is forgotten.
        assert foreign_listeners(sockets, [], owned)["127.0.0.1", port].pid == own[0]
        assert owned == {}


def test_every_own_generation_counts_as_ours() -> None:
    """A socket that an earlier generation holds is not foreign."""
    with own_listener() as port, listening_child(port=port) as (pid, _):
        assert foreign_listeners([("127.0.0.1", port)], [os.getpid(), pid]) == {}


@linux_only
def test_pid_that_ended() -> None:
    """The id of a process that ended does no harm."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    with own_listener() as port:
        assert foreign_listeners([("127.0.0.1", port)], [os.getpid(), child.pid]) == {}


@linux_only
@pytest.mark.parametrize(
    ("theirs", "ours", "conflict"),
    [
        ("127.0.0.1", "*", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("127.0.0.2", "127.0.0.1", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", False),
        ("::", "127.0.0.1", True),
        ("::", "*", True),
        ("only ::", "127.0.0.1", False),
        ("only ::", "::1", True),
        ("only ::", "*", True),
        ("::1", "::", True),
        ("::1", "127.0.0.1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::ffff:127.0.0.1", "127.0.0.2", False),
    ],
)
def test_overlapping_addresses(theirs: str, ours: str, *, conflict: bool) -> None:
    """A foreign socket conflicts exactly when a connection to our address could reach it."""
    with listening_child(theirs) as (_, port):
        assert bool(foreign_listeners([(ours, port)], [os.getpid()])) is conflict


@linux_only
def test_bound_but_not_listening() -> None:
    """A foreign socket that does not listen takes no connections and is not reported."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert foreign_listeners([("127.0.0.1", bound.getsockname()[1])], []) == {}


@linux_only
def test_own_sockets_that_close_meanwhile() -> None:
    """Sockets of ours that open and close while we look raise no false alarm."""
    with own_listener() as port:
        stop = threading.Event()

        def churn() -> None:
            while not stop.is_set():
                with own_listener(port=port):
                    pass

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                assert foreign_listeners([("127.0.0.1", port)], [os.getpid()]) == {}
        finally:
            stop.set()
            thread.join()


@linux_only
def test_holder_that_may_not_be_looked_into() -> None:
    """Where the process cannot be found, its user is named instead."""
    with own_listener() as port:
        # Our own process plays the foreign one whose descriptors are not readable: it is skipped in the search.
        (entry,) = ports._foreign({port}, own_pids=[], owned={})
        holder = ports._holders([entry], own_pids=psutil.pids())[entry.inode]
    assert holder.pid is None
    assert holder.description.startswith("a process of user ")


@linux_only
@pytest.mark.skipif(os.getuid() != 0, reason="starts a process as another user")
def test_own_process_whose_descriptors_are_hidden() -> None:
    """When our process may not be looked into, nothing of its user counts as foreign, other users' still does."""
    nobody = pwd.getpwnam("nobody").pw_uid
    with listening_child() as (_, port), own_listener(port=port):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setresuid(nobody, nobody, nobody)
            try:
                seen = {entry.uid for entry in ports._foreign({port}, own_pids=[os.getppid()], owned={})}
                os.write(writer, b"hidden" if seen == set() else b"seen")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reader, 100) == b"hidden"
        os.close(reader)
        os.close(writer)


def test_unknown_user() -> None:
    """A user id without a name is given as a number."""
    assert ports._user(4_000_123_456) == "a process of user id 4000123456"


@linux_only
def test_many_sockets_of_ours() -> None:
    """The time for a thousand sockets of ours stays small and does not need the process list."""
    with ExitStack() as stack:
        sockets = [("127.0.0.1", stack.enter_context(own_listener())) for _ in range(1000)]
        assert foreign_listeners(sockets, [os.getpid()]) == {}


def test_probe_finds_and_names() -> None:
    """The bind probe, used where there is no socket table, finds a foreign listener and names it."""
    with listening_child() as (pid, port):
        holders = ports._probed([("127.0.0.1", port), ("*", port)], [os.getpid()])
        assert {holder.pid for holder in holders.values()} == {pid}
        assert ("127.0.0.1", port) in holders


def test_probe_leaves_own_sockets_alone() -> None:
    """The bind probe is not tried on a port that we hold."""
    with own_listener() as port:
        assert ports._probed([("127.0.0.1", port), ("*", port)], [os.getpid()]) == {}


def test_probe_of_a_free_port() -> None:
    """The bind probe reports nothing for a port that is free or not bindable for another reason."""
    with own_listener() as port:
        pass
    assert ports._probed([("127.0.0.1", port), ("*", port), ("192.0.2.1", port)], []) == {}
