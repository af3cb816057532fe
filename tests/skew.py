"""A database whose clock is another than that of its clients and of the store."""

from urllib.parse import urlsplit

from common.database import Pool


async def clock_off(pool: Pool, database_url: str, by: str) -> None:
    """From the next connection on the database's clock is off `by` an interval; what columns have by default goes by the true one."""
    name = urlsplit(database_url).path.lstrip("/")
    await pool.execute("create schema if not exists skew")
    await pool.execute(
        f"create or replace function skew.now() returns timestamptz language sql stable as $$ select pg_catalog.now() + interval '{by}' $$"
    )
    await pool.execute(f'alter database "{name}" set search_path = skew, pg_catalog, public')
    await pool.expire_connections()
