"""What refusals of the API server mean for a writer."""

from __future__ import annotations

import pytest

from tidegate.errors import KubeError
from tidegate.reporting.refusals import conflicts, is_gone, never, not_now


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (409, conflicts),
        (404, is_gone),
        (None, not_now),
        (429, not_now),
        (503, not_now),
        (422, never),
        (400, never),
        (403, None),
        (500, None),
    ],
)
def test_a_refusal_has_one_meaning_at_most(status: int | None, meaning: object) -> None:
    """What has none is about this object and may pass: a permission, a webhook."""
    error = KubeError("refused", status=status)
    assert [one for one in (conflicts, is_gone, not_now, never) if one(error)] == ([meaning] if meaning else [])
