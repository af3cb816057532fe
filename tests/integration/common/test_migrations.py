"""The schema: brought up to date by whoever comes first, never edited behind a database's back."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from common.errors import PermanentError
from common.migrations import is_current, migrate
from deploy.local.stack import Stack


@pytest.fixture
async def empty_url(stack: Stack) -> AsyncIterator[str]:
    """A database with nothing in it."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(stack.database_url)
    await connection.execute(f'create database "{name}"')
    yield urlsplit(stack.database_url)._replace(path=f"/{name}").geturl()
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


async def applied(url: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        assert await is_current(connection)
        return await connection.fetch("select * from schema_migrations order by name")
    finally:
        await connection.close()


async def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    """The second start finds everything applied."""
    await migrate(empty_url)
    first = await applied(empty_url)
    assert first
    await migrate(empty_url)
    assert await applied(empty_url) == first


async def test_services_that_start_together_migrate_once(empty_url: str) -> None:
    """One does the work, the others wait for it."""
    async with asyncio.timeout(120):
        await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert await applied(empty_url)


async def test_an_edited_migration_stops_the_start(empty_url: str) -> None:
    """Code and schema must not drift apart unnoticed."""
    await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("update schema_migrations set checksum = 'another' where name like '0001%'")
    await connection.close()
    with pytest.raises(PermanentError, match="schema_changed"):
        await migrate(empty_url)


async def test_a_schema_that_lacks_a_migration_is_not_current(database_url: str) -> None:
    """Readiness must not say yes to a database that is behind the code."""
    connection = await asyncpg.connect(database_url)
    assert await is_current(connection)
    await connection.execute("delete from schema_migrations")
    assert not await is_current(connection)
    await connection.close()
