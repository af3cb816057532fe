"""Health and metrics: for orchestrators and dashboards, without a key."""

from litestar import Response, Router, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from common import space
from common.database import Pool
from common.health import Health
from common.jobs import store
from common.jobs.job import Status
from services.ingest.kept import Kept

_JOBS = Gauge("verbatim_jobs", "Jobs in the database", ["status"])
_READY = {"database": "ok", "broker": "ok", "storage": "ok", "storage_space": "ok"}
_NOT_READY = {"database": "ok", "broker": "unavailable (ConnectionError)", "storage": "ok"}


def router(health: Health, pool: Pool) -> Router:
    """`/health/live`, `/health/ready` and `/metrics`."""
    counted = Kept[dict[str, int]]()

    async def count() -> dict[str, int]:
        async with pool.acquire() as connection:
            return await store.counts(connection)

    @get("/health/live", summary="Whether the process works", responses=_told({"service": "alive"}, {"service": "dead"}))
    async def live() -> Response[dict[str, str]]:
        return Response({"service": "alive" if health.alive else "dead"}, status_code=200 if health.alive else 503)

    @get("/health/ready", summary="Whether every dependency answers", responses=_told(_READY, _NOT_READY))
    async def ready() -> Response[dict[str, str]]:
        found, healthy = await states(health, pool)
        return Response(found, status_code=200 if healthy else 503)

    @get("/metrics", summary="Prometheus metrics", media_type=CONTENT_TYPE_LATEST)
    async def metrics() -> Response[bytes]:
        counts = await counted.get(count)  # of all jobs there are, for whoever asks
        for status in Status:
            _JOBS.labels(status.value).set(counts.get(status.value, 0))
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Router("/", route_handlers=[live, ready, metrics], tags=["operations"], security=[{}])


def _told(well: dict[str, str], ill: dict[str, str]) -> dict[int, ResponseSpec]:
    """The same document with either status."""
    said = {200: ("All is well", well), 503: ("Something is not", ill)}
    return {
        status: ResponseSpec(dict[str, str], description=description, generate_examples=False, examples=[Example(value=example)])
        for status, (description, example) in said.items()
    }


async def states(health: Health, pool: Pool) -> tuple[dict[str, str], bool]:
    """The state of each dependency, and whether all are fine; how full the store is when they are."""
    found = await health.ready()
    if not all(state == "ok" for state in found.values()):
        return found, False
    async with pool.acquire() as connection:
        measured = await space.read(connection)
    # A store that is nearly full is no reason to send nobody here: what there is can still be read.
    return {**found, "storage_space": "ok" if measured is None else measured.level}, True
