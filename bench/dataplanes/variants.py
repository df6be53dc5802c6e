"""What each thing that the kernel plane could do otherwise costs or gains, told one by one. Needs root and Linux.

In: the least rules by hand, and the same with one thing changed; the kernel plane, and that without its controller.
Out: a table, printed. What was concluded from it is in ``docs/decisions/0005``. Nothing is kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import figures
from dataplanes import backend, hosts, load, measure
from dataplanes.hosts import inside
from dataplanes.page import table
from dataplanes.planes import PORTS, ByHand, Direct, Plane, TidegateKernel, Tracked

_NEW, _REQUESTS, _BULK = "new connections", "requests, 64 connections", "bulk, 1 stream"


class Untracked(Tracked):
    """What needs no tracking goes without, on a host that tracks the rest."""

    name = "tracked, but not these (notrack)"

    def start(self) -> None:
        """A rule before tracking takes all of it out."""
        super().start()
        self.call(
            "nft",
            "add table inet raw\nadd chain inet raw prerouting { type filter hook prerouting priority -300; }\n"
            "add rule inet raw prerouting notrack",
        )


class RandomPorts(ByHand):
    """The source port is drawn, as kube-proxy does."""

    name = "random source ports"
    source = "masquerade fully-random"


class Snat(ByHand):
    """The address to translate to is given, not looked up."""

    name = "snat, not masquerade"
    source = "snat to {inner}"


class Hashed(ByHand):
    """A hash of the client's address and port chooses."""

    name = "hash, not random"
    chosen = "jhash ip saddr . tcp sport mod {count}"


class InTurn(ByHand):
    """A counter chooses."""

    name = "counter, not random"
    chosen = "numgen inc mod {count}"


class MoreRules(ByHand):
    """Rules that do not match stand before the two."""

    name = "after 50 more rules"

    def more(self) -> Sequence[str]:
        """Fifty of them."""
        return tuple(f"add rule ip bench prerouting tcp dport {port} drop" for port in range(1, 51))


class Counted(ByHand):
    """Every packet is counted by its listener."""

    name = "packets counted"

    def more(self) -> Sequence[str]:
        """A chain that counts what leaves, found by the port, which is the listener's and the backend's here."""
        counters = {port: f"port{port}" for port in PORTS.values()}
        chosen = ", ".join(f'{port} : "{name}"' for port, name in counters.items())
        return (
            *(f"add counter ip bench {name}" for name in counters.values()),
            "add chain ip bench count { type filter hook postrouting priority 200; }",
            *(
                f"add rule ip bench count ct status dnat counter name tcp {side} map {{ {chosen} }}"
                for side in ("dport", "sport")
            ),
        )


class ShortTimeouts(ByHand):
    """Tracking forgets closed connections after 10 s, not 120."""

    name = "tracked for 10 s after the end"

    def start(self) -> None:
        """The namespace has its own time-outs."""
        super().start()
        self.call("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=10")


class FlowTable(ByHand):
    """Established connections go past the rules, by a flow table."""

    name = "flow table"

    def more(self) -> Sequence[str]:
        """A table for the two devices, and the rule that puts connections into it."""
        return (
            "add flowtable ip bench fast { hook ingress priority 0; devices = { outer, inner }; }",
            "add chain ip bench forward { type filter hook forward priority 0; }",
            "add rule ip bench forward ct status dnat flow add @fast",
        )

    @classmethod
    def exists(cls) -> bool:
        """Whether this kernel has flow tables."""
        rules = "add table ip probe; add flowtable ip probe fast { hook ingress priority 0; devices = { lo }; }"
        command = inside(hosts.CLIENT, "nft", "--check", rules)
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Alone(TidegateKernel):
    """The kernel plane, its controller stopped: what that costs while nothing changes."""

    name = "tidegate-nftables, controller stopped"

    def start(self) -> None:
        """Stop it when it is ready."""
        super().start()
        self._processes[0].send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Let it go on, else it cannot end."""
        self._processes[0].send_signal(signal.SIGCONT)
        super().stop()


VARIANTS: tuple[type[Plane], ...] = (
    Direct, Tracked, Untracked, ByHand, RandomPorts, Snat, Hashed, InTurn, MoreRules, Counted, ShortTimeouts, FlowTable,
    TidegateKernel, Alone,
)  # fmt: skip
"""The shares are of the fourth."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="how long each sample lasts")
    parser.add_argument("--rounds", type=int, default=5, help="how many samples each median is of")
    parser.add_argument("--only", metavar="TEXT,...", help="those whose name has one of these, and the one by hand")
    parser.add_argument("--unsteered", action="store_true", help="without packet steering: see docs/data-planes.md")
    options = parser.parse_args()
    seconds, rounds = options.seconds, options.rounds
    only = (options.only or "").split(",")
    chosen = [one for one in VARIANTS if one is ByHand or any(text in one.name for text in only)]
    directory = Path(tempfile.mkdtemp(prefix="tgv", dir="/tmp"))
    # Short names, for namespaces and directories.
    short = {one: f"v{number}" for number, one in enumerate(chosen)}
    try:
        with hosts.hosts([*short.values()]) as links, backend.serving(directory) as answering:
            hosts.steer(links, spread=not options.unsteered)
            wanted = [one for one in chosen if one is not FlowTable or FlowTable.exists()]
            planes = [one(links[short[one]], directory) for one in wanted]
            for plane in planes:
                plane.start()
            loader = load.Loader(answering)
            values = measure.in_turns(planes, rounds, lambda plane: _once(plane, loader, seconds), print)
            for plane in planes:
                plane.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"\nLinux {os.uname().release}, shares of {ByHand.name}, medians of {rounds} rounds of {seconds} s:\n")
    print(_table(values))
    if set(chosen) - set(wanted):
        print("This kernel has no flow tables.")


def _once(plane: Plane, loader: load.Loader, seconds: float) -> Mapping[str, float]:
    return {
        _NEW: loader.new_connections(plane, seconds).per_second,
        _REQUESTS: loader.requests(plane, 64, seconds).per_second,
        _BULK: loader.bulk(plane, 1, seconds).per_second,
    }


def _table(values: measure.Values) -> str:
    columns = (_NEW, _REQUESTS, _BULK)
    medians = {name: {column: figures.median(found[column]) for column in columns} for name, found in values.items()}
    base = medians[ByHand.name]
    rows = []
    for name, found in medians.items():
        shares = []
        for column in columns:
            low, high = min(values[name][column]), max(values[name][column])
            shares.append(f"{found[column] / base[column]:.2f} ({low / base[column]:.2f} to {high / base[column]:.2f})")
        rows.append((name, *shares))
    return table(("variant", *columns), rows)


if __name__ == "__main__":
    main()
