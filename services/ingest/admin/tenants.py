"""`/api/v1/admin/tenants/{tenant}/limits`: how many hours of audio a tenant may submit, and how many it has."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Request, get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from common.database import Connection, Pool, Queries
from services.ingest import json_body, query
from services.ingest.admission import Limits
from services.ingest.auth import Tenant, caller
from services.ingest.body import streamed
from services.ingest.refusals import BODY, REFUSALS, refusals
from services.ingest.taking import taking

SQL = Queries(Path(__file__).with_name("tenants.sql"))
_HOUR = 3_600
_NO_NAME = refusals({422: "A member of the body is invalid, or no tenant can have that name"})

_Hours = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None


class LimitsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Null or left out: as for every tenant."""

    audio_hours_per_day: _Hours = None
    audio_hours_per_month: _Hours = None


class LimitsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that hold, null where there is none, and hours submitted today and this month (UTC), whatever became of them.

    `own`: the tenant has limits of its own.
    """

    tenant: str
    own: bool
    audio_hours_per_day: float | None
    audio_hours_per_month: float | None
    audio_hours_today: float
    audio_hours_this_month: float


def handlers(pool: Pool, limits: Limits) -> list[HTTPRouteHandler]:
    """Reading and setting."""

    @get("/tenants/{tenant:str}/limits", summary="Read a tenant's limits", responses=REFUSALS | _NO_NAME)
    async def read_limits(request: Request[Any, Any, Any], tenant: FromPath[str]) -> LimitsDocument:
        """What the tenant may submit and has submitted. A tenant exists by having keys, so every name has an answer."""
        caller(request, "admin")
        query.convert("tenant", tenant, Tenant)
        async with pool.acquire() as connection:
            return await _read(connection, tenant, limits)

    @put(
        "/tenants/{tenant:str}/limits",
        summary="Set a tenant's limits",
        operation_class=taking(LimitsRequest, {"audio_hours_per_day": 20, "audio_hours_per_month": 300}),
        responses=REFUSALS | BODY | _NO_NAME,
    )
    async def set_limits(request: Request[Any, Any, Any], tenant: FromPath[str]) -> LimitsDocument:
        """From the next submission on; both are replaced, and one that is left out is again as for every tenant."""
        caller(request, "admin")
        query.convert("tenant", tenant, Tenant)
        asked = json_body.parse(await json_body.read(streamed(request)), LimitsRequest)
        async with pool.acquire() as connection:
            await connection.execute(SQL["set_limits"], tenant, _seconds(asked.audio_hours_per_day), _seconds(asked.audio_hours_per_month))
            return await _read(connection, tenant, limits)

    return [read_limits, set_limits]


async def _read(connection: Connection, tenant: str, limits: Limits) -> LimitsDocument:
    [row] = await connection.fetch(SQL["read_limits"], tenant)
    return LimitsDocument(
        tenant=tenant,
        own=row["per_day"] is not None or row["per_month"] is not None,
        audio_hours_per_day=_hours(row["per_day"], limits.audio_hours_per_day),
        audio_hours_per_month=_hours(row["per_month"], limits.audio_hours_per_month),
        audio_hours_today=round(row["today"] / _HOUR, 3),
        audio_hours_this_month=round(row["this_month"] / _HOUR, 3),
    )


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * _HOUR


def _hours(seconds: float | None, otherwise: float | None) -> float | None:
    return otherwise if seconds is None else seconds / _HOUR
