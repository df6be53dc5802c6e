"""Input that is broken at the next start: what an adopted Envoy serves goes on."""

import asyncio
from pathlib import Path

from support.backends import Backend
from support.clients import crowd, probing, who_serves
from support.instances import Instances
from support.manifests import backend, gateway, listener, parent, tcproute, write
from support.ports import Ports
from support.waiting import eventually, steadily


def _has_files(directory: Path) -> bool:
    return directory.is_dir() and any(file.suffix != ".new" for file in directory.iterdir())


async def test_a_start_with_a_broken_file_leaves_the_traffic(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """With --on-exit keep and a syntax error at the next start nobody notices; the repaired file is followed."""
    port = ports.reserve()
    manifest = tmp_path / "gateway.yaml"
    edge = gateway("edge", [listener("tcp", port)])
    write(manifest, edge, tcproute("app", [parent("edge")], [backend("red")]))
    async with Backend("red") as red, Backend("blue") as blue:
        flags = [text for one in (red, blue) for text in ("--backend", f"{one.name}:6000={one.address}")]
        first = tidegate.start(manifest, *flags, "--on-exit", "keep")
        await first.wait_ready()
        inputs = first.state_dir / "inputs"
        await eventually(lambda: asyncio.to_thread(_has_files, inputs), what="the input is kept")
        async with crowd(port, 5) as people, probing(port, loops=2) as probe:
            await first.kill()
            manifest.write_text("kind: [unclosed\n")
            second = tidegate.start(manifest, *flags, state_dir=first.state_dir)
            await second.wait_ready()
            await second.wait_listener("tcp", "Live")
            await steadily(lambda: who_serves(port), lambda who: who == "red", what="it serves on", during=1)
            write(manifest, edge, tcproute("app", [parent("edge")], [backend("blue")]))
            await eventually(lambda: who_serves(port), lambda who: who == "blue", what="the repaired file counts")
            await people.check()
            assert not people.broken
        assert not probe.tally.refused
