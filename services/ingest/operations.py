"""Health and metrics: for orchestrators and dashboards, without a key."""

from litestar import Response, Router, get
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from common import space
from common.database import Pool
from common.health import Health
from common.jobs import store
from common.jobs.job import Status
from services.ingest.kept import Kept

_JOBS = Gauge("verbatim_jobs", "Jobs in the database", ["status"])


def router(health: Health, pool: Pool) -> Router:
    """`/health/live`, `/health/ready` and `/metrics`."""
    counted = Kept[dict[str, int]]()

    async def count() -> dict[str, int]:
        async with pool.acquire() as connection:
            return await store.counts(connection)

    @get("/health/live", summary="Whether the process works")
    async def live() -> Response[dict[str, str]]:
        return Response({"service": "alive" if health.alive else "dead"}, status_code=200 if health.alive else 503)

    @get("/health/ready", summary="Whether every dependency answers")
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


async def states(health: Health, pool: Pool) -> tuple[dict[str, str], bool]:
    """The state of each dependency, and whether all are fine; how full the store is when they are."""
    found = await health.ready()
    if not all(state == "ok" for state in found.values()):
        return found, False
    async with pool.acquire() as connection:
        measured = await space.read(connection)
    # A store that is nearly full is no reason to send nobody here: what there is can still be read.
    return {**found, "storage_space": "ok" if measured is None else measured.level}, True
