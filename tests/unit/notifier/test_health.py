"""When an endpoint is given up."""

from datetime import UTC, datetime, timedelta

from services.notifier.answer import Answered, Unanswered
from services.notifier.health import PATIENCE, reason_to_disable
from services.notifier.schedule import DEFAULT, JITTER

NOW = datetime(2026, 3, 2, tzinfo=UTC)
BROKEN = Answered(status=500, beginning="")


def test_gone_is_gone() -> None:
    """410 is believed at once, at the very first failure."""
    assert reason_to_disable(Answered(status=410, beginning=""), failing_since=None, now=NOW) == "it answered 410 Gone"


def test_patience() -> None:
    """Other failures only count once there was nothing else for days, however they look."""
    for answer in (BROKEN, Unanswered(error="no answer")):
        assert reason_to_disable(answer, failing_since=None, now=NOW) is None
        assert reason_to_disable(answer, failing_since=NOW - PATIENCE + timedelta(seconds=1), now=NOW) is None
        assert reason_to_disable(answer, failing_since=NOW - PATIENCE, now=NOW) == "it accepted nothing for 5 days"


def test_no_delivery_is_cut_short() -> None:
    """An outage as long as all attempts at one delivery take disables nothing."""
    assert sum(DEFAULT, timedelta()) * (1 + JITTER) < PATIENCE
