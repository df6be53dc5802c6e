"""What holds for every document: decoding never raises, decides the same twice, fast and thorough alike."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.documents import Document
from support.mutations import damaged, values
from tidegate.model import decode as decoding
from tidegate.model.decode import Decoded, Rejected, Unrecognised, decode
from tidegate.model.encode import to_mapping
from tidegate.model.kinds import key_of, kind_of
from tidegate.model.validation.versions import VERSIONS
from tidegate.model.validation.walk import Walk

ANY_OBJECT = st.fixed_dictionaries(
    {"apiVersion": st.sampled_from(sorted({version for version, _ in VERSIONS})), "kind": values(1)},
    optional={"metadata": values(), "spec": values(), "endpoints": values(), "ports": values()},
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(values(4), ANY_OBJECT))
def test_any_document_gets_a_decision(document: object) -> None:
    """Whatever a parser yields, decoding returns one of its three results."""
    assert isinstance(decode(document), Decoded | Rejected | Unrecognised)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_a_decision_is_complete_and_repeatable(document: Document) -> None:
    """The same document gets the same decision, is left alone, and a rejection always says why."""
    before = copy.deepcopy(document)
    result = decode(document)
    assert repr(document) == repr(before)
    assert repr(decode(before)) == repr(result)
    if isinstance(result, Rejected):
        assert result.problems
        assert all(problem.message for problem in result.problems)


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_the_fast_way_is_only_faster(document: Document) -> None:
    """Where the fast way decides, the thorough one finds nothing to say and the same object; and the
    fast way decides wherever nothing needs saying and nothing needs to be put right.
    """
    version = VERSIONS.get((str(document.get("apiVersion")), str(document.get("kind"))))
    if version is None:
        return
    document = decoding._with_namespace(document, version.kind)
    quick: Any = decoding._quickly(document, version)
    walk = Walk(version.rules)
    thorough = version.node.read(document, (), walk)
    if quick is not None:
        assert not walk.problems
        assert not walk.warnings
        assert thorough == quick
    elif not walk.problems and not walk.warnings:
        assert _needs_putting_right(document)


def _needs_putting_right(value: object) -> bool:
    """Whether there are nulls, whole floats, zeros for defaults, odd keys or odd times in a document."""
    if isinstance(value, dict):
        return any(not isinstance(key, str) or key == "creationTimestamp" for key in value) or any(
            _needs_putting_right(item) for item in value.values()
        )
    if isinstance(value, list):
        return any(_needs_putting_right(item) for item in value)
    return value is None or isinstance(value, float) or value in ("", 0)


@settings(max_examples=200, deadline=None)
@given(damaged())
def test_what_is_printed_decodes_to_the_same(document: Document) -> None:
    """An object printed in its own version is decoded again without a word, to the same object."""
    result = decode(document)
    if not isinstance(result, Decoded):
        return
    kind = kind_of(result.resource)
    api_version = next(
        version for version, name in VERSIONS if name == kind.kind and VERSIONS[version, name].version == result.version
    )
    again = decode(to_mapping(result.resource, api_version))
    assert isinstance(again, Decoded)
    assert again.warnings == ()
    assert key_of(again.resource) == key_of(result.resource)
    assert to_mapping(again.resource) == to_mapping(result.resource)
