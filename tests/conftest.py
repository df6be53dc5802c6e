"""Fixtures that every test may use, and what a failed test shows of the processes it started."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from support.instances import Instances
from support.kernels import KernelRuns
from support.netns import World, world
from support.ports import Ports

pytest_plugins = ["support.cluster_fixtures", "support.controller_fixtures", "support.fleet_fixtures"]

INSTANCES = pytest.StashKey[Instances]()
WANTED_FILES = 16_384

# The same examples in every run. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure() -> None:
    """Allow as many open files as this user may have: a test opens thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.fixture(autouse=True)
def logs_as_imported() -> Iterator[None]:
    """No test sees how another one set up logging."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Free ports that belong to this test."""
    reserved = Ports()
    yield reserved
    reserved.release()


@pytest.fixture
def tidegate(request: pytest.FixtureRequest) -> Iterator[Instances]:
    """Starts tidegate; at the end nothing of it runs any more, and it met no internal error."""
    instances = Instances()
    request.node.stash[INSTANCES] = instances
    try:
        yield instances
        assert not instances.internal_errors(), instances.report()
    finally:
        instances.close()


@pytest.fixture
def hosts() -> Iterator[World]:
    """A client, where the test is, a gateway and a host of backends."""
    with world() as present:
        yield present


@pytest.fixture
def kernel(tidegate: Instances, hosts: World, tmp_path: Path) -> KernelRuns:
    """Starts tidegate on the gateway."""
    return KernelRuns(tidegate, hosts, tmp_path / "gateway.yaml")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the instances to the report of a failed test."""
    report = yield
    if report.when == "call" and report.failed and INSTANCES in item.stash:
        report.sections.extend(item.stash[INSTANCES].report())
    return report
