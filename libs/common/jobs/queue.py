"""What the queue holds and how long it will take: counted in Postgres and never in a process, so that every process says the same.

A job's position is one more than the number of jobs that the claim's order (band, turn, id) has before it. Counting them all would cost the
more the longer the queue is. So milestones, every few hundred jobs, are counted now and then, and at every reading only from the nearest of
them to the job. What the milestones say is as old as they are; in a queue shorter than their distance nothing is.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from common.database import Connection, Queries
from common.ids import JobId
from common.jobs.job import Job

SQL = Queries(Path(__file__).with_name("queue.sql"))

DISTANCE = 512
"""Jobs from one milestone to the next."""

_MEASURED = 50
_START = (-1, 0, UUID(int=0))

Key = tuple[int, int, UUID]


class Load(msgspec.Struct, frozen=True):
    """So many jobs, and seconds of audio in them."""

    jobs: int
    seconds: float

    def __add__(self, other: "Load") -> "Load":
        return Load(self.jobs + other.jobs, self.seconds + other.seconds)


class Speed(msgspec.Struct, frozen=True):
    """Seconds of audio that one slot gets through in a second, over the latest `jobs` completed."""

    jobs: int
    per_slot: float


class EtaErrors(msgspec.Struct, frozen=True, kw_only=True):
    """How far the first ETAs told were off, over the latest `jobs` completed of which one was told; late is positive."""

    jobs: int
    median_seconds: float
    p90_seconds: float
    median_late_seconds: float


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A transcriber that is alive; idle when `active` is 0."""

    id: UUID
    slots: int
    active: int
    started_at: datetime


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What an ETA follows from, at the time `now` of the database; `milestones` are in the order of claims."""

    now: datetime
    milestones: dict[Key, Load]
    working: Load
    slots: int
    speed: Speed | None

    def eta(self, ahead: Load, own: float) -> datetime | None:
        """When a job of `own` seconds with `ahead` before it will be done."""
        seconds = seconds_until_done(ahead, own, self.working, self.slots, self.speed)
        return None if seconds is None else self.now + timedelta(seconds=seconds)


def seconds_until_done(ahead: Load, own: float, working: Load, slots: int, speed: Speed | None) -> float | None:
    """From now to the end of a job of `own` seconds of audio; None while nobody works or no speed has been measured.

    All slots together get through what is being worked on and what is ahead; then one slot gets through the job. A slot that is free takes
    it at once. It is taken for granted that nobody submits anything better meanwhile.
    """
    if speed is None or speed.per_slot <= 0 or slots == 0:
        return None
    waits = working.jobs + ahead.jobs >= slots
    return ((working.seconds + ahead.seconds) / slots if waits else 0.0) / speed.per_slot + own / speed.per_slot


def key(job: Job) -> Key:
    """Where the job stands in the order of claims."""
    return job.band, job.turn, job.id


def nearest(milestones: Sequence[Key], wanted: Key) -> Key:
    """The last milestone before `wanted`, or the start of the queue."""
    place = bisect_left(milestones, wanted)
    return milestones[place - 1] if place else _START


async def outlook(connection: Connection) -> Outlook:
    """As things stand; a pass over the index of the queue, so not for every request."""
    milestones = await connection.fetch(SQL["queue_milestones"], DISTANCE)
    [works] = await connection.fetch(SQL["works"])
    return Outlook(
        now=works["now"],
        milestones={(row["band"], row["turn"], row["id"]): Load(row["jobs"], row["seconds"]) for row in milestones},
        working=Load(works["jobs"], works["seconds"]),
        slots=works["slots"],
        speed=await measured_speed(connection),
    )


async def ahead(connection: Connection, jobs: Iterable[Job], milestones: dict[Key, Load]) -> dict[UUID, Load]:
    """What is before each of `jobs`, all of which are queued."""
    wanted = [key(job) for job in jobs]
    ordered = list(milestones)
    starts = [nearest(ordered, one) for one in wanted]
    rows = await connection.fetch(SQL["queue_places"], *_columns(wanted), *_columns(starts))
    near = {row["id"]: Load(row["jobs"], row["seconds"]) for row in rows}
    return {one[2]: milestones.get(start, Load(0, 0)) + near[one[2]] for one, start in zip(wanted, starts, strict=True)}


async def depth(connection: Connection) -> dict[int, Load]:
    """What is waiting, by band."""
    return {row["band"]: Load(row["jobs"], row["seconds"]) for row in await connection.fetch(SQL["queue_depth"])}


async def measured_speed(connection: Connection) -> Speed | None:
    """None while nothing has been completed."""
    [row] = await connection.fetch(SQL["measured_speed"], _MEASURED)
    return Speed(row["jobs"], row["audio"] / row["taken"]) if row["taken"] > 0 and row["audio"] > 0 else None


async def eta_errors(connection: Connection) -> EtaErrors | None:
    """None while no job of which an ETA was told has been completed."""
    [row] = await connection.fetch(SQL["eta_errors"], _MEASURED)
    return msgspec.convert(dict(row), EtaErrors) if row["jobs"] else None


async def tell(connection: Connection, etas: dict[JobId, datetime]) -> None:
    """Keep the first ETA told of each job, to be compared with its completion."""
    await connection.execute(SQL["tell_etas"], list(etas), list(etas.values()))


async def workers(connection: Connection) -> list[Worker]:
    """Those that have beaten lately."""
    return [msgspec.convert(dict(row), Worker) for row in await connection.fetch(SQL["workers_alive"])]


async def beat(connection: Connection, worker: UUID, *, name: str, slots: int, jobs_per_tenant: int | None, lasting: timedelta) -> None:
    """`worker` is alive for `lasting` from now."""
    await connection.execute(SQL["beat"], worker, name, slots, jobs_per_tenant, lasting)


async def leave(connection: Connection, worker: UUID) -> None:
    """`worker` works no more."""
    await connection.execute(SQL["leave"], worker)


def _columns(keys: Sequence[Key]) -> tuple[list[int], list[int], list[UUID]]:
    return [band for band, _, _ in keys], [turn for _, turn, _ in keys], [job_id for _, _, job_id in keys]
