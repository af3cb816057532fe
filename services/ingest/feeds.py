"""Watched jobs, each read once for all who watch it.

One reader serves the process: a notification marks a job as stale, and the reader fetches all that are stale in one query. A feed keeps
only the latest state, and each watcher fetches it from there at its own pace: a slow one skips states and holds up nobody, and memory is
one state per watched job. Postgres is the truth: every few seconds all watched jobs are read anyway, so a lost notification costs time.

What is heard of a job passes through its feed beside the states. The last few segments are kept for watchers that are busy; who is slower
than that misses some, and who comes later sees what comes later.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
import structlog
from prometheus_client import Gauge

from common.database import AWAY, Pool
from common.ids import JobId
from common.jobs import state
from common.jobs.job import Failure, Status
from common.jobs.partials import PartialSegment
from common.jobs.partials import decode as decode_partials
from common.jobs.state import JobState

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS = 15.0
MOST_WATCHERS = 5_000
_POLL_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_BATCH = 500
_MOST_PARTIALS = 32

_WATCHERS = Gauge("verbatim_watchers", "Streams of events that are open")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher is told of its job; `progress` in percent, `final` when nothing will follow."""

    job_id: str
    status: Status
    stage: str | None
    progress: float
    attempt: int
    error: Failure | None
    final: bool


class News(msgspec.Struct, frozen=True):
    """A state of a job, encoded once for all its watchers; `id` grows with each later state."""

    id: int
    change: Change
    data: bytes
    deleted: bool = False


class Partial(msgspec.Struct, frozen=True):
    """A segment that was just heard, encoded once; `number` counts those of its feed and is nothing that a watcher could resume from."""

    number: int
    data: bytes


class Feed:
    """One job's latest news."""

    def __init__(self) -> None:
        self.latest: News | None = None
        self.watchers = 0
        self.heard = 0
        """How many segments have passed."""
        self._partials: deque[Partial] = deque(maxlen=_MOST_PARTIALS)
        self._changed = asyncio.Event()

    def offer(self, found: JobState) -> None:
        """Show `found` if it is later than what is shown."""
        if self.latest is None or found.revision > self.latest.id:
            self._show(news(found))

    def end(self) -> None:
        """The job was deleted: its last state once more, as the end."""
        if self.latest is not None and not self.latest.deleted:
            change = msgspec.structs.replace(self.latest.change, final=True)
            self._show(News(self.latest.id + 1, change, msgspec.json.encode(change), deleted=True))

    def show(self, segments: Iterable[PartialSegment]) -> None:
        """Show what was heard to those who are watching now."""
        for segment in segments:
            self.heard += 1
            self._partials.append(Partial(self.heard, msgspec.json.encode(segment)))
        self.wake()

    def after(self, number: int) -> Partial | None:
        """The earliest segment later than that one which is still there."""
        return next((partial for partial in self._partials if partial.number > number), None)

    def wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait until there is other news, or a reason to look up."""
        await self._changed.wait()

    def _show(self, latest: News) -> None:
        self.latest = latest
        self.wake()


class Feeds:
    """`notify` is called by the listener for both channels of the job's state, `hear` for that of what is heard; `run` is the reader."""

    def __init__(self, most: int = MOST_WATCHERS, heartbeat: float = _HEARTBEAT_SECONDS, poll: float = _POLL_SECONDS) -> None:
        self._most = most
        self._heartbeat = heartbeat
        self._poll = poll
        self._watchers = Counter[str]()
        self._feeds: dict[JobId, Feed] = {}
        self._stale: set[JobId] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    def notify(self, job_id: str) -> None:
        """The job may have changed; an empty id stands for all, as notifications may have been missed."""
        self._stale |= {JobId(UUID(job_id))} & self._feeds.keys() if job_id else self._feeds.keys()
        if self._stale:
            self._wake.set()

    def hear(self, payload: str) -> None:
        """Segments of a job have been heard; nothing can be made up for that was notified while nobody listened."""
        if payload:
            told = decode_partials(payload)
            feed = self._feeds.get(JobId(UUID(told.job_id)))
            if feed is not None:
                feed.show(told.segments)

    def full(self, tenant: str) -> bool:
        """Whether this process has as many watchers as it takes, or three quarters of them are this tenant's."""
        return self._watchers.total() >= self._most or self._watchers[tenant] * 4 >= self._most * 3

    @contextmanager
    def watching(self, known: JobState, tenant: str) -> Iterator[Feed]:
        """The job's feed, beginning with the state that the watcher has read, or with a later one."""
        job_id = known.id
        feed = self._feeds.setdefault(job_id, Feed())
        self._watchers[tenant] += 1
        feed.watchers += 1
        _WATCHERS.inc()
        feed.offer(known)
        self.notify(str(job_id))  # it may have changed after it was read and before anybody watched
        try:
            yield feed
        finally:
            _WATCHERS.dec()
            self._watchers[tenant] -= 1
            if not self._watchers[tenant]:
                del self._watchers[tenant]
            feed.watchers -= 1
            if not feed.watchers:
                del self._feeds[job_id]

    def wake(self) -> None:
        """Have every watcher look whether it is over."""
        for feed in self._feeds.values():
            feed.wake()

    async def follow(self, feed: Feed, seen: int | None, over: asyncio.Event) -> AsyncGenerator[News | Partial | None, None]:
        """The feed's news later than `seen` until the final one, until it is `over` or the service stops; None is a heartbeat.

        States go before segments, so that one who is always busy with segments still sees them; but nothing comes after the final one.
        """
        heard = feed.heard
        while not self._stopping and not over.is_set():
            latest, partial = feed.latest, feed.after(heard)
            if latest is not None and latest.id != seen and not (partial and latest.change.final):
                seen = latest.id
                yield latest
            elif partial is not None:
                heard = partial.number
                yield partial
            elif latest is not None and latest.change.final:
                return
            else:
                try:
                    async with asyncio.timeout(self._heartbeat):
                        await feed.changed()
                except TimeoutError:
                    yield None

    async def run(self, pool: Pool, stopping: asyncio.Event) -> None:
        """Read what is stale until `stopping`, then let every watcher go: it comes back to another process, or to this one's successor."""
        reader = asyncio.create_task(self._keep_reading(pool), name="feeds-reader")
        stop = asyncio.create_task(stopping.wait(), name="feeds-stopping")
        try:
            await asyncio.wait((reader, stop), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()
        finally:
            self._stopping = True
            self.wake()
            for task in (reader, stop):
                task.cancel()
            await asyncio.gather(reader, stop, return_exceptions=True)

    async def _keep_reading(self, pool: Pool) -> None:
        while True:
            try:
                async with asyncio.timeout(self._poll):
                    await self._wake.wait()
            except TimeoutError:
                self.notify("")
            self._wake.clear()
            batch = [job_id for job_id, _ in zip(self._stale, range(_BATCH), strict=False)]
            self._stale.difference_update(batch)
            try:
                await self._read(pool, batch)
            except AWAY as error:
                log.warning("database away", error=repr(error))
                self._stale.update(batch)
                await asyncio.sleep(_RETRY_SECONDS)
            if self._stale:
                self._wake.set()

    async def _read(self, pool: Pool, batch: list[JobId]) -> None:
        batch = [job_id for job_id in batch if job_id in self._feeds]
        if not batch:
            return
        async with pool.acquire() as connection:
            found = await state.read_many(connection, batch)
        for job_id in batch:
            with contextlib.suppress(KeyError):  # its last watcher left meanwhile
                feed = self._feeds[job_id]
                feed.offer(found[job_id]) if job_id in found else feed.end()


def news(found: JobState) -> News:
    """What watchers are told of a state."""
    change = Change(
        job_id=str(found.id),
        status=found.status,
        stage=found.stage,
        progress=round(found.progress, 1),
        attempt=found.attempt,
        error=found.error,
        final=found.status.final,
    )
    return News(found.revision, change, msgspec.json.encode(change))
