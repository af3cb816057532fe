"""The heartbeat of an attempt: it keeps the lease while the work goes on, records how far it is, and tells who watches.

It is also how an attempt learns that the job is not its own any more: then there is no lease to renew.
"""

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import NoReturn

import msgspec
import structlog

from common import ids, patience
from common.broker import LOST, Broker
from common.database import AWAY, Pool
from common.envelope import Event
from common.ids import EventId
from common.jobs import store
from common.jobs.document import public
from common.jobs.job import Job
from common.jobs.kind import Kind
from services.transcriber.protocol import Decoded, Progress, Stage
from services.transcriber.settings import Settings

log = structlog.get_logger(__name__)

_LEAST_BEAT = 0.5
_TELL_SECONDS = 1.0


class LeaseLost(Exception):
    """The job was cancelled, rescued or deleted."""


class Heartbeat:
    """Beats every `heartbeat_seconds`, and early when there is `news`, of our progress or of what others did to the job."""

    def __init__(self, job: Job, news: asyncio.Event, pool: Pool, broker: Broker, settings: Settings) -> None:
        self.stage: Stage = "fetch"
        self._decoded: Decoded | None = None
        self._percent = 0.0
        self._job = job
        self._news = news
        self._pool = pool
        self._broker = broker
        self._settings = settings

    @property
    def kind(self) -> Kind | None:
        """Of the recording, once it is decoded."""
        return None if self._decoded is None else self._decoded.kind

    def update(self, told: Progress | Decoded) -> None:
        """What the engine says about how far it is, and about what it works on."""
        match told:
            case Progress():
                self.stage, self._percent = told.stage, told.percent
            case Decoded():
                self._decoded = told
        self._news.set()

    async def run(self) -> NoReturn:
        """Keep the lease for ever; raises `LeaseLost` when the job is not ours any more."""
        while True:
            await patience.wait(self._news, self._settings.heartbeat_seconds)
            self._news.clear()
            try:
                renewed = await self._renew()
            except AWAY as error:
                log.warning("heartbeat failed", error=repr(error))
                continue
            if renewed is None:
                raise LeaseLost
            await self._tell(renewed)
            await asyncio.sleep(_LEAST_BEAT)

    async def _renew(self) -> Job | None:
        async with self._pool.acquire() as connection:
            return await store.renew(
                connection,
                self._job,
                lease=self._settings.lease,
                stage=self.stage,
                progress=self._percent,
                duration=None if self._decoded is None else self._decoded.seconds,
                kind=self.kind,
            )

    async def _tell(self, job: Job) -> None:
        """`job.progress` straight to the broker: it may be lost, so it need not be kept."""
        event = Event(
            id=EventId(ids.new()),
            type="job.progress",
            source="/verbatim",
            subject=str(job.id),
            time=datetime.now(UTC),
            data=msgspec.json.encode(public(job)),
        )
        with contextlib.suppress(*LOST):
            async with asyncio.timeout(_TELL_SECONDS):  # a broker that hangs must not cost us the lease
                await self._broker.publish(event, mandatory=False, persistent=False)
