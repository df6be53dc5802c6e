"""What the world can break. What a user wrote wrong is a value (a problem or a rejection), not an error.

Each class exists because somebody handles it in its own way; a foreign exception is translated in the
module that imports the library, with its cause chained. The text of every one of these is complete
for a person: it says what is wrong, where, and what would be right.
"""

from __future__ import annotations


class TidegateError(Exception):
    """Base of all errors that tidegate raises on purpose. Its text is shown to people as it is."""


class SettingsError(TidegateError):
    """A flag or an environment variable cannot be used. Fatal: the command ends with status 2."""


class ExtraMissingError(SettingsError):
    """What was asked for needs the libraries of the extra ``kubernetes``, and they are not installed."""

    def __init__(self) -> None:
        super().__init__(
            "speaking to a cluster needs the extra kubernetes: pip install 'tidegate[kubernetes]', "
            "or in a checkout of tidegate: pip install '.[kubernetes]'"
        )


class SourceError(TidegateError):
    """Input cannot be read at all. Fatal at start; later, the last good view stays."""


class DataPlaneError(TidegateError):
    """The data plane cannot be started or reached. Fatal at start; later, retried with back-off."""


class InstanceError(TidegateError):
    """A running instance was not found, is in the way, or does not answer. Fatal for the command."""


class KubeError(TidegateError):
    """The Kubernetes API server refused a request, or cannot be reached.

    ``status`` is the HTTP status, None when there was no answer; ``reason`` that of the API's ``Status`` object
    (``NotFound``, ``Conflict``, ``Expired``, ...), or empty. ``retry_after`` is how many seconds the server asked to
    wait, None when it did not. Fatal where a command cannot start without an answer; elsewhere retried with back-off,
    by whoever knows what to do about the reason.
    """

    def __init__(
        self, message: str, *, status: int | None = None, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
