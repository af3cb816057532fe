"""All that the earlier services answered, in one router: their refusals have their own shape, and the OpenAPI document leaves them out.

What they were is fixed by their documents, which docs/api/earlier-services.md goes through line by line; a client that is written today has
the native API, and a document with two words for everything would hide it.
"""

from litestar import Router

from common.database import Pool
from common.health import Health
from services.ingest.call import Calls
from services.ingest.compat import media, queue, refusing, segments, shared, storage
from services.ingest.compat.references import References
from services.ingest.compat.zips import Zips
from services.ingest.submission import Submissions


def router(pool: Pool, submissions: Submissions, calls: Calls, references: References, health: Health) -> Router:
    """Their paths."""
    zips = Zips(pool, calls.storage)
    handlers = [
        *queue.handlers(pool, calls.storage, health),
        *media.handlers(pool, calls.storage, submissions, calls),
        *segments.handlers(pool, calls.storage, zips),
        *storage.handlers(pool, calls.storage, submissions, calls),
        *shared.handlers(pool, submissions, calls, zips, references, health),
    ]
    return Router("/", route_handlers=handlers, exception_handlers=refusing.HANDLERS, include_in_schema=False)
