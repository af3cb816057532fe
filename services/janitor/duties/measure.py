"""How much is in the store, by kind and age, and whether that is too much: the level at which ingest takes in nothing more.

The bucket is listed from one end to the other, a page at a time. Uploads that are under way show in no listing and do not count.
"""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

import msgspec
import structlog

from common import space
from common.paging import pages
from common.space import Age, Level, Space, Usage
from common.storage import Object, Storage
from common.storage_keys import parse_key
from services.janitor import metrics
from services.janitor.duty import Counts, Sweep

log = structlog.get_logger(__name__)

_PAGE = 1_000
_AGES: tuple[tuple[Age, timedelta], ...] = (("day", timedelta(days=1)), ("week", timedelta(days=7)), ("month", timedelta(days=30)))


class Limits(msgspec.Struct, frozen=True):
    """`capacity` in bytes, None when it is not known; from `warning` and `critical` percent of it on, the store is low on space."""

    capacity: int | None
    warning: float
    critical: float


class Measure:
    name = "measure"

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage = storage
        self._limits = limits

    async def batches(self, sweep: Sweep) -> AsyncGenerator[Counts, None]:
        objects: Counter[tuple[str, Age]] = Counter()
        sizes: Counter[tuple[str, Age]] = Counter()
        async with aclosing(pages(self._storage.objects(), _PAGE)) as listing:
            async for page in listing:
                for found in page:
                    of = (kind(found), age(found.age))
                    objects[of] += 1
                    sizes[of] += found.size
                yield Counts(scanned=len(page))
        measured = Space(
            measured_at=sweep.now,
            objects=objects.total(),
            bytes=sizes.total(),
            capacity=self._limits.capacity,
            level=level(sizes.total(), self._limits),
        )
        if measured.level != "ok":
            log.warning("storage is low", level=measured.level, bytes=measured.bytes, capacity=measured.capacity)
        metrics.measured(measured)
        if not sweep.dry_run:
            usage = [Usage(kind=of[0], age=of[1], objects=count, bytes=sizes[of]) for of, count in objects.items()]
            await space.write(sweep.connection, measured, usage)


def kind(found: Object) -> str:
    """What the object is, by its key."""
    place = parse_key(found.key)
    return "other" if place is None else place.kind


def age(since: timedelta) -> Age:
    """Of something that was made that long ago."""
    return next((name for name, limit in _AGES if since < limit), "older")


def level(used: int, limits: Limits) -> Level:
    """Whether `used` bytes are too many."""
    if not limits.capacity:
        return "ok"
    percent = 100 * used / limits.capacity
    return "critical" if percent >= limits.critical else "warning" if percent >= limits.warning else "ok"
