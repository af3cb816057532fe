"""What came of an attempt, and what follows from it."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import assert_never

import msgspec

from services.notifier.schedule import Schedule, retry_after


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The receiver answered; `beginning` is the start of the answer's body."""

    status: int
    beginning: str
    retry_after: str | None = None


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """No answer came, and `error` says why; `permanent` when none ever can."""

    error: str
    permanent: bool = False


Answer = Answered | Unanswered


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has it."""


class Again(msgspec.Struct, frozen=True):
    """The next attempt is made after `delay`."""

    delay: timedelta


class Failed(msgspec.Struct, frozen=True):
    """There will be no further attempt, and `reason` says why."""

    reason: str


Verdict = Delivered | Again | Failed


def judge(answer: Answer, attempt: int, schedule: Schedule, *, now: datetime, chance: float) -> Verdict:
    """What follows from the answer to the `attempt`-th attempt (from 1). Only 2xx is success: a redirect is none, and is not followed."""
    match answer:
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered(status=HTTPStatus.GONE):
            return Failed("the receiver answered 410 Gone")
        case Answered():
            asked = retry_after(answer.retry_after, now)
        case Unanswered(permanent=True):
            return Failed(answer.error)
        case Unanswered():
            asked = None
        case _:
            assert_never(answer)
    delay = schedule.next_delay(attempt, asked=asked, chance=chance)
    return Failed("every attempt was made") if delay is None else Again(delay)
