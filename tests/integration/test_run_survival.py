"""No configuration change closes an established connection, and new ones always follow the newest configuration."""

from pathlib import Path

import pytest

from support.backends import Backend
from support.changes import Changes, follows
from support.clients import crowd, who_serves
from support.instances import Instance, Instances
from support.ports import Ports
from support.waiting import eventually

CHANGES = 100
CONNECTIONS = 200
CLOSED = "closed without a byte"


async def check_listeners(instance: Instance, world: Changes) -> None:
    """The other listeners that exist now accept, and no others do."""
    for port in world.spare:
        accepts = port in world.others
        await eventually(
            lambda port=port: who_serves(port),
            lambda who, accepts=accepts: (who == CLOSED) == accepts,
            what=f"port {port} {'accepts' if accepts else 'is closed'}; {instance.log.name}",
        )


@pytest.mark.timeout(240)
async def test_hundred_random_changes_reset_nobody(tidegate: Instances, ports: Ports, tmp_path: Path) -> None:
    """200 echo connections live through 100 random changes; each change holds for new connections."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    main, spare = ports.reserve(), [ports.reserve() for _ in range(3)]
    async with Backend("red") as red, Backend("green") as green, Backend("blue") as blue:
        backends = {entry.name: [(entry.host, entry.port)] for entry in (red, green, blue)}
        world = Changes(20240601, folder, main, spare, backends, refused=CLOSED)
        world.write()
        instance = tidegate.start(folder)
        await instance.wait_ready()
        async with crowd(main, CONNECTIONS) as people:
            assert people.backends.total() == CONNECTIONS
            for number in range(CHANGES):
                world.change()
                await eventually(
                    lambda: follows(main, world.shares()),
                    what=f"change {number} ({world.last}) leads new connections to {world.shares()}",
                )
                assert not people.broken, f"after change {number} ({world.last})"
            await check_listeners(instance, world)
            await people.check()
            assert not people.broken
            assert people.rounds > 10
