"""How full the store is: measured by the janitor, written to Postgres, and heeded by whoever takes in more.

S3 tells nobody how much room is left, so an operator says how much there is. What was measured last holds until it is measured again.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from common.database import Connection, Queries

SQL = Queries(Path(__file__).with_name("space.sql"))

Level = Literal["ok", "warning", "critical"]
Age = Literal["day", "week", "month", "older"]
"""Younger than that, and not younger than the one before."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of one kind and age; `kind` is a prefix of ours, or `other`."""

    kind: str
    age: Age
    objects: int
    bytes: int


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """All of the store; `capacity` in bytes, None when nobody has said."""

    measured_at: datetime
    objects: int
    bytes: int
    capacity: int | None
    level: Level


async def write(connection: Connection, space: Space, usage: list[Usage]) -> None:
    """What has just been measured, in place of what was before."""
    async with connection.transaction():
        await connection.execute(SQL["forget_usage"])
        await connection.execute(
            SQL["add_usage"],
            [one.kind for one in usage],
            [one.age for one in usage],
            [one.objects for one in usage],
            [one.bytes for one in usage],
        )
        await connection.execute(SQL["set_space"], space.measured_at, space.objects, space.bytes, space.capacity, space.level)


async def read(connection: Connection) -> Space | None:
    """What was measured last; None when nothing has been."""
    row = await connection.fetchrow(SQL["read_space"])
    return None if row is None else msgspec.convert(dict(row), Space)


async def read_usage(connection: Connection) -> list[Usage]:
    """The same by kind and age."""
    return [msgspec.convert(dict(row), Usage) for row in await connection.fetch(SQL["read_usage"])]
