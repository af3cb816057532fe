"""What every kind of delivery can do: make a request, and say what follows from its answer."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from services.notifier.answer import Answer, Verdict
from services.notifier.deliveries import Attempt


class Sent(msgspec.Struct, frozen=True):
    """What came back; with a link in what was sent, for how long the result must be kept if it has arrived."""

    answer: Answer
    keep: timedelta | None = None


class Way(Protocol):
    """One kind of delivery."""

    @property
    def method(self) -> str: ...

    async def send(self, attempt: Attempt) -> Sent:
        """Make the request. Never raises for anything that a receiver can do."""
        ...

    def judge(self, attempt: Attempt, answer: Answer, *, now: datetime, chance: float) -> Verdict:
        """What follows from the answer; `now` is the database's, `chance` in [0, 1) spreads."""
        ...
