import json

import msgspec

from support.scripted_api import refusal
from tidegate.errors import KubeError
from tidegate.kube.refusals import Refusal, broken_off, expired, refused, version_unknown


def test_text_says_what_was_asked_and_why_not() -> None:
    """People read what the server was asked for and its reason; programs find status and reason."""
    error = refused("read /x", 404, json.dumps(refusal(404, "NotFound", 'pods "x" not found')).encode())
    assert str(error) == 'the API server refuses to read /x (404 NotFound): pods "x" not found'
    assert (error.status, error.reason, error.retry_after) == (404, "NotFound", None)


def test_body_that_is_no_status_is_shown_in_part() -> None:
    """A proxy's page for people is cut, and on one line."""
    error = refused("read /x", 502, b"<html>\n" + b"bad gateway " * 100)
    assert str(error).startswith("the API server refuses to read /x (502): <html> bad gateway")
    assert len(str(error)) < 400
    assert error.reason == ""


def test_empty_body() -> None:
    """An answer without a body is told by its status alone."""
    assert str(refused("read /x", 500, b"")) == "the API server refuses to read /x (500)"


def test_time_to_wait_comes_from_the_header_or_the_body() -> None:
    """Both say how long to wait; a header with a date says nothing that we use."""
    said = json.dumps(refusal(429, "TooManyRequests", retry_after=3)).encode()
    assert refused("x", 429, said).retry_after == 3
    assert refused("x", 429, said, retry_after="7").retry_after == 7
    assert refused("x", 429, b"", retry_after="Wed, 21 Oct 2015 07:28:00 GMT").retry_after is None


def test_error_event_of_a_watch() -> None:
    """The code is in the object, as the answer itself had been fine."""
    error = broken_off("watch /x", msgspec.convert(refusal(410, "Expired", "too old"), Refusal))
    assert (error.status, error.reason) == (410, "Expired")
    assert broken_off("watch /x", Refusal()).status == 500


def test_what_a_new_list_helps_against() -> None:
    """A version that is too old, or, for a watch, newer than the server's data."""
    gone, timeout, busy = (KubeError("x", status=status) for status in (410, 504, 429))
    assert [expired(error) for error in (gone, timeout, busy)] == [True, False, False]
    assert [version_unknown(error) for error in (gone, timeout, busy)] == [True, True, False]
