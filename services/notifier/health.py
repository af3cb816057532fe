"""When an endpoint is given up: it said that it is gone, or for days it has accepted nothing, though it was tried."""

from datetime import timedelta
from http import HTTPStatus

from services.notifier.answer import Answer, Answered

PATIENCE = timedelta(days=5)
"""Longer than all attempts at one delivery take, so that no outage that loses nothing ends here."""


def reason_to_disable(answer: Answer, *, failing_for: timedelta, days: int) -> str | None:
    """Why an endpoint whose attempt failed with `answer` is to be disabled; None when it is not.

    `failing_for` has passed since its first failure, and on so many different `days` an attempt failed, all without one that was accepted.
    Time alone says nothing of an endpoint that nothing was sent to.
    """
    if isinstance(answer, Answered) and answer.status == HTTPStatus.GONE:
        return "it answered 410 Gone"
    if failing_for >= PATIENCE and days >= PATIENCE.days:
        return f"it accepted nothing for {PATIENCE.days} days"
    return None
