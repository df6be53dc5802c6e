"""Whole inputs and what is decided about them: statuses and plan as reviewed text.

Each case is ``resolve/<name>.in.yaml``: API objects, and perhaps one document ``failures``: sockets that the
data plane cannot serve. All other sockets are live. One document ``cluster`` makes it a case in a cluster: what is
installed there (``served``, ``bundleVersions``), and whether there are ``proxies``. Run with
``TIDEGATE_REGENERATE=1`` to write the outputs anew, and review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.narration import narrated
from support.resources import World, socket_key
from tidegate.model.apis import InstalledApis
from tidegate.plan.outcome import Failed, FailureReason

CASES = sorted(Path(__file__).with_name("resolve").glob("*.in.yaml"))


def resolved(documents: list[dict[str, Any]]) -> str:
    """What is decided about the documents once the data plane has obeyed."""
    failures = [failure for document in documents for failure in document.get("failures", ())]
    cluster = next((document["cluster"] for document in documents if "cluster" in document), None)
    objects = [document for document in documents if not document.keys() & {"failures", "cluster"}]
    world = World(*objects, cluster=cluster is not None)
    if cluster is not None and "served" in cluster:
        apis = InstalledApis(served=cluster["served"], bundle_versions=cluster["bundleVersions"])
        world.decision.set_apis(apis)
    failed = {socket_key(failure["port"], failure["address"]): failure for failure in failures}
    if cluster is None or cluster.get("proxies", True):
        world.obey(except_for=failed)
    world.report(
        {
            key: Failed(
                revision=world.socket(key.port, key.address).revision,
                reason=FailureReason(failure["reason"]),
                message=failure["message"],
            )
            for key, failure in failed.items()
        }
    )
    return narrated(world)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.removesuffix(".in.yaml"))
def test_decision_is_as_reviewed(case: Path) -> None:
    """Objects in, statuses and plan out: exactly what was reviewed."""
    text = resolved([document for document in yaml.safe_load_all(case.read_text(encoding="utf-8")) if document])
    expected = case.with_name(case.name.replace(".in.yaml", ".out.yaml"))
    if os.environ.get("TIDEGATE_REGENERATE") == "1":
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_output_has_its_input() -> None:
    """No output is left over from a case that is gone."""
    outputs = Path(__file__).with_name("resolve").glob("*.out.yaml")
    assert {path.name.replace(".out.", ".in.") for path in outputs} == {path.name for path in CASES}
