"""What follows from a receiver's answer."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.answer import USED_UP, Again, Answered, Delivered, Failed, Unanswered, Verdict, judge
from services.notifier.schedule import Schedule

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SCHEDULE = Schedule((timedelta(seconds=5), timedelta(minutes=5)))


def verdict(answer: Answered | Unanswered, attempt: int = 1) -> Verdict:
    return judge(answer, attempt, SCHEDULE, now=NOW, chance=0)


def answered(status: int, retry_after: str | None = None) -> Answered:
    return Answered(status=status, beginning="", retry_after=retry_after)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_accepted(status: int) -> None:
    """Any 2xx is success."""
    assert verdict(answered(status)) == Delivered()


@pytest.mark.parametrize("status", [101, 301, 302, 304, 307, 308, 400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503, 504, 599])
def test_not_accepted(status: int) -> None:
    """Anything else is tried again, since a receiver that is being repaired answers with anything; redirects are failures too."""
    assert verdict(answered(status)) == Again(timedelta(seconds=5))
    assert verdict(answered(status), attempt=2) == Again(timedelta(minutes=5))


def test_gone() -> None:
    """410 is the receiver's way to say never again."""
    assert verdict(answered(410)) == Failed("gone", "the receiver answered 410 Gone")


def test_used_up() -> None:
    """After the last attempt the delivery has failed."""
    assert verdict(answered(500), attempt=3) == USED_UP
    assert verdict(Unanswered(error="no answer within 30 s"), attempt=3) == USED_UP


def test_the_last_attempt_may_succeed() -> None:
    """The last attempt counts like any other."""
    assert verdict(answered(200), attempt=3) == Delivered()


def test_no_answer() -> None:
    """Silence is tried again; an address that may not be called is not."""
    assert verdict(Unanswered(error="no answer within 30 s")) == Again(timedelta(seconds=5))
    never = Unanswered(error="the address is not public", code="address_refused")
    assert verdict(never) == Failed("address_refused", "the address is not public")


@pytest.mark.parametrize("status", [429, 503, 302, 500])
def test_retry_after(status: int) -> None:
    """What the receiver asks for is honoured, within bounds."""
    assert verdict(answered(status, "60")) == Again(timedelta(seconds=60))
    assert verdict(answered(status, "1")) == Again(timedelta(seconds=5))
    assert verdict(answered(status, "1000000000")) == Again(timedelta(hours=24))
    assert verdict(answered(status, "1e9")) == Again(timedelta(seconds=5))
