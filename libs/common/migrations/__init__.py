"""Numbered SQL files, applied forward only, each once, under a blocking advisory lock.

Every service migrates at its start, so whichever comes first does the work and the others wait. A file that was applied must not change
any more: its checksum is kept, and a difference stops the start rather than let code and schema drift apart.
"""

import hashlib
from pathlib import Path

import asyncpg
import structlog

from common.errors import PermanentError

_LOCK = 0x76657262  # "verb"
_FILES = sorted(Path(__file__).parent.glob("[0-9]*.sql"))

log = structlog.get_logger(__name__)


async def migrate(database_url: str) -> None:
    """Bring the schema up to date; raises `PermanentError("schema_changed")` when an applied file was edited since."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "create table if not exists schema_migrations (name text primary key, checksum text not null,"
            " applied_at timestamptz not null default now())"
        )
        applied = {row["name"]: row["checksum"] for row in await connection.fetch("select * from schema_migrations")}
        for file in _FILES:
            await _apply(connection, file, applied.get(file.name))
    finally:
        await connection.close()


async def is_current(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy) -> bool:
    """Whether every migration that this code knows has been applied."""
    names = [file.name for file in _FILES]
    return bool(await connection.fetchval("select count(*) = $2 from schema_migrations where name = any($1)", names, len(names)))


async def _apply(connection: asyncpg.Connection, file: Path, known: str | None) -> None:
    sql = file.read_text()  # noqa: ASYNC240 - a few local kilobytes, at start
    checksum = hashlib.sha256(sql.encode()).hexdigest()
    if known == checksum:
        return
    if known is not None:
        raise PermanentError("schema_changed", f"{file.name} was edited after it was applied; add a new migration instead.")
    async with connection.transaction():
        await connection.execute(sql)
        await connection.execute("insert into schema_migrations (name, checksum) values ($1, $2)", file.name, checksum)
    log.info("migrated", migration=file.name)
