"""When an endpoint is given up."""

from datetime import timedelta

from services.notifier.answer import Answered, Unanswered
from services.notifier.health import PATIENCE, reason_to_disable
from services.notifier.schedule import DEFAULT, JITTER

BROKEN = Answered(status=500, beginning="")
DAYS = PATIENCE.days


def test_gone_is_gone() -> None:
    """410 is believed at once, at the very first failure."""
    assert reason_to_disable(Answered(status=410, beginning=""), failing_for=timedelta(0), days=0) == "it answered 410 Gone"


def test_patience() -> None:
    """Other failures, however they look, only count once there was nothing else for days, and on as many days it was tried."""
    for answer in (BROKEN, Unanswered(error="no answer")):
        assert reason_to_disable(answer, failing_for=timedelta(0), days=1) is None
        assert reason_to_disable(answer, failing_for=PATIENCE - timedelta(seconds=1), days=DAYS + 1) is None
        assert reason_to_disable(answer, failing_for=10 * PATIENCE, days=DAYS - 1) is None
        assert reason_to_disable(answer, failing_for=PATIENCE, days=DAYS) == "it accepted nothing for 5 days"


def test_no_delivery_is_cut_short() -> None:
    """An outage as long as all attempts at one delivery take disables nothing."""
    assert sum(DEFAULT, timedelta()) * (1 + JITTER) < PATIENCE
