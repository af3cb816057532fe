"""Webhook deliveries and uploads as the owner of their job or endpoint sees them: all attempts at each; and once more, if asked for.

Redelivering opens the delivery again and announces its next attempt, in one transaction; the body and its event id stay the same, so a
receiver that deduplicates is safe. While an attempt is pending, asking again changes nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import asyncpg
import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Connection, Pool, Queries
from common.due import Due, about, announce
from common.ids import JobId
from common.jobs import store
from common.jobs.job import Upload
from common.webhook import shown
from services.ingest.auth import caller
from services.ingest.existing import find_job
from services.ingest.problems import Problem
from services.ingest.refusals import MISSING, REFUSALS, refusals

SQL = Queries(Path(__file__).with_name("deliveries.sql"))

_NO_DELIVERY = refusals({404: "There is no such delivery"})

State = Literal["pending", "delivered", "failed"]


class AttemptDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`status` and the beginning of the `answer`, or, when there was none, the `error` that says why."""

    attempt: int
    started_at: datetime
    milliseconds: int
    status: int | None
    answer: str | None
    error: str | None


class DeliveryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`endpoint` is shown without its query, which may be a secret; `next_attempt_at` is null once the delivery is over.

    `endpoint_id` is null for a job's own URLs, `job_id` for what tells of no job: a test. An `upload` is the PUT to the job's
    `upload_presigned_url`. `code` says why the delivery failed.
    """

    id: str
    kind: Literal["webhook", "upload"]
    job_id: str | None
    endpoint_id: str | None
    event_id: str
    event_type: str
    endpoint: str
    state: State
    code: str | None
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
    async def list_deliveries(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Deliveries:
        """Every webhook of the job, with every attempt that was made at it."""
        job = await find_job(pool, job_id, caller(request, "read").tenant)
        async with pool.acquire() as connection:
            return Deliveries(await documents(connection, await connection.fetch(SQL["job_deliveries"], job.id)))

    return [list_deliveries]


def single(pool: Pool) -> list[HTTPRouteHandler]:
    """`/api/v1/deliveries/{id}`."""

    @get("/{delivery_id:uuid}", summary="Read a webhook delivery", responses=REFUSALS | _NO_DELIVERY)
    async def read(request: Request[Any, Any, Any], delivery_id: FromPath[UUID]) -> DeliveryDocument:
        """The delivery with every attempt that was made at it."""
        tenant = caller(request, "read").tenant
        async with pool.acquire() as connection:
            return await find(connection, delivery_id, tenant)

    @post(
        "/{delivery_id:uuid}/redeliver",
        status_code=202,
        summary="Deliver a webhook again",
        responses=REFUSALS | _NO_DELIVERY | refusals({409: "Its endpoint is disabled"}),
    )
    async def redeliver(request: Request[Any, Any, Any], delivery_id: FromPath[UUID]) -> DeliveryDocument:
        """Send the same once more, whether it was delivered or had failed; one that is still being tried is left alone."""
        tenant = caller(request, "write").tenant
        async with pool.acquire() as connection, connection.transaction():
            found = await find(connection, delivery_id, tenant)
            job_id = None if found.job_id is None else JobId(UUID(found.job_id))
            endpoint_id = None if found.endpoint_id is None else UUID(found.endpoint_id)
            if endpoint_id is not None:
                await refuse_disabled(connection, endpoint_id)
            told = job_id if found.kind == "upload" else None
            if told is not None:
                await store.lock(connection, told)
            made = await connection.fetchval(SQL["redeliver"], delivery_id)
            if made is not None:
                await announce(connection, about(job_id, endpoint_id), Due(delivery_id, made + 1))
                if told is not None:
                    await store.tell_upload(connection, told, Upload(state="pending"))
            return await find(connection, delivery_id, tenant)

    return [read, redeliver]


async def find(connection: Connection, delivery_id: UUID, tenant: str) -> DeliveryDocument:
    """A tenant's delivery. Raises `Problem` 404."""
    row = await connection.fetchrow(SQL["get_delivery"], delivery_id, tenant)
    if row is None:
        raise Problem(404, "delivery_not_found", f"There is no delivery {delivery_id}.")
    [found] = await documents(connection, [row])
    return found


async def documents(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[DeliveryDocument]:
    """Deliveries, each with the attempts that were made at it."""
    tried: defaultdict[UUID, list[AttemptDocument]] = defaultdict(list)
    for row in await connection.fetch(SQL["attempts"], [row["id"] for row in rows]):
        tried[row["delivery_id"]].append(msgspec.convert(dict(row), AttemptDocument))
    return [_document(row, tried[row["id"]]) for row in rows]


async def refuse_disabled(connection: Connection, endpoint_id: UUID) -> None:
    """Until the transaction's end the endpoint is not disabled. Raises `Problem` 409 if it is."""
    if await connection.fetchval(SQL["endpoint_status"], endpoint_id) == "disabled":
        raise Problem(409, "endpoint_disabled", f"The endpoint {endpoint_id} is disabled, so nothing is sent to it; resume it first.")


def _document(row: asyncpg.Record, attempts: list[AttemptDocument]) -> DeliveryDocument:
    own = f"/api/v1/deliveries/{row['id']}"
    links = {"self": own, "redeliver": f"{own}/redeliver"}
    if row["job_id"] is not None:
        links["job"] = f"/api/v1/jobs/{row['job_id']}"
    if row["endpoint_id"] is not None:
        links["webhook"] = f"/api/v1/webhooks/{row['endpoint_id']}"
    return DeliveryDocument(
        id=str(row["id"]),
        kind=row["kind"],
        job_id=None if row["job_id"] is None else str(row["job_id"]),
        endpoint_id=None if row["endpoint_id"] is None else str(row["endpoint_id"]),
        event_id=str(row["event_id"]),
        event_type=row["event_type"],
        endpoint=shown(row["endpoint"]),
        state=row["state"],
        code=row["code"],
        next_attempt_at=row["due_at"] if row["state"] == "pending" else None,
        created_at=row["created_at"],
        finished_at=row["finished_at"],
        attempts=attempts,
        links=links,
    )
