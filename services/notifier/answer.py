"""What came of an attempt, and what follows from it."""

from collections.abc import Callable
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
    """No answer came, and `error` says why. With a `code`, none ever can. `ours`: it was not the receiver's doing."""

    error: str
    code: str | None = None
    ours: bool = False


Answer = Answered | Unanswered


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has it."""


class Again(msgspec.Struct, frozen=True):
    """The next attempt is made after `delay`."""

    delay: timedelta


class Postponed(msgspec.Struct, frozen=True):
    """It was our own doing, so none of the receiver's attempts is spent; the same one is made after `delay`."""

    delay: timedelta


class Failed(msgspec.Struct, frozen=True):
    """There will be no further attempt: a stable `code`, and why."""

    code: str
    reason: str


Verdict = Delivered | Again | Postponed | Failed

USED_UP = Failed("attempts_used_up", "every attempt was made")


def gone(answered: Answered) -> Failed | None:
    """410: the receiver's way to say never again."""
    return Failed("gone", "the receiver answered 410 Gone") if answered.status == HTTPStatus.GONE else None


def judge(
    answer: Answer,
    turn: int,
    schedule: Schedule,
    *,
    now: datetime,
    chance: float,
    refusal: Callable[[Answered], Failed | None] = gone,
) -> Verdict:
    """What follows from the answer to the `turn`-th attempt (from 1). Only 2xx is success: a redirect is none, and is not followed.

    `refusal` tells answers that are final from those that may be another the next time.
    """
    asked = None
    match answer:
        case Answered(status=status) if 200 <= status < 300:
            return Delivered()
        case Answered():
            refused = refusal(answer)
            if refused is not None:
                return refused
            asked = retry_after(answer.retry_after, now)
        case Unanswered(code=str(code)):
            return Failed(code, answer.error)
        case Unanswered():
            pass
        case _:
            assert_never(answer)
    delay = schedule.next_delay(turn, asked=asked, chance=chance)
    return USED_UP if delay is None else Again(delay)
