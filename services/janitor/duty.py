"""What a duty is: work in batches, each of which may be repeated, may run beside another janitor's and may be the last.

So a sweep can be stopped, killed or run twice at any point, and costs the same memory however much there is to do. A dry run takes the
same path: what it changes in the database is undone at its end, and what cannot be undone is not done.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from common.database import Connection

log = structlog.get_logger(__name__)


class Counts(msgspec.Struct, frozen=True):
    """How many things were looked at, dealt with (in a dry run: would have been), and could not be dealt with.

    `late`: how long the one that had waited longest had been due.
    """

    scanned: int = 0
    swept: int = 0
    failed: int = 0
    late: timedelta = timedelta(0)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.scanned + other.scanned, self.swept + other.swept, self.failed + other.failed, max(self.late, other.late))


class BrokenOff(Exception):
    """A batch did not come to its end, by the error that is its cause; `counts` is what there is to say of it all the same."""

    def __init__(self, counts: Counts) -> None:
        super().__init__(counts)
        self.counts = counts


@contextmanager
def accounted(counts: Counts) -> Iterator[None]:
    """If the block fails, the batch counts as `counts`: what was found does not go untold because nothing could be done about it."""
    try:
        yield
    except Exception as error:
        raise BrokenOff(counts) from error


class Sweep(msgspec.Struct, frozen=True):
    """One run of one duty. `connection` holds the duty's lock, so work on it ends when the lock is lost; `now` is the database's clock.

    In a dry run a transaction is open on it that is rolled back in the end. Rows that others use must not be locked for as long.
    """

    connection: Connection
    now: datetime
    dry_run: bool

    def late(self, due: Iterable[datetime | None]) -> timedelta:
        """How long ago the first of these moments was; nothing if there is none."""
        return max((self.now - moment for moment in due if moment is not None and moment < self.now), default=timedelta(0))

    def tell(self, duty: str, **what: object) -> None:
        """Name one thing that goes, or in a dry run would go."""
        if self.dry_run:
            log.info("would go", duty=duty, **what)
        else:
            log.debug("goes", duty=duty, **what)


class Duty(Protocol):
    """`name` is also its lock's; `batches` does one batch at a time and says what came of it, by `BrokenOff` if nothing could."""

    @property
    def name(self) -> str: ...

    def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]: ...
