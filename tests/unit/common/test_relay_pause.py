"""How long a relay sleeps."""

from datetime import timedelta

import pytest

from common.relay import _BREATH, _POLL, _pause_for


@pytest.mark.parametrize(
    ("due", "pause"),
    [
        (None, _POLL),
        (timedelta(hours=1), _POLL),
        (timedelta(milliseconds=300), timedelta(milliseconds=300)),
        (timedelta(0), _BREATH),
        (timedelta(seconds=-5), _BREATH),
    ],
)
def test_until_the_next_event_is_due_within_bounds(due: timedelta | None, pause: timedelta) -> None:
    """Never longer than the poll, on which correctness rests; never without a breath, as due rows may be locked by another relay."""
    assert _pause_for(due) == pause
