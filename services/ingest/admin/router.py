"""All that lies under `/api/v1/admin`."""

from litestar import Router

from common.database import Pool
from common.jobs.watch import Watch
from common.storage import Storage
from services.ingest.admin import cleanup, dead_letters, keys, resume, storage, tenants
from services.ingest.admission import Limits


def router(pool: Pool, store: Storage, watch: Watch, limits: Limits) -> Router:
    """For operators."""
    handlers = [
        *cleanup.handlers(pool, watch),
        *storage.handlers(pool),
        *resume.handlers(pool, store),
        *dead_letters.handlers(pool),
        *keys.handlers(pool),
        *tenants.handlers(pool, limits),
    ]
    return Router("/api/v1/admin", route_handlers=handlers, tags=["admin"])
