"""Errors that carry more than their text."""

from __future__ import annotations

from tidegate.errors import KubeError


def test_kube_error_says_what_the_server_answered() -> None:
    """Status and reason stand apart from the text, for those who handle them."""
    error = KubeError('gateways "edge" not found', status=404, reason="NotFound")
    assert (str(error), error.status, error.reason) == ('gateways "edge" not found', 404, "NotFound")
    assert KubeError("no answer").status is None
