"""`/api/v1/admin/storage`: what is in the store, by kind and age, and how much room is left, as the janitor measured it last."""

from datetime import datetime
from typing import Any, get_args

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from common import space
from common.database import Pool
from common.space import Age, Level, Space, Usage
from common.storage_keys import KINDS
from services.ingest.auth import caller
from services.ingest.refusals import REFUSALS

_NOTHING: tuple[int, int] = (0, 0)


class Amount(msgspec.Struct, frozen=True):
    """So many objects, and bytes in them."""

    objects: int
    bytes: int


class StorageDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`capacity_bytes` and `free_bytes` are null when the janitor has not been told; `measured_at` is null while nothing has been measured.

    `level`: at `warning` space runs low; at `critical` new recordings are refused with 503, and everything else goes on. Ages: younger than
    a day, a week, a month, or older.
    """

    measured_at: datetime | None
    level: Level
    capacity_bytes: int | None
    free_bytes: int | None
    total: Amount
    by_kind: dict[str, Amount]
    by_age: dict[str, Amount]


def handlers(pool: Pool) -> list[HTTPRouteHandler]:
    """Reading it."""

    @get("/storage", summary="Look at the storage", responses=REFUSALS)
    async def read_storage(request: Request[Any, Any, Any]) -> StorageDocument:
        """Objects and bytes by kind and by age, and whether space is low; to have it measured anew, ask for a cleanup with `measure`."""
        caller(request, "admin")
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            return document(await space.read(connection), await space.read_usage(connection))

    return [read_storage]


def document(found: Space | None, usage: list[Usage]) -> StorageDocument:
    """What was measured, as clients see it."""
    kinds = {kind: _sum(one for one in usage if one.kind == kind) for kind in (*KINDS, "other")}
    ages = {age: _sum(one for one in usage if one.age == age) for age in get_args(Age)}
    if found is None:
        return StorageDocument(
            measured_at=None, level="ok", capacity_bytes=None, free_bytes=None, total=Amount(0, 0), by_kind=kinds, by_age=ages
        )
    return StorageDocument(
        measured_at=found.measured_at,
        level=found.level,
        capacity_bytes=found.capacity,
        free_bytes=None if found.capacity is None else max(0, found.capacity - found.bytes),
        total=Amount(found.objects, found.bytes),
        by_kind=kinds,
        by_age=ages,
    )


def _sum(usage: Any) -> Amount:
    found = list(usage)
    return Amount(sum(one.objects for one in found), sum(one.bytes for one in found))
