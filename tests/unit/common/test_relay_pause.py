"""How long a relay sleeps."""

from datetime import timedelta

import pytest

from common.relay import _POLL, _pause_for


@pytest.mark.parametrize(
    ("due", "pause"),
    [
        (None, _POLL),
        (timedelta(hours=1), _POLL),
        (timedelta(milliseconds=300), timedelta(milliseconds=300)),
        (timedelta(0), _POLL),
        (timedelta(seconds=-5), _POLL),
    ],
)
def test_until_the_next_event_is_due_within_bounds(due: timedelta | None, pause: timedelta) -> None:
    """Never longer than the poll, on which correctness rests; what is due and was not there to be taken is another relay's."""
    assert _pause_for(due) == pause
