"""Certificates end and are replaced while proxies run: no stream ends by it, and the next one uses the newest."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from pathlib import Path

from support.backends import Backend
from support.certificates import SERVER_NAME, Issuer
from support.clients import crowd, who_serves
from support.fleets import Pods, addresses, replica
from support.plans import forward, pool, socket_key
from support.ports import Ports
from support.waiting import eventually, steadily
from tidegate.dataplanes.envoy.credentials import ServerCredentials
from tidegate.fleet import pki
from tidegate.fleet.pki import KeyPair
from tidegate.plan.outcome import Live

A = "team-a/gw"
SOON = dt.timedelta(seconds=4)


class Held:
    """The credentials of a replica, which can be replaced."""

    def __init__(self, now: ServerCredentials) -> None:
        self.now = now

    def __call__(self) -> ServerCredentials:
        return self.now


async def until_expired(*certificates: bytes) -> None:
    """Wait until all of these have ended."""
    ends = [facts.expires_at for facts in map(pki.facts, certificates) if facts is not None]
    assert len(ends) == len(certificates)

    async def over() -> bool:
        return dt.datetime.now(dt.UTC) > max(ends)

    await eventually(over, what="the certificates have ended", within=15.0, every=0.1)


def shown(port: int, folder: Path, client: KeyPair, authorities: bytes) -> bytes:
    """The certificate that a server shows to a client, in PEM."""
    file = folder / "client.pem"
    file.write_bytes(client.certificate + client.key.pem)
    context = ssl.create_default_context(cadata=authorities.decode())
    context.load_cert_chain(file)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as wrapped,
    ):
        certificate = wrapped.getpeercert(binary_form=True)
    assert certificate is not None
    return ssl.DER_cert_to_PEM_cert(certificate).encode()


async def test_streams_outlive_their_certificates(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """Both sides' certificates end: traffic goes on and changes arrive; with new ones a proxy comes back by itself."""
    port, other, control = ports.reserve(), ports.reserve(), ports.reserve()
    held = Held(issuer.server(lifetime=SOON))
    plan = (pool("a", 1), forward(port, "a", address="*", scope=A))
    async with Backend("a") as a:
        async with replica(issuer, A, port=control, credentials=held) as (plane, present):
            pod = made.pod(A, plane.port)
            brief = issuer.proxy(A, lifetime=SOON)
            pod.mount(brief, issuer.authorities)
            pod.start()
            present.apply(*plan)
            await pod.until_ready()
            plane.set_ready(A, addresses(pod))
            await until_expired(brief.certificate, held.now.certificate)
            present.apply(pool("a", a.port), forward(other, "a", address="*", scope=A))
            await present.until(other, Live, address="*", scope=A)
            assert await who_serves(port) == await who_serves(other) == "a"
            present.history.clear()
        async with crowd(port, 3) as clients:
            # The replica ended, so the proxy needs a new handshake, for which its certificate is of no use any more.
            held.now = issuer.server()
            async with replica(issuer, A, port=control, credentials=held) as (plane, present):
                present.apply(pool("a", a.port), forward(port, "a", address="*", scope=A))
                plane.set_ready(A, addresses(pod))

                async def waiting() -> bool:
                    return not isinstance(present.outcomes.get(socket_key(port, "*", A)), Live)

                await steadily(waiting, what="its certificate is not accepted", during=1.5)
                pod.mount(issuer.proxy(A), issuer.authorities)
                await present.until(port, Live, address="*", scope=A, within=10.0)
            await clients.check()
            assert not clients.broken


async def test_the_next_handshake_shows_the_newest_certificate(issuer: Issuer, tmp_path: Path) -> None:
    """A replica whose certificate was replaced shows the new one to whoever comes next."""
    held = Held(issuer.server())
    client = issuer.proxy(A)
    async with replica(issuer, A, credentials=held) as (plane, _):
        for _ in range(2):
            found = await asyncio.to_thread(shown, plane.port, tmp_path, client, issuer.authorities)
            assert pki.facts(found) == pki.facts(held.now.certificate)
            held.now = issuer.server()


async def test_another_authority_takes_over(issuer: Issuer, made: Pods, ports: Ports) -> None:
    """While both are trusted, proxies and replicas change to an authority's successor without an interruption."""
    port, control = ports.reserve(), ports.reserve()
    successor = Issuer()
    both = issuer.authorities + successor.authorities
    before, after = issuer.server(), successor.server()
    held = Held(ServerCredentials(certificate=before.certificate, key=before.key, authorities=both))
    pod = made.pod(A, control)
    pod.mount(issuer.proxy(A), both)
    pod.start()
    async with replica(issuer, A, port=control, credentials=held) as (plane, present):
        present.apply(forward(port, address="*", scope=A))
        plane.set_ready(A, addresses(pod))
        await present.until(port, Live, address="*", scope=A, within=15.0)
    held.now = ServerCredentials(certificate=after.certificate, key=after.key, authorities=both)
    pod.mount(successor.proxy(A), both)
    async with replica(issuer, A, port=control, credentials=held) as (plane, present):
        present.apply(forward(port, address="*", scope=A))
        plane.set_ready(A, addresses(pod))
        await present.until(port, Live, address="*", scope=A, within=10.0)
    held.now = after
    async with replica(issuer, A, port=control, credentials=held) as (plane, present):
        present.apply(forward(port, address="*", scope=A))
        plane.set_ready(A, addresses(pod))
        await present.until(port, Live, address="*", scope=A, within=10.0)
