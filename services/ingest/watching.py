"""Watching a job by server-sent events.

A watcher gets the job's state at once, then every change of status (`status`) and of stage or percent (`progress`), and the stream ends
after the final one. Each such event's id is the job's revision, so a watcher that comes back with the last id it saw misses nothing and
gets nothing twice, whichever process it reaches. Text that is heard meanwhile (`segment`) has no id: it is shown once, as it comes.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath
from litestar.response import Stream
from litestar.response.sse import ServerSentEventMessage

from common.database import Pool
from common.ids import JobId
from common.jobs import state
from common.jobs.state import JobState
from services.ingest import query
from services.ingest.auth import Caller, caller
from services.ingest.feeds import Feeds, News, Partial
from services.ingest.problems import Problem
from services.ingest.refusals import MISSING, REFUSALS, refusals
from services.ingest.sessions import Sessions
from services.ingest.taking import asking

MEDIA_TYPE = "text/event-stream"
_RECONNECT = ServerSentEventMessage(data=None, retry=2_000).encode()
HEARTBEAT = ServerSentEventMessage(data=None, comment="still here").encode()
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter for nginx, which would hold events back


_SEEN = Parameter(
    name="Last-Event-ID",
    param_in="header",
    description="The last id seen, as EventSource sends it",
    schema=Schema(type=OpenAPIType.STRING),
)


class EventsQuery(msgspec.Struct, frozen=True):
    """Where to go on."""

    last_event_id: Annotated[str, msgspec.Meta(description="The same, for clients that cannot send headers")] | None = None


def handlers(pool: Pool, feeds: Feeds, sessions: Sessions) -> list[HTTPRouteHandler]:
    """`/api/v1/jobs/{id}/events`."""

    @get(
        "/{job_id:uuid}/events",
        summary="Watch a job",
        media_type=MEDIA_TYPE,
        operation_class=asking(_SEEN, *query.parameters(EventsQuery)),
        responses=REFUSALS
        | MISSING
        | refusals({204: "The watcher has seen the final event already; EventSource stops at this", 422: "A parameter is invalid"}),
    )
    async def events(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[Any]:
        """Server-sent events: the job's state at once, then each change, until it is final. Comments keep the connection alive.

        `segment` events show text as it is heard: `start` and `end` in seconds, `text`, and `channel` where channels are apart. They are
        provisional (one that begins at the same second replaces an earlier one), come in no certain order, have no id and are not repeated.
        Jobs with `redact` or `mask_profanity` have none.
        """
        who = caller(request, "read")
        seen = request.headers.get("last-event-id") or query.asked(request, EventsQuery).last_event_id
        known = await watched(pool, feeds, job_id, who.tenant)
        last = revision(seen or "")
        if known.status.final and known.revision == last:
            return Response(None, status_code=204)
        return Stream(_events(feeds, sessions, who, known, last), media_type=MEDIA_TYPE, headers=HEADERS)

    return [events]


async def watched(pool: Pool, feeds: Feeds, job_id: UUID, tenant: str) -> JobState:
    """Where the job stands for one who wants to watch it. Raises a `Problem`: there is no such job, or no room for a watcher."""
    if feeds.full(tenant):
        raise Problem(503, "too_many_watchers", "Too many streams are open on this server.", headers={"Retry-After": "5"})
    async with pool.acquire() as connection:
        found = await state.read(connection, JobId(job_id), tenant)
    if found is None:
        raise Problem(404, "job_not_found", f"There is no job {job_id}.")
    return found


async def unseen(
    feeds: Feeds, known: JobState, tenant: str, seen: int | None, over: asyncio.Event
) -> AsyncGenerator[tuple[str, News | Partial | None], None]:
    """What a watcher that has seen the revision `seen` has not, each with its kind; None is a heartbeat.

    The kind compares with what this watcher was told last, since a slow one skips states.
    """
    status = known.status if known.revision == seen else None
    with feeds.watching(known, tenant) as feed:
        async with aclosing(feeds.follow(feed, seen, over)) as following:
            async for news in following:
                match news:
                    case None:
                        yield "", None
                    case Partial():
                        yield "segment", news
                    case News():
                        kind = "deleted" if news.deleted else "progress" if news.change.status is status else "status"
                        status = news.change.status
                        yield kind, news


def revision(text: str) -> int | None:
    """A last id as a client sends it back; what is no revision counts as none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


async def _events(feeds: Feeds, sessions: Sessions, who: Caller, known: JobState, seen: int | None) -> AsyncGenerator[bytes, None]:
    yield _RECONNECT
    with sessions.opened(who.key_id) as over:
        async with aclosing(unseen(feeds, known, who.tenant, seen, over)) as following:
            async for kind, news in following:
                if news is None:
                    yield HEARTBEAT
                else:
                    revision_of = news.id if isinstance(news, News) else None
                    yield ServerSentEventMessage(data=news.data, event=kind, id=revision_of).encode()
