"""The HTTP application: routes, who may call them, how failures look."""

from litestar import Litestar, Router
from litestar.types import ASGIApp

from common.database import Pool
from common.health import Health
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest import acting, asyncapi, documentation, jobs, operations, problems, sockets, watching
from services.ingest.admission import RateLimit
from services.ingest.auth import Authentication
from services.ingest.edge import edge
from services.ingest.feeds import Feeds
from services.ingest.remote import Remote
from services.ingest.settings import Settings
from services.ingest.submission import Submissions


def create(settings: Settings, *, pool: Pool, storage: Storage, remote: Remote, health: Health, watch: Watch, feeds: Feeds) -> ASGIApp:
    """The ASGI application on resources that are already open."""
    submissions = Submissions(pool, storage, remote, settings)
    rate = None if settings.rate_limit_per_minute is None else RateLimit(pool, settings.rate_limit_per_minute)
    api = Router(
        "/api/v1/jobs",
        route_handlers=[
            *jobs.handlers(submissions, pool, storage, watch),
            *acting.handlers(pool, storage),
            *watching.handlers(pool, feeds),
            *sockets.handlers(pool, feeds),
        ],
        tags=["jobs"],
    )
    return edge(
        Litestar(
            route_handlers=[api, operations.router(health, pool), asyncapi.router(), documentation.ASSETS],
            middleware=[Authentication(pool if settings.auth == "on" else None, rate)],
            exception_handlers=problems.HANDLERS,
            openapi_config=documentation.CONFIG,
            logging_config=None,
        )
    )
