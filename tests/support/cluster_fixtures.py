"""The fixtures of tests that need a real API server; ``support.cluster`` describes them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest

from support.cluster import ApiServer, Cluster, with_namespace
from support.cluster_assets import Assets, Channel, find_assets
from support.cluster_container import why_no_pods
from support.cluster_kubelet import Kubelet, running

REPORTS = pytest.StashKey[list[Callable[[], list[tuple[str, str]]]]]()
"""What a failed test shows: each gives texts under titles."""

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def cluster_assets() -> Assets:
    """The programs and CRDs; skips the test where there are none."""
    found = find_assets()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session")
def api_server(cluster_assets: Assets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server of the test run, with the standard channel."""
    yield from _running(cluster_assets, tmp_path_factory.mktemp("cluster"), "standard")


@pytest.fixture(scope="session")
def experimental_api_server(cluster_assets: Assets, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The other API server of the test run, with the experimental channel."""
    yield from _running(cluster_assets, tmp_path_factory.mktemp("experimental-cluster"), "experimental")


@pytest.fixture
async def cluster(api_server: ApiServer, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """A cluster with the standard channel, empty but for a namespace of this test's own."""
    show_when_failed(request, api_server.report)
    async with _cleaned(api_server) as ours:
        yield ours


@pytest.fixture
async def experimental_cluster(
    experimental_api_server: ApiServer, request: pytest.FixtureRequest
) -> AsyncIterator[Cluster]:
    """A cluster with the experimental channel, empty but for a namespace of this test's own."""
    show_when_failed(request, experimental_api_server.report)
    async with _cleaned(experimental_api_server) as ours:
        yield ours


@pytest.fixture
async def own_cluster(cluster_assets: Assets, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """A cluster with the standard channel that only this test has: it may stop and kill it."""
    server = ApiServer(cluster_assets, tmp_path / "cluster")
    show_when_failed(request, server.report)
    try:
        await server.start()
        async with with_namespace(server, f"test-{next(NUMBERS)}") as ours:
            yield ours
    finally:
        server.close()


@pytest.fixture
async def kubelet(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Kubelet]:
    """Runs the pods of the data planes in ``cluster``; skips the test where this machine cannot."""
    if reason := why_no_pods():
        pytest.skip(reason)
    async with running(cluster.api, tmp_path / "pods") as present:
        show_when_failed(request, present.report)
        yield present


def show_when_failed(request: pytest.FixtureRequest, report: Callable[[], list[tuple[str, str]]]) -> None:
    """Add texts under titles to the report of this test, if it fails."""
    request.node.stash.setdefault(REPORTS, []).append(report)


@contextlib.asynccontextmanager
async def _cleaned(server: ApiServer) -> AsyncIterator[Cluster]:
    """A server that other tests use too, with a new namespace; in the end without all that the test left."""
    async with with_namespace(server, f"test-{next(NUMBERS)}") as ours:
        try:
            yield ours
        finally:
            await server.clean(ours.api)


def _running(assets: Assets, directory: Path, channel: Channel) -> Iterator[ApiServer]:
    server = ApiServer(assets, directory, channel)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        server.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of API server and pods to the report of a failed test."""
    report = yield
    if report.failed:
        for shown in item.stash.get(REPORTS, []):
            report.sections.extend(shown())
    return report
