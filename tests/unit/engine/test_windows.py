"""Which window a chunk is heard in, and which chunks share a batch."""

from typing import NamedTuple

import pytest

from services.transcriber.engine.windows import LONGEST, TRAIL_SECONDS, WINDOWS, batches, window


class Piece(NamedTuple):
    name: str
    window: int


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 12), (5.0, 12), (9.0, 12), (9.01, 16), (17.0, 20), (17.5, 30), (30.0, 30), (31.0, 30)]
)
def test_a_chunk_is_padded_as_far_as_is_safe(seconds: float, expected: int) -> None:
    """Three seconds of silence follow the speech, except in what fills Whisper's own window."""
    assert window(seconds) == expected
    assert window(seconds) == LONGEST or window(seconds) - seconds >= TRAIL_SECONDS
    assert min(WINDOWS) == 12


def test_chunks_of_one_window_share_batches() -> None:
    """No batch mixes windows or is too large; nothing is lost; longer windows come first, otherwise the order stays."""
    pieces = [Piece("a", 12), Piece("b", 30), Piece("c", 12), Piece("d", 12), Piece("e", 30)]
    assert [[piece.name for piece in batch] for batch in batches(pieces, lambda _window: 2)] == [["b", "e"], ["a", "c"], ["d"]]
