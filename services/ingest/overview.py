"""`GET /api/v1/queue`: what waits, who works, how fast, and how well that was foretold.

The queue is one for all tenants, so this says how much there is of it and never whose.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from common.database import Pool
from common.jobs import queue
from common.jobs.options import PRIORITIES
from common.jobs.queue import EtaErrors, Load, Outlook, Speed, Worker
from services.ingest.auth import caller
from services.ingest.places import Places
from services.ingest.refusals import REFUSALS


class Waiting(msgspec.Struct, frozen=True):
    """Jobs, and seconds of audio in them; the seconds are estimated from sizes and types where the file's header does not tell."""

    jobs: int
    audio_seconds: float


class WaitingByPriority(msgspec.Struct, frozen=True, kw_only=True):
    """By the priority that jobs have now: a job that has waited long has a better one than it was submitted with."""

    high: Waiting
    normal: Waiting
    low: Waiting
    total: Waiting


class WorkerDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A transcriber: how many jobs it takes at once, and how many it has; idle when it has none."""

    id: UUID
    slots: int
    active: int
    idle: bool
    started_at: datetime


class SpeedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of audio a second over the latest `measured_jobs` completed: for one job, and for all slots of all workers together."""

    measured_jobs: int
    per_job: float
    total: float


class QueueDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`eta` is when all that is queued and being worked on now will be done; null while no worker is alive or no speed is measured.

    `eta_errors` compares the first ETA that was told of each of the latest jobs with its completion; null while there are none.
    """

    waiting: WaitingByPriority
    active: Waiting
    workers: list[WorkerDocument]
    speed: SpeedDocument | None
    eta: datetime | None
    eta_errors: EtaErrors | None


def handlers(pool: Pool, places: Places) -> list[HTTPRouteHandler]:
    """`/api/v1/queue`."""

    @get("/", summary="Look at the queue", responses=REFUSALS)
    async def read_queue(request: Request[Any, Any, Any]) -> QueueDocument:
        """Depth and seconds of audio by priority, workers, measured speed, and when it will all be done."""
        caller(request, "read")
        async with pool.acquire() as connection:
            outlook = await places.outlook(connection)
            depth = await queue.depth(connection)
            workers = await queue.workers(connection)
            errors = await queue.eta_errors(connection)
        return document(outlook, depth, workers, errors)

    return [read_queue]


def document(outlook: Outlook, depth: dict[int, Load], workers: list[Worker], errors: EtaErrors | None) -> QueueDocument:
    """What is known of the queue, as clients see it."""
    bands = [depth.get(band, Load(0, 0.0)) for band in range(len(PRIORITIES))]
    total = sum(bands, Load(0, 0.0))
    high, normal, low, everything = (_waiting(load) for load in (*bands, total))
    eta = outlook.eta(total, 0.0)
    return QueueDocument(
        waiting=WaitingByPriority(high=high, normal=normal, low=low, total=everything),
        active=_waiting(outlook.working),
        workers=[
            WorkerDocument(id=one.id, slots=one.slots, active=one.active, idle=one.active == 0, started_at=one.started_at)
            for one in workers
        ],
        speed=_speed(outlook.speed, outlook.slots),
        eta=None if eta is None else eta.replace(microsecond=0),
        eta_errors=errors,
    )


def _waiting(load: Load) -> Waiting:
    return Waiting(load.jobs, round(load.seconds, 1))


def _speed(speed: Speed | None, slots: int) -> SpeedDocument | None:
    if speed is None:
        return None
    return SpeedDocument(measured_jobs=speed.jobs, per_job=round(speed.per_slot, 3), total=round(speed.per_slot * slots, 3))
