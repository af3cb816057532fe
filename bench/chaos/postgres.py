"""What a Postgres can do to those who use it and still be up: refuse whoever comes, and fail at the commit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

_MOST = 250
"""More connections than it allows."""

_INSTALL = """
create schema chaos;
create unlogged table chaos.failing (until timestamptz not null, code text not null);
create function chaos.fail() returns trigger language plpgsql as $$
declare found text;
begin
    select code into found from chaos.failing where until > clock_timestamp() limit 1;
    if found is not null and random() < 0.5 then
        raise exception 'made to fail' using errcode = found;
    end if;
    return null;
end $$;
do $$
declare name text;
begin
    for name in select table_name from information_schema.tables where table_schema = 'public' and table_name <> 'schema_migrations' loop
        execute format('create constraint trigger chaos after insert or update or delete on %I deferrable initially deferred'
                       ' for each row execute function chaos.fail()', name);
    end loop;
end $$;
"""
CODES = ("53100", "40001", "58030")
"""The disk is full; another transaction was in the way; the disk has an error."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


async def install(url: str) -> None:
    """What `fail_commits` needs: a trigger of every table, which fires when all else is done."""
    async with connected(url) as connection:
        await connection.execute(_INSTALL)


async def fail_commits(url: str, seconds: float, code: str) -> None:
    """Half of them, of those that change a row."""
    async with connected(url) as connection:
        await connection.execute(
            "insert into chaos.failing values (clock_timestamp() + make_interval(secs => $1::float8), $2::text)", seconds, code
        )
        await asyncio.sleep(seconds)


async def exhaust(url: str, seconds: float) -> int:
    """Take every connection there is, those of the services too, which then find none; returns how many that were."""
    held: list[asyncpg.Connection] = []

    async def fill() -> None:
        try:
            while len(held) < _MOST:
                held.append(await asyncpg.connect(url, timeout=5))
        except (asyncpg.PostgresError, OSError, TimeoutError):
            pass

    try:
        await fill()
        if held:
            await held[0].execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'verbatim-%'")
        await fill()
        await asyncio.sleep(seconds)
        return len(held)
    finally:
        await asyncio.gather(*(connection.close() for connection in held), return_exceptions=True)
