"""The shell around ``wire``: a socket to the kernel's netfilter, for requests, dumps and batches.

In: requests. Out: the kernel's answers, or DataPlaneError. Every call blocks until the kernel has answered, which is
at once; an object is used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence

from tidegate.dataplanes.nftables import wire
from tidegate.dataplanes.nftables.wire import Message, Request
from tidegate.errors import DataPlaneError

# linux/netlink.h and asm-generic/socket.h; Python names none of these.
_NETLINK_NETFILTER = 12
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33

_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM_NFTABLES = 10

_RECEIVE_BYTES = 1 << 18
_ROOM_TO_RECEIVE = 1 << 23
_ROOM_TO_SEND = 1 << 20
_TIMEOUT_SECONDS = 10
_LAST_SEQUENCE = 0xFFFFFFFF

DUMP_ATTEMPTS = 10
"""How often a list is asked for that changes while it is read."""


class DumpInterruptedError(DataPlaneError):
    """A list changed so much while it was read that it may be wrong. It is asked for again."""


class Netlink:
    """A socket to netfilter in the network namespace of the thread that made it."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        except OSError as error:
            raise DataPlaneError(f"this kernel has no netfilter: {error.strerror}") from error
        # In the kernel, not by Python, which would also wait where nothing is to be waited for.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _TIMEOUT_SECONDS, 0))
        self._room = 0
        self._sequence = 0
        self._enlarge(_SO_RCVBUFFORCE, socket.SO_RCVBUF, _ROOM_TO_RECEIVE)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def dump(self, request: Request) -> list[Message]:
        """All messages that answer a request for a list. Raises DataPlaneError, FileNotFoundError when the thing
        that was asked for does not exist.
        """
        for _ in range(DUMP_ATTEMPTS):
            answers = list(self._answers(request, wire.FLAG_DUMP))
            if not any(answer.flags & wire.FLAG_DUMP_INTERRUPTED for answer in answers):
                return answers
        raise DataPlaneError("the kernel's rules change too fast to be read")

    def datagrams(self, request: Request) -> Iterator[bytes]:
        """The answers to a request for a list as they come, for who has to read very many; the last one included.

        A list that changes while it is read may lack what was added meanwhile. Raises DataPlaneError; at the end
        DumpInterruptedError, when nothing of it may be used.
        """
        own = self._numbers(1)
        self._send(wire.packed(request, own, more_flags=wire.FLAG_DUMP))
        interrupted = 0
        while True:
            data = self._receive()
            yield data
            for kind, flags, sequence, start, end in wire.frames_of(data):
                if sequence != own:
                    continue
                interrupted |= flags & wire.FLAG_DUMP_INTERRUPTED
                if kind == wire.KIND_ERROR:
                    _raise_for(Message(kind=kind, flags=0, sequence=sequence, payload=data[start:end]).error)
                if kind in (wire.KIND_DONE, wire.KIND_ERROR):
                    if interrupted:
                        raise DumpInterruptedError("what the kernel lists changes too fast to be read")
                    return

    def get(self, request: Request) -> Message:
        """The one message that answers a request. Raises as ``dump``."""
        for answer in self._answers(request, wire.FLAG_ACK):
            return answer
        raise DataPlaneError("the kernel did not answer")

    def batch(self, requests: Sequence[Request]) -> Mapping[int, int]:
        """Send requests as one transaction: all or nothing. Returns what was refused: the position of each request
        at fault and its error number; position -1 is the transaction as a whole. Empty: it is in force.
        """
        if not requests:
            return {}
        first = self._numbers(len(requests) + 2)
        begin = Request(kind=_BATCH_BEGIN, family=socket.AF_UNSPEC, resource=_SUBSYSTEM_NFTABLES)
        end = Request(kind=_BATCH_END, family=socket.AF_UNSPEC, resource=_SUBSYSTEM_NFTABLES)
        last = len(requests) - 1
        parts = [wire.packed(begin, first)]
        parts += [
            wire.packed(request, first + 1 + position, more_flags=wire.FLAG_ACK if position == last else 0)
            for position, request in enumerate(requests)
        ]
        parts.append(wire.packed(end, first + 1 + len(requests)))
        self._send(b"".join(parts))
        # The kernel has worked the whole batch off before sending returns, so all answers are there.
        answers = {
            answer.sequence - first - 1: answer.error
            for answer in self._waiting()
            if answer.kind == wire.KIND_ERROR and first <= answer.sequence <= self._sequence
        }
        refused = {position: number for position, number in answers.items() if number}
        if not refused and last not in answers:
            raise DataPlaneError("the kernel did not confirm a transaction")
        return refused

    def _answers(self, request: Request, flags: int) -> Iterator[Message]:
        own = self._numbers(1)
        self._send(wire.packed(request, own, more_flags=flags))
        while True:
            for message in wire.messages_of(self._receive()):
                if message.sequence != own:
                    continue
                if message.kind == wire.KIND_DONE:
                    return
                if message.kind == wire.KIND_ERROR:
                    _raise_for(message.error)
                    return
                yield message

    def _numbers(self, count: int) -> int:
        """The first of so many sequence numbers in a row. They have 32 bits: in the end they begin anew."""
        if self._sequence + count > _LAST_SEQUENCE:
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _send(self, data: bytes) -> None:
        # A batch must fit in the buffer as a whole.
        if len(data) > self._room:
            self._room = max(_ROOM_TO_SEND, 2 * len(data))
            self._enlarge(_SO_SNDBUFFORCE, socket.SO_SNDBUF, self._room)
        try:
            self._socket.sendto(data, (0, 0))
        except OSError as error:
            raise DataPlaneError(f"the kernel takes no rules: {error.strerror}") from error

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError as error:
            raise DataPlaneError("the kernel did not answer") from error
        except OSError as error:
            raise DataPlaneError(f"the kernel's answer cannot be read: {error.strerror}") from error

    def _waiting(self) -> Iterator[Message]:
        """What can be received without waiting."""
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue  # More errors than there was room for; those that are there will do.
                raise DataPlaneError(f"the kernel's answer cannot be read: {error.strerror}") from error
            yield from wire.messages_of(data)

    def _enlarge(self, forced: int, ordinary: int, size: int) -> None:
        """Make room beyond the limit of the host where that is permitted, else up to it."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, forced, size)
        except PermissionError:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, ordinary, size)


def _raise_for(number: int) -> None:
    if number == errno.ENOENT:
        raise FileNotFoundError(number, os.strerror(number))
    if number:
        raise DataPlaneError(f"the kernel refuses: {os.strerror(number)}")
