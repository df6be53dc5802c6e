"""Credentials do not show themselves."""

from __future__ import annotations

from tidegate.dataplanes.envoy.credentials import ServerCredentials


def test_credentials_print_redacted() -> None:
    """Whatever prints them, a log for instance, shows no key."""
    held = ServerCredentials(certificate=b"certificate", key=b"secret", authorities=b"authorities")
    assert "secret" not in f"{held} {held!r}"
