"""All replicas share one authority, which outlives its certificates, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.cluster import Cluster
from support.handshakes import context, handshake, identity
from support.running import running
from support.waiting import eventually
from tidegate.errors import KubeError
from tidegate.fleet.authority import Authority
from tidegate.fleet.credentials import Credentials
from tidegate.fleet.kinds import SECRET
from tidegate.fleet.pki import KeyPair, facts, new_authority
from tidegate.fleet.secretdata import encoded
from tidegate.fleet.trust import LIFETIMES, Lifetimes
from tidegate.kube.client import KubeClient
from tidegate.kube.config import connected
from tidegate.kube.rules import AUTHORITY_SECRET
from tidegate.names import CONTROLLER_IDENTITY, proxy_identity

SERVER = "tidegate.tidegate-system.svc"
SECOND = dt.timedelta(seconds=1)
SHORT = Lifetimes(authority=9 * SECOND, adoption=2 * SECOND, proxy=4 * SECOND, controller=3 * SECOND)


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[KubeClient]:
    async with connected(kubeconfig=cluster.kubeconfig) as connection:
        yield connection


def authority(client: KubeClient, cluster: Cluster, lifetimes: Lifetimes = LIFETIMES) -> Authority:
    return Authority(client, namespace=cluster.namespace, server_names=(SERVER,), lifetimes=lifetimes)


async def known(*authorities: Authority) -> None:
    async with asyncio.timeout(10):
        for one in authorities:
            await one.known()


def proxy(issuer: Authority, held: KeyPair | None = None) -> Credentials:
    credentials = issuer.proxy_credentials("shop/public", held)
    assert credentials is not None
    return credentials


def meet(folder: Path, client: Credentials, server: Credentials) -> str:
    """Who the server takes the client for. Raises ssl.SSLError when they do not come together."""
    return identity(
        handshake(
            context(folder, client.pair, client.authorities, server=False),
            context(folder, server.pair, server.authorities, server=True),
            SERVER,
        )
    )


async def trusted_of(one: Authority) -> bytes:
    """The bundle that a replica trusts now."""
    async with contextlib.aclosing(one.trusted()) as changes:
        async for trust in changes:
            return trust.bundle
    raise AssertionError("it never ends")


async def test_proxy_of_one_replica_comes_to_another(client: KubeClient, cluster: Cluster, tmp_path: Path) -> None:
    """The leader makes the authority; whoever follows it has certificates that go together."""
    leader, follower = authority(client, cluster), authority(client, cluster)
    async with running(leader.lead(), leader.follow(), follower.follow()):
        await known(leader, follower)
        assert meet(tmp_path, proxy(leader), follower.credentials()) == proxy_identity("shop/public")
        assert meet(tmp_path, follower.credentials(), leader.credentials()) == CONTROLLER_IDENTITY


async def test_replica_keeps_its_certificate_while_it_is_good(client: KubeClient, cluster: Cluster) -> None:
    """Asked for with every connection, a new certificate is made once a day."""
    leader = authority(client, cluster)
    async with running(leader.lead()):
        await known(leader)
        assert leader.credentials() == leader.credentials()
        held = proxy(leader)
        assert proxy(leader, held.pair) == held
        assert facts(leader.credentials().pair.certificate) != facts(held.pair.certificate)


async def test_of_two_that_begin_one_is_the_authority(client: KubeClient, cluster: Cluster, tmp_path: Path) -> None:
    """Should two replicas think that they lead, they still end up with one authority."""
    replicas = [authority(client, cluster) for _ in range(4)]
    async with running(*(one.lead() for one in replicas)):
        await known(*replicas)
        assert len({await trusted_of(one) for one in replicas}) == 1
        assert meet(tmp_path, proxy(replicas[0]), replicas[-1].credentials())


async def test_authority_outlives_a_leader(client: KubeClient, cluster: Cluster) -> None:
    """The next leader goes on with what is there."""
    first, second = authority(client, cluster), authority(client, cluster)
    async with running(first.lead()):
        await known(first)
    async with running(second.lead()):
        await known(second)
    assert await trusted_of(first) == await trusted_of(second)


async def test_expiry_while_running_is_survived(client: KubeClient, cluster: Cluster, tmp_path: Path) -> None:
    """Through the ends of certificates and authorities, who holds what is current always comes together."""
    leader, follower = authority(client, cluster, SHORT), authority(client, cluster, SHORT)
    async with running(leader.lead(), leader.follow(), follower.follow()):
        await known(leader, follower)
        first = await trusted_of(leader)
        certificates: set[bytes] = set()
        held = proxy(leader)

        async def bundle() -> bytes:
            nonlocal held
            held = proxy(leader, held.pair)
            certificates.update((held.pair.certificate, follower.credentials().pair.certificate))
            assert meet(tmp_path, held, follower.credentials()) == proxy_identity("shop/public")
            return await trusted_of(follower)

        await eventually(bundle, lambda now: first not in now, what="the first authority is retired", within=20)
        assert len(certificates) > 5


async def test_deleted_authority_is_made_anew(client: KubeClient, cluster: Cluster, tmp_path: Path) -> None:
    """To delete the Secret is to have a new authority everywhere; until it is there, the old one is trusted."""
    leader, follower = authority(client, cluster), authority(client, cluster)
    async with running(leader.lead(), leader.follow(), follower.follow()):
        await known(leader, follower)
        old = await trusted_of(leader)
        await cluster.api.delete("Secret", AUTHORITY_SECRET)

        async def bundles() -> set[bytes]:
            return {await trusted_of(leader), await trusted_of(follower)}

        await eventually(bundles, lambda now: len(now) == 1 and old not in now, what="both trust the new one")
        assert meet(tmp_path, proxy(leader), follower.credentials())


async def test_broken_secret_is_mended(client: KubeClient, cluster: Cluster) -> None:
    """A Secret in which no authority is left says nothing about whom to trust: the leader begins anew."""
    await cluster.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": AUTHORITY_SECRET, "annotations": {"example.com/note": "mine"}},
            "stringData": {"abc.crt": "nonsense", "abc.key": "nonsense"},
        }
    )
    leader = authority(client, cluster)
    async with running(leader.lead()):
        await known(leader)
    secret = await cluster.api.get("Secret", AUTHORITY_SECRET)
    assert "abc.crt" not in secret["data"]
    assert secret["metadata"]["annotations"] == {"example.com/note": "mine"}


async def test_follower_alone_knows_nothing(client: KubeClient, cluster: Cluster) -> None:
    """Only the leader writes; a follower waits for it."""
    follower = authority(client, cluster)
    async with running(follower.follow()):
        assert follower.proxy_credentials("shop/public", None) is None
        leader = authority(client, cluster)
        async with running(leader.lead()):
            await known(follower, leader)
            assert proxy(follower).authorities == await trusted_of(leader)


async def test_authority_that_ended_while_nobody_was_there(client: KubeClient, cluster: Cluster) -> None:
    """It can issue nothing, so it is not known until the leader has made its successor."""
    then = dt.datetime.now(dt.UTC) - 2 * LIFETIMES.authority
    old = new_authority(now=then, lifetime=LIFETIMES.authority)
    await cluster.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": AUTHORITY_SECRET},
            "data": encoded({"old.crt": old.certificate, "old.key": old.key.pem}),
        }
    )
    follower, leader = authority(client, cluster), authority(client, cluster)
    async with running(follower.follow()):
        await eventually(lambda: trusted_of(follower), what="the follower has read the Secret")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await follower.known()
        async with running(leader.lead()):
            await known(follower, leader)
            assert follower.credentials().authorities == await trusted_of(leader)


async def test_missing_right_is_waited_out(cluster: Cluster) -> None:
    """A leader that may not read or write the Secret tries again until it may."""
    async with connected(kubeconfig=cluster.kubeconfig, impersonate="nobody-yet") as client:
        leader = authority(client, cluster)
        async with running(leader.lead(), leader.follow()):
            with pytest.raises(KubeError):
                await client.get(SECRET.resource.object(cluster.namespace, AUTHORITY_SECRET))
            role = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "authority"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "nobody-yet"}],
            }
            await cluster.api.apply(role)
            await known(leader)
    secret = await cluster.api.get("Secret", AUTHORITY_SECRET)
    assert secret["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tidegate"
