import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import KubeError
from tidegate.kube.lines import LONGEST, Lines

TEXTS = st.lists(st.binary(min_size=1, max_size=20).filter(lambda text: b"\n" not in text), max_size=10)


@given(TEXTS, st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_lines_are_the_same_however_they_are_cut(texts: list[bytes], sizes: list[int]) -> None:
    """Chunks of any size give every line whole, once and in order."""
    stream = b"".join(text + b"\n" for text in texts)
    lines, found, at, turn = Lines(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found.extend(lines.feed(stream[at : at + size]))
        at, turn = at + size, turn + 1
    assert found == texts


def test_beginning_of_a_line_waits_for_its_end() -> None:
    """What has no end yet is not handed out."""
    lines = Lines()
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o") == []
    assert lines.feed(b"\n\n") == [b"two"]


def test_line_without_end_is_refused() -> None:
    """Memory is bounded whatever comes in."""
    lines = Lines()
    assert lines.feed(bytes(LONGEST)) == []
    with pytest.raises(KubeError, match="32 MiB"):
        lines.feed(b"x")
