"""When a webhook that was not accepted is sent again.

Fast at first, for a receiver that is being restarted; then ever more patient, so that three days of outage lose nothing. Jitter only ever
adds: receivers that were away together are not met together again, and no attempt comes before its time.
"""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Self

import msgspec

JITTER = 0.2
LONGEST = timedelta(hours=24)
"""No receiver can put an attempt off for longer."""

DEFAULT = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)


class Schedule(msgspec.Struct, frozen=True):
    """`delays` lie before the second, third, … attempt; the first is made at once."""

    delays: tuple[timedelta, ...] = DEFAULT

    @classmethod
    def of(cls, *, max_retries: int | None, retry_delay: timedelta | None) -> Self:
        """The default one, cut or (with its last delay) prolonged to `max_retries`; with a `retry_delay`, that one every time."""
        count = len(DEFAULT) if max_retries is None else max_retries
        if retry_delay is not None:
            return cls((retry_delay,) * count)
        return cls((DEFAULT + DEFAULT[-1:] * count)[:count])

    def next_delay(self, turn: int, *, asked: timedelta | None, chance: float) -> timedelta | None:
        """How long after the failure of the `turn`-th attempt (from 1) the next is made; None when that was the last.

        `asked` is what the receiver wants: it can ask for patience, not for haste. `chance` in [0, 1) spreads.
        """
        if turn > len(self.delays):
            return None
        delay = max(self.delays[turn - 1], min(asked or timedelta(0), LONGEST))
        return delay * (1 + JITTER * chance)


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """What a `Retry-After` header asks for, in seconds or as a date (RFC 9110, 10.2.3); None when it makes no sense."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=int(text)) if len(text) <= _DIGITS else LONGEST
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:  # "-0000": UTC, says RFC 5322
        until = until.replace(tzinfo=now.tzinfo)
    return max(until - now, timedelta(0))


_DIGITS = 9  # 30 years in seconds: more is no number to reckon with
