"""The HTTP application: routes, who may call them, how failures look."""

from common.database import Pool
from common.health import Health
from common.storage import Storage
from litestar import Litestar
from litestar.types import ASGIApp

from services.ingest import documentation, jobs, operations, problems
from services.ingest.auth import Authentication
from services.ingest.edge import edge
from services.ingest.settings import Settings
from services.ingest.submission import Submissions
from services.ingest.waiting import Waiters


def create(settings: Settings, *, pool: Pool, storage: Storage, health: Health, waiters: Waiters) -> ASGIApp:
    """The ASGI application on resources that are already open."""
    api = jobs.router(Submissions(pool, storage, settings), pool, storage, waiters)
    return edge(
        Litestar(
            route_handlers=[api, operations.router(health, pool)],
            middleware=[Authentication(pool if settings.auth == "on" else None)],
            exception_handlers=problems.HANDLERS,
            openapi_config=documentation.CONFIG,
            logging_config=None,
        )
    )
