"""Measures all data planes in one run and writes ``docs/data-planes.md`` with its plot. Needs root and Linux.

The programs that it compares and loads with come from Debian: haproxy, nginx, libnginx-mod-stream, wrk, iperf3,
iproute2, nftables.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec

import figures
from dataplanes import backend, hosts, load, measure, page
from dataplanes.planes import PLANES, OneHost, Plane

_PROGRAMS = ("ip", "nft", "haproxy", "nginx", "wrk", "iperf3", "prlimit", "ss")
FULL = measure.Effort(seconds=3.0, connects=500, idle=measure.IDLE, hold=10.0, changes=100, rounds=5)
UNSTEERED = measure.Effort(seconds=2.0, connects=50, idle=0, hold=0.0, changes=0, rounds=5)
QUICK = measure.Effort(seconds=1.0, connects=200, idle=1_000, hold=2.0, changes=10, rounds=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, not how fast")
    parser.add_argument("--planes", default=",".join(one.name for one in PLANES), help="which ones, by name")
    parser.add_argument("--page", type=Path, default=page.TARGET, help="the page to write")
    options = parser.parse_args()
    _require()
    efforts = (QUICK, QUICK) if options.quick else (FULL, UNSTEERED)
    wanted = [one for one in PLANES if one.name in options.planes.split(",")]
    result = _measured(wanted, *efforts)
    if options.quick:
        print("it works; figures of a quick run are not kept")
        return
    figures.save("dataplanes", result)
    page.write(result, options.page)


def _require() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise SystemExit("bench/dataplanes needs Linux and root: it makes test hosts of network namespaces")
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise SystemExit(
            f"not installed: {', '.join(missing)}. On Debian: "
            "apt-get install haproxy nginx libnginx-mod-stream wrk iperf3 iproute2 nftables"
        )


def _measured(wanted: list[type[Plane]], effort: measure.Effort, less: measure.Effort) -> dict[str, object]:
    load_before, begun = figures.load_before(), time.monotonic()
    # Not under the default temporary directory: paths of Unix sockets have to be short.
    directory = Path(tempfile.mkdtemp(prefix="tgb", dir="/tmp"))
    planes: list[Plane] = []
    try:
        with hosts.hosts([one.name for one in wanted]) as links, backend.serving(directory) as answering:
            planes = [one(links[one.name], directory) for one in wanted]
            for plane in planes:
                plane.start()
            # Before any load: what a program has grown by then would hide the connections.
            idle = measure.idle_costs(planes, effort, print)
            alone = OneHost(hosts.ONE_HOST, directory)
            loader = load.Loader(answering)
            values = measure.compare([alone, *planes], loader, effort, print)
            hosts.steer(links, spread=False)
            unsteered = measure.compare(planes, loader, less, print)
            hosts.steer(links, spread=True)
            survival = {}
            for plane in planes:
                print(f"survival: {plane.name}")
                survival[plane.name] = measure.survival(plane, effort)
            versions = {plane.name: plane.version() for plane in planes} | load.versions()
            for plane in planes:
                plane.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {
        "load": load_before,
        "took": time.monotonic() - begun,
        "effort": msgspec.to_builtins(effort),
        "versions": versions,
        "values": values,
        "unsteered": unsteered,
        "idle": msgspec.to_builtins(idle),
        "survival": survival,
    }


if __name__ == "__main__":
    main()
