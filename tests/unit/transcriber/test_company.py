"""When a slot takes up another short job."""

import pytest

from services.transcriber.company import MOST_SECONDS, SHORT_SECONDS, room_for


@pytest.mark.parametrize(
    ("lengths", "room"),
    [
        ([5.0], SHORT_SECONDS),
        ([5.0, 30.0, 12.0], SHORT_SECONDS),
        ([29.0] * 8, MOST_SECONDS - 8 * 29.0),
        ([30.0] * 8, None),
        ([30.1], None),
        ([5.0, None], None),
        ([1.0] * 16, None),
    ],
)
def test_only_short_jobs_of_known_length_have_company(lengths: list[float | None], room: float | None) -> None:
    """Up to so many jobs, so much audio in all, and none that is long or of unknown length."""
    assert room_for(lengths, 16) == room


def test_one_job_at_a_time() -> None:
    """The setting can turn it off."""
    assert room_for([5.0], 1) is None
