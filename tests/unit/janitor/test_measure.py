"""When a store is low on space, and how old things are."""

from datetime import timedelta

import pytest

from common.space import Age, Level
from services.janitor.duties.measure import Limits, age, level


@pytest.mark.parametrize(
    ("used", "capacity", "expected"),
    [(79, 100, "ok"), (80, 100, "warning"), (94, 100, "warning"), (95, 100, "critical"), (10**15, None, "ok")],
)
def test_level(used: int, capacity: int | None, expected: Level) -> None:
    """By the percentages that were set; unknown capacity is never low."""
    assert level(used, Limits(capacity, 80, 95)) == expected


@pytest.mark.parametrize(("days", "expected"), [(-0.1, "day"), (0.9, "day"), (1, "week"), (7, "month"), (30, "older")])
def test_age(days: float, expected: Age) -> None:
    """Each age ends where the next begins; what a fast clock dated into the future is young."""
    assert age(timedelta(days=days)) == expected
