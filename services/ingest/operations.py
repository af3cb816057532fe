"""Health and metrics: for orchestrators and dashboards, without a key."""

from litestar import Response, Router, get
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from common import space
from common.database import Pool
from common.health import Health
from common.jobs import store
from common.jobs.job import Status

_JOBS = Gauge("verbatim_jobs", "Jobs in the database", ["status"])


def router(health: Health, pool: Pool) -> Router:
    """`/health/live`, `/health/ready` (also `/health`) and `/metrics`."""

    @get("/health/live", summary="Whether the process works")
    async def live() -> Response[dict[str, str]]:
        return Response({"service": "alive" if health.alive else "dead"}, status_code=200 if health.alive else 503)

    @get(["/health/ready", "/health"], summary="Whether every dependency answers")
    async def ready() -> Response[dict[str, str]]:
        states = await health.ready()
        healthy = all(state == "ok" for state in states.values())
        # A store that is nearly full is no reason to send nobody here: what there is can still be read.
        return Response({**states, "storage_space": await _space()} if healthy else states, status_code=200 if healthy else 503)

    async def _space() -> str:
        async with pool.acquire() as connection:
            measured = await space.read(connection)
        return "ok" if measured is None else measured.level

    @get("/metrics", summary="Prometheus metrics", media_type=CONTENT_TYPE_LATEST)
    async def metrics() -> Response[bytes]:
        async with pool.acquire() as connection:
            counts = await store.counts(connection)
        for status in Status:
            _JOBS.labels(status.value).set(counts.get(status.value, 0))
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Router("/", route_handlers=[live, ready, metrics], tags=["operations"], security=[{}])
