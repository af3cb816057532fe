"""When a webhook is sent again."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.schedule import DEFAULT, JITTER, LONGEST, Schedule, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def delays(schedule: Schedule, chance: float = 0) -> list[timedelta]:
    """Every delay until the schedule is used up."""
    found = []
    for attempt in range(1, 200):
        delay = schedule.next_delay(attempt, asked=None, chance=chance)
        if delay is None:
            break
        found.append(delay)
    return found


def test_default() -> None:
    """Ten attempts over about three days: now, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h."""
    hours = [delay / timedelta(hours=1) for delay in delays(Schedule())]
    assert hours == [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]


def test_jitter_only_adds() -> None:
    """No attempt comes before its time, and none much after it."""
    for plain, spread in zip(delays(Schedule()), delays(Schedule(), chance=0.999), strict=True):
        assert plain < spread < plain * (1 + JITTER)


@pytest.mark.parametrize(
    ("max_retries", "retry_delay", "expected"),
    [
        (None, None, DEFAULT),
        (0, None, ()),
        (2, None, DEFAULT[:2]),
        (11, None, (*DEFAULT, timedelta(hours=24), timedelta(hours=24))),
        (3, timedelta(seconds=5), (5 * SECOND,) * 3),
        (None, timedelta(seconds=7), (7 * SECOND,) * 9),
        (2, timedelta(0), (timedelta(0),) * 2),
    ],
)
def test_overrides(max_retries: int | None, retry_delay: timedelta | None, expected: tuple[timedelta, ...]) -> None:
    """WEBHOOK_MAX_RETRIES cuts or prolongs the schedule; WEBHOOK_RETRY_DELAY replaces its delays."""
    assert Schedule.of(max_retries=max_retries, retry_delay=retry_delay).delays == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, 300 * SECOND),
        (10 * SECOND, 300 * SECOND),
        (600 * SECOND, 600 * SECOND),
        (timedelta(days=365), LONGEST),
    ],
)
def test_what_the_receiver_asks_for(asked: timedelta | None, expected: timedelta) -> None:
    """A receiver can ask for more patience, up to a day, but not for haste."""
    assert Schedule().next_delay(2, asked=asked, chance=0) == expected


def test_asking_does_not_add_attempts() -> None:
    """After the last attempt there is no next, whatever the receiver asks for."""
    assert Schedule((SECOND,)).next_delay(2, asked=SECOND, chance=0) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("0", timedelta(0)),
        ("120", 120 * SECOND),
        (" 120 ", 120 * SECOND),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120 * SECOND),
        ("Sun, 01 Mar 2026 12:02:00 -0000", 120 * SECOND),
        ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta(0)),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120 * SECOND),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("1e9", None),
        ("٣", None),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 2026 12:00:00 +99999999999999999999", None),
        ("Sun, 01 Mar 999999999999999999999 12:00:00 GMT", None),
        ("\udcff\x00", None),
        ("9" * 9, timedelta(seconds=999_999_999)),
        ("9" * 11, LONGEST),
        ("9" * 5_000, LONGEST),
    ],
)
def test_retry_after(header: str | None, expected: timedelta | None) -> None:
    """Seconds and dates are understood; anything else is as if it had not been sent."""
    assert retry_after(header, NOW) == expected
