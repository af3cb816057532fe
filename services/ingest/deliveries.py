"""Webhook deliveries as their job's owner sees them: each with all its attempts; and once more, if asked for.

Redelivering opens the delivery again and announces its next attempt, in one transaction; the body and its event id stay the same, so a
receiver that deduplicates is safe. While an attempt is pending, asking again changes nothing.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from common.database import Connection, Pool, Queries
from common.due import Due, announce
from common.ids import JobId
from services.ingest.auth import caller
from services.ingest.existing import find_job
from services.ingest.problems import Problem
from services.ingest.refusals import MISSING, REFUSALS, refusals

SQL = Queries(Path(__file__).with_name("deliveries.sql"))


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`status` and the beginning of the `answer`, or, when there was none, the `error` that says why."""

    attempt: int
    started_at: datetime
    milliseconds: int
    status: int | None
    answer: str | None
    error: str | None


class DeliveryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoint` is shown without its query, which may be a secret; `next_attempt_at` is null once the delivery is over."""

    id: str
    job_id: str
    event_id: str
    event_type: str
    endpoint: str
    state: Literal["pending", "delivered", "failed"]
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    attempts: list[AttemptDocument]
    links: dict[str, str]


class Deliveries(msgspec.Struct, frozen=True):
    """In the order in which they came about."""

    deliveries: list[DeliveryDocument]


def of_job(pool: Pool) -> list[HTTPRouteHandler]:
    """`/api/v1/jobs/{id}/deliveries`."""

    @get("/{job_id:uuid}/deliveries", summary="List a job's webhook deliveries", responses=REFUSALS | MISSING)
    async def list_deliveries(request: Request[Any, Any, Any], job_id: UUID) -> Deliveries:
        """Every webhook of the job, with every attempt that was made at it."""
        job = await find_job(pool, job_id, caller(request, "read").tenant)
        async with pool.acquire() as connection:
            return Deliveries(await _read(connection, job.id))

    return [list_deliveries]


def again(pool: Pool) -> list[HTTPRouteHandler]:
    """`/api/v1/deliveries/{id}/redeliver`."""

    @post(
        "/{delivery_id:uuid}/redeliver",
        status_code=202,
        summary="Deliver a webhook again",
        responses=REFUSALS | refusals({404: "There is no such delivery"}),
    )
    async def redeliver(request: Request[Any, Any, Any], delivery_id: UUID) -> DeliveryDocument:
        """Send the same webhook once more, whether it was delivered or had failed; one that is still being tried is left alone."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection, connection.transaction():
            job_id = await connection.fetchval(SQL["find_delivery"], delivery_id, tenant)
            if job_id is None:
                raise Problem(404, "delivery_not_found", f"There is no delivery {delivery_id}.")
            made = await connection.fetchval(SQL["redeliver"], delivery_id)
            if made is not None:
                await announce(connection, JobId(job_id), Due(delivery_id, made + 1))
            found = await _read(connection, JobId(job_id))
        return next(document for document in found if document.id == str(delivery_id))

    return [redeliver]


async def _read(connection: Connection, job_id: JobId) -> list[DeliveryDocument]:
    return [_document(row) for row in await connection.fetch(SQL["job_deliveries"], job_id)]


def _document(row: asyncpg.Record) -> DeliveryDocument:
    return DeliveryDocument(
        id=str(row["id"]),
        job_id=str(row["job_id"]),
        event_id=str(row["event_id"]),
        event_type=row["event_type"],
        endpoint=_shown(row["endpoint"]),
        state=row["state"],
        next_attempt_at=row["due_at"] if row["state"] == "pending" else None,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        attempts=msgspec.convert(row["attempts"], list[AttemptDocument]),
        links={"job": f"/api/v1/jobs/{row['job_id']}", "redeliver": f"/api/v1/deliveries/{row['id']}/redeliver"},
    )


def _shown(endpoint: str) -> str:
    """Without user, password, query and fragment."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
