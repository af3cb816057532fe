"""`/api/v1/admin/dead-letters`: messages that were given up, as the janitor recorded them: looked at, published again, dropped.

What a letter told of was failed when it was recorded, where there was something to fail, and publishing it again undoes none of that: a
job is retried, a delivery redelivered, an archive asked for. It is for what nobody else can ask for again, such as an event of which no
webhook was made. Whoever receives an event twice knows it by its id, and a letter that breaks its receiver again comes back as another.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common import outbox
from common.conditions import Conditions
from common.database import Pool, Queries
from common.envelope import Event, from_headers
from common.errors import PermanentError
from common.topology import ROUTED
from services.ingest import query
from services.ingest.auth import caller
from services.ingest.paging import Paged, by
from services.ingest.problems import Problem
from services.ingest.refusals import REFUSALS, refusals
from services.ingest.taking import asking

SQL = Queries(Path(__file__).with_name("dead_letters.sql"))
_PATH = "/api/v1/admin/dead-letters"
_SHOWN_BYTES = 16 * 2**10
_NO_LETTER = refusals({404: "There is no such dead letter"})


class LettersQuery(Paged, frozen=True, kw_only=True):
    """Which of them."""

    queue: Annotated[str, msgspec.Meta(description="The queue that gave them up", examples=["notifier.events"])] | None = None
    job_id: UUID | None = None


class LetterDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A message that `queue` gave up, for the broker's `reason`: `rejected` is no event, `delivery_limit` broke every receiver.

    `headers` and the beginning of the `body` are as they came. `job_id` and `event_type` are null where it names none.
    Of one about a job that was deleted they are empty, and the `job_id` is null.
    """

    id: UUID
    queue: str
    reason: str
    job_id: UUID | None
    event_type: str | None
    headers: dict[str, Any]
    body: str
    recorded_at: datetime
    links: dict[str, str]


class LetterPage(msgspec.Struct, frozen=True):
    """Newest first; `next_cursor` is null on the last page."""

    dead_letters: list[LetterDocument]
    next_cursor: str | None


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Looking, publishing again, dropping."""

    @get(
        "/dead-letters",
        summary="List dead letters",
        operation_class=asking(*query.parameters(LettersQuery)),
        responses=REFUSALS | refusals({422: "A parameter is invalid"}),
    )
    async def list_letters(request: Request[Any, Any, Any]) -> LetterPage:
        """Messages that broke whoever received them, or were no events; recorded by the janitor, for `DEAD_LETTER_RETENTION_DAYS`."""
        caller(request, "admin")
        asked = query.asked(request, LettersQuery)
        sql, arguments = statement(asked)
        async with pool.acquire() as connection:
            page, following = asked.cut(await connection.fetch(sql, *arguments), by("recorded_at"))
        return LetterPage([_document(row) for row in page], following)

    @get("/dead-letters/{letter_id:uuid}", summary="Read a dead letter", responses=REFUSALS | _NO_LETTER)
    async def read(request: Request[Any, Any, Any], letter_id: FromPath[UUID]) -> LetterDocument:
        """What it was, and which queue gave it up."""
        caller(request, "admin")
        async with pool.acquire() as connection:
            return _document(_there(letter_id, await connection.fetchrow(SQL["get_letter"], letter_id)))

    @post(
        "/dead-letters/{letter_id:uuid}/requeue",
        status_code=202,
        summary="Publish a dead letter again",
        responses=REFUSALS | _NO_LETTER | refusals({409: "It is no event that any of our queues receives"}),
    )
    async def requeue(request: Request[Any, Any, Any], letter_id: FromPath[UUID]) -> LetterDocument:
        """Publish the event once more, under its own id, and forget the letter. Jobs that failed with it are retried by themselves."""
        caller(request, "admin")
        async with pool.acquire() as connection, connection.transaction():
            row = _there(letter_id, await connection.fetchrow(SQL["drop_letter"], letter_id))
            await outbox.restore(connection, _event(row))
        return _document(row)

    @delete("/dead-letters/{letter_id:uuid}", status_code=204, summary="Drop a dead letter", responses=REFUSALS | _NO_LETTER)
    async def drop(request: Request[Any, Any, Any], letter_id: FromPath[UUID]) -> Response[None]:
        """Forget it before its time."""
        caller(request, "admin")
        async with pool.acquire() as connection:
            _there(letter_id, await connection.fetchrow(SQL["drop_letter"], letter_id))
        return Response(None, status_code=204)

    return [list_letters, read, requeue, drop]


def statement(asked: LettersQuery) -> tuple[str, list[Any]]:
    """The query of a page and one more row, with the conditions that were asked for, and its arguments. Raises `Problem`."""
    found = Conditions(SQL, asked.rows)
    found.add("of_queue", asked.queue)
    found.add("of_job", asked.job_id)
    if (after := asked.after) is not None:
        found.add("after_position", after.created_at, after.id)
    return found.statement("list_letters")


def _there(letter_id: UUID, row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise Problem(404, "dead_letter_not_found", f"There is no dead letter {letter_id}; it may have been dropped, or published again.")
    return row


def _event(row: asyncpg.Record) -> Event:
    try:
        event = from_headers(row["headers"], row["body"])
    except PermanentError:
        raise _no_event() from None
    if event.type not in ROUTED:
        raise _no_event()
    return event


def _no_event() -> Problem:
    return Problem(
        409, "not_an_event", "The message is no event that a queue of ours receives, so there is nobody to publish it to; drop it."
    )


def _document(row: asyncpg.Record) -> LetterDocument:
    own = f"{_PATH}/{row['id']}"
    return LetterDocument(
        id=row["id"],
        queue=row["queue"],
        reason=row["reason"],
        job_id=row["job_id"],
        event_type=row["event_type"],
        headers=row["headers"],
        body=row["body"][:_SHOWN_BYTES].decode(errors="replace"),
        recorded_at=row["recorded_at"],
        links={"self": own, "requeue": f"{own}/requeue"},
    )
