"""`python -m services.ingest keys`: creating, listing and revoking keys where the service runs."""

import asyncpg
import httpx
import pytest

from services.ingest import keys
from tests.running import Services

JOBS = "/api/v1/jobs"


async def test_a_keys_life(service: Services, database_url: str, database: asyncpg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """It is printed once and opens what its scopes say; the list shows it without its secret; revoked, it opens nothing."""

    async def told(*command: str) -> str:
        await keys.run(database_url, list(command))
        return capsys.readouterr().out.strip()

    key = await told("create", "--tenant", "editors", "--name", "web", "--scopes", "read, read", "--days", "1.5")
    row = await database.fetchrow("select id, scopes, expires_at - created_at as lasting from api_keys")
    assert row is not None
    assert (row["scopes"], row["lasting"].total_seconds()) == (["read"], 129_600)
    ingest = await service("ingest", AUTH="on")
    async with httpx.AsyncClient(base_url=ingest.url, headers={"Authorization": f"Bearer {key}"}, timeout=90) as client:
        assert (await client.get(JOBS)).status_code == 200
        assert (await client.delete(JOBS, params={"status": "failed"})).status_code == 403
        listed = await told("list")
        assert (str(row["id"]) in listed, "editors  web  read  until " in listed, key in listed) == (True, True, False)
        assert await told("revoke", str(row["id"])) == "revoked"
        assert await told("revoke", str(row["id"])) == "there is no such live key"
        assert (await client.get(JOBS)).status_code == 401
    assert (await told("list")).endswith("revoked")


async def test_keys_that_would_open_nothing(database_url: str, database: asyncpg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    """What the API would refuse is refused here too, by name, and no key is made."""
    wrong = (("--scopes", "raed"), ("--scopes", ""), ("--tenant", "a b"), ("--tenant", ""), ("--days", "0"), ("--days", "soon"))
    for option in wrong:
        with pytest.raises(SystemExit):
            await keys.run(database_url, ["create", *option])
        assert option[0] in capsys.readouterr().err
    assert await database.fetchval("select count(*) from api_keys") == 0
