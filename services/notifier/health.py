"""When an endpoint is given up: it said that it is gone, or for days it has accepted nothing."""

from datetime import datetime, timedelta
from http import HTTPStatus

from services.notifier.answer import Answer, Answered

PATIENCE = timedelta(days=5)
"""Longer than all attempts at one delivery take, so that no outage that loses nothing ends here."""


def reason_to_disable(answer: Answer, *, failing_since: datetime | None, now: datetime) -> str | None:
    """Why an endpoint whose attempt failed with `answer` is to be disabled; None when it is not. `failing_since` is its first failure."""
    if isinstance(answer, Answered) and answer.status == HTTPStatus.GONE:
        return "it answered 410 Gone"
    if failing_since is not None and now - failing_since >= PATIENCE:
        return f"it accepted nothing for {PATIENCE.days} days"
    return None
