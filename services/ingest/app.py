"""The HTTP application: routes, who may call them, how failures look."""

import asyncio
from typing import NamedTuple

from litestar import Litestar, Router
from litestar.types import ASGIApp

from common.database import Pool
from common.health import Health
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest import (
    acting,
    archive,
    asyncapi,
    clearing,
    deliveries,
    documentation,
    jobs,
    lexicons,
    listing,
    operations,
    overview,
    problems,
    reading,
    sockets,
    uploads,
    watching,
)
from services.ingest.admin import router as admin
from services.ingest.admission import Admission, RateLimit
from services.ingest.arriving import Arrivals
from services.ingest.auth import Authentication
from services.ingest.call import Calls
from services.ingest.compat import router as compat
from services.ingest.compat.references import References
from services.ingest.cors import cors
from services.ingest.edge import edge
from services.ingest.feeds import Feeds
from services.ingest.head import with_head
from services.ingest.openai import router as openai
from services.ingest.parted import Parted
from services.ingest.places import Places
from services.ingest.pointer import Pointers
from services.ingest.remote import Remote
from services.ingest.sessions import Sessions
from services.ingest.settings import Settings
from services.ingest.submission import Submissions
from services.ingest.tus import handlers as tus
from services.ingest.tus.envelope import PATH as FILES
from services.ingest.tus.envelope import envelope
from services.ingest.tus.files import Files
from services.ingest.webhooks import router as webhooks


class Resources(NamedTuple):
    """What the application works with, open already; `stopping` tells calls that wait that they cannot do so for long."""

    pool: Pool
    storage: Storage
    remote: Remote
    health: Health
    watch: Watch
    feeds: Feeds
    sessions: Sessions
    stopping: asyncio.Event


def create(settings: Settings, resources: Resources) -> ASGIApp:
    """The ASGI application."""
    application = routed(settings, resources)
    resumable = envelope(with_head(application, but=f"{FILES}/"), limit=settings.max_upload_bytes)
    return edge(cors(resumable, settings.cors_allow_origins), application.routes)


def routed(settings: Settings, resources: Resources) -> Litestar:
    """Its routes, and who may come in; without what is around every request."""
    pool, storage, remote, health, watch, feeds, sessions, stopping = resources
    places = Places()
    admission = Admission(settings.limits)
    arrivals = Arrivals(pool, storage, admission, settings)
    submissions = Submissions(
        pool=pool,
        storage=storage,
        pointers=Pointers(remote, arrivals, settings.max_upload_bytes),
        arrivals=arrivals,
        admission=admission,
        places=places,
        settings=settings,
    )
    rate = None if settings.rate_limit_per_minute is None else RateLimit(pool, settings.rate_limit_per_minute)
    api = Router(
        "/api/v1/jobs",
        route_handlers=[
            *jobs.handlers(submissions, pool, watch, places),
            *listing.handlers(pool, places),
            *reading.handlers(pool, storage),
            *archive.handlers(pool, storage),
            *deliveries.of_job(pool),
            *acting.handlers(pool, storage, admission, places),
            *clearing.handlers(pool, storage),
            *watching.handlers(pool, feeds, sessions),
            *sockets.handlers(pool, feeds, sessions, settings.cors_allow_origins),
        ],
        tags=["jobs"],
    )
    pieces = Router("/api/v1/uploads", route_handlers=uploads.handlers(arrivals, Parted(arrivals, storage)), tags=["uploads"])
    files = Router(FILES, route_handlers=tus.handlers(Files(pool, storage, arrivals), arrivals), tags=["uploads"])
    sent = Router("/api/v1/deliveries", route_handlers=deliveries.single(pool), tags=["webhooks"])
    words = Router("/api/v1/lexicons", route_handlers=lexicons.handlers(pool), tags=["lexicons"])
    calls = Calls(pool, storage, watch, settings.patience, stopping)
    compatible = openai.routers(submissions, calls, feeds, settings.whisper_models)
    earlier = compat.router(pool, submissions, calls, References.read(settings.reference_texts_dir), health)
    hooks = webhooks(pool, settings.webhook_allow_networks)
    administration = admin.router(pool, storage, watch, settings.limits)
    queue = Router("/api/v1/queue", route_handlers=overview.handlers(pool, places), tags=["queue"])
    documents = (operations.router(health, pool), asyncapi.router(), documentation.ASSETS)
    return Litestar(
        route_handlers=[api, pieces, files, words, hooks, sent, queue, administration, *compatible, earlier, *documents],
        middleware=[Authentication(pool if settings.auth == "on" else None, rate, settings.cors_allow_origins)],
        exception_handlers=problems.HANDLERS,
        openapi_config=documentation.CONFIG,
        logging_config=None,
    )
